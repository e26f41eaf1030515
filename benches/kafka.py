#!/usr/bin/env python3
"""A Kafka worker without speech recognition: how fast beside a bare consumer, how large while much waits.

    kafka.py CALLMARK BARE_CONSUMER

Starts a broker of its own (.make/kafka_broker.py). Twice a topic is filled once and then read three times by a consumer
that drops everything (examples/bare_consumer.rs) and three times by `callmark run` with the scripted recogniser, in
turns, each time by another group: recordings of 1 MB, and written conversations of some hundred bytes. The
clock starts when they hold their partitions and stops at the consumer's last message and when the worker's last call is
committed. The figures are medians, the ratio is of the medians.

Then 20,000 recordings of 50 kB wait for a worker with the settings that a pipeline file has by default; its resident
memory is read from /proc until all are committed.
"""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / ".make"))
from kafka_broker import Broker, free_port
from kafka_fixtures import (RATE_HZ, SAMPLE_BYTES, SPEECH, WAV_HEADER, Folder, create_topics, ended, ends_of, feed,
                            recording, wait_for_partitions, write_pipeline, write_recordings)

PARTITIONS = 6
RUNS = 3
AUDIO_MESSAGES, AUDIO_BYTES = 200, 1_000_000
WRITTEN_MESSAGES = 20_000
WAITING_MESSAGES = 20_000
WORK_LIMIT_S = 300
STOP_LIMIT_S = 60
LOOK_S = 0.05

TURNS = (
    ("ai_agent", "Hello, this is the assistant. How can I help you today?"),
    ("customer", "My order has not arrived, I want to speak to a real person please."),
    ("ai_agent", "I am sorry about that. I have sent you a new one today."),
    ("customer", "Great, that solves it, thank you very much."),
)


def conversations(path, count):
    turns = [{"speaker": speaker, "text": text} for speaker, text in TURNS]
    with open(path, "w") as out:
        for number in range(count):
            out.write(json.dumps({"call_id": f"chat-{number:06d}", "turns": turns}) + "\n")


def fill(options, broker, topic, source):
    create_topics(broker, PARTITIONS, topic=topic)
    if feed(f"{shlex.quote(options.callmark)} feed", broker, source, topic=topic).wait() != 0:
        raise AssertionError("the feeder failed")
    return ends_of(broker, topic)


def work_off(options, broker, work, topic, ends, output, look):
    """Has one worker work the topic off: the seconds. `look(pid, share committed)` is called now and then."""
    group, port = f"{topic}-{time.monotonic_ns()}", free_port()
    place = Folder(work / group)
    pipeline = write_pipeline(work / f"{group}.toml", broker, group, place.dir, source={"topic": topic}, output=output,
                              transcription={"workers": os.cpu_count()}, admin={"listen": f"127.0.0.1:{port}"})
    with open(work / "worker.log", "ab") as log, \
            ended([subprocess.Popen([options.callmark, "run", str(pipeline)], stdout=log, stderr=log)]) as (worker,):
        wait_for_partitions([port], PARTITIONS)
        begun = time.monotonic()
        place.wait_for(ends, WORK_LIMIT_S, LOOK_S, topic=topic,
                       meanwhile=lambda: look(worker.pid, sum(place.next.values()) / sum(ends.values())))
        seconds = time.monotonic() - begun
        look(worker.pid, 1)
        worker.send_signal(signal.SIGTERM)
        if worker.wait(STOP_LIMIT_S) != 0:
            raise AssertionError(f"the worker ended with exit status {worker.returncode}")
    shutil.rmtree(place.folder)
    return seconds


def throughput(options, broker, work, topic, source, count):
    """Messages a second of the bare consumer and of the worker, and the mean size of a message in MB."""
    ends = fill(options, broker, topic, source)
    bare, worker = [], []
    for run in range(RUNS):
        command = [options.bare_consumer, broker.bootstrap, topic, f"bare-{topic}-{run}", str(count)]
        read = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        bare.append(count / read["seconds"])
        seconds = work_off(options, broker, work, topic, ends, {"batch_age_ms": 500}, lambda *_: None)
        worker.append(count / seconds)
    return statistics.median(bare), statistics.median(worker), read["bytes"] / count / 1e6


def memory(pid):
    """Resident MiB of a process: now, and at most until now."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS:", "VmHWM:"))}
    return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callmark")
    parser.add_argument("bare_consumer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kafka-bench-") as folder, Broker() as broker:
        work = pathlib.Path(folder)
        seconds_a_message = (AUDIO_BYTES - WAV_HEADER.size) / RATE_HZ / SAMPLE_BYTES
        write_recordings(work / "audio", range(AUDIO_MESSAGES), recording(seconds_a_message))
        conversations(work / "written.jsonl", WRITTEN_MESSAGES)
        print(f"{os.cpu_count()} cores\n{f'medians of {RUNS}':28}{'bare consumer':>26}{'callmark run':>26}   ratio")
        for name, source, count in (("recordings", work / "audio", AUDIO_MESSAGES),
                                    ("conversations", work / "written.jsonl", WRITTEN_MESSAGES)):
            bare, worker, megabytes = throughput(options, broker, work, f"bench.{name}", source, count)
            size = f"{megabytes:.2f} MB" if megabytes > 0.1 else f"{megabytes * 1e6:.0f} B"
            figures = "".join(f"{speed:11.1f}/s {speed * megabytes:8.2f} MB/s" for speed in (bare, worker))
            print(f"{f'{count} {name}, {size}':28}{figures}   {worker / bare:.4f}", flush=True)
        write_recordings(work / "waiting", range(WAITING_MESSAGES), SPEECH.read_bytes())
        ends = fill(options, broker, "bench.waiting", work / "waiting")
        samples = {}

        def look(pid, share):
            samples.setdefault(int(share * 4), memory(pid))
            samples[4] = memory(pid)
        seconds = work_off(options, broker, work, "bench.waiting", ends, {}, look)
        at = ", ".join(f"{quarter * 25} %: {samples[quarter][0]:.0f}" for quarter in sorted(samples) if quarter)
        print(f"{WAITING_MESSAGES} waiting recordings of {len(SPEECH.read_bytes()) / 1000:.0f} kB, worked off in "
              f"{seconds:.0f} s: peak {samples[4][1]:.0f} MiB resident; MiB when so much was committed: {at}")


if __name__ == "__main__":
    main()
