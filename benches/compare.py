"""Time and memory of `callmark compare` on simulated calls.

    compare.py CALLMARK WORK CALLS...

Simulates a dataset of each size below WORK, unless it is there already, and prints a Markdown table: wall time, processor
time and the largest resident set of one comparison. Exit code 1 when a million calls take 30 s or 4 GiB or more.
"""

import os
import pathlib
import platform
import subprocess
import sys
import time

LIMIT_CALLS = 1_000_000
LIMIT_SECONDS = 30
LIMIT_KIB = 4 * 1024 * 1024


def processor():
    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")]
    return f"{len(names)} × {names[0]}" if names else platform.processor()


def measured(callmark, dataset, page):
    """Wall seconds, processor seconds and KiB resident of one comparison."""
    started = time.monotonic()
    child = subprocess.Popen([callmark, "compare", dataset, "--html", page], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"the comparison of {dataset} ended with status {child.returncode}")
    return time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss


def main():
    callmark, work, sizes = sys.argv[1], pathlib.Path(sys.argv[2]), [int(n) for n in sys.argv[3:]]
    work.mkdir(parents=True, exist_ok=True)
    failed = False
    print(f"{processor()}; load {os.getloadavg()[0]:.1f} before the first comparison\n")
    print("| calls | wall | processor | peak resident |\n| --- | --- | --- | --- |")
    for calls in sizes:
        dataset = work / f"calls-{calls}"
        # The truth is written last.
        if not (dataset / "truth.json").exists():
            subprocess.run([callmark, "simulate", "--calls", str(calls), "--out", dataset], stdout=subprocess.DEVNULL, check=True)
        wall, cpu, kib = measured(callmark, dataset, work / f"calls-{calls}.html")
        print(f"| {calls:,} | {wall:.1f} s | {cpu:.1f} s | {kib / 1024:.0f} MiB |", flush=True)
        failed = failed or (calls <= LIMIT_CALLS and (wall >= LIMIT_SECONDS or kib >= LIMIT_KIB))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
