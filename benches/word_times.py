#!/usr/bin/env python3
"""How exact the times of words are: word_times.py DATASET MANIFEST.jsonl

Holds the start of a word in `turns.words` against `labels.keyword_start_s` of the recordings whose keyword was heard as it is
written (also in two words, as "wild fire"), and prints how many these are, and the median, the 90th percentile and the mean
of the distances, the last with its sign: above 0 is late. Then, for each keyword, in how many of the recordings in which
it is said it is written, and in how many of the others.
"""
import collections
import glob
import json
import statistics
import sys

import duckdb


def plain(word):
    return "".join(c for c in word.lower() if c.isalpha())


def start_of(keyword, words, near):
    """Where the keyword starts, ms: of several places the nearest."""
    found = []
    for at in range(len(words)):
        joined = ""
        for text, start in words[at:at + 3]:
            joined += plain(text)
            if joined == keyword:
                found.append(words[at][1])
                break
    return min(found, key=lambda start: abs(start - near), default=None)


def main():
    dataset, manifest = sys.argv[1:]
    files = glob.glob(f"{dataset}/turns/**/*.parquet", recursive=True)
    rows = duckdb.sql(f"select call_id, words from read_parquet({files!r}, union_by_name=true) "
                      "where dropped_reason is null order by call_id, start_ms").fetchall()
    heard = collections.defaultdict(list)
    for call, words in rows:
        heard[call] += [(word["word"], word["start_ms"]) for word in words or []]
    distances, of = [], 0
    said, written, invented = (collections.Counter() for _ in range(3))
    entries = [json.loads(line) for line in open(manifest)]
    keywords = sorted({entry["labels"]["keyword"] for entry in entries if entry["labels"].get("keyword")})
    for entry in entries:
        if not entry.get("reference"):
            continue
        truth = plain(" ".join(part["text"] for part in entry["reference"]))
        text = plain(" ".join(word for word, _ in heard.get(entry["id"], [])))
        for keyword in keywords:
            if keyword in truth:
                said[keyword] += 1
                written[keyword] += keyword in text
            else:
                invented[keyword] += keyword in text
    for entry in entries:
        labels = entry["labels"]
        if not labels.get("keyword") or labels.get("keyword_start_s") is None:
            continue
        of += 1
        near = labels["keyword_start_s"] * 1000
        start = start_of(labels["keyword"], heard.get(entry["id"], []), near)
        if start is not None:
            distances.append(start - near)
    sizes = sorted(map(abs, distances))
    print(f"keywords heard  {len(sizes)} of {of}")
    print(f"median          {statistics.median(sizes):.0f} ms")
    print(f"90 of 100       {sizes[int(len(sizes) * 0.9)]:.0f} ms")
    print(f"mean with sign  {statistics.mean(distances):+.0f} ms")
    for keyword in keywords:
        print(f"{keyword:15} {written[keyword]} of {said[keyword]}, and {invented[keyword]} where it is not said")


if __name__ == "__main__":
    main()
