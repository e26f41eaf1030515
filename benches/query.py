#!/usr/bin/env python3
"""Reading and grouping many turns, by `callmark sql` beside DuckDB on the same files: query.py CALLMARK FOLDER [CALLS]

Simulates CALLS conversations of some ten turns each in FOLDER (kept; 1,000,000 where nothing is said), then asks both the
same questions in turns, three times each, and prints the medians of the wall clock and their ratio. Both start as
processes and use all cores.
"""
import pathlib
import statistics
import subprocess
import sys
import time

from simulated import conversations

ROUNDS = 3
QUESTIONS = {
    "turns and mean sentiment by speaker": "select speaker, count(*), avg(sentiment_score) from turns group by speaker order by speaker",
    "turns by outcome of their call": "select c.outcome, count(*) from turns t join calls c on c.call_id = t.call_id group by c.outcome order by c.outcome",
    "turns that say refund": "select count(*) from turns where text like '%refund%'",
}
DUCKDB = """import duckdb, sys
for table in ("calls", "turns"):
    duckdb.sql(f"create view {table} as select * from read_parquet('{sys.argv[1]}/{table}/**/*.parquet', union_by_name=true)")
print(duckdb.sql(sys.argv[2]).fetchall())
"""


def wall(command):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def main():
    callmark, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    calls = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
    dataset = conversations(callmark, folder, calls)
    count = subprocess.run([callmark, "sql", dataset, "select count(*) from turns", "--format", "csv"], check=True,
                           capture_output=True, text=True).stdout.split()[-1]
    print(f"{int(count):,} turns\n")
    print("| question | callmark sql | DuckDB | ratio |\n| --- | --- | --- | --- |")
    for name, question in QUESTIONS.items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(wall([callmark, "sql", dataset, question, "--format", "csv"]))
            theirs.append(wall([sys.executable, "-c", DUCKDB, str(dataset), question]))
        own, other = statistics.median(ours), statistics.median(theirs)
        print(f"| {name} | {own:.1f} s | {other:.1f} s | {own / other:.2f} |", flush=True)


if __name__ == "__main__":
    main()
