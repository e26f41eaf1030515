#!/usr/bin/env python3
"""How the work of a topic is divided over workers, and what a million calls a day take.

    kafka_scale.py --worker "COMMAND run" --feed "COMMAND feed" [--workers 1 2 4] [--partitions 12] [--calls 1200]
                   [--call-s 30] [--asr-speed 8] [--mean-call-s 300]

`worker` is called with a pipeline file; `feed` with --brokers, --topic and a folder. Starts a broker of its own (see
kafka_broker.py), fills a topic once with two-channel recordings of --call-s seconds, and has it worked off by so many
worker processes, each time by another group into another dataset. The recogniser is the scripted one, so that speech
recognition does not hide the rest. Each worker is held to one core, as if that were its machine; beyond the number of
cores they share, and only the division can be near linear, not the speed.

Prints for each number of workers: calls a second, the ratio to the first, processor seconds a call, the calls of each
worker, and the largest share over the mean. Then the cores for a million calls a day of --mean-call-s seconds: what
was measured, in proportion to length, and recognition at --asr-speed seconds of call per second of one core.
"""
import argparse
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from kafka_broker import Broker, free_port
from kafka_fixtures import (Folder, add_commands, cpu_seconds, create_topics, ended, ends_of, feed, metric, recording,
                            wait_for_partitions, write_pipeline, write_recordings)

CHANNELS = 2
# All workers of a run have joined before the first partitions are given out.
JOIN_MS = 3000
WORK_LIMIT_S = 600
WORK_PAUSE_S = 0.05
STOP_LIMIT_S = 60

CALLS_A_DAY = 1_000_000
DAY_S = 86_400
# What a machine is bought for: peaks of the day need the rest.
LOAD = 0.7
CORES_A_MACHINE = 16
# One byte a sample and channel, as recorders store calls.
MULAW_BYTES_A_SECOND = 8_000 * CHANNELS


def work_off(options, broker, work, ends, number):
    """Has `number` workers work off the topic: seconds, processor seconds, and the calls of each."""
    group = f"scale-{number}"
    place = Folder(work / group)
    ports = [free_port() for _ in range(number)]
    cores = sorted(os.sched_getaffinity(0))
    with open(work / "workers.log", "ab") as log, ended([]) as workers:
        for index, port in enumerate(ports):
            pipeline = write_pipeline(work / f"{group}-{index}.toml", broker, group, place.dir,
                                      output={"batch_age_ms": 500}, admin={"listen": f"127.0.0.1:{port}"})
            core = cores[index % len(cores)]
            command = ["taskset", "--cpu-list", str(core), *shlex.split(options.worker), str(pipeline)]
            workers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        wait_for_partitions(ports, options.partitions)
        begun, used = time.monotonic(), sum(cpu_seconds(worker.pid) for worker in workers)
        place.wait_for(ends, WORK_LIMIT_S, WORK_PAUSE_S)
        seconds = time.monotonic() - begun
        used = sum(cpu_seconds(worker.pid) for worker in workers) - used
        calls = [int(metric(port, "callmark_calls_total")) for port in ports]
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            if worker.wait(STOP_LIMIT_S) != 0:
                raise AssertionError(f"a worker ended with exit status {worker.returncode}")
    if sum(calls) != options.calls:
        raise AssertionError(f"{sum(calls)} calls scored of {options.calls}")
    return seconds, used, calls


def a_million_a_day(options, cpu_a_call):
    rest = cpu_a_call * options.mean_call_s / options.call_s
    recognition = options.mean_call_s / options.asr_speed
    calls_a_second = CALLS_A_DAY / DAY_S
    cores = calls_a_second * (rest + recognition)
    machines = -int(-cores / LOAD // CORES_A_MACHINE)
    megabytes = options.mean_call_s * MULAW_BYTES_A_SECOND / 1e6
    print(f"\n{CALLS_A_DAY:,} calls a day of {options.mean_call_s:g} s: {calls_a_second:.1f} calls a second")
    print(f"  all but recognition  {rest:8.3f} core seconds a call  {calls_a_second * rest:7.1f} cores")
    print(f"  recognition          {recognition:8.3f} core seconds a call  {calls_a_second * recognition:7.1f} cores")
    print(f"  together             {rest + recognition:8.3f} core seconds a call  {cores:7.1f} cores, day and night")
    print(f"  {machines} machines of {CORES_A_MACHINE} cores at {LOAD:.0%} load, a worker each: "
          f"at least {machines} partitions")
    print(f"  {megabytes:.1f} MB a call (two channels, mu-law): {megabytes * calls_a_second:.0f} MB a second "
          f"through the broker")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_commands(parser)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--calls", type=int, default=1200)
    parser.add_argument("--call-s", type=float, default=30)
    parser.add_argument("--asr-speed", type=float, default=8)
    parser.add_argument("--mean-call-s", type=float, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as folder, \
            Broker(settings={"group.initial.rebalance.delay.ms": JOIN_MS}) as broker:
        work = pathlib.Path(folder)
        write_recordings(work / "audio", range(options.calls), recording(options.call_s, CHANNELS))
        create_topics(broker, options.partitions)
        if feed(options.feed, broker, work / "audio").wait() != 0:
            raise AssertionError("the feeder failed")
        ends = ends_of(broker)
        print(f"{options.calls} calls of {options.call_s:g} s over {options.partitions} partitions, "
              f"{len(os.sched_getaffinity(0))} cores")
        print("workers  calls/s  ratio  CPU-s/call  max/mean  calls of each worker")
        first = None
        for number in options.workers:
            seconds, used, calls = work_off(options, broker, work, ends, number)
            speed, cpu_a_call = options.calls / seconds, used / options.calls
            first = first or (speed, cpu_a_call)
            print(f"{number:7d}  {speed:7.1f}  {speed / first[0]:5.2f}  {cpu_a_call:10.4f}  "
                  f"{max(calls) * number / options.calls:8.2f}  {' '.join(map(str, calls))}", flush=True)
    a_million_a_day(options, first[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
