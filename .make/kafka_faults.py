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

from kafka_broker import Broker
from kafka_fixtures import SPEECH, TOPIC, add_commands, create_topics, ends_of, feed, told_to, write_pipeline

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
        self.runs += 1
        path = write_pipeline(
            self.work / f"pipeline-{self.runs}.toml", broker, GROUP, out,
            source={"topic": topic, "allowed_uri_prefixes": [f"file://{self.work}/allowed"], "stop_when_idle_s": 4,
                    "properties": properties or {}},
            audio={"max_bytes": MAX_BYTES}, output={"batch_age_ms": 200}, run={"give_up_after_s": 20})
        done = subprocess.run([*self.worker, str(path)], capture_output=True, text=True, timeout=WORKER_LIMIT_S,
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
        status, said = faults.run(broker, faults.work / "nowhere", topic="calls.recodrings")
        faults.check("a missing topic is named", status == 3 and "no topic calls.recodrings" in said, (status, said))
        status, said = faults.run(broker, out, properties={"fetch.wait.max.sm": 5})
        faults.check("an unknown property is named", status == 2 and "fetch.wait.max.sm" in said, (status, said))


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_commands(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        faults = Faults(options, pathlib.Path(folder).resolve())
        test_messages(faults, SPEECH.read_bytes())
        test_login(faults, SPEECH.read_bytes())
    print(f"{faults.passed} passed, {faults.failed} failed")
    return 1 if faults.failed else 0


if __name__ == "__main__":
    sys.exit(main())
