#!/usr/bin/env python3
"""Fail when a dataset of recordings in which nobody speaks holds scored words.

    noise.py DATASET [--allow CALL_ID ...]
"""
import argparse
import glob
import sys

import duckdb


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--allow", action="append", default=[], metavar="CALL_ID", help="a recording of voices")
    options = parser.parse_args()
    calls = glob.glob(f"{options.dataset}/calls/date=*/*.parquet")
    turns = glob.glob(f"{options.dataset}/turns/date=*/*.parquet")
    if not calls:
        sys.exit(f"{options.dataset}: no calls")
    total = duckdb.sql(f"select count(*) from read_parquet({calls!r})").fetchall()[0][0]
    said = []
    if turns:
        query = f"select call_id, start_ms, text from read_parquet({turns!r}) where dropped_reason is null and text <> '' order by all"
        said = [row for row in duckdb.sql(query).fetchall() if row[0] not in options.allow]
    for call_id, start_ms, text in said:
        print(f"NOT MET no words: {call_id} at {start_ms} ms: {text}")
    print(f"{total} recordings, {len(said)} turns with words where nobody speaks")
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
