#!/usr/bin/env python3
"""What goes wrong between an operator and a broker: each a clear error or a dead letter, never a leak, never a crash.

    kafka_faults.py --worker "COMMAND run" --feed "COMMAND feed"

Starts brokers of its own (see kafka_broker.py). The last line is `N passed, N failed`; exit status 1 when one failed.
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from kafka_broker import GROUP_TOOL, Broker
from kafka_fixtures import (ALERTS, AUDIO, DEMO, EVENTS, OUTPUT_TOPICS, SPEECH, TOPIC, add_commands, create_topics, ends_of,
                            feed, told_to, wait_until, write_pipeline)

GROUP = "faults"
WORKER_LIMIT_S = 120
PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
MAX_BYTES, LARGE_BYTES = 2_000_000, 3_000_000


class Faults:
    def __init__(self, options, work):
        self.worker, self.feed = shlex.split(options.worker), options.feed
        self.work, self.passed, self.failed, self.runs = work, 0, 0, 0

    def check(self, name, good, detail=""):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"{'ok    ' if good else 'FAILED'} {name}" + ("" if good else f"\n       {detail!s:.1500}"), flush=True)

    def run(self, broker, out, properties=None, topic=TOPIC, environment=None):
        source = {"topic": topic, "allowed_uri_prefixes": [f"file://{self.work}/allowed"]}
        path = self.pipeline(broker, out, source, properties, audio={"max_bytes": MAX_BYTES})
        return self.told([*self.worker, path], environment)

    def pipeline(self, broker, out, source, properties=None, **tables):
        self.runs += 1
        tables.setdefault("output", {})["batch_age_ms"] = 200
        return write_pipeline(self.work / f"pipeline-{self.runs}.toml", broker, GROUP, out,
                              source={"stop_when_idle_s": 4, "properties": properties or {}, **source},
                              run={"give_up_after_s": 20}, **tables)

    def told(self, command, environment=None):
        """Exit status of a command and all that it says."""
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=WORKER_LIMIT_S,
                              env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout + done.stderr

    def letters(self, out):
        return [json.loads(path.read_text()) for path in sorted(out.glob("_dead_letters/*.json"))]


def login(user):
    return {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": user,
            "sasl.password": {"env": "FAULTS_PASSWORD"}}


def test_messages(faults, speech):
    allowed, out = faults.work / "allowed", faults.work / "messages"
    allowed.mkdir()
    (allowed / "good.wav").write_bytes(speech)
    (faults.work / "secret.wav").write_bytes(speech)
    os.symlink(faults.work / "secret.wav", allowed / "link.wav")
    uris = ["file:///etc/passwd", f"file://{allowed}/../secret.wav", f"file://{allowed}/%2e%2e/secret.wav",
            f"file://{allowed}/link.wav", "http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:22/", "/etc/passwd"]
    rows = [{"call_id": f"refused-{number}", "uri": uri} for number, uri in enumerate(uris)]
    rows.append({"call_id": "good", "uri": f"file://{allowed}/good.wav"})
    rows.append({"call_id": "nothing"})
    audio = faults.work / "odd"
    audio.mkdir()
    (audio / "codec.wav").write_bytes(b"OggS" + bytes(200))
    (audio / "oversize.wav").write_bytes(speech + bytes(LARGE_BYTES))
    with Broker() as broker:
        create_topics(broker, 2, {"max.message.bytes": "16000000"})
        lines = "".join(f"{row['call_id']}\t{json.dumps(row)}\n" for row in rows)
        # The same message again, and a line that is no JSON.
        lines += f"good\t{json.dumps(rows[-2])}\nbroken\t{{\"uri\": \n"
        broker.tool(PRODUCER, "--topic", TOPIC, "--reader-property", "parse.key=true", stdin=lines.encode())
        sent = feed(faults.feed, broker, audio).wait(WORKER_LIMIT_S)
        faults.check("the feeder sends what is odd", sent == 0, sent)
        status, said = faults.run(broker, out)
        faults.check("broken messages stop nothing", status == 0, said)
        letters = {letter["call_id"]: letter for letter in faults.letters(out)}
        refused = [letters.get(f"refused-{number}", {}) for number in range(len(uris))]
        faults.check("every uri outside is refused", all("refused" in (r.get("reason") or "") for r in refused), refused)
        quoted = [p for p in out.glob("_dead_letters/*") if b"root:" in p.read_bytes()]
        faults.check("nothing of what was asked for is quoted", not quoted and "root:" not in said, quoted)
        for name, stage, words in (("codec", "decode", ""), ("oversize", "read", f"the limit is {MAX_BYTES}"),
                                   ("nothing", "parse", "no field `uri`"), ("broken", "parse", "not a JSON object")):
            letter = letters.get(name, {})
            good = letter.get("stage") == stage and words in letter.get("reason", "")
            faults.check(f"{name}: a dead letter that says why", good, letter)
        faults.check("no other dead letters", len(letters) == len(uris) + 4, sorted(letters))
        ends, told = ends_of(broker), told_to(broker, GROUP)
        faults.check("the offsets go on behind the poison", told == ends, (told, ends))
        outside = sum(broker.end_offsets("calls.dead-letters").values())
        faults.check("dead letters are sent, too", outside == len(letters), outside)
        scored = sum(broker.end_offsets("calls.scored").values())
        faults.check("the same message twice is one call", scored == 1, scored)
        test_replay(faults, broker)
        status, said = faults.run(broker, faults.work / "nowhere", topic="calls.recodrings")
        faults.check("a missing topic is named", status == 3 and "no topic calls.recodrings" in said, (status, said))
        status, said = faults.run(broker, out, properties={"fetch.wait.max.sm": 5})
        faults.check("an unknown property is named", status == 2 and "fetch.wait.max.sm" in said, (status, said))


def test_replay(faults, broker):
    """Letters go back to the partition that they came from, whoever sent their messages."""
    topic, out, count = "replayed", faults.work / "replayed", 30
    create_topics(broker, 6, topic=topic)

    def send(said):
        lines = (json.dumps({"call_id": f"chat-{n}", "turns": [{"speaker": "customer", "text": said}]}) for n in range(count))
        values = "".join(f"chat-{n}\t{line}\n" for n, line in enumerate(lines))
        broker.tool(PRODUCER, "--topic", topic, "--reader-property", "parse.key=true", stdin=values.encode())
    send("Hello.")
    send("Something else.")
    status, said = faults.run(broker, out, topic=topic)
    faults.check("the same id with other content is a dead letter", status == 0 and len(faults.letters(out)) == count, said)
    path = faults.pipeline(broker, out, {"topic": topic})
    status, said = faults.told([*faults.worker[:-1], "dead-letters", "replay", out, "--pipeline", path])
    faults.check("dead letters are sent again", status == 0 and not faults.letters(out), (status, said))
    status, said = faults.run(broker, out, topic=topic)
    rows = faults.told([*faults.worker[:-1], "sql", out, "select call_id from calls", "--format", "json"])[1].splitlines()
    good = status == 0 and len(rows) == count and len(faults.letters(out)) == count
    faults.check("and no call is there twice", good, (status, len(rows), len(faults.letters(out)), said))


def test_outage(faults):
    """A broker that goes away ends an idle worker in the time that is set for it."""
    with Broker() as broker:
        create_topics(broker, 1)
        source = {"stop_when_idle_s": 600}
        path = faults.pipeline(broker, faults.work / "outage", source)
        with subprocess.Popen([*faults.worker, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as worker:
            try:
                wait_until(lambda: has_member(broker), 60, 1, lambda: "no member of the group")
                broker.kill()
                said = worker.communicate(timeout=WORKER_LIMIT_S)[1]
            finally:
                worker.kill()
        good = worker.returncode == 3 and "the broker has not answered" in said
        faults.check("a broker that is gone ends the worker", good, (worker.returncode, said))


def has_member(broker):
    """Whether the group has a member."""
    out, _ = broker.tool(GROUP_TOOL, "--describe", "--group", GROUP, "--members")
    return GROUP in out and "callmark" in out


def test_login(faults, speech):
    out, audio = faults.work / "login", faults.work / "one"
    audio.mkdir()
    (audio / "call-1.wav").write_bytes(speech)
    acls = [("worker", operation, "topic", topic) for topic in (TOPIC, "calls.scored", "calls.dead-letters")
            for operation in ("Read", "Write", "Describe")] + [("worker", "Read", "group", GROUP)]
    acls += [("reader", operation, "topic", "*") for operation in ("Read", "Describe")]
    acls += [("reader", "Read", "group", GROUP)]
    acls += [("stranger", "Describe", "topic", "*"), ("stranger", "Read", "topic", "*")]
    users = {"worker": "right-secret", "reader": "reader-secret", "stranger": "stranger-secret", "nobody": "nobody-secret"}
    with Broker(sasl_users=users, acls=acls) as broker:
        create_topics(broker, 1)
        broker.tool(PRODUCER, "--topic", TOPIC, "--reader-property", "parse.key=true",
                    stdin=b'chat-1\t{"turns":[{"speaker":"customer","text":"Hello"}]}\n')

        def run(user, password=None):
            return faults.run(broker, out, login(user), environment={"FAULTS_PASSWORD": password or users[user]})

        status, said = run("worker", "wrong-secret")
        good = status == 3 and "refuses the login" in said and "secret" not in said
        faults.check("a wrong password is said, and not shown", good, (status, said))
        status, said = run("nobody")
        faults.check("a topic without rights is named", status == 3 and "grant" in said and TOPIC in said, (status, said))
        status, said = run("stranger")
        faults.check("a group without rights is named", status == 3 and "grant Read on it" in said, (status, said))
        status, said = run("reader")
        faults.check("no right to write is said", status == 3 and "grant" in said, (status, said))
        status, said = run("worker")
        faults.check("who may, works", status == 0 and "1 calls scored" in said or "calls: 1" in said, (status, said))


def test_live(faults):
    """The rights that live calls need, and `doctor` on them."""
    out = faults.work / "live"
    source = {"kind": "kafka_live", "topic": AUDIO, "events_topic": EVENTS}
    output = {"alerts_topic": ALERTS}
    rights = [("topic", AUDIO, ("Read",)), ("topic", EVENTS, ("Read",)), ("group", GROUP, ("Read",)),
              ("topic", ALERTS, ("Read", "Write", "Describe"))]
    rights += [("topic", topic, ("Write", "Describe")) for topic in OUTPUT_TOPICS]
    acls = [(user, operation, kind, name) for user in ("live", "mute") for kind, name, operations in rights
            for operation in operations]
    acls += [("live", operation, "transactional-id", "callmark-*") for operation in ("Write", "Describe")]
    acls += [("feeder", operation, "topic", topic) for topic in (AUDIO, EVENTS) for operation in ("Write", "Describe")]
    users = {user: f"{user}-secret" for user in ("live", "mute", "feeder")}
    with Broker(sasl_users=users, acls=acls) as broker:
        for topic, partitions in ((AUDIO, 2), (EVENTS, 2), (ALERTS, 1), ("uneven", 3)):
            create_topics(broker, partitions, topic=topic)

        def doctor(user, path):
            command = [*faults.worker[:-1], "doctor", "--kafka", path]
            return faults.told(command, {"FAULTS_PASSWORD": users[user]})

        def run(user, path):
            return faults.told([*faults.worker, path], {"FAULTS_PASSWORD": users[user]})
        path = faults.pipeline(broker, out, {**source, "stop_when_idle_s": 12}, login("live"), output=output)
        status, said = doctor("live", path)
        good = all(words in said for words in (f"topic {AUDIO} has 2 partitions", f"topic {ALERTS} has 1", "may be used"))
        faults.check("doctor finds what live calls need", status == 0 and good, (status, said))
        uneven = faults.pipeline(broker, out, {**source, "events_topic": "uneven"}, login("mute"), output=output)
        status, said = doctor("mute", uneven)
        faults.check("doctor names a topic without rights", status != 0 and "uneven" in said and "grant" in said, (status, said))
        broker.allow("live", "Read", "topic", "uneven")
        uneven = faults.pipeline(broker, out, {**source, "events_topic": "uneven"}, login("live"), output=output)
        status, said = doctor("live", uneven)
        faults.check("doctor says that partitions do not match", status != 0 and "the same number" in said, (status, said))
        status, said = run("live", uneven)
        faults.check("a worker says it, too", status == 3 and "the same number" in said, (status, said))
        secure = [flag for name, value in login("feeder").items() if name != "sasl.password"
                  for flag in ("-X", f"{name}={value}")] + ["-X", "sasl.password=env:FAULTS_PASSWORD"]
        fed = [*shlex.split(faults.feed), "--brokers", broker.bootstrap, "--topic", AUDIO, "--events-topic", EVENTS,
               "--live", "--speed", 10, *secure, "--calls", DEMO / "calls.csv", DEMO / "audio"]
        status, said = faults.told(fed, {"FAULTS_PASSWORD": users["feeder"]})
        faults.check("the feeder logs in", status == 0 and "secret" not in said, (status, said))
        mute = faults.pipeline(broker, out, source, login("mute"), output=output)
        status, said = run("mute", mute)
        faults.check("no right to transactions is said", status == 3 and "transactional ids" in said, (status, said))
        status, said = run("live", path)
        faults.check("who may, hears calls", status == 0 and "secret" not in said, (status, said))
        demos = len(list((DEMO / "audio").iterdir()))
        scored = sum(broker.end_offsets("calls.scored").values())
        faults.check("each call is scored", scored == demos and not faults.letters(out), (scored, faults.letters(out)))
        faults.check("and alerts are sent", sum(broker.end_offsets(ALERTS).values()) > 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_commands(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        faults = Faults(options, pathlib.Path(folder).resolve())
        test_messages(faults, SPEECH.read_bytes())
        test_login(faults, SPEECH.read_bytes())
        test_live(faults)
        test_outage(faults)
    print(f"{faults.passed} passed, {faults.failed} failed")
    return 1 if faults.failed else 0


if __name__ == "__main__":
    sys.exit(main())
