#!/usr/bin/env python3
"""What VADER (Hutto and Gilbert 2014) says of labelled lines, in the form that `eval_text.py` reads: vader.py FILE.jsonl

The peer of `callmark classify --task sentiment`: labels at its own limits of +-0.05.
"""
import json
import sys

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def main():
    analyser = SentimentIntensityAnalyzer()
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            score = analyser.polarity_scores(json.loads(line)["text"])["compound"]
            print(json.dumps({"label": 1 if score >= 0.05 else -1 if score <= -0.05 else 0, "score": 5 * score}))


if __name__ == "__main__":
    main()
