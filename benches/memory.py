#!/usr/bin/env python3
"""Memory of `callmark score` over many short calls: peak, and whether it stays flat.

    memory.py CALLMARK SOURCE_FOLDER [--calls 1000] [--seconds 4] [--workers 2]

Cuts SOURCE_FOLDER's recordings (ffmpeg reads them) into short two-channel mu-law calls, each different, scores
them in one run, and reads the process's resident memory from /proc twice a second. Prints the peak, the medians of
the second and of the last quarter of the run, and their ratio: flat means a ratio near 1.
"""
import argparse, json, pathlib, statistics, subprocess, sys, tempfile, time, wave


def pcm_of(path):
    """Two channels at 8 kHz, 16 bit, as bytes."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ac", "2", "-ar", "8000", "-f", "s16le", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def cut_calls(source, folder, count, seconds):
    """Writes `count` short calls into `folder`, cut from the recordings below `source` at staggered offsets."""
    recordings = [pcm_of(p) for p in sorted(pathlib.Path(source).iterdir()) if p.is_file()]
    frame, length = 4, int(seconds * 8000) * 4
    for i in range(count):
        pcm = recordings[i % len(recordings)]
        start = (i * 7919 * frame) % max(frame, len(pcm) - length)
        start -= start % frame
        with wave.open(str(folder / f"call-{i:05}.wav"), "wb") as out:
            out.setnchannels(2), out.setsampwidth(2), out.setframerate(8000)
            out.writeframes(pcm[start:start + length])


def resident_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return None


def measure(command):
    """Runs `command`; -> (samples of resident KiB, seconds, its standard output)."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    samples, started = [], time.monotonic()
    while process.poll() is None:
        try:
            kib = resident_kib(process.pid)
        except FileNotFoundError:
            break
        if kib:
            samples.append(kib)
        time.sleep(0.5)
    output = process.stdout.read()
    if process.wait() != 0:
        sys.exit(f"callmark exited with {process.returncode}")
    return samples, time.monotonic() - started, output


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("callmark")
    parser.add_argument("source")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "calls").mkdir()
        cut_calls(options.source, folder / "calls", options.calls, options.seconds)
        command = [options.callmark, "score", str(folder / "calls"), "--channels", "customer,agent", "--language", "en",
                   "--workers", str(options.workers), "--out", str(folder / "out"), "--format", "json"]
        samples, seconds, output = measure(command)
    scored = json.loads(output)["scored"]
    quarter = max(1, len(samples) // 4)
    second, last = statistics.median(samples[quarter:2 * quarter]), statistics.median(samples[-quarter:])
    print(f"calls scored          {scored}")
    print(f"seconds               {seconds:.0f}")
    print(f"peak resident MiB     {max(samples) / 1024:.0f}")
    print(f"second quarter MiB    {second / 1024:.0f}")
    print(f"last quarter MiB      {last / 1024:.0f}")
    print(f"last / second quarter {last / second:.3f}")


if __name__ == "__main__":
    main()
