#!/usr/bin/env python3
"""An S3 server for tests: moto in memory, with one bucket, and with faults on demand.

    s3_server.py run [--port PORT] [--bucket NAME] [--with-stdin]
    s3_server.py exec COMMAND...

`exec` runs a command with a server on a free port in its environment, and ends with its status. `run` prints its URL
once it answers and serves until SIGTERM or SIGINT, or with --with-stdin until its standard input ends (so that it
never outlives a test that was killed). Any key and secret will do. From Python:

    with S3Server() as server: ... server.url, server.environment() ...

moto looks whether an object is there and writes it in two steps; here each request runs alone, so that
`If-None-Match: *` has one winner as on S3 itself. Faults, for tests of retries: POST to URL/_faults a JSON object,

    {"refuse_ms": 1500}            close the port for so long; what was stored stays
    {"status": 503, "times": 3, "method": "PUT", "contains": "_commits/", "applied": true}

the second answers the next `times` requests that fit with `status` (0: breaks the connection off), where `applied`
after having done what they asked. The answer to the POST comes before a port is closed.
"""
import argparse
import io
import json
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

# Its ports are none that Linux gives to outgoing connections: one of those could be taken while the port is closed.
from kafka_broker import free_port

HOST = "127.0.0.1"
BUCKET = "callmark"
REGION = "us-east-1"
START_LIMIT_S = 60
STOP_LIMIT_S = 10
# Longest that a test may have the port closed.
MAX_REFUSE_MS = 60_000
# Largest object that is taken.
MAX_BODY_BYTES = 512 * 1024 * 1024


class S3Server:
    """The server as a child process of this one."""

    def __init__(self, port=None, bucket=BUCKET, python=sys.executable):
        self.port, self.bucket, self.python = port or free_port(), bucket, python
        self.url = f"http://{HOST}:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [self.python, pathlib.Path(__file__), "run", "--port", str(self.port), "--bucket", self.bucket,
             "--with-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        limit = threading.Timer(START_LIMIT_S, self.process.kill)
        limit.start()
        line = self.process.stdout.readline()
        limit.cancel()
        if line.strip() != self.url:
            self.stop()
            raise RuntimeError(f"the S3 server did not start on port {self.port}")
        return self

    def stop(self):
        if self.process:
            self.process.stdin.close()
            try:
                self.process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process = None

    def fault(self, **fault):
        request = urllib.request.Request(f"{self.url}/_faults", json.dumps(fault).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=START_LIMIT_S) as answer:
            answer.read()

    def environment(self):
        """What a program needs in its environment to find the bucket."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ALLOW_HTTP": "true", "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Application:
    """moto, one request at a time, with faults before it."""

    def __init__(self, moto):
        self.moto, self.turn, self.guard = moto, threading.Lock(), threading.Lock()
        self.faults, self.refuse_s, self.server = [], None, None

    def __call__(self, environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY_BYTES:
            start_response("413 Too Large", [])
            return [b""]
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        if environ["PATH_INFO"] == "/_faults":
            self.take_fault(json.loads(body))
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        fault = self.next_fault(environ)
        if not fault:
            return self.answer(environ, start_response)
        if fault.get("applied"):
            self.answer(environ, lambda *_: None)
        if not fault["status"]:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(f"{fault['status'] or 500} Fault", [("Content-Length", "0")])
        return [b""]

    def answer(self, environ, start_response):
        with self.turn:
            return [b"".join(self.moto(environ, start_response))]

    def take_fault(self, fault):
        if "refuse_ms" in fault:
            self.refuse_s = min(fault["refuse_ms"], MAX_REFUSE_MS) / 1000
            # Not from this thread: the server first has to send the answer.
            threading.Timer(0.05, self.server.shutdown).start()
            return
        with self.guard:
            self.faults.append({"times": 1, **fault})

    def next_fault(self, environ):
        with self.guard:
            for fault in self.faults:
                if environ["REQUEST_METHOD"] == fault.get("method", environ["REQUEST_METHOD"]) \
                        and fault.get("contains", "") in environ["PATH_INFO"]:
                    fault["times"] -= 1
                    if fault["times"] <= 0:
                        self.faults.remove(fault)
                    return fault
        return None


def run(port, bucket, with_stdin):
    # Before moto: signing is not checked, and nothing outside may be asked for who we are.
    os.environ.update({"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION})
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import make_server

    application = Application(DomainDispatcherApplication(create_backend_app))
    s3_backends["123456789012"]["aws"].create_bucket(bucket, REGION)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    if with_stdin:
        def watch():
            sys.stdin.read()
            os._exit(0)
        threading.Thread(target=watch, daemon=True).start()
    announced = False
    while True:
        application.server = make_server(HOST, port, application, threaded=True)
        if not announced:
            print(f"http://{HOST}:{port}", flush=True)
            announced = True
        application.server.serve_forever(poll_interval=0.01)
        application.server.server_close()
        time.sleep(application.refuse_s or 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run")
    command.add_argument("--port", type=int)
    command.add_argument("--bucket", default=BUCKET)
    command.add_argument("--with-stdin", action="store_true")
    command = commands.add_parser("exec")
    command.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command == "exec":
        with S3Server() as server:
            return subprocess.run(options.arguments, env={**os.environ, **server.environment()}).returncode
    return run(options.port or free_port(), options.bucket, options.with_stdin)


if __name__ == "__main__":
    sys.exit(main())
