#!/usr/bin/env python3
"""Outcomes of dialogues with labels: dialogues.py tau|sgd DATASET LABELS [--require NAME>=VALUE ...]

tau  transfers to a person: outcome `transferred` or `escalated_resolved` against `transferred_to_human`, F1
sgd  success or failure: a settled outcome against dialogues that do not end with a failure, accuracy
"""
import argparse
import json
import re
import sys

import duckdb

SETTLED = {"resolved", "escalated_resolved"}
HANDED_ON = {"transferred", "escalated_resolved"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["tau", "sgd"])
    parser.add_argument("dataset")
    parser.add_argument("labels")
    parser.add_argument("--require", action="append", default=[])
    options = parser.parse_args()
    outcomes = dict(duckdb.sql(f"select call_id, outcome from read_parquet('{options.dataset}/calls/*/*.parquet')").fetchall())
    with open(options.labels, encoding="utf-8") as file:
        labels = [json.loads(line) for line in file]
    missing = [label["dialogue_id"] for label in labels if label["dialogue_id"] not in outcomes]
    if missing:
        sys.exit(f"{len(missing)} dialogues are not in the dataset, such as {missing[0]}")
    if options.kind == "tau":
        pairs = [(label["transferred_to_human"], outcomes[label["dialogue_id"]] in HANDED_ON) for label in labels]
        hits = sum(truth and found for truth, found in pairs)
        figures = {"transfer_precision": ratio(hits, sum(found for _, found in pairs)),
                   "transfer_recall": ratio(hits, sum(truth for truth, _ in pairs)),
                   "transfer_f1": ratio(2 * hits, sum(truth + found for truth, found in pairs))}
    else:
        pairs = [(not label["ends_with_failure_unrecovered"], outcomes[label["dialogue_id"]] in SETTLED) for label in labels]
        failures = [found for truth, found in pairs if not truth]
        figures = {"success_accuracy": ratio(sum(truth == found for truth, found in pairs), len(pairs)),
                   "failures_found": ratio(sum(not found for found in failures), len(failures))}
    for name, value in figures.items():
        print(f"{name:40}{value:.4f}")
    broken = [r for r in options.require if not holds(figures, r)]
    for requirement in broken:
        print(f"NOT MET {requirement}")
    sys.exit(1 if broken else 0)


def ratio(part, whole):
    return part / whole if whole else 0.0


def holds(figures, requirement):
    name, bound = re.fullmatch(r"(\w+)>=([\d.]+)", requirement).groups()
    return figures[name] >= float(bound)


if __name__ == "__main__":
    main()
