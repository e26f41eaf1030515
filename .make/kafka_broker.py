#!/usr/bin/env python3
"""A real Apache Kafka broker on this machine: one node, KRaft, reachable from 127.0.0.1 only.

    kafka_broker.py fetch
    kafka_broker.py run [--dir DIR] [--port 9092] [--topics]

`fetch` gets Kafka from Maven Central into the cache; a second call finds it there and needs no network. `run` keeps a
broker in the foreground until Ctrl-C, its data in DIR; --topics creates Callmark's topics unless they exist.
Tests import `Broker`, which needs `java` (17 or later) on the path; a fetch needs `mvn`, too.

For development and tests: nothing here is encrypted, and data is flushed when the kernel likes.
Exit status: 0 done or stopped; 1 Kafka failed; 2 wrong flags.
"""
import argparse
import atexit
import base64
import collections
import fcntl
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

KAFKA = "4.3.1"
# What is fetched, with all it needs at run time. The last prints Kafka's log; its version is that of Kafka's own log4j.
ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA),
    ("org.apache.kafka", "kafka-tools", KAFKA),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.4"),
)
DEPENDENCY_PLUGIN = "3.8.1"

FORMAT_TOOL = "kafka.tools.StorageTool"
TOPIC_TOOL = "org.apache.kafka.tools.TopicCommand"
OFFSETS_TOOL = "org.apache.kafka.tools.GetOffsetShell"
GROUP_TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
ACL_TOOL = "org.apache.kafka.tools.AclCommand"

TOPICS = ("calls.recordings", "calls.audio", "calls.events", "calls.scored", "calls.alerts", "calls.dead-letters")
TOPIC_PARTITIONS = 6

HOST = "127.0.0.1"
ADMIN = "admin"
# Free ports are sought here: below the ports that Linux gives to outgoing connections. One of those could be taken
# while a broker is down, even by its own client, which would then be connected to itself.
PORTS = range(20_000, 30_000)
PORT_TRIES = 100

FETCH_LIMIT_S = 900
FORMAT_LIMIT_S = 60
# From the start of the process to its first answer.
START_LIMIT_S = 120
# From SIGTERM to SIGKILL.
STOP_LIMIT_S = 30
# From SIGKILL to the end of the process: only the kernel can be late.
KILL_LIMIT_S = 10
TOOL_LIMIT_S = 60
PROBE_LIMIT_S = 5
PROBE_PAUSE_S = 0.1
# An answer to the probe is some hundreds of bytes; more than this is not Kafka.
PROBE_BYTES = 64 * 1024
# A log of an earlier start is kept unless it is larger.
LOG_BYTES = 8 * 1024 * 1024
LOG_TAIL_LINES = 30

# 16 MiB of audio, and room for keys, headers and the frame of a batch. Kafka takes requests of up to 100 MiB by itself.
MESSAGE_BYTES = 17 * 1024 * 1024
BROKER_JVM = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC")
# A tool lives for a second: a thorough compiler would cost more than it saves.
TOOL_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

# One node has no second replica; a test should not wait for a group to gather, and may want short sessions.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # A killed broker may come back only when this is over: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "message.max.bytes": str(MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(MESSAGE_BYTES),
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
}

# Warnings, and what consumer groups do. Standard error is the log file of a broker and the message of a tool.
LOGGING = """\
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.groups.name = org.apache.kafka.coordinator.group
logger.groups.level = info
"""

ACL_FLAGS = {"topic": "--topic", "group": "--group", "transactional-id": "--transactional-id", "cluster": "--cluster"}
TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
# What goes into an argument in Kafka's own notation without quoting.
CREDENTIAL = re.compile(r"[A-Za-z0-9._~-]+")


class KafkaError(Exception):
    """Kafka, or a tool of it, did not do what it was asked; the message holds its last words."""


def default_cache():
    """The cache of the Makefile."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("CALLMARK_CACHE") or pathlib.Path(cache) / "callmark")


def fetch(cache):
    """Get Kafka into the cache unless it is there, and return its class path. One process fetches at a time."""
    cache = pathlib.Path(cache).resolve()
    jars = cache / f"kafka-{KAFKA}"
    classpath = f"{jars}/*"
    if jars.is_dir():
        return classpath
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"kafka-{KAFKA}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if jars.is_dir():
            return classpath
        if not shutil.which("mvn"):
            raise KafkaError("mvn is not installed, and Kafka is fetched with it (Debian package maven)")
        print(f"fetching Kafka {KAFKA} from Maven Central", file=sys.stderr)
        # A folder of its own: the mvn of a fetch that was killed may still write to the last one.
        for left in cache.glob(f"kafka-{KAFKA}.part-*"):
            shutil.rmtree(left, ignore_errors=True)
        part = pathlib.Path(tempfile.mkdtemp(prefix=f"kafka-{KAFKA}.part-", dir=cache))
        (part / "jars").mkdir()
        (part / "pom.xml").write_text(project())
        goal = f"org.apache.maven.plugins:maven-dependency-plugin:{DEPENDENCY_PLUGIN}:copy-dependencies"
        command = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", str(part / "pom.xml"), goal,
                   "-DincludeScope=runtime", f"-DoutputDirectory={part / 'jars'}"]
        call(command, FETCH_LIMIT_S)
        os.rename(part / "jars", jars)
        shutil.rmtree(part)
    return classpath


def project():
    """The pom.xml of a project that needs Kafka and holds nothing."""
    needs = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version></dependency>"
        for group, name, version in ARTIFACTS)
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>callmark</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{needs}</dependencies></project>\n")


def call(command, limit_s, stdin=b""):
    """Run a command to its end; its standard output and standard error as text, or a KafkaError."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=limit_s)
    except subprocess.TimeoutExpired as late:
        words = ((late.stdout or b"") + (late.stderr or b"")).decode(errors="replace")
        raise KafkaError(f"{name_of(command)} is not done after {limit_s} s\n{tail(words)}") from None
    except FileNotFoundError:
        raise KafkaError(f"{command[0]} is not installed") from None
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode:
        raise KafkaError(f"{name_of(command)}: exit status {done.returncode}\n{tail(out + err)}")
    return out, err


def name_of(command):
    """What a command is in a message: the class that Java runs, or the program."""
    return command[command.index("-cp") + 2] if "-cp" in command else command[0]


def tail(text):
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])


def is_free(port):
    with socket.socket() as probe:
        # As Kafka binds: connections of an earlier broker that wait for their end do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port():
    for port in random.sample(PORTS, PORT_TRIES):
        if is_free(port):
            return port
    raise KafkaError(f"no free port among {PORT_TRIES} of {PORTS.start} to {PORTS.stop - 1}")


def answers(port):
    """Whether a broker answers ApiVersions, the first request of every client. It does once it serves requests."""
    # Key 18, version 0, correlation 1, no client id.
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection((HOST, port), PROBE_LIMIT_S) as probe:
            probe.sendall(struct.pack(">i", len(request)) + request)
            size, = struct.unpack(">i", read_exactly(probe, 4))
            if not 6 <= size <= PROBE_BYTES:
                return False
            correlation, error = struct.unpack_from(">ih", read_exactly(probe, size))
    except OSError:
        return False
    return (correlation, error) == (1, 0)


def read_exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("closed before the whole answer")
        data += more
    return data


def client_properties(user, password):
    """A properties file for a Java client that logs in."""
    login = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return ("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
            f'sasl.jaas.config={login} required username="{user}" password="{password}";\n')


class Broker:
    """A broker of one node. One that is not started serves to ask another that runs at its `port`.

    `directory` holds its data, log and configuration, and is kept; without one a temporary folder is removed by
    `close`. `settings` are properties of the broker beside or instead of SETTINGS.

    With `sasl_users` ({name: password}) clients log in with SCRAM-SHA-512 over SASL_PLAINTEXT and may do what `acls`
    and `allow` say; each of `acls` is (user, operation, resource type, name). The users are those of the first start
    in a folder. The user ADMIN may do all.
    """

    def __init__(self, directory=None, port=None, settings=None, sasl_users=None, acls=(), cache=None):
        for name, password in (sasl_users or {}).items():
            if name == ADMIN or not CREDENTIAL.fullmatch(name) or not CREDENTIAL.fullmatch(password):
                raise ValueError(f"user {name!r}: names and passwords match {CREDENTIAL.pattern}, and {ADMIN} is taken")
        if acls and sasl_users is None:
            raise ValueError("acls need sasl_users")
        self.classpath = fetch(cache or default_cache())
        self.temporary = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="kafka-")).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "log4j2.properties").write_text(LOGGING)
        self.log = self.directory / "broker.log"
        self.port = port or free_port()
        self.controller_port = free_port()
        self.settings, self.sasl_users, self.acls = dict(settings or {}), sasl_users, tuple(acls)
        self.process = None
        self.log_start = 0
        atexit.register(self.close)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    @property
    def bootstrap(self):
        return f"{HOST}:{self.port}"

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Start, and return when the broker answers clients. Its data is that of the last start, if there was one."""
        if self.running:
            raise KafkaError("the broker runs already")
        for port in (self.port, self.controller_port):
            if not is_free(port):
                raise KafkaError(f"port {port} of {HOST} is in use")
        fresh = self._configure()
        grown = self.log.exists() and self.log.stat().st_size > LOG_BYTES
        try:
            with open(self.log, "wb" if grown else "ab") as log:
                self.log_start = log.tell()
                self.process = subprocess.Popen(
                    self._java(BROKER_JVM, "kafka.Kafka", self.directory / "broker.properties"),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self._wait_until_it_answers()
            if fresh:
                for acl in self.acls:
                    self.allow(*acl)
        except FileNotFoundError:
            raise KafkaError("java is not installed") from None
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self):
        """End the broker as an operator would; after STOP_LIMIT_S, by force. Whether it ended by itself."""
        if not self.running:
            return True
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self):
        """End the broker with SIGKILL, as a crash would."""
        if self.running:
            self.process.kill()
            self.process.wait(KILL_LIMIT_S)

    def restart(self):
        """Stop, unless it is down, and start with the same ports and data."""
        self.stop()
        return self.start()

    def close(self):
        """Stop, and remove a temporary folder. Also done when Python ends."""
        self.stop()
        if self.temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)

    def create_topic(self, name, partitions=1, configs=None):
        check_topic(name)
        flags = [word for key, value in (configs or {}).items() for word in ("--config", f"{key}={value}")]
        self.tool(TOPIC_TOOL, "--create", "--topic", name, "--partitions", str(partitions), "--replication-factor", "1",
                  *flags)

    def delete_topic(self, name):
        check_topic(name)
        self.tool(TOPIC_TOOL, "--delete", "--topic", pattern(name))

    def topics(self):
        """The names of all topics, Kafka's own among them."""
        return sorted(self.tool(TOPIC_TOOL, "--list")[0].split())

    def end_offsets(self, topic):
        """{(topic, partition): offset after the last message} of every partition."""
        check_topic(topic)
        out, err = self.tool(OFFSETS_TOOL, "--topic", pattern(topic))
        offsets = {}
        for line in out.splitlines():
            name, partition, offset = line.rsplit(":", 2)
            if name != topic:
                raise KafkaError(f"end offsets of {topic}: not understood: {line}")
            offsets[name, int(partition)] = int(offset)
        # A partition whose leader does not answer is left out with a message; the exit status is 0.
        if "Skip getting offsets" in err or sorted(partition for _, partition in offsets) != list(range(len(offsets))):
            raise KafkaError(f"end offsets of {topic}: not of every partition\n{tail(out + err)}")
        return offsets

    def committed_offsets(self, group):
        """{(topic, partition): offset} of what a group has committed; empty for a group that Kafka does not know."""
        out, err = self.tool(GROUP_TOOL, "--describe", "--offsets", "--group", group)
        # What goes wrong is printed among the rows; the exit status is 0.
        if "GroupIdNotFoundException" in out:
            return {}
        offsets = {}
        for words in map(str.split, filter(None, out.splitlines())):
            if words[:4] == ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET"]:
                continue
            if len(words) < 4 or words[0] != group:
                raise KafkaError(f"offsets of group {group}: not understood\n{tail(out + err)}")
            # A partition that a member holds and of which nothing is committed shows `-`.
            if words[3] != "-":
                offsets[words[1], int(words[2])] = int(words[3])
        return offsets

    def allow(self, user, operation, resource_type, name="*"):
        """Let a user do an operation (`Read`, `Write`, `Describe`, ...) on a resource of ACL_FLAGS; `*`: every name,
        `x*`: every name that begins with x."""
        resource = [ACL_FLAGS[resource_type]] + ([] if resource_type == "cluster" else [name])
        if name != "*" and name.endswith("*"):
            resource = [ACL_FLAGS[resource_type], name[:-1], "--resource-pattern-type", "prefixed"]
        self.tool(ACL_TOOL, "--add", "--allow-principal", f"User:{user}", "--operation", operation, *resource)

    def tool(self, main, *arguments, stdin=b"", config=None, limit_s=TOOL_LIMIT_S):
        """Run a Java tool against this broker, as ADMIN or with a file of `client_properties`; (stdout, stderr)."""
        if config is None and self.sasl_users is not None:
            config = self.directory / "admin.properties"
        login = ["--command-config", config] if config else []
        command = self._java(TOOL_JVM, main, "--bootstrap-server", self.bootstrap, *login, *arguments)
        return call(command, limit_s, stdin)

    def log_tail(self):
        """The last lines that the broker logged since its last start."""
        with open(self.log, "rb") as log:
            log.seek(self.log_start)
            lines = collections.deque(log, LOG_TAIL_LINES)
        return b"".join(lines).decode(errors="replace")

    def _java(self, flags, main, *arguments):
        logging = f"-Dlog4j2.configurationFile={self.directory / 'log4j2.properties'}"
        return ["java", *flags, logging, "-cp", self.classpath, main, *map(str, arguments)]

    def _configure(self):
        """Write the configuration; format the data folder unless there is one, and say whether that was done."""
        client = "PLAINTEXT"
        settings = {**SETTINGS, "controller.quorum.voters": f"1@{HOST}:{self.controller_port}"}
        if self.sasl_users is not None:
            client = "SASL_PLAINTEXT"
            settings |= self._access()
        settings |= {
            "listeners": f"{client}://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"{client}://{HOST}:{self.port}",
            "listener.security.protocol.map": f"{client}:{client},CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": client,
            **self.settings,
        }
        data = self.directory / "data"
        fresh = not data.exists()
        if fresh:
            # Formatted under another name, so that a folder called `data` is always whole.
            part = self.directory / "data.part"
            shutil.rmtree(part, ignore_errors=True)
            self._write({**settings, "log.dirs": str(part)})
            users = [f"--add-scram=SCRAM-SHA-512=[name={name},password={password}]"
                     for name, password in self._credentials()]
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            call(self._java(TOOL_JVM, FORMAT_TOOL, "format", "--config", self.directory / "broker.properties",
                            f"--cluster-id={cluster}", *users), FORMAT_LIMIT_S)
            os.rename(part, data)
        self._write({**settings, "log.dirs": str(data)})
        return fresh

    def _write(self, settings):
        lines = (f"{key}={value}\n" for key, value in settings.items())
        (self.directory / "broker.properties").write_text("".join(lines))

    def _access(self):
        """Settings for logging in and for what who may do. The password of ADMIN stays the one of the first start."""
        admin = self.directory / "admin.properties"
        if not admin.exists():
            admin.touch(0o600)
            admin.write_text(client_properties(ADMIN, secrets.token_hex(16)))
        return {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config":
                admin.read_text().split("sasl.jaas.config=")[1].strip(),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The broker speaks to its own controller, on a port that no client is told, without logging in.
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
        }

    def _credentials(self):
        if self.sasl_users is None:
            return []
        password = re.search('password="(.*)"', (self.directory / "admin.properties").read_text())[1]
        return [(ADMIN, password), *self.sasl_users.items()]

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + START_LIMIT_S
        while not answers(self.port):
            if not self.running:
                raise KafkaError(f"Kafka ended with status {self.process.returncode}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise KafkaError(f"Kafka does not answer after {START_LIMIT_S} s\n{self.log_tail()}")
            time.sleep(PROBE_PAUSE_S)


def check_topic(name):
    if not TOPIC_NAME.fullmatch(name):
        raise ValueError(f"not the name of a topic: {name!r}")


def pattern(topic):
    """The regular expression of a topic: the tools take `calls.audio` for `callsXaudio`, too."""
    return topic.replace(".", "[.]")


def run(options):
    """Keep a broker in the foreground."""
    def interrupt(*_):
        raise KeyboardInterrupt

    # Set by hand: a shell starts background commands with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        with Broker(options.dir, options.port) as broker:
            if options.topics:
                for topic in sorted(set(TOPICS) - set(broker.topics())):
                    broker.create_topic(topic, TOPIC_PARTITIONS)
            print(broker.bootstrap, flush=True)
            print(f"Kafka {KAFKA} runs; data and log in {broker.directory}; Ctrl-C stops it", file=sys.stderr)
            broker.process.wait()
            raise KafkaError(f"Kafka ended with status {broker.process.returncode}\n{broker.log_tail()}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)


def port_number(text):
    port = int(text)
    if not 0 < port < 65_536:
        raise ValueError(text)
    return port


def main():
    parser = argparse.ArgumentParser(description="An Apache Kafka broker on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("fetch", help="get Kafka into the cache and print its class path")
    foreground = commands.add_parser("run", help="run a broker in the foreground")
    foreground.add_argument("--dir", type=pathlib.Path, default=default_cache() / "kafka-data", help="data and log")
    foreground.add_argument("--port", type=port_number, default=9092)
    foreground.add_argument("--topics", action="store_true", help="create Callmark's topics unless they exist")
    options = parser.parse_args()
    try:
        if options.command == "fetch":
            print(fetch(default_cache()))
        else:
            run(options)
    except KafkaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
