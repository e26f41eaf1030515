#!/usr/bin/env python3
"""Word error rate of what `transcribe_spans` printed, against the two-channel and mono dev calls.

    speech_jobs WORK RECORDING… > jobs.jsonl
    transcribe_spans MODEL [key=value …] < jobs.jsonl > heard.jsonl
    spans_wer.py heard.jsonl CORPUS

Prints substitutions, deletions, insertions and their sum over the words said, channel by channel, of the calls that are
in heard.jsonl: together, by side and by codec. Runs in the environment of `make bench-asr`.
"""
import collections, glob, json, sys

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
    groups = collections.defaultdict(list)
    for path in sorted(glob.glob(f"{sys.argv[2]}/synthetic/dev/truth/*.json")):
        truth = json.load(open(path))
        turns = sorted(truth["turns"], key=lambda turn: turn["start_ms"])
        mono = truth["mono_mix"]
        for channel in truth["channels"]:
            key = f"{truth['call_id']}/{channel['channel']}"
            said = " ".join(t["text"] for t in turns if mono or t["channel"] == channel["channel"])
            if key in heard and NORMALISE(said).strip():
                pair = (said, text_of(heard[key]))
                for name in ("mono",) if mono else ("two channels", f"side {channel['role']}", f"codec {truth['codec']}"):
                    groups[name].append(pair)
    for name in sorted(groups, key=lambda name: (name.partition(" ")[0] not in ("two", "mono"), name)):
        print(f"{name}: {rates(groups[name])}")


if __name__ == "__main__":
    main()
