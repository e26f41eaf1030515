#!/usr/bin/env python3
"""Kill, pause and shake workers and the broker while calls stream in: none lost, none twice.

    kafka_chaos.py --worker "COMMAND run" --feed "COMMAND feed" [--calls 3000] [--partitions 6] [--workers 3]
                   [--seconds 120] [--seed 1] [--work DIR]

`worker` is called with a pipeline file; `feed` with --brokers, --topic and a folder. Starts a broker of its own (see
kafka_broker.py), sends the recordings while workers run, and until all is committed does at random: SIGKILL; a death at
each step of a commit (CALLMARK_FAILPOINT); SIGSTOP past the session timeout, then SIGCONT, so that a zombie wakes up;
a rebalance storm (workers that come and go); a restart of the broker. Then DuckDB counts. The last line is `chaos: passed`
with figures, and the exit status 1 when anything was lost, doubled or left behind.
"""
import argparse
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import duckdb

from kafka_broker import Broker

STEPS = ("DeadLettersWritten", "IntentWritten", "FileStaged", "StagingSynced", "RecordWritten", "RecordNamed",
         "RecordSynced", "FilePublished", "PublishedSynced", "DeadLettersRemoved", "IntentRemoved", "OutputsSent",
         "Committed")
GROUP = "chaos"
TOPIC = "calls.recordings"
SESSION_MS = 3000
POISON_EVERY = 100
# How long after the last disturbance everything has to be committed.
SETTLE_LIMIT_S = 240
STOP_LIMIT_S = 60

PIPELINE = """\
version = 1
[source]
kind = "kafka_recordings"
brokers = "{brokers}"
topic = "{topic}"
group = "{group}"
channels = ["customer"]
[source.properties]
"session.timeout.ms" = {session}
"heartbeat.interval.ms" = 300
"reconnect.backoff.max.ms" = 1000
[transcription]
engine = "scripted"
language = "en"
workers = 1
[output]
dir = "{out}"
batch_calls = 25
batch_age_ms = 400
[run]
shutdown_timeout_s = 10
give_up_after_s = 120
"""


def recordings(folder, count, speech):
    """`count` recordings, each with other bytes; each POISON_EVERY-th is none."""
    folder.mkdir(parents=True)
    data = bytearray(speech.read_bytes())
    expected, poison = set(), set()
    for number in range(count):
        name = f"call-{number:05d}"
        if number % POISON_EVERY == POISON_EVERY - 1:
            (folder / f"{name}.wav").write_bytes(b"no recording " + name.encode())
            poison.add(name)
        else:
            data[-4:] = struct.pack("<I", number)
            (folder / f"{name}.wav").write_bytes(data)
            expected.add(name)
    return expected, poison


class Workers:
    def __init__(self, command, pipeline, log):
        self.command, self.pipeline, self.log = shlex.split(command), pipeline, log
        self.running, self.counts = [], {}

    def start(self, failpoint=None):
        environment = {k: v for k, v in os.environ.items() if k != "CALLMARK_FAILPOINT"}
        environment["CALLMARK_LOG"] = "callmark_pipeline=info"
        if failpoint:
            environment["CALLMARK_FAILPOINT"] = failpoint
        self.running.append(subprocess.Popen(self.command + [str(self.pipeline)], env=environment,
                                             stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log))

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def keep(self, number, failpoint=None):
        """Restart the dead. A worker may die by a signal only, never by an error of its own."""
        for worker in list(self.running):
            status = worker.poll()
            if status is not None:
                self.running.remove(worker)
                if status == -signal.SIGABRT:
                    self.count("died at a step")
                if status > 0:
                    raise AssertionError(f"a worker ended with exit status {status}: see {self.log.name}")
        while len(self.running) < number:
            self.start(failpoint)
            failpoint = None

    def kill(self, worker, what):
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.running.remove(worker)
        self.count(what)

    def stop(self):
        """As an operator does: each ends by itself with status 0."""
        for worker in self.running:
            worker.send_signal(signal.SIGTERM)
        for worker in self.running:
            status = worker.wait(STOP_LIMIT_S)
            # One that was told to die at a step may come to it while it stops; whoever starts next mends it.
            if status == -signal.SIGABRT:
                self.count("died at a step")
            elif status != 0:
                raise AssertionError(f"a worker told to stop ended with {status}")
        self.running.clear()


def committed(out):
    """{partition: next offset} as the dataset's records tell."""
    found = {}
    for record in out.glob(f"_commits/{TOPIC}/*/*.json"):
        if record.name.endswith(".intent.json"):
            continue
        try:
            last = json.loads(record.read_text())["last"]
        except (OSError, ValueError):
            continue
        partition = int(record.parent.name)
        found[partition] = max(found.get(partition, 0), last + 1)
    return found


def disturb(workers, broker, number, random_, steps):
    """One disturbance."""
    if steps:
        step = steps.pop()
        workers.kill(random_.choice(workers.running), "kill")
        workers.keep(number, f"{step}:{random_.randint(1, 2)}")
        workers.count(f"step {step}")
        time.sleep(random_.uniform(1.0, 2.0))
        return
    what = random_.choice(["kill", "kill", "zombie", "storm", "broker"])
    if what == "kill":
        workers.kill(random_.choice(workers.running), what)
    elif what == "zombie":
        worker = random_.choice(workers.running)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(SESSION_MS / 1000 + random_.uniform(0.5, 2.5))
        worker.send_signal(signal.SIGCONT)
        workers.count(what)
    elif what == "storm":
        for _ in range(4):
            workers.start()
            time.sleep(random_.uniform(0.1, 0.6))
            workers.kill(random_.choice(workers.running), "kill")
        workers.count(what)
    else:
        broker.restart()
        workers.count(what)


def check(out, expected, poison, turns_per_call):
    """What is wrong with the dataset, in words."""
    wrong = []
    rows = duckdb.sql(f"select call_id, count(*) from read_parquet('{out}/calls/date=*/*.parquet') group by 1").fetchall()
    found = {row[0] for row in rows}
    doubled = [row[0] for row in rows if row[1] != 1]
    for name, calls in (("lost", expected - found), ("too many", found - expected), ("twice", doubled)):
        if calls:
            wrong.append(f"{len(calls)} calls {name}: {sorted(calls)[:5]}")
    for table in ("turns", "events"):
        uneven = duckdb.sql(
            f"with n as (select call_id, count(*) n, count(distinct {table[:-1]}_index) d "
            f"from read_parquet('{out}/{table}/date=*/*.parquet') group by 1) "
            f"select count(*), min(n), max(n), sum(n - d) from n").fetchone()
        if uneven[0] != len(expected) or uneven[1] != uneven[2] or uneven[3]:
            wrong.append(f"{table}: of {uneven[0]} calls, {uneven[1]} to {uneven[2]} rows each, {uneven[3]} doubled")
    named = set()
    for record in out.glob("_commits/*/*/*.json"):
        if record.name.endswith(".intent.json"):
            wrong.append(f"intent left: {record}")
        else:
            named.update(file["path"] for file in json.loads(record.read_text())["files"])
    there = {str(path.relative_to(out)) for table in ("calls", "turns", "events") for path in out.glob(f"{table}/*/*")}
    if there != named:
        wrong.append(f"{len(there - named)} files that no commit names, {len(named - there)} named and gone")
    staged = list(out.glob("_staging/*"))
    if staged:
        wrong.append(f"{len(staged)} files left in staging: {staged[:3]}")
    letters = {json.loads(p.read_text())["call_id"] for p in out.glob("_dead_letters/*.json")}
    if letters != poison:
        wrong.append(f"dead letters: {len(letters)} for {len(poison)} broken recordings")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--feed", required=True)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=pathlib.Path)
    options = parser.parse_args()
    work = options.work or pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    out, pipeline = work / "dataset", work / "pipeline.toml"
    speech = pathlib.Path(__file__).resolve().parent.parent / "pipelines/demo/fixtures/speech.wav"
    expected, poison = recordings(work / "audio", options.calls, speech)
    random_ = random.Random(options.seed)
    steps = random_.sample(STEPS, len(STEPS))
    begun = time.monotonic()
    with Broker() as broker, open(work / "workers.log", "wb") as log:
        for topic, partitions in ((TOPIC, options.partitions), ("calls.scored", 1), ("calls.dead-letters", 1)):
            broker.create_topic(topic, partitions)
        pipeline.write_text(PIPELINE.format(brokers=broker.bootstrap, topic=TOPIC, group=GROUP, out=out,
                                            session=SESSION_MS))
        workers = Workers(options.worker, pipeline, log)
        feeder = subprocess.Popen(shlex.split(options.feed) + ["--brokers", broker.bootstrap, "--topic", TOPIC,
                                                          str(work / "audio")])
        try:
            workers.keep(options.workers)
            until = time.monotonic() + options.seconds
            while time.monotonic() < until:
                time.sleep(random_.uniform(0.5, 1.5))
                workers.keep(options.workers)
                disturb(workers, broker, options.workers, random_, steps)
            if feeder.wait(SETTLE_LIMIT_S) != 0:
                raise AssertionError("the feeder failed")
            ends = {key[1]: value for key, value in broker.end_offsets(TOPIC).items()}
            deadline = time.monotonic() + SETTLE_LIMIT_S
            while committed(out) != {p: end for p, end in ends.items() if end}:
                if time.monotonic() > deadline:
                    raise AssertionError(f"not committed in time: {committed(out)} of {ends}")
                workers.keep(options.workers)
                time.sleep(0.5)
            told = {}
            while time.monotonic() < deadline:
                told = {key[1]: value for key, value in broker.committed_offsets(GROUP).items()}
                if told == {p: end for p, end in ends.items() if end}:
                    break
                time.sleep(0.5)
            workers.stop()
            # Whoever starts next finds nothing to put right and leaves nothing behind.
            workers.keep(1)
            time.sleep(3)
            workers.stop()
        finally:
            for worker in workers.running:
                worker.kill()
            feeder.kill()
    wrong = check(out, expected, poison, None)
    if told != {p: end for p, end in ends.items() if end}:
        wrong.append(f"the broker was told {told} of {ends}")
    for line in wrong:
        print(f"WRONG {line}")
    shaken = ", ".join(f"{what} {count}" for what, count in sorted(workers.counts.items()))
    print(f"chaos: {'FAILED' if wrong else 'passed'}: {len(expected)} calls and {len(poison)} broken recordings over "
          f"{options.partitions} partitions and {options.workers} workers in {time.monotonic() - begun:.0f} s; {shaken}")
    if not wrong and not options.work:
        shutil.rmtree(work)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
