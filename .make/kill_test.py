#!/usr/bin/env python3
"""Kill `callmark score` at random moments, start it again each time, and hold the result against undisturbed runs.

    kill_test.py --callmark target/release/callmark --input FOLDER --calls calls.csv --work FOLDER

1. Two undisturbed runs: their files must be the same, name by name and byte by byte.
2. A run that is sent SIGKILL at --kills random moments (seeded), started again each time, and let finish at last. Where
   it finishes before a kill lands, the rest of the kills go to a fresh dataset, so that every kill hits a working process.
   All the while the tables are read through a plain glob, as any Parquet reader would: a file that cannot be read, or
   that changes or vanishes after it was seen, fails the test; so does a call that is there twice.
3. Every call is there once, and the rows of the three tables equal those of an undisturbed run.

The last line is `N passed, N failed`; exit status 1 when a check failed, 2 when the command itself does not work.
"""
import argparse
import glob
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import threading
import time

import duckdb

TABLES = ("calls", "turns", "events")
KEYS = {"calls": "call_id", "turns": "call_id, turn_index", "events": "call_id, event_index"}
# A kill lands within this share of the time that an undisturbed run takes, from the start of each process: ten
# of them spread over the work and over start-up and recovery, too.
KILL_WITHIN = 0.5
RUN_LIMIT_S = 3_600
POLL_PAUSE_S = 0.01


class Checks:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, name, faults):
        """One line for a check, and the first of its faults."""
        if faults:
            self.failed += 1
            print(f"FAILED {name}")
            for fault in faults[:5]:
                print(f"       {fault}")
        else:
            self.passed += 1
            print(f"ok     {name}")
        sys.stdout.flush()


def start(options, dataset, log):
    command = [options.callmark, "score", *options.input, "--out", str(dataset)]
    for flag in ("calls", "model", "batch_calls", "workers"):
        value = getattr(options, flag)
        if value is not None:
            command += [f"--{flag.replace('_', '-')}", str(value)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def files(dataset, table):
    """What a plain glob finds."""
    return sorted(glob.glob(f"{dataset}/{table}/date=*/*.parquet"))


def digests(dataset):
    found = {}
    for table in TABLES:
        for path in files(dataset, table):
            found[os.path.relpath(path, dataset)] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    return found


class Reader:
    """Reads the dataset over and over while it is written, and notes what no reader should meet."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.seen = {}  # path -> (inode, size, time of change)
        self.faults, self.looks = [], 0
        self.connection = duckdb.connect()

    def look(self):
        self.looks += 1
        now = {path: table for table in TABLES for path in files(self.dataset, table)}
        for path in self.seen.keys() - now.keys():
            self.faults.append(f"vanished after it was seen: {path}")
            del self.seen[path]
        fresh = False
        for path, table in now.items():
            try:
                state = os.stat(path)
                mark = (state.st_ino, state.st_size, state.st_mtime_ns)
                if self.seen.get(path) == mark:
                    continue
                if path in self.seen:
                    self.faults.append(f"changed after it was seen: {path}")
                # A hash of the row decodes every column of every row.
                self.connection.execute(f"select sum(hash(t)) from read_parquet('{path}') t").fetchall()
            except (OSError, duckdb.Error) as error:
                self.faults.append(f"cannot be read: {path}: {str(error).splitlines()[0]}")
            else:
                self.seen[path] = mark
                fresh = fresh or table == "calls"
        if fresh:
            self.look_for_duplicates([path for path in self.seen if now.get(path) == "calls"])

    def look_for_duplicates(self, paths):
        twice = self.connection.execute(
            f"select call_id from read_parquet({paths!r}) group by 1 having count(*) > 1 order by 1"
        ).fetchall()
        self.faults += [f"there twice while running: {call_id}" for (call_id,) in twice]


def run_to_the_end(options, dataset, log):
    process = start(options, dataset, log)
    try:
        return process.wait(timeout=RUN_LIMIT_S)
    finally:
        process.kill()


def run_until_killed(options, dataset, log, delay_s, reader):
    """-> whether the kill found the process at work."""
    process = start(options, dataset, log)
    timer = threading.Timer(delay_s, process.kill)
    timer.start()
    while process.poll() is None:
        reader.look()
        time.sleep(POLL_PAUSE_S)
    timer.cancel()
    reader.look()
    return process.returncode == -9


def undisturbed(options, checks, log):
    """Two runs -> the first's dataset, its exit status and its length in seconds."""
    datasets = [options.work / "undisturbed-1", options.work / "undisturbed-2"]
    begin = time.monotonic()
    status = run_to_the_end(options, datasets[0], log)
    length = time.monotonic() - begin
    if status not in (0, 1) or not files(datasets[0], "calls"):
        print(f"error: an undisturbed run ends with exit status {status}; see {log.name}", file=sys.stderr)
        sys.exit(2)
    second = run_to_the_end(options, datasets[1], log)
    checks.check("both undisturbed runs end alike", [] if second == status else [f"exit status {status}, then {second}"])
    one, two = digests(datasets[0]), digests(datasets[1])
    differ = [f"only in one: {name}" for name in sorted(one.keys() ^ two.keys())]
    differ += [f"differs: {name}" for name in sorted(one.keys() & two.keys()) if one[name] != two[name]]
    checks.check(f"two undisturbed runs give byte-identical files ({len(one)} of them)", differ)
    return datasets[0], status, length


def disturbed(options, checks, status, length, log):
    """Kills until all have landed -> the datasets, each finished at last."""
    chance = random.Random(options.seed)
    readers, landed = [], 0
    while landed < options.kills:
        reader = Reader(options.work / f"killed-{len(readers) + 1}")
        readers.append(reader)
        before = landed
        while landed < options.kills:
            delay = chance.uniform(0.0, KILL_WITHIN * length)
            if not run_until_killed(options, reader.dataset, log, delay, reader):
                break
            landed += 1
            calls = sum(1 for path in reader.seen if "/calls/" in path)
            print(f"       kill {landed} after {delay:.2f} s: {calls} files of calls committed")
        last = run_to_the_end(options, reader.dataset, log)
        reader.look()
        name = reader.dataset.name
        checks.check(f"{name}, killed {landed - before} times, ends as an undisturbed run", [] if last == status else [f"exit status {last}, not {status}"])
        checks.check(f"{name}: a plain glob read whole, lasting files and no call twice ({reader.looks} looks)", reader.faults)
        left = glob.glob(f"{reader.dataset}/_staging/**/*.parquet", recursive=True)
        left += glob.glob(f"{reader.dataset}/_commits/**/*.intent.json", recursive=True)
        checks.check(f"{name}: nothing half-done is left", left)
        if landed == before:
            print("error: the command ends before it can be killed; give it more input", file=sys.stderr)
            sys.exit(2)
    return [reader.dataset for reader in readers]


def compare(checks, expected, found):
    """Every row of every table, by value."""
    connection = duckdb.connect()
    for table in TABLES:
        for name, dataset in (("expected", expected), ("found", found)):
            paths = files(dataset, table)
            source = f"read_parquet({paths!r}, hive_partitioning=true, union_by_name=true)" if paths else "(select 1 where false)"
            connection.execute(f"create or replace view {name} as select * from {source}")
        count = connection.execute("select count(*) from expected").fetchone()[0]
        faults = []
        if files(expected, table) and files(found, table):
            for what, one, other in (("lost or changed", "expected", "found"), ("invented or changed", "found", "expected")):
                rows = connection.execute(f"select {KEYS[table]} from (select * from {one} except all select * from {other}) order by all").fetchall()
                faults += [f"{what}: {row}" for row in rows]
            twice = connection.execute(f"select {KEYS[table]} from found group by all having count(*) > 1 order by all").fetchall()
            faults += [f"there more than once: {row}" for row in twice]
        elif bool(files(expected, table)) != bool(files(found, table)):
            faults.append("there are files in one dataset only")
        checks.check(f"{found.name}: {count} rows of {table} equal those of an undisturbed run", faults)
    letters = lambda dataset: {path.name for path in dataset.glob("_dead_letters/*.json")}
    checks.check(f"{found.name}: the same dead letters", sorted(letters(expected) ^ letters(found)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callmark", required=True, help="the command to run")
    parser.add_argument("--input", required=True, action="append", help="a file or folder to score; may be repeated")
    parser.add_argument("--work", required=True, type=pathlib.Path, help="folder for the datasets; emptied first")
    parser.add_argument("--calls", help="call metadata")
    parser.add_argument("--model", help="speech model")
    parser.add_argument("--workers", type=int, help="transcription workers")
    parser.add_argument("--batch-calls", type=int, default=2, help="calls in one commit (2: many commits to be killed between)")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    checks = Checks()
    with (options.work / "log.txt").open("w") as log:
        expected, status, length = undisturbed(options, checks, log)
        print(f"       an undisturbed run takes {length:.1f} s")
        for dataset in disturbed(options, checks, status, length, log):
            compare(checks, expected, dataset)
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
