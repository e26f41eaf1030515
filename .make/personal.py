#!/usr/bin/env python3
"""How much of the personal data of calls with known truth a dataset tells (`pii` events): personal.py DATASET TRUTH

For each piece that was said: whether a `pii` event of any kind lies over its time, by kind. Then the events that lie over
none: repeats that the truth leaves out are among them.
"""
import collections
import json
import pathlib
import sys

import duckdb

# Word times are exact to about this, ms.
NEAR_MS = 300


def main():
    dataset, truth = sys.argv[1], pathlib.Path(sys.argv[2])
    told = collections.defaultdict(list)
    for call, start, end, detail in duckdb.sql(
            f"select call_id, start_ms, end_ms, detail from read_parquet('{dataset}/events/*/*.parquet') "
            "where type = 'pii' and start_ms is not null").fetchall():
        told[call].append((start, end, detail))
    said, found, alone = collections.Counter(), collections.Counter(), 0
    for path in sorted(truth.glob("*.json")):
        pieces = [event for event in json.loads(path.read_text())["events"] if event["type"] == "pii"]
        for piece in pieces:
            said[piece["kind"]] += 1
            found[piece["kind"]] += any(meets(piece, event) for event in told[path.stem])
        alone += sum(not any(meets(piece, event) for piece in pieces) for event in told[path.stem])
    for kind, count in sorted(said.items()):
        print(f"personal_{kind:30}{found[kind]}/{count}")
    print(f"personal_recall{'':24}{sum(found.values()) / max(1, sum(said.values())):.4f}")
    print(f"personal_told_elsewhere{'':16}{alone}")


def meets(piece, event):
    return event[0] - NEAR_MS < piece["end_ms"] and piece["start_ms"] < event[1] + NEAR_MS


if __name__ == "__main__":
    main()
