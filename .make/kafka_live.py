#!/usr/bin/env python3
"""Live calls against a real broker: alerts in time, and after kills each call and each alert once.

    kafka_live.py --worker "COMMAND run" --feed "COMMAND feed" [--calls 20] [--concurrent 20] [--speed 1] [--kills 6]
                  [--work DIR] [--engine scripted|whisper] [--seed 1]

Starts a broker of its own (see kafka_broker.py) and feeds the demo recordings as live calls, so many at the same time.
First one worker undisturbed, with messages among them that no call can take: rows, alerts, dead letters, and the time
from the end of an utterance to its alert on the topic. Then, unless --kills is 0, the same calls with three workers,
which are killed, paused past their session and resumed in mid-call, while the broker is restarted: the rows and alerts
must be those of the first run, each once. The last line is `live: passed` with figures; exit status 1 when something
is wrong.
"""
import argparse
import collections
import csv
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from datetime import datetime

import duckdb

from kafka_broker import Broker, free_port
from kafka_fixtures import (ALERTS, AUDIO, DEMO, EVENTS, INTENT, Workers, add_commands, feed, wait_for_partitions, wait_until,
                            write_pipeline)

PARTITIONS = 6
WORKERS = 3
SESSION_MS = 3000
# The contract: from the end of an utterance to its alert, 95 of 100.
ALERT_LIMIT_S = 3.0
# How long after the last chunk everything has to be committed.
SETTLE_LIMIT_S = 120
SETTLE_PAUSE_S = 1
# The disturbances are spread over this much of the calls, which last about a minute.
SHAKEN_S = 50
READER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
WRITER = "org.apache.kafka.tools.ConsoleProducer"
# The reader stops when nothing came for that long.
READER_IDLE_MS = 4000

CHUNK = "codec:{codec},rate:{rate},channel:{channel},seq:0,ts-ms:1780000000000\tpoison\t{value}\n"
# What no session takes, by topic: a message, and what the dead letter has to say.
POISON = {
    AUDIO: ((CHUNK.format(codec="g729", rate=8000, channel=0, value="x"), "the header `codec` has the value `g729`"),
            (CHUNK.format(codec="pcmu", rate=1, channel=0, value="x"), "the sample rate of 1 Hz"),
            (CHUNK.format(codec="pcmu", rate=8000, channel=99, value="x"), "channel 99 is beyond the limit"),
            (CHUNK.format(codec="pcmu", rate=8000, channel=0, value="x" * 200_000), "200000 bytes"),
            ("rate:8000\tpoison\tx\n", "the header `codec` is missing")),
    EVENTS: (("a:b\tpoison\t{\"type\": \"sneezed\"}\n", "the `type` is none of"),
             ("a:b\tpoison\t{\n", "the event cannot be read: line")),
}

def make_calls(folder, count):
    """`count` calls, the demo's in turn, with their metadata; the path of the table."""
    (folder / "audio").mkdir(parents=True)
    with open(DEMO / "calls.csv", newline="") as table:
        demos = list(csv.DictReader(table))
    rows = []
    for number in range(count):
        row = dict(demos[number % len(demos)])
        source = DEMO / row["file"]
        row["call_id"] = f"live-{number:03d}"
        row["file"] = f"audio/{row['call_id']}{source.suffix}"
        shutil.copy(source, folder / row["file"])
        rows.append(row)
    with open(folder / "calls.csv", "w", newline="") as table:
        writer = csv.DictWriter(table, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder / "calls.csv"


def read_alerts(broker, topic):
    """[(ms at which it was sent, alert)] of all messages of a topic that are committed."""
    out, _ = broker.tool(READER, "--topic", topic, "--from-beginning", "--timeout-ms", str(READER_IDLE_MS),
                         "--isolation-level", "read_committed", "--formatter-property", "print.timestamp=true")
    alerts = []
    for line in out.splitlines():
        if line.startswith("CreateTime:"):
            stamp, value = line.split("\t", 1)
            alerts.append((int(stamp.split(":")[1]), json.loads(value)))
    return alerts


def rows_of(out):
    """{call id: its row in figures, its turns, its events}: all that must not depend on who was killed when."""
    def grouped(sql):
        rows = collections.defaultdict(list)
        for call, *rest in duckdb.sql(sql.format(out=out)).fetchall():
            rows[call].append(tuple(rest))
        return rows
    calls = grouped("select call_id, total_conversation_duration_ms, human_request_count, outcome, "
                    "array_to_string(flags, ',') from read_parquet('{out}/calls/date=*/*.parquet')")
    turns = grouped("select call_id, turn_index, channel, speaker, start_ms, end_ms, text "
                    "from read_parquet('{out}/turns/date=*/*.parquet') order by all")
    events = grouped("select call_id, event_index, type, start_ms, end_ms, turn_index, rule_id "
                     "from read_parquet('{out}/events/date=*/*.parquet') order by all")
    return {call: (rows, turns[call], events[call]) for call, rows in calls.items()}


def alert_keys(alerts):
    return sorted((alert["call_id"], alert["type"], alert["ordinal"], alert["start_ms"]) for _, alert in alerts)


class Run:
    """One stream: its topics, dataset, and the workers that read it."""

    def __init__(self, options, broker, work, log, name):
        self.options, self.broker, self.name, self.work = options, broker, name, work / name
        self.work.mkdir()
        self.out, self.log, self.port = self.work / "dataset", log, free_port()
        for topic, partitions in ((AUDIO, PARTITIONS), (EVENTS, PARTITIONS), (ALERTS, 2)):
            broker.create_topic(f"{name}.{topic}", partitions)
        self.workers = Workers(options.worker, self.pipeline("pipeline"), log)

    def pipeline(self, name, **tables):
        source = {"kind": "kafka_live", "name": self.name, "topic": f"{self.name}.{AUDIO}",
                  "events_topic": f"{self.name}.{EVENTS}",
                  "properties": {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 300}}
        output = {"batch_age_ms": 1000, "alerts_topic": f"{self.name}.{ALERTS}", "scored_topic": "",
                  "dead_letters_topic": ""}
        return write_pipeline(self.work / f"{name}.toml", self.broker, self.name, self.out, source=source, output=output,
                              transcription={"engine": self.options.engine, "workers": os.cpu_count()},
                              live={"idle_timeout_s": 60}, run={"shutdown_timeout_s": 10, "give_up_after_s": 120}, **tables)

    def play(self, table, number, meanwhile=lambda: None):
        """Has `number` workers take the calls; `meanwhile()` happens while they go on. Rows and alerts."""
        try:
            # One of them says when they hold their partitions: joining the group is no part of a call's latency.
            self.workers.start(pipeline=self.pipeline("first", admin={"listen": f"127.0.0.1:{self.port}"}))
            wait_for_partitions([self.port], PARTITIONS)
            self.workers.keep(number)
            feeder = self.feed(table)
            meanwhile()
            if feeder.wait() != 0:
                raise AssertionError("the feeder failed")
            self.settle(number)
            self.workers.stop()
        finally:
            for worker in self.workers.running:
                worker.kill()
        return rows_of(self.out), read_alerts(self.broker, f"{self.name}.{ALERTS}")

    def feed(self, table):
        return feed(self.options.feed, self.broker, "--live", "--speed", self.options.speed, "--codec", "pcmu",
                    "--concurrent", self.options.concurrent, "--events-topic", f"{self.name}.{EVENTS}", "--calls", table,
                    table.parent / "audio", topic=f"{self.name}.{AUDIO}", log=self.log)

    def poison(self):
        for topic, messages in POISON.items():
            self.broker.tool(WRITER, "--topic", f"{self.name}.{topic}", "--reader-property", "parse.key=true",
                             "--reader-property", "parse.headers=true", stdin="".join(m for m, _ in messages).encode())

    def unsaid(self):
        """Reasons that no dead letter gives, and how many letters there are too many."""
        reasons = [json.loads(path.read_text())["reason"] for path in self.out.glob("_dead_letters/*.json")]
        wanted = [words for messages in POISON.values() for _, words in messages]
        missing = [words for words in wanted if not any(words in reason for reason in reasons)]
        return missing + ([f"{len(reasons)} dead letters, not {len(wanted)}"] if len(reasons) != len(wanted) else [])

    def settle(self, number):
        """Wait until every message is settled, in the dataset and for the broker."""
        ends, told = {}, {}
        for topic in (AUDIO, EVENTS):
            ends |= {key: end for key, end in self.broker.end_offsets(f"{self.name}.{topic}").items() if end}

        def done():
            self.workers.keep(number)
            told.update({key: at for key, at in self.broker.committed_offsets(self.name).items() if at})
            return told == ends
        wait_until(done, SETTLE_LIMIT_S, SETTLE_PAUSE_S, lambda: f"the broker was told {told} of {ends}")


def shake(workers, broker, count, random_):
    """One disturbance in mid-call."""
    what = random_.choice(["kill", "kill", "kill", "zombie", "broker"])
    worker = random_.choice(workers.running)
    if what == "broker":
        broker.restart()
        workers.count(what)
    elif what == "kill":
        workers.kill(worker, what)
        workers.keep(count)
    else:
        worker.send_signal(signal.SIGSTOP)
        time.sleep(SESSION_MS / 1000 + random_.uniform(0.5, 2))
        worker.send_signal(signal.SIGCONT)
        workers.count(what)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def leftovers(out):
    """What a dataset must not hold when all is done."""
    return [str(path) for pattern in ("_staging/*", f"_commits/*/*/*{INTENT}") for path in out.glob(pattern)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_commands(parser)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--concurrent", type=int, default=20)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--engine", default="scripted", choices=("scripted", "whisper"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=pathlib.Path)
    options = parser.parse_args()
    work = options.work or pathlib.Path(tempfile.mkdtemp(prefix="live-"))
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    table = make_calls(work / "calls", options.calls)
    random_ = random.Random(options.seed)
    wrong, figures = [], []
    begun = time.monotonic()
    with Broker() as broker, open(work / "workers.log", "wb") as log:
        calm = Run(options, broker, work, log, "calm")
        calm.poison()
        rows, alerts = calm.play(table, 1)
        if len(rows) != options.calls or any(len(row[0]) != 1 for row in rows.values()):
            wrong.append(f"{len(rows)} calls of {options.calls}")
        wrong += [f"dead letters: {what}" for what in calm.unsaid()]
        waits = [(sent - stamp_ms(alert["at"])) / 1000 for sent, alert in alerts]
        if not waits:
            wrong.append("no alerts at all")
        else:
            figures.append(f"{len(waits)} alerts")
            # A chunk's stamp is its place in the call: at another speed, stamps and the clock part.
            if options.speed == 1:
                figures.append(f"median {percentile(waits, 0.5):.2f} s, p95 {percentile(waits, 0.95):.2f} s, "
                               f"longest {max(waits):.2f} s")
                if percentile(waits, 0.95) > ALERT_LIMIT_S:
                    wrong.append(f"p95 of alerts is beyond {ALERT_LIMIT_S} s")
        if options.kills:
            shaken = Run(options, broker, work, log, "shaken")

            def disturb():
                for _ in range(options.kills):
                    time.sleep(random_.uniform(0.6, 1.2) * SHAKEN_S / options.speed / options.kills)
                    shake(shaken.workers, broker, WORKERS, random_)
            rows_again, alerts_again = shaken.play(table, WORKERS, disturb)
            for call in sorted(set(rows) | set(rows_again)):
                if rows.get(call) != rows_again.get(call):
                    wrong.append(f"{call} differs: {rows.get(call, ['none'])[0]} and {rows_again.get(call, ['none'])[0]}")
            if alert_keys(alerts) != alert_keys(alerts_again):
                more = collections.Counter(alert_keys(alerts_again))
                more.subtract(alert_keys(alerts))
                wrong.append(f"alerts differ: {[(key, n) for key, n in more.items() if n][:5]}")
            wrong += [f"left behind: {path}" for path in leftovers(shaken.out)]
            figures.append("then " + ", ".join(f"{what} {n}" for what, n in sorted(shaken.workers.counts.items()))
                           + f": {len(rows_again)} calls and {len(alerts_again)} alerts")
        wrong += [f"left behind: {path}" for path in leftovers(calm.out)]
    for line in wrong:
        print(f"WRONG {line}")
    print(f"live: {'FAILED' if wrong else 'passed'}: {options.calls} calls, {min(options.concurrent, options.calls)} at once, "
          f"at {options.speed:g} times real time, "
          f"{options.engine}; {'; '.join(figures)}; {time.monotonic() - begun:.0f} s")
    if not wrong and not options.work:
        shutil.rmtree(work)
    return 1 if wrong else 0


def stamp_ms(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


if __name__ == "__main__":
    sys.exit(main())
