#!/usr/bin/env python3
"""How much of the personal data of calls with known truth a dataset tells (`pii` events): personal.py DATASET TRUTH

For each piece that was said: whether `pii` events of any kind cover at least COVERED of its time, by kind; a piece of which
only the sentence is known counts where an event lies in it. Then the mean share of the time of exactly known pieces that
events cover; the pieces whose figures or words still stand in what redaction would leave of the texts; and the events that
lie over no piece: repeats that the truth leaves out are among them.
"""
import collections
import json
import pathlib
import re
import sys

import duckdb

# Word times are exact to about this, ms.
NEAR_MS = 300
# Share of a piece's time that events must cover.
COVERED = 0.8
DIGITS = {name: str(value) for value, name in
          enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])} | {"oh": "0"}


def main():
    dataset, truth = sys.argv[1], pathlib.Path(sys.argv[2])
    told = collections.defaultdict(list)
    for call, turn, start, end in duckdb.sql(
            f"select call_id, turn_index, start_ms, end_ms from read_parquet('{dataset}/events/*/*.parquet') "
            "where type = 'pii' and start_ms is not null").fetchall():
        told[call].append((start, end, turn))
    texts = left_in_texts(dataset, told)
    said, found, shares, left, alone = collections.Counter(), collections.Counter(), [], [], 0
    for path in sorted(truth.glob("*.json")):
        pieces = [event for event in json.loads(path.read_text())["events"] if event["type"] == "pii"]
        events = told[path.stem]
        for piece in pieces:
            said[piece["kind"]] += 1
            exact = piece.get("span") == "exact"
            share = covered(piece, events)
            if exact:
                shares.append(share)
            is_found = share >= COVERED if exact else any(meets(piece, event) for event in events)
            found[piece["kind"]] += is_found
            if exact and still_there(piece["value"], texts[path.stem]):
                left.append(f"{path.stem}: {piece['kind']}")
        alone += sum(not any(meets(piece, event) for piece in pieces) for event in events)
    for kind, count in sorted(said.items()):
        print(f"personal_{kind:30}{found[kind]}/{count}")
    print(f"personal_recall{'':24}{sum(found.values()) / max(1, sum(said.values())):.4f}")
    print(f"personal_time_covered{'':18}{sum(shares) / max(1, len(shares)):.4f}")
    print(f"personal_left_in_text{'':18}{len(left)}  {', '.join(left)}")
    print(f"personal_told_elsewhere{'':16}{alone}")


def meets(piece, event):
    return event[0] - NEAR_MS < piece["end_ms"] and piece["start_ms"] < event[1] + NEAR_MS


def covered(piece, events):
    """Share of the piece's time that events cover, with what word times are exact to at their ends."""
    start, end, upto, sum_ms = piece["start_ms"], piece["end_ms"], piece["start_ms"], 0
    for a, b, _ in sorted(events):
        a, b = max(a - NEAR_MS / 2, upto), min(b + NEAR_MS / 2, end)
        if b > a:
            sum_ms, upto = sum_ms + b - a, b
    return sum_ms / max(1, end - start)


def left_in_texts(dataset, told):
    """The words of each call that no event covers."""
    left = collections.defaultdict(list)
    for call, turn, words in duckdb.sql(
            f"select call_id, turn_index, words from read_parquet('{dataset}/turns/*/*.parquet') order by 1, 2").fetchall():
        spans = [(start, end) for start, end, of in told[call] if of == turn]
        left[call] += [word["word"] for word in words or []
                       if not any(start <= word["start_ms"] and word["end_ms"] <= end for start, end in spans)] + ["|"]
    return left


def still_there(value, words):
    if re.search(r"\d", value):
        figures = "".join(DIGITS.get(re.sub(r"\W", "", word.lower()), word) for word in words)
        wanted = re.sub(r"\D", "", value)
        return len(wanted) >= 4 and wanted in re.sub(r"[^\d|]", "", figures)
    return value.lower() in " ".join(words).lower()


if __name__ == "__main__":
    main()
