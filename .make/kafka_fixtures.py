"""What the tests and measurements on a real broker share: topics, pipeline files, workers, and the dataset they write.

Everything works with the scripted recogniser, so that no weights are needed. Only `Bucket` needs packages
(s3-requirements.txt).
"""
import contextlib
import json
import os
import pathlib
import shlex
import signal
import struct
import subprocess
import time
import urllib.request

TOPIC = "calls.recordings"
AUDIO, EVENTS, ALERTS = "calls.audio", "calls.events", "calls.alerts"
OUTPUT_TOPICS = ("calls.scored", "calls.dead-letters")
STORE_REFUSES, STORE_IS_SILENT = "store refuses", "store is silent"
TABLES = ("calls", "turns", "events")
INTENT = ".intent.json"
DEMO = pathlib.Path(__file__).resolve().parent.parent / "pipelines/demo"
SPEECH = DEMO / "fixtures/speech.wav"
WAV_HEADER = struct.Struct("<4sI8sIHHIIHH4sI")
RATE_HZ = 8000
SAMPLE_BYTES = 2

# From the start of workers until they hold their partitions.
READY_LIMIT_S = 60
READY_PAUSE_S = 0.02
ANSWER_LIMIT_S = 5
# From SIGTERM to the end: the time for calls in flight, and some more.
WORKER_STOP_LIMIT_S = 60
# Requests of one call to the bucket: it is closed now and then.
BUCKET_TRIES = 12


def add_commands(parser):
    parser.add_argument("--worker", required=True, help="called with a pipeline file")
    parser.add_argument("--feed", required=True, help="called with --brokers, --topic and inputs")


def create_topics(broker, partitions, configs=None, topic=TOPIC):
    broker.create_topic(topic, partitions, configs)
    for name in set(OUTPUT_TOPICS) - set(broker.topics()):
        broker.create_topic(name)


def feed(command, broker, *inputs, topic=TOPIC, log=None):
    """The feeder as a process; what it says goes to `log`."""
    return subprocess.Popen([*shlex.split(command), "--brokers", broker.bootstrap, "--topic", topic, *map(str, inputs)],
                            stdin=subprocess.DEVNULL, stderr=log)


def write_pipeline(path, broker, group, out, **tables):
    """A pipeline file for recordings. `tables` ({table: {key: value}}) add to what every test has."""
    written = {
        "source": {"kind": "kafka_recordings", "brokers": broker.bootstrap, "topic": TOPIC, "group": group},
        "transcription": {"engine": "scripted", "language": "en", "workers": 1},
        "output": {"dir": str(out)},
    }
    for name, fields in tables.items():
        written.setdefault(name, {}).update(fields)
    lines = ["version = 1"]
    for name, fields in written.items():
        lines.append(f"[{name}]")
        lines += [f"{json.dumps(key)} = {toml(value)}" for key, value in fields.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def toml(value):
    """Text, numbers and lists are written as in JSON."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(field)}" for key, field in value.items()) + " }"
    return json.dumps(value)


def recording(seconds, channels=1):
    """A WAV file of speech and pauses; one channel speaks at a time."""
    speech = SPEECH.read_bytes()
    speech = speech[speech.index(b"data") + 8:]
    silence, samples = bytes(len(speech)), int(seconds * RATE_HZ)
    data = bytearray(samples * channels * SAMPLE_BYTES)
    for channel in range(channels):
        turn = silence * channel + speech + silence * (channels - 1 - channel)
        side = (turn * (samples * SAMPLE_BYTES // len(turn) + 1))[:samples * SAMPLE_BYTES]
        for byte in range(SAMPLE_BYTES):
            data[channel * SAMPLE_BYTES + byte::channels * SAMPLE_BYTES] = side[byte::SAMPLE_BYTES]
    frame = channels * SAMPLE_BYTES
    return WAV_HEADER.pack(b"RIFF", WAV_HEADER.size - 8 + len(data), b"WAVEfmt ", 16, 1, channels, RATE_HZ,
                           RATE_HZ * frame, frame, 8 * SAMPLE_BYTES, b"data", len(data)) + data


def write_recordings(folder, numbers, wav, poison_every=None):
    """A recording for each of `numbers`, each with other bytes at its end; each `poison_every`-th is none. The names
    of the good and of the broken ones."""
    folder.mkdir(parents=True)
    data, good, broken = bytearray(wav), set(), set()
    for number in numbers:
        name = f"call-{number:05d}"
        if poison_every and number % poison_every == poison_every - 1:
            (folder / f"{name}.wav").write_bytes(b"no recording " + name.encode())
            broken.add(name)
        else:
            data[-4:] = struct.pack("<I", number)
            (folder / f"{name}.wav").write_bytes(data)
            good.add(name)
    return good, broken


def ends_of(broker, topic=TOPIC):
    """{partition: offset behind its last message}, of those that have one."""
    return {partition: end for (_, partition), end in broker.end_offsets(topic).items() if end}


def told_to(broker, group):
    """{partition: offset} as the group has told the broker."""
    return {partition: offset for (_, partition), offset in broker.committed_offsets(group).items()}


def wait_until(condition, limit_s, pause_s, what):
    """Waits for `condition()`; an error with what `what()` says where it takes too long."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {limit_s} s: {what()}")
        time.sleep(pause_s)


def metric(port, name):
    """What a worker with [admin] listen on `port` says of itself; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_LIMIT_S) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)


def wait_for_partitions(ports, count):
    """Waits until workers hold `count` partitions between them."""
    def held():
        return sum(metric(port, "callmark_partitions") for port in ports)
    wait_until(lambda: held() == count, READY_LIMIT_S, READY_PAUSE_S, lambda: f"{held()} of {count} partitions held")


class Workers:
    """Processes of one group. `counts` says what was done to them."""

    def __init__(self, command, pipeline, log, environment=None):
        self.command, self.pipeline, self.log = shlex.split(command), pipeline, log
        self.environment = environment or {}
        self.running, self.counts = [], {}

    def start(self, failpoint=None, pipeline=None):
        environment = {**os.environ, **self.environment, "CALLMARK_LOG": "callmark_pipeline=info"}
        if failpoint:
            environment["CALLMARK_FAILPOINT"] = failpoint
        worker = subprocess.Popen([*self.command, str(pipeline or self.pipeline)], env=environment,
                                  stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.running.append(worker)
        return worker

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def keep(self, number, failpoint=None):
        """Restart the dead. A worker may die by a signal only, never by an error of its own."""
        for worker in list(self.running):
            status = worker.poll()
            if status is not None:
                self.running.remove(worker)
                if status == -signal.SIGABRT:
                    self.count("died at a step")
                if status > 0:
                    raise AssertionError(f"a worker ended with exit status {status}: see {self.log.name}")
        while len(self.running) < number:
            self.start(failpoint)
            failpoint = None

    def kill(self, worker, what):
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.running.remove(worker)
        self.count(what)

    def stop(self):
        """As an operator does: each ends by itself with status 0."""
        for worker in self.running:
            worker.send_signal(signal.SIGTERM)
        for worker in self.running:
            status = worker.wait(WORKER_STOP_LIMIT_S)
            # One that was told to die at a step may come to it while it stops; whoever starts next mends it.
            if status == -signal.SIGABRT:
                self.count("died at a step")
            elif status != 0:
                raise AssertionError(f"a worker told to stop ended with {status}")
        self.running.clear()


@contextlib.contextmanager
def ended(processes):
    """Kills what is left of `processes` when the block ends, however it ends."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


class Place:
    """Where a dataset lies. `dir` is what a pipeline file says, `environment` what a worker needs to get there."""

    environment = {}
    # Disturbances that only this kind of place knows.
    faults = ()

    def __init__(self, directory):
        self.dir = directory
        self.known, self.next = set(), {}

    def committed(self, topic=TOPIC):
        """{partition: next offset} as the dataset's records tell. A record never changes: each is read once."""
        for path in self.names(f"_commits/{topic}/"):
            if path in self.known or path.endswith(INTENT) or not path.endswith(".json"):
                continue
            try:
                last = json.loads(self.read(path))["last"]
            except (OSError, ValueError):
                continue  # it is just being written
            self.known.add(path)
            partition = int(path.split("/")[2])
            self.next[partition] = max(self.next.get(partition, 0), last + 1)
        return self.next

    def wait_for(self, ends, limit_s, pause_s=0.5, meanwhile=lambda: None, topic=TOPIC):
        """Waits until all up to `ends` is committed."""
        def done():
            meanwhile()
            return self.committed(topic) == ends
        wait_until(done, limit_s, pause_s, lambda: f"committed is {self.next} of {ends}")


class Folder(Place):
    """A dataset on this machine."""

    def __init__(self, folder):
        super().__init__(str(folder))
        self.folder = folder

    def names(self, prefix):
        return [str(path.relative_to(self.folder)) for path in self.folder.glob(f"{prefix}**/*") if path.is_file()]

    def read(self, name):
        return (self.folder / name).read_bytes()

    def fetched(self):
        """The dataset as a folder."""
        return self.folder


class Bucket(Place):
    """A dataset on an S3 server (see s3_server.py); `folder` is for what is fetched of it."""

    PREFIX = "calls/dataset"
    faults = (STORE_REFUSES, STORE_IS_SILENT)

    def __init__(self, server, folder):
        import boto3
        from botocore.config import Config
        super().__init__(f"s3://{server.bucket}/{self.PREFIX}")
        self.environment = server.environment()
        self.server, self.folder = server, folder
        self.client = boto3.client(
            "s3", endpoint_url=server.url, region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"mode": "standard", "total_max_attempts": BUCKET_TRIES}))

    def names(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.server.bucket, Prefix=f"{self.PREFIX}/{prefix}")
        return [found["Key"].removeprefix(f"{self.PREFIX}/") for page in pages for found in page.get("Contents", ())]

    def read(self, name):
        return self.client.get_object(Bucket=self.server.bucket, Key=f"{self.PREFIX}/{name}")["Body"].read()

    def fetched(self):
        for name in self.names(""):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(name))
        return self.folder


def cpu_seconds(pid):
    """Processor time of a process until now."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
