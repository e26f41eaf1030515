#!/usr/bin/env python3
"""What the parts of recognition cost one core by CTranslate2: encoding by window, a token by batch, aligning.

    asr_costs.py WEIGHTS_FOLDER [int8|float32]

WEIGHTS_FOLDER is `base-ct2` of the models' folder. Input is random, so nothing is recognised; prints user and system
seconds. Runs in the environment of `make bench-asr`.
"""
import resource, sys

import ctranslate2
import numpy

ROUNDS = 3
PROMPT = [50258, 50259, 50359, 50363]  # start, English, transcribe, no timestamps
END_OF_TEXT = 50257


def spectra(batch, frames):
    noise = numpy.random.default_rng(0).standard_normal((batch, 80, frames)).astype(numpy.float32)
    return ctranslate2.StorageView.from_array(noise * 0.3)


def cost(run):
    run()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(ROUNDS):
        result = run()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime - before.ru_utime) / ROUNDS, (after.ru_stime - before.ru_stime) / ROUNDS, result


def main():
    kind = sys.argv[2] if len(sys.argv) > 2 else "int8"
    model = ctranslate2.models.Whisper(sys.argv[1], device="cpu", compute_type=kind, intra_threads=1)
    print(f"{kind}, one core\n\n| what | user s | system s |\n| --- | --- | --- |")
    for seconds in (5, 10, 15, 20, 30):
        user, system, _ = cost(lambda: model.encode(spectra(1, seconds * 100)))
        print(f"| encode {seconds} s | {user:.3f} | {system:.3f} |", flush=True)
    for batch in (1, 4, 8, 16):
        encoded = model.encode(spectra(batch, 2000))
        def write(tokens):
            return cost(lambda: model.generate(encoded, [PROMPT] * batch, beam_size=1, max_length=2 * tokens,
                                               suppress_tokens=[END_OF_TEXT], suppress_blank=False))
        (short, _, _), (long, system, _) = write(14), write(54)
        print(f"| a token of each of {batch} | {(long - short) / 40 / batch:.5f} | {system / 54 / batch:.5f} |", flush=True)
        text = list(range(1000, 1055))
        user, system, _ = cost(lambda: model.align(encoded, PROMPT[:3], [text] * batch, [1800] * batch))
        print(f"| align 55 tokens of each of {batch} | {user / batch:.3f} | {system / batch:.3f} |", flush=True)


if __name__ == "__main__":
    main()
