#!/usr/bin/env python3
"""Kill, pause and shake workers, broker and store while calls stream in: none lost, none twice.

    kafka_chaos.py --worker "COMMAND run" --feed "COMMAND feed" [--s3] [--calls 3000] [--partitions 6] [--workers 3]
                   [--seconds 120] [--seed 1] [--work DIR]

`worker` is called with a pipeline file; `feed` with --brokers, --topic and a folder. Starts a broker of its own (see
kafka_broker.py), sends the recordings while workers run, and until all is committed does at random: SIGKILL; a death at
each step of a commit (CALLMARK_FAILPOINT); SIGSTOP past the session timeout, then SIGCONT, so that a zombie wakes up;
a rebalance storm (workers that come and go); a restart of the broker. With --s3 the dataset lies on an object store
(s3_server.py), which besides refuses connections for some seconds, and does what it is asked without answering. Then
DuckDB counts. The last line is `chaos: passed` with figures; where anything was lost, doubled or left behind, the exit
status is 1 and what was written is kept.
"""
import argparse
import contextlib
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import duckdb

from kafka_broker import Broker, free_port
from kafka_fixtures import (INTENT, SPEECH, STORE_REFUSES, TABLES, Bucket, Folder, Workers, add_commands, create_topics,
                            ends_of, feed, told_to, wait_for_partitions, wait_until, write_pipeline, write_recordings)

STEPS = ("DeadLettersWritten", "IntentWritten", "FileStaged", "StagingSynced", "RecordWritten", "RecordNamed",
         "RecordSynced", "FilePublished", "PublishedSynced", "DeadLettersRemoved", "IntentRemoved", "OutputsSent",
         "Committed")
# On an object store files are written where readers look.
FOLDER_STEPS = ("FilePublished", "PublishedSynced")
GROUP = "chaos"
SESSION_MS = 3000
POISON_EVERY = 100
# The recordings come in so many portions, spread over the time of the disturbances.
PORTIONS = 40
# How long a worker may take to come to the step at which it is to die; after that it is tried again later.
STEP_LIMIT_S = 8
# How long after the last disturbance everything has to be committed.
SETTLE_LIMIT_S = 240
# And how long after that the broker has to be told of it.
TOLD_LIMIT_S = 60
REFUSED_MS = (2_000, 8_000)
UNANSWERED = 5


class Feeder(threading.Thread):
    """Sends the portions one after the other, the last one when `seconds` are nearly over."""

    def __init__(self, command, broker, portions, seconds, log):
        super().__init__(daemon=True)
        self.command, self.broker, self.portions, self.log = command, broker, portions, log
        self.pause_s, self.failed = seconds / len(portions), False

    def run(self):
        begun = time.monotonic()
        for number, portion in enumerate(self.portions):
            time.sleep(max(0, begun + number * self.pause_s - time.monotonic()))
            self.failed |= feed(self.command, self.broker, portion, log=self.log).wait() != 0


def disturb(workers, broker, place, number, random_, steps):
    """One disturbance."""
    if steps:
        step = steps.pop()
        workers.kill(random_.choice(workers.running), "kill")
        mortal = workers.start(f"{step}:{random_.randint(1, 2)}")
        try:
            mortal.wait(STEP_LIMIT_S)
        except subprocess.TimeoutExpired:
            steps.insert(0, step)
        return
    what = random_.choice(["kill", "kill", "zombie", "storm", "broker", *place.faults])
    if what == "kill":
        workers.kill(random_.choice(workers.running), what)
        return
    if what == "zombie":
        worker = random_.choice(workers.running)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(SESSION_MS / 1000 + random_.uniform(0.5, 2.5))
        worker.send_signal(signal.SIGCONT)
    elif what == "storm":
        for _ in range(4):
            workers.start()
            time.sleep(random_.uniform(0.1, 0.6))
            workers.kill(random_.choice(workers.running), "kill")
    elif what == "broker":
        broker.restart()
    elif what == STORE_REFUSES:
        refused_ms = random_.randint(*REFUSED_MS)
        place.server.fault(refuse_ms=refused_ms)
        time.sleep(refused_ms / 1000)
    else:
        place.server.fault(status=0, applied=True, times=UNANSWERED, method="PUT")
    workers.count(what)


def check(out, expected, poison):
    """What is wrong with the dataset, in words."""
    wrong = []
    rows = duckdb.sql(f"select call_id, count(*) from read_parquet('{out}/calls/date=*/*.parquet') group by 1")
    counts = dict(rows.fetchall())
    found = set(counts)
    doubled = {call for call, count in counts.items() if count != 1}
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
    for path in out.glob("_commits/*/*/*"):
        if path.name.endswith(INTENT) or path.suffix != ".json":
            wrong.append(f"left behind: {path.relative_to(out)}")
        else:
            named.update(file["path"] for file in json.loads(path.read_text())["files"])
    there = {str(path.relative_to(out)) for table in TABLES for path in out.glob(f"{table}/*/*")}
    if there != named:
        wrong.append(f"{len(there - named)} files that no commit names, {len(named - there)} named and gone: "
                     f"{sorted(there ^ named)[:3]}")
    staged = list(out.glob("_staging/*"))
    if staged:
        wrong.append(f"{len(staged)} files left in staging: {staged[:3]}")
    letters = [json.loads(path.read_text())["call_id"] for path in out.glob("_dead_letters/*.json")]
    if sorted(letters) != sorted(poison):
        wrong.append(f"dead letters: {len(letters)} for {len(poison)} broken recordings")
    return wrong


def shake(options, work, broker, place, portions):
    """Runs the test; what the disturbances were, and what is wrong with the offsets."""
    create_topics(broker, options.partitions)
    properties = {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 300, "reconnect.backoff.max.ms": 1000}
    tables = {"source": {"channels": ["customer"], "properties": properties},
              "output": {"batch_calls": 25, "batch_age_ms": 400},
              "run": {"shutdown_timeout_s": 10, "give_up_after_s": 120}}
    pipeline = write_pipeline(work / "pipeline.toml", broker, GROUP, place.dir, **tables)
    port = free_port()
    last = write_pipeline(work / "last.toml", broker, GROUP, place.dir, **tables, admin={"listen": f"127.0.0.1:{port}"})
    random_ = random.Random(options.seed)
    steps = [step for step in STEPS if not (options.s3 and step in FOLDER_STEPS)]
    random_.shuffle(steps)
    with open(work / "workers.log", "wb") as log, open(work / "feed.log", "wb") as feed_log:
        feeder = Feeder(options.feed, broker, portions, options.seconds, feed_log)
        feeder.start()
        workers = Workers(options.worker, pipeline, log, place.environment)
        try:
            until = time.monotonic() + options.seconds
            while time.monotonic() < until:
                workers.keep(options.workers)
                time.sleep(random_.uniform(0.5, 1.5))
                workers.keep(options.workers)
                disturb(workers, broker, place, options.workers, random_, steps)
            feeder.join(SETTLE_LIMIT_S)
            if feeder.failed or feeder.is_alive():
                raise AssertionError("the feeder failed")
            ends = ends_of(broker)
            print(f"{sum(ends.values())} messages sent, {sum(place.committed().values())} committed when the last "
                  f"disturbance was over; nobody died at: {' '.join(steps) or '-'}", flush=True)
            place.wait_for(ends, SETTLE_LIMIT_S, meanwhile=lambda: workers.keep(options.workers))
            told = {}
            with contextlib.suppress(AssertionError):
                wait_until(lambda: told.update(told_to(broker, GROUP)) or told == ends, TOLD_LIMIT_S, 0.5, str)
            workers.stop()
            # Whoever starts next finds nothing to put right and leaves nothing behind.
            workers.start(pipeline=last)
            wait_for_partitions([port], options.partitions)
            workers.stop()
        finally:
            for worker in workers.running:
                worker.kill()
                worker.wait()
    return workers.counts, [] if told == ends else [f"the broker was told {told} of {ends}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_commands(parser)
    parser.add_argument("--s3", action="store_true", help="the dataset lies on an object store")
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
    begun = time.monotonic()
    portions, expected, poison = [], set(), set()
    for number in range(PORTIONS):
        numbers = range(options.calls * number // PORTIONS, options.calls * (number + 1) // PORTIONS)
        portions.append(work / f"audio-{number}")
        good, broken = write_recordings(portions[-1], numbers, SPEECH.read_bytes(), POISON_EVERY)
        expected, poison = expected | good, poison | broken
    with contextlib.ExitStack() as stack:
        place = Folder(work / "dataset")
        if options.s3:
            from s3_server import S3Server
            place = Bucket(stack.enter_context(S3Server()), work / "dataset")
            stack.callback(place.fetched)
        counts, wrong = shake(options, work, stack.enter_context(Broker()), place, portions)
    wrong += check(work / "dataset", expected, poison)
    for line in wrong:
        print(f"WRONG {line}")
    shaken = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
    print(f"chaos: {'FAILED' if wrong else 'passed'}: {len(expected)} calls and {len(poison)} broken recordings over "
          f"{options.partitions} partitions and {options.workers} workers{' on S3' if options.s3 else ''} in "
          f"{time.monotonic() - begun:.0f} s; {shaken}")
    if wrong:
        print(f"what was written: {work}")
    elif not options.work:
        shutil.rmtree(work)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
