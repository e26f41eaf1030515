#!/usr/bin/env python3
"""Word error rate of what `transcribe_spans` printed, against the two-channel and mono dev calls.

    speech_jobs WORK RECORDING… > jobs.jsonl
    transcribe_spans MODEL [key=value …] < jobs.jsonl > heard.jsonl
    spans_wer.py heard.jsonl CORPUS

Prints substitutions, deletions, insertions and their sum over the words said, channel by channel, of the calls that are
in heard.jsonl. Runs in the environment of `make bench-asr`.
"""
import glob, json, sys

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

NORMALISE = EnglishTextNormalizer()


def text_of(utterances):
    kept = sorted((u for u in utterances if not u["dropped"]), key=lambda u: u["start_ms"])
    return " ".join(u["text"] for u in kept)


def rates(pairs):
    cleaned = [(NORMALISE(said), NORMALISE(heard)) for said, heard in pairs]
    out = jiwer.process_words([said for said, _ in cleaned], [heard for _, heard in cleaned])
    words = out.hits + out.substitutions + out.deletions
    kinds = (out.substitutions, out.deletions, out.insertions)
    return f"{words} words, {kinds} errors, rate {sum(kinds) / words:.4f}"


def main():
    heard = {}
    for line in open(sys.argv[1]):
        answer = json.loads(line)
        if "error" in answer:
            sys.exit(f"{answer['id']}: {answer['error']}")
        heard[answer["id"]] = answer["utterances"]
    two, mono = [], []
    for path in sorted(glob.glob(f"{sys.argv[2]}/synthetic/dev/truth/*.json")):
        truth = json.load(open(path))
        turns = sorted(truth["turns"], key=lambda turn: turn["start_ms"])
        for channel in (0,) if truth["mono_mix"] else (0, 1):
            key = f"{truth['call_id']}/{channel}"
            said = " ".join(t["text"] for t in turns if truth["mono_mix"] or t["channel"] == channel)
            if key in heard and NORMALISE(said).strip():
                (mono if truth["mono_mix"] else two).append((said, text_of(heard[key])))
    for name, pairs in (("two channels", two), ("mono", mono)):
        if pairs:
            print(f"{name}: {rates(pairs)}")


if __name__ == "__main__":
    main()
