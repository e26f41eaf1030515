#!/usr/bin/env python3
"""Hold the HTTP API against its own description with schemathesis: contract.py CALLMARK DATASET AUDIO

Serves a copy of the dataset on a free port and sends what the description allows and what it does not. Prints what
schemathesis says and "N passed, N failed"; exit status 1 when something is wrong.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

EXAMPLES = 25
SEED = 1
LIMIT_S = 600


def main():
    callmark, dataset, audio = sys.argv[1:]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="callmark-api-"))
    copy = folder / "dataset"
    shutil.copytree(dataset, copy, ignore=shutil.ignore_patterns("_review"))
    server = subprocess.Popen([callmark, "serve", str(copy), "--audio", audio, "--listen", "127.0.0.1:0"],
                              stderr=subprocess.PIPE, text=True)
    try:
        for line in server.stderr:
            if found := re.search(r"http://[0-9.:]+", line):
                break
        else:
            sys.exit("error: the server does not start")
        url = found[0]
        urllib.request.urlopen(f"{url}/api/v1/status", timeout=10).read()
        command = [pathlib.Path(sys.executable).with_name("schemathesis"), "run", f"{url}/api/v1/openapi.json", "--url", url,
                   "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--no-color"]
        ran = subprocess.run(list(map(str, command)), cwd=folder, timeout=LIMIT_S, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(ran.stdout)
        print(f"{int(ran.returncode == 0)} passed, {int(ran.returncode != 0)} failed")
        return int(ran.returncode != 0)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
