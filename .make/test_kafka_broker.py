#!/usr/bin/env python3
"""Test kafka_broker.py against real brokers: a minute and a half, most of it the start of Java.

    test_kafka_broker.py

The last line is `N passed, N failed`; exit status 1 when a check failed.
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import kafka_broker
from kafka_broker import Broker, KafkaError, client_properties

SCRIPT = pathlib.Path(kafka_broker.__file__)
PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
# How long a consumer waits for a message before it gives up.
CONSUME_LIMIT_MS = 15_000
RUN_LIMIT_S = 180
STOP_LIMIT_S = 60
LARGE_BYTES = 16 * 1024 * 1024


class Checks:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, name, fault=None):
        """One line for a check, and its fault."""
        if fault:
            self.failed += 1
            print(f"FAILED {name}\n       {fault}")
        else:
            self.passed += 1
            print(f"ok     {name}")
        sys.stdout.flush()

    def same(self, name, found, wanted):
        self.check(name, found != wanted and f"found {found!r:.300}, wanted {wanted!r:.300}")

    def refused(self, name, words, act, *arguments, **named):
        """That an act raises a KafkaError with these words in it."""
        try:
            act(*arguments, **named)
        except KafkaError as error:
            self.check(name, words not in str(error) and f"without {words!r}: {error}")
        else:
            self.check(name, "was not refused")


def consume(broker, topic, *flags, count=1, **named):
    out, _ = broker.tool(CONSUMER, "--topic", topic, "--max-messages", str(count), "--timeout-ms",
                         str(CONSUME_LIMIT_MS), *flags, **named)
    return out.splitlines()


def processes(folder):
    """The processes whose command line names a folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder) in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass  # It ended while we looked.
    return [number for number in found if number != os.getpid()]


def test_fetch(checks, folder):
    """With a stand-in for mvn: what is whole and what is not does not depend on Maven Central."""
    cache, tools = folder / "cache", folder / "tools"
    tools.mkdir()
    path = os.environ["PATH"]
    try:
        os.environ["PATH"] = str(tools)
        checks.refused("fetch: without mvn", "mvn is not installed", kafka_broker.fetch, cache)
        mvn = tools / "mvn"
        mvn.touch(0o700)
        jars = 'for flag; do case $flag in -DoutputDirectory=*) : > "${flag#*=}/kafka.jar" ;; esac; done'
        mvn.write_text(f"#!/bin/sh\n{jars}\necho no network; exit 1\n")
        checks.refused("fetch: a failure says why", "no network", kafka_broker.fetch, cache)
        whole = cache / f"kafka-{kafka_broker.KAFKA}"
        checks.check("fetch: half a fetch is not taken for a whole one", whole.exists() and f"{whole} exists")
        mvn.write_text(f"#!/bin/sh\n{jars}\n")
        checks.same("fetch: the next one mends it", kafka_broker.fetch(cache), f"{whole}/*")
        checks.same("fetch: what was got", [entry.name for entry in whole.iterdir()], ["kafka.jar"])
        mvn.unlink()
        checks.same("fetch: a second one needs nothing", kafka_broker.fetch(cache), f"{whole}/*")
    finally:
        os.environ["PATH"] = path


def test_plain(checks):
    broker = Broker()
    with broker:
        broker.create_topic("calls.audio", 2, {"retention.ms": "3600000"})
        # A name that the pattern of calls.audio would match, were its dot not taken for a dot.
        broker.create_topic("callsXaudio")
        checks.refused("topic: not twice", "already exists", broker.create_topic, "calls.audio", 2)
        checks.same("offsets: empty", broker.end_offsets("calls.audio"), {("calls.audio", 0): 0, ("calls.audio", 1): 0})
        checks.refused("offsets: of no topic", "Could not match", broker.end_offsets, "calls.none")
        checks.same("offsets: of no group", broker.committed_offsets("nobody"), {})

        broker.tool(PRODUCER, "--topic", "calls.audio", "--sync", stdin=b"one\ntwo\n")
        checks.same("messages: what was sent is read", sorted(
            consume(broker, "calls.audio", "--from-beginning", "--group", "readers", count=2)), ["one", "two"])
        end = broker.end_offsets("calls.audio")
        checks.same("offsets: after two messages", sum(end.values()), 2)
        checks.same("offsets: committed", broker.committed_offsets("readers"), end)

        broker.tool(PRODUCER, "--topic", "callsXaudio", "--sync", "--command-property",
                    f"max.request.size={kafka_broker.MESSAGE_BYTES}", stdin=b"x" * LARGE_BYTES + b"\n")
        checks.same("messages: 16 MiB", [len(line) for line in consume(broker, "callsXaudio", "--from-beginning")],
                    [LARGE_BYTES])

        port, first = broker.port, broker.process.pid
        broker.restart()
        checks.check("restart: a new process", broker.process.pid == first and "the process is the same")
        checks.same("restart: the same port", broker.bootstrap, f"127.0.0.1:{port}")
        checks.same("restart: keeps messages", broker.end_offsets("calls.audio"), end)
        checks.same("restart: keeps what was committed", broker.committed_offsets("readers"), end)
        broker.kill()
        checks.check("kill: ends it", broker.running and "it runs")
        broker.start()
        checks.same("kill: keeps messages", broker.end_offsets("calls.audio"), end)

        broker.delete_topic("calls.audio")
        checks.same("topic: only the named one is deleted", broker.topics(), ["__consumer_offsets", "callsXaudio"])
        checks.check("stop: ends by itself", not broker.stop() and "SIGKILL was needed")
        broker.settings["num.io.threads"] = "none"
        checks.refused("start: a failure shows the log", "num.io.threads", broker.start)
        del broker.settings["num.io.threads"]
        with socket.create_server(("127.0.0.1", broker.port)):
            checks.refused("start: a port in use", "in use", broker.start)
    checks.same("close: leaves no process", processes(broker.directory), [])
    checks.check("close: leaves no folder", broker.directory.exists() and f"{broker.directory} exists")


def test_sasl(checks, folder):
    users = {"reader": "right", "writer": "write-secret"}
    acls = [("writer", "Write", "topic", "calls.audio"), ("reader", "Read", "group", "readers")]
    with Broker(folder / "sasl", sasl_users=users, acls=acls) as broker:
        logins = {}
        for name, password in {**users, "wrong": "wrong"}.items():
            logins[name] = folder / f"{name}.properties"
            logins[name].write_text(client_properties("reader" if name == "wrong" else name, password))
        broker.create_topic("calls.audio")
        broker.tool(PRODUCER, "--topic", "calls.audio", "--sync", stdin=b"one\n", config=logins["writer"])
        checks.same("sasl: who may write writes", broker.end_offsets("calls.audio"), {("calls.audio", 0): 1})
        checks.refused("sasl: a wrong password", "SaslAuthenticationException", broker.tool, kafka_broker.TOPIC_TOOL,
                       "--list", config=logins["wrong"])
        reading = ("calls.audio", "--group", "readers", "--from-beginning")
        checks.refused("sasl: who may not write", "Not authorized to access topics", broker.tool, PRODUCER, "--topic",
                       "calls.audio", "--sync", stdin=b"two\n", config=logins["reader"])
        # The console consumer ends with status 0 whatever happens; what it read is what tells.
        checks.same("sasl: who may not read", consume(broker, *reading, config=logins["reader"]), [])
        broker.allow("reader", "Read", "topic", "calls.audio")
        checks.same("sasl: who may read reads", consume(broker, *reading, config=logins["reader"]), ["one"])
        broker.restart()
        checks.same("sasl: restart keeps users and offsets", broker.committed_offsets("readers"),
                    {("calls.audio", 0): 1})
    checks.same("sasl: close leaves no process", processes(broker.directory), [])
    checks.check("sasl: a given folder is kept", not broker.directory.exists() and "it is gone")


def test_command(checks, folder):
    """The command in the foreground, twice in the same folder."""
    port = kafka_broker.free_port()
    for number, ending in (("first", signal.SIGINT), ("second", signal.SIGTERM)):
        command = subprocess.Popen(
            [sys.executable, SCRIPT, "run", "--dir", folder / "run", "--port", str(port), "--topics"],
            stdout=subprocess.PIPE, text=True)
        limit = threading.Timer(RUN_LIMIT_S, command.terminate)
        limit.start()
        checks.same(f"run: prints its address, {number} time", command.stdout.readline(), f"127.0.0.1:{port}\n")
        limit.cancel()
        if number == "second":
            topics = Broker(folder / "client", port).topics()
            checks.same("run: its topics", topics, sorted(kafka_broker.TOPICS))
        command.send_signal(ending)
        checks.same(f"run: {ending.name} stops it", command.wait(STOP_LIMIT_S), 0)
        command.stdout.close()
        checks.same(f"run: {ending.name} leaves no process", processes(folder / "run"), [])


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="kafka-test-") as folder:
        folder = pathlib.Path(folder)
        test_fetch(checks, folder)
        test_plain(checks)
        test_sasl(checks, folder)
        test_command(checks, folder)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
