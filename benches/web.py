#!/usr/bin/env python3
"""The review page on many calls: web.py CALLMARK FOLDER [CALLS]

Simulates CALLS conversations in FOLDER (kept), serves them, and measures: time until it answers and until all words can be
searched, answers of each kind (median, 95th percentile over 100 requests, one after the other), 50 connections for a
minute (wrk), and the process's peak memory.
"""
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from simulated import conversations

REQUESTS = 100
CONNECTIONS, SECONDS = 50, 60

WORDS = ["refund", '"real person" billed', "router -refund", "customer:cancel*", "agent:balance", "71423", "harbour road",
         "thank you", '"speak to a" quarry', "mattress printer"]
KINDS = {
    "first page": ["/calls", "/calls?sort=oldest", "/calls?sort=unhappiest", "/calls?sort=least_sure"],
    "filters combined": [
        "/calls?asked=yes&honoured=no&queue=billing&issue=wrong_bill&sort=unhappiest",
        "/calls?handler=ai&outcome=unresolved,abandoned&sentiment_below=-1&from=2026-02-01&until=2026-06-01",
        "/calls?trust=low&language=es&sort=least_sure"],
    "words": ["/calls?q=" + urllib.parse.quote(words) for words in WORDS],
    "words and filters": ["/calls?q=refund&asked=yes&handler=ai&sort=unhappiest",
                          "/calls?q=stolen&queue=billing&outcome=unresolved"],
    "event that was found": ["/calls?found=deflection", "/calls?found=handoff,human_request"],
    "one call": [f"/calls/sim-confounded-1-{number:08}" for number in range(0, 1000, 7)],
    "dashboard": ["/dashboard", "/dashboard?queue=billing"],
}
LUA = """local paths = { %s }
local i = 0
request = function() i = i + 1; return wrk.format("GET", paths[i %% #paths + 1]) end
"""


def main():
    callmark, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    calls = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
    dataset = conversations(callmark, folder, calls)
    shutil.rmtree(dataset / "_review", ignore_errors=True)
    began = time.monotonic()
    server = subprocess.Popen([callmark, "serve", dataset, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
    try:
        url = next(found[0] for line in server.stderr if (found := re.search(r"http://[0-9.:]+", line)))
        ask = lambda path: urllib.request.urlopen(url + path, timeout=60).read()
        ask("/calls")
        print(f"{calls:,} calls\n\nanswers after {time.monotonic() - began:.1f} s", flush=True)
        while f'"searchable":{calls},'.encode() not in ask("/api/v1/status"):
            time.sleep(0.5)
        print(f"all words can be searched after {time.monotonic() - began:.1f} s\n\n| request | median | 95 % | slowest |\n| --- | --- | --- | --- |")
        draws = random.Random(1)
        for kind, paths in KINDS.items():
            times = []
            for _ in range(REQUESTS):
                start = time.monotonic()
                ask(draws.choice(paths))
                times.append(1000 * (time.monotonic() - start))
            times.sort()
            print(f"| {kind} | {statistics.median(times):.0f} ms | {times[int(REQUESTS * 0.95) - 1]:.0f} ms | {times[-1]:.0f} ms |", flush=True)
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(LUA % ", ".join(f'"{paths[0]}"' for paths in KINDS.values()))
            script.flush()
            ran = subprocess.run(["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--timeout", "60s", "--latency", "-s", script.name, url],
                                 check=True, text=True, stdout=subprocess.PIPE).stdout
        rate = re.search(r"Requests/sec:\s+(\S+)", ran)[1]
        late = re.search(r"99%\s+(\S+)", ran)[1]
        wrong = re.findall(r"(?:Socket errors|Non-2xx).*", ran)
        print(f"\n{CONNECTIONS} connections for {SECONDS} s: {rate} requests a second, 99 % within {late}, errors: {'; '.join(wrong) or 'none'}")
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024
        print(f"peak memory: {peak:.0f} MiB")
        return int(bool(wrong))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
