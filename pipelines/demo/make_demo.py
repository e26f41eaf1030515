#!/usr/bin/env python3
"""Make the demo recordings, their CTI metadata and their truth from the scripts in calls/.

    make_demo.py [--out FOLDER]

Reads   calls/<call_id>.toml      who says what, with the events that the words are
Writes  audio/<call_id>.<ext>     two-channel telephone recordings (customer left, company right)
        truth/<call_id>.json      words, times, events, outcome: what an evaluation holds a dataset against
        calls.csv                 what a recorder and a CTI system would know
        fixtures/*.wav            short mono clips for tests: speech, a dial tone, hold music

Needs flite (voices), sox (rate and band) and ffmpeg (codecs); the rest is Python's standard library. The same
versions of these give the same bytes: all randomness is seeded with the name of the call.

Each script line is cut into parts (a sentence, or the words that an event is about). A part is spoken on its own,
trimmed to its speech and put at a sample position of the mix; every time in the truth is such a position.
"""
import argparse
import csv
import datetime
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import tomllib
import wave
from array import array

HERE = pathlib.Path(__file__).resolve().parent
RATE = 8_000
FULL_SCALE = 32_767

SPEECH_DBFS = {"customer": -23.0, "agent": -21.0}
NOISE_DBFS = {"customer": -62.0, "agent": -66.0}
MUSIC_DBFS = -25.0
MUSIC_DUCKED_DB = -18.0
SPEECH_EDGE_DB = -38.0  # a part begins and ends where it rises above this, against its own peak

LEAD_IN_MS = 800
LEAD_OUT_MS = 700
TURN_GAP_MS = 550
SENTENCE_GAP_MS = 300
PHRASE_GAP_MS = 60
SILENCE_EVENT_MS = 3_000
LOOP_MIN_WORDS = 6

# codec of a script -> extension and ffmpeg's options
CODECS = {
    "ulaw": ("wav", ["-c:a", "pcm_mulaw"]),
    "alaw": ("wav", ["-c:a", "pcm_alaw"]),
    "opus": ("opus", ["-c:a", "libopus", "-b:a", "40k"]),
    "webm": ("webm", ["-c:a", "libopus", "-b:a", "40k"]),
    "vorbis": ("ogg", ["-c:a", "libvorbis", "-q:a", "3"]),
    "mp3": ("mp3", ["-c:a", "libmp3lame", "-b:a", "32k", "-joint_stereo", "0"]),
    "m4a": ("m4a", ["-c:a", "aac", "-b:a", "32k"]),
}
SPEAKERS = {"customer": "customer", "ai": "ai_agent", "human": "human_agent", "ivr": "ivr"}
WAITING = {"hold", "queue"}
COLUMNS = [
    "call_id", "file", "started_at", "channel_0_role", "channel_1_role", "first_handler", "agent_ids",
    "handler_segments", "customer_key", "queue", "issue_type", "language",
]


# ---------------------------------------------------------------- sound


def amplitude(dbfs):
    """Level in dB full scale -> factor of full scale."""
    return 10 ** (dbfs / 20)


def samples(milliseconds):
    return milliseconds * RATE // 1000


def milliseconds(position):
    return position * 1000 // RATE


def read_mono(path):
    with wave.open(str(path), "rb") as reader:
        if (reader.getnchannels(), reader.getframerate(), reader.getsampwidth()) != (1, RATE, 2):
            sys.exit(f"{path}: not 16-bit mono at {RATE} Hz")
        return array("f", (s / FULL_SCALE for s in array("h", reader.readframes(reader.getnframes()))))


def write_wav(path, channels):
    """Channels of floats in -1..1 -> 16-bit WAV."""
    pcm = array("h", bytes(2 * len(channels) * len(channels[0])))
    for index, channel in enumerate(channels):
        pcm[index :: len(channels)] = array("h", (round(max(-1.0, min(1.0, s)) * FULL_SCALE) for s in channel))
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(len(channels))
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(pcm.tobytes())


def speak(text, voice, level_dbfs, folder, cache={}):
    """Text -> speech in the telephone band, trimmed to its first and last sample, at a level."""
    key = (text, voice, level_dbfs)
    if key not in cache:
        raw, narrow = folder / "raw.wav", folder / "narrow.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", raw], check=True)
        band = ["sinc", "-n", "255", "250-3600", "rate", "-v", str(RATE)]
        subprocess.run(["sox", "-D", "-R", "-v", "0.8", raw, "-b", "16", narrow, *band], check=True)
        sound = trimmed(read_mono(narrow))
        power = math.sqrt(sum(s * s for s in sound) / len(sound))
        gain = amplitude(level_dbfs) / power
        cache[key] = array("f", (max(-0.98, min(0.98, s * gain)) for s in sound))
    return cache[key]


def trimmed(sound):
    edge = max(abs(s) for s in sound) * amplitude(SPEECH_EDGE_DB)
    first = next(i for i, s in enumerate(sound) if abs(s) > edge)
    last = next(i for i in range(len(sound) - 1, -1, -1) if abs(sound[i]) > edge)
    return sound[first : last + 1]


def music(count, seed):
    """Hold music: slow broken chords of plucked tones with a bass, at MUSIC_DBFS."""
    chance = random.Random(seed)
    chords = [(262, 330, 392, 523), (220, 262, 330, 440), (175, 220, 262, 349), (196, 247, 294, 392)]
    beat = samples(300)
    out = array("f", bytes(4 * count))
    for number, start in enumerate(range(0, count, beat)):
        chord = chords[number // 8 % len(chords)]
        tones = [(chance.choice(chord), 1.0)] + ([(chord[0] / 2, 1.2)] if number % 4 == 0 else [])
        for pitch, strength in tones:
            for i in range(min(4 * beat, count - start)):
                t = i / RATE
                envelope = strength * min(1.0, t / 0.01) * math.exp(-2.5 * t)
                wave_form = sum(math.sin(2 * math.pi * pitch * k * t) / k**1.5 for k in (1, 2, 3))
                out[start + i] += envelope * wave_form
    power = math.sqrt(sum(s * s for s in out) / count)
    gain = amplitude(MUSIC_DBFS) / power
    return array("f", (s * gain for s in out))


def tones(count, pitches, dbfs, on_ms=None, off_ms=0):
    """Sum of sines, all the time or on and off."""
    period = samples(on_ms + off_ms) if on_ms else None
    level = amplitude(dbfs) / len(pitches) * math.sqrt(2)
    out = array("f", bytes(4 * count))
    for i in range(count):
        if period is None or i % period < samples(on_ms):
            out[i] = level * sum(math.sin(2 * math.pi * p * i / RATE) for p in pitches)
    return out


def ringback(count, _seed):
    return tones(count, (440, 480), MUSIC_DBFS, on_ms=2_000, off_ms=1_000)


def add(channel, start, sound):
    if len(channel) < start + len(sound):
        channel.extend([0.0] * (start + len(sound) - len(channel)))
    for i, s in enumerate(sound):
        channel[start + i] += s


# ---------------------------------------------------------------- one call


class Mix:
    """The recording and the truth of one call while its script is played."""

    def __init__(self, script, folder):
        self.script, self.folder = script, folder
        self.channels = [array("f"), array("f")]
        self.cursor = samples(LEAD_IN_MS)  # where the last thing ended
        self.turns, self.events, self.waits = [], [], []
        self.segments = []  # (handler, start sample)
        self.said = {}  # sentence of the AI agent -> how often

    def play(self):
        for line in self.script["line"]:
            if line["who"] in WAITING:
                self.wait(line)
            else:
                self.turn(line)

    def wait(self, line):
        """Hold or queue: music or ringback on the company's channel, announcements on top."""
        who, start, count = line["who"], self.cursor, samples(line["music_ms"])
        self.enter(who, start)
        make = ringback if line.get("sound") == "ringback" else music
        sound = make(count, self.script["call_id"] + who)
        spoken = []
        for announcement in line.get("announce", []):
            at = start + samples(announcement["at_ms"])
            end = self.part(announcement["text"], "ivr", at)
            spoken.append((announcement["text"], at, end))
            for i in range(max(0, at - start - samples(200)), min(count, end - start + samples(200))):
                sound[i] *= amplitude(MUSIC_DUCKED_DB)
        add(self.channels[1], start, sound)
        for text, at, end in spoken:
            self.note_turn("ivr", [(text, at, end)], {"in_hold": True})
        self.waits.append((who, start, start + count))
        if who == "hold":
            for name, at in (("hold_start", start), ("hold_end", start + count)):
                self.events.append({"type": name, "start_ms": milliseconds(at), "end_ms": milliseconds(at)})
        self.cursor = start + count

    def turn(self, line):
        who = line["who"]
        at = self.cursor + samples(line.get("gap_ms", TURN_GAP_MS)) if self.turns else self.cursor
        if who != "customer":
            self.enter(who, self.cursor)
        parts = []
        for part in line["say"]:
            part = {"text": part} if isinstance(part, str) else part
            end = self.part(part["text"], who, at)
            parts.append((part["text"], at, end))
            self.note_events(part, who, at, end)
            at = end + samples(SENTENCE_GAP_MS if part["text"][-1] in ".?!" else PHRASE_GAP_MS)
        self.note_turn(who, parts, line)
        self.cursor = max(self.cursor, parts[-1][2])

    def part(self, text, who, at):
        side = "customer" if who == "customer" else "agent"
        sound = speak(text, self.script["voices"][who], SPEECH_DBFS[side], self.folder)
        add(self.channels[side == "agent"], at, sound)
        return at + len(sound)

    def enter(self, handler, at):
        """A segment begins where the last speech before it ended; a hold leaves the handler as it was."""
        if not self.segments:
            at = 0
        if not self.segments or self.segments[-1][0] != handler:
            self.segments.append((handler, at))

    def note_turn(self, who, parts, line):
        index, start, end = len(self.turns), parts[0][1], parts[-1][2]
        if line.get("interrupts"):
            other = self.turns[-1]
            overlap = {"start_ms": milliseconds(start), "end_ms": other["end_ms"]}
            self.events.append({"type": "interruption", "by": side_of(who), "turn": index, "interrupted_turn": index - 1, **overlap})
        self.turns.append({
            "idx": index,
            "speaker": SPEAKERS[who],
            "channel": 0 if who == "customer" else 1,
            "start_ms": milliseconds(start),
            "end_ms": milliseconds(end),
            "text": " ".join(text for text, _, _ in parts),
            "sentiment": line.get("sentiment"),
            "events": sorted({e["type"] for e in self.events if e.get("turn") == index}),
            "in_hold": line.get("in_hold", False),
            "backchannel": False,
            "voice": self.script["voices"][who],
            "parts": [{"start_ms": milliseconds(s), "end_ms": milliseconds(e), "text": t} for t, s, e in parts],
        })

    def note_events(self, part, who, start, end):
        where = {"start_ms": milliseconds(start), "end_ms": milliseconds(end)}
        turn = len(self.turns)
        if "event" in part:
            event = {"type": part["event"], "turn": turn, "text": part["text"].rstrip(".") if part["event"] == "pii" else part["text"]}
            event |= {k: v for k, v in part.items() if k not in ("event", "text")}
            if part["event"] in ("deflection", "human_offer"):
                event["by_handler"] = who
            if part["event"] in ("human_request", "offer_accepted", "offer_declined"):
                event["to_handler"] = self.segments[-1][0]
            if part["event"] == "pii":
                event["span"] = "exact"
            self.events.append(event | where)
        if who == "ai" and len(part["text"].split()) >= LOOP_MIN_WORDS:
            occurrence = self.said[part["text"]] = self.said.get(part["text"], 0) + 1
            if occurrence > 1:
                self.events.append({"type": "loop", "turn": turn, "text": part["text"], "occurrence": occurrence} | where)

    def finish(self):
        """Line noise and lead-out -> the two channels, equally long."""
        total = max(self.cursor, *(len(c) for c in self.channels))
        if self.segments[-1][0] not in WAITING:
            total += samples(LEAD_OUT_MS)
        for index, side in enumerate(("customer", "agent")):
            channel = self.channels[index]
            channel.extend([0.0] * (total - len(channel)))
            chance = random.Random(self.script["call_id"] + side)
            level = amplitude(NOISE_DBFS[side]) * math.sqrt(3)
            for i in range(total):
                channel[i] += chance.uniform(-level, level)
        return self.channels


def side_of(who):
    return "customer" if who == "customer" else "agent"


# ---------------------------------------------------------------- truth


def truth(script, mix, file):
    duration = milliseconds(len(mix.channels[0]))
    events = mix.events + silences(mix, duration)
    events.sort(key=lambda e: (e["start_ms"], e["end_ms"], e["type"]))
    last = None
    segments = []
    for (handler, start), following in zip(mix.segments, mix.segments[1:] + [(None, None)]):
        end = duration if following[1] is None else milliseconds(following[1])
        agent = None if handler == "queue" else last if handler == "hold" else script["agents"].get(handler)
        segments.append({"handler": handler, "start_ms": milliseconds(start), "end_ms": end, "agent_id": agent})
        last = agent
    first = {}
    for e in reversed(events):
        first[e["type"]] = e
    confirmed = first.get("resolution_confirmed", {}).get("end_ms")
    fixed = first.get("fix_delivered", {}).get("end_ms")
    settled = script["outcome"] in ("resolved", "escalated_resolved")
    metadata = {k: script[k] for k in ("started_at", "customer_key", "queue", "issue_type", "industry", "brand", "disposition")}
    return {
        "call_id": script["call_id"],
        "split": "demo",
        "kind": script["kind"],
        "codec": script["codec"],
        "mono_mix": False,
        "effects": [],
        "duration_ms": duration,
        "channels": [{"channel": 0, "role": "customer"}, {"channel": 1, "role": "agent"}],
        "metadata": metadata | {"language": "en", "agent_ids": list(script["agents"].values())},
        "handler_segments": segments,
        "turns": mix.turns,
        "events": events,
        "overlaps": [{"start_ms": e["start_ms"], "end_ms": e["end_ms"]} for e in events if e["type"] == "interruption"],
        "outcome": script["outcome"],
        "resolved_at_ms": (confirmed if confirmed is not None else fixed) if settled else None,
        "resolution_confirmed_ms": confirmed,
        "fix_delivered_ms": fixed,
        "right_to_human": right_to_human(mix.turns, events, segments),
        "measures": measures(mix.turns, events, segments),
        "file": file,
        "sample_rate": 48_000 if script["codec"] in ("opus", "webm") else RATE,
    }


def silences(mix, duration):
    """Three seconds or more in which nobody speaks, between turns and outside hold and queue."""
    busy = [(t["start_ms"], t["end_ms"]) for t in mix.turns]
    busy += [(milliseconds(start), milliseconds(end)) for _, start, end in mix.waits]
    busy.sort()
    out, until = [], busy[0][1]
    for start, end in busy[1:]:
        if start - until >= SILENCE_EVENT_MS:
            out.append({"type": "silence", "duration_ms": start - until, "start_ms": until, "end_ms": start})
        until = max(until, end)
    return out


def right_to_human(turns, events, segments):
    of = lambda name: [e for e in events if e["type"] == name]
    requests, accepted = of("human_request"), of("offer_accepted")
    asked = sorted(requests + accepted, key=lambda e: e["start_ms"])
    reached = None
    if asked:
        reached = next((t["start_ms"] for t in turns if t["speaker"] == "human_agent" and t["start_ms"] > asked[0]["end_ms"]), None)
    return {
        "first_request_ms": requests[0]["start_ms"] if requests else None,
        "offer_accepted_ms": accepted[0]["start_ms"] if accepted else None,
        "honoured": (reached is not None) if asked else None,
        "human_at_ms": reached,
        "requests": len(requests),
        "deflections": len(of("deflection")),
        "offers": len(of("human_offer")),
        "offers_declined": len(of("offer_declined")),
        "queued": any(s["handler"] == "queue" for s in segments),
        "supervisor_requests": 0,
        "supervisor_honoured": None,
    }


def measures(turns, events, segments):
    spoken = lambda speaker: sum(t["end_ms"] - t["start_ms"] for t in turns if t["speaker"] == speaker)
    lasted = lambda handler: sum(s["end_ms"] - s["start_ms"] for s in segments if s["handler"] == handler)
    by = lambda side: [e for e in events if e["type"] == "interruption" and e["by"] == side]
    mood = [t["sentiment"] for t in turns if t["speaker"] == "customer"]
    third = max(1, len(mood) // 3)
    before, after = sum(mood[:third]) / third, sum(mood[-third:]) / third
    return {
        "customer_speech_ms": spoken("customer"),
        "ai_speech_ms": spoken("ai_agent"),
        "human_speech_ms": spoken("human_agent"),
        "ivr_speech_ms": spoken("ivr"),
        "hold_ms": lasted("hold"),
        "queue_ms": lasted("queue"),
        "ai_ms": lasted("ai"),
        "human_ms": lasted("human"),
        "interruptions_by_agent": len(by("agent")),
        "interruptions_by_customer": len(by("customer")),
        "loop_max_occurrence": max((e["occurrence"] for e in events if e["type"] == "loop"), default=0),
        "silence_ms": sum(e["duration_ms"] for e in events if e["type"] == "silence"),
        "overlap_ms": sum(e["end_ms"] - e["start_ms"] for e in events if e["type"] == "interruption"),
        "customer_sentiment_first_third": round(before, 2),
        "customer_sentiment_last_third": round(after, 2),
        "customer_trajectory": "improving" if after - before >= 2 else "worsening" if before - after >= 2 else "flat",
    }


def add_contact_history(truths):
    """Earlier and later calls of the same customer, with the hours between."""
    when = lambda t: datetime.datetime.fromisoformat(t["metadata"]["started_at"])
    for one in truths:
        history = {"earlier": [], "later": []}
        for other in truths:
            if other is not one and other["metadata"]["customer_key"] == one["metadata"]["customer_key"]:
                hours = (when(one) - when(other)).total_seconds() / 3600
                same = other["metadata"]["issue_type"] == one["metadata"]["issue_type"]
                entry = {"call_id": other["call_id"], "hours": round(abs(hours), 2), "same_issue": same}
                history["earlier" if hours > 0 else "later"].append(entry)
        one["contact_history"] = history


# ---------------------------------------------------------------- files


def encode(channels, codec, path, folder):
    mixed = folder / "mixed.wav"
    write_wav(mixed, channels)
    options = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", mixed, *CODECS[codec][1], *options, path], check=True)


def calls_row(one):
    """What a recorder knows, without the answers; segment times floored to 100 ms."""
    floor = lambda ms: ms // 100 * 100
    segments = [s | {"start_ms": floor(s["start_ms"]), "end_ms": floor(s["end_ms"])} for s in one["handler_segments"]]
    metadata = one["metadata"]
    return {
        "call_id": one["call_id"],
        "file": one["file"],
        "channel_0_role": "customer",
        "channel_1_role": "agent",
        "first_handler": segments[0]["handler"],
        "agent_ids": ";".join(metadata["agent_ids"]),
        "handler_segments": json.dumps(segments, separators=(",", ":")),
    } | {k: metadata[k] for k in ("started_at", "customer_key", "queue", "issue_type", "language")}


def write_fixtures(out, folder):
    out.mkdir(parents=True, exist_ok=True)
    quiet = array("f", [0.0] * samples(300))
    words = speak("The quick brown fox jumps over the lazy dog.", "slt", SPEECH_DBFS["agent"], folder)
    write_wav(out / "speech.wav", [quiet + words + quiet])
    write_wav(out / "dial_tone.wav", [tones(samples(2_000), (350, 440), -16.0)])
    write_wav(out / "hold_music.wav", [music(samples(3_000), "fixture")])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="folder to write to (default: beside this script)")
    out = parser.parse_args().out
    for name in ("audio", "truth"):
        (out / name).mkdir(parents=True, exist_ok=True)
    truths = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for path in sorted((HERE / "calls").glob("*.toml")):
            script = tomllib.loads(path.read_text())
            mix = Mix(script, folder)
            mix.play()
            file = f"audio/{script['call_id']}.{CODECS[script['codec']][0]}"
            encode(mix.finish(), script["codec"], out / file, folder)
            truths.append(truth(script, mix, file))
            print(f"{file}  {truths[-1]['duration_ms'] / 1000:.1f} s  {(out / file).stat().st_size:,} bytes", file=sys.stderr)
        write_fixtures(out / "fixtures", folder)
    add_contact_history(truths)
    for one in truths:
        (out / "truth" / f"{one['call_id']}.json").write_text(json.dumps(one, indent=1) + "\n")
    with (out / "calls.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(calls_row(one) for one in truths)


if __name__ == "__main__":
    main()
