"""dead.py CYCLES SEED - kill and stop egns-dlq, egns-replay, egns-push and
egns-topicd at random, and take containers away, while events fail and come back.

A push subscription has an endpoint that refuses some, those who receive from queues
reject some, and two loops give back what failed, as cron would. At the end each event
that was acknowledged has arrived, is in a container, or was dropped with a record; each
dead letter that was written is in a container or in the ledger; and the topic has what
the ledger says, no more and no less.
"""
import collections
import glob
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../crash"))
from sweep import ask, balance, end_well, records, set_clock, waiting  # noqa: E402
import raw  # noqa: E402
from broker import Daemon  # noqa: E402

PATIENCE = 3 * raw.PATIENCE  # for what is left at the end
BOX, AWAY = "spool/containers/local/deadletter", "away"
BACK = ("Unauthorized", "Rejected")  # what the loops bring back
# Of egns-replay: done, or to be tried later, or killed
STATUSES = {0, 75, -9}
QUEUES = ("work", "away", "lost")  # lost: what is not written at once is dropped
OFF = {"endpointType": "Directory", "properties": {"path": os.path.abspath("away")}}


def subscribe(name, delivery):
    subprocess.run(
        ["egns-ctl", "namespace", "topic", "event-subscription", "create",
         "--topic-name", "orders", "-n", name, "-o", "none",
         "--delivery-configuration", json.dumps(delivery)], check=True)


def subscribe_all(port):
    subscribe("hook", {"deliveryMode": "Push", "push": {
        "abuseProtection": "Off", "maxInFlight": 8, "destination": {
            "endpointType": "WebHook",
            "properties": {"endpointUrl": f"http://127.0.0.1:{port}/hook"}}}})
    subscribe("work", {"deliveryMode": "Queue", "queue": {}})
    for name, days in (("away", 2), ("lost", 0)):
        subscribe(name, {"deliveryMode": "Queue", "queue": {
            "deadLetterDestinationWithResourceIdentity": {
                "deadLetterDestination": OFF,
                "deliveryRetryPeriodInDays": days}}})


def behave(*chances):
    with open("always.new", "w", encoding="ascii") as file:
        file.write(json.dumps({"path": "/hook", "any": chances,
                               "method": "POST"}) + "\n")
    os.rename("always.new", "server.always")


class Replay:
    """A loop of it; `process` is what runs now, or has."""

    def __init__(self, name):
        self.name, self.process = name, None

    def once(self):
        with open(f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                ["egns-replay", "--reason", ",".join(BACK)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.process.wait()

    def runs(self):
        return self.process is not None and self.process.poll() is None


class Soak:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.stop = self.fail = False
        self.errors, self.acked = [], set()
        self.taken = collections.defaultdict(set)  # by queue: acknowledged, or so
        self.kills = 0
        self.server, self.topicd = Daemon("server"), Daemon("egns-topicd")
        self.push, self.dlq = Daemon("egns-push"), Daemon("egns-dlq")
        self.daemons = [self.topicd, self.push, self.dlq, self.dlq]
        self.replays = [Replay("replay1"), Replay("replay2")]

    # ---- load ----

    def publish(self, chance):
        """What is not answered is not sent again: it may be there or not."""
        number = 0
        while self.fail:
            ids = [f"{number + i}" for i in range(chance.choice((1, 1, 5, 20)))]
            number += len(ids)
            events = [{"specversion": "1.0", "id": i, "source": "/soak",
                       "type": "t", "data": "x" * chance.randrange(2000)}
                      for i in ids]
            try:
                answer = ask("topicd", {"op": "publish", "topic": "orders",
                                        "count": len(ids)}, *events)
                if answer[0]["ok"]:
                    self.acked.update(ids)
            except (OSError, ValueError):
                pass
            time.sleep(chance.random() * 0.2)

    def settle(self, name, op, lines):
        if not lines:
            return
        if op == "acknowledge":
            self.taken[name].update(line["event"]["id"] for line in lines)
        ask("topicd", {"op": op, "topic": "orders", "subscription": name,
                       "lockTokens": [line["brokerProperties"]["lockToken"]
                                      for line in lines]})

    def consume(self, name, chance):
        """Rejects one of four, while that is what is tested."""
        while not self.stop:
            try:
                lines = ask("topicd", {
                    "op": "receive", "topic": "orders", "subscription": name,
                    "maxEvents": 20, "maxWaitTime": 0})[1:]
                bad = [line for line in lines
                       if self.fail and chance.randrange(4) == 0]
                self.settle(name, "reject", bad)
                self.settle(name, "acknowledge",
                            [line for line in lines if line not in bad])
            except (OSError, ValueError):
                lines = []
            if not lines:
                time.sleep(0.05)

    def bring_back(self, replay, chance):
        while not self.stop:
            status = replay.once()
            if status not in STATUSES:
                self.errors.append(f"{replay.name}: exit status {status}")
            time.sleep(chance.random() * 0.3)

    # ---- faults ----

    def kill(self, daemon):
        how = signal.SIGKILL if self.chance.randrange(4) else signal.SIGTERM
        self.kills += how == signal.SIGKILL
        status = daemon.end(how)
        if how == signal.SIGTERM and status != 0:
            self.errors.append(f"{daemon.name}: exit {status}")
        if not daemon.start():
            self.errors.append(f"{daemon.name}: no start")

    def kill_replay(self):
        """One that runs; now and then what it has sent is not answered yet."""
        replay = self.chance.choice(self.replays)
        stops = self.chance.randrange(3) == 0
        if stops:
            self.topicd.process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 1
        while not replay.runs() and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(self.chance.random() * (0.3 if stops else 0.03))
        if replay.runs():
            self.kills += 1
            replay.process.kill()
        if stops:
            self.topicd.process.send_signal(signal.SIGCONT)

    def pause(self, process):
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.random())
        process.send_signal(signal.SIGCONT)

    def take_away(self, path):
        os.rename(path, f"{path}.gone")
        time.sleep(self.chance.random() * 2)
        os.rename(f"{path}.gone", path)

    def disturb(self):
        kind = self.chance.randrange(10)
        if kind < 4:
            self.kill(self.chance.choice(self.daemons))
        elif kind < 7:
            self.kill_replay()
        elif kind < 8:
            self.pause(self.chance.choice(self.daemons + self.replays).process)
        else:
            self.take_away(self.chance.choice((BOX, AWAY)))

    def run(self, cycles):
        os.mkdir(AWAY)
        for daemon in (self.server, self.topicd, self.push, self.dlq):
            assert daemon.start()
        with open("server.port", encoding="ascii") as file:
            subscribe_all(file.read().strip())
        behave({}, {}, {}, {"status": 403}, {"status": 401})
        self.fail = True
        threads = [threading.Thread(target=work, args=args) for work, *args in (
            (self.publish, self.another()),
            *((self.consume, name, self.another()) for name in QUEUES),
            *((self.bring_back, r, self.another()) for r in self.replays))]
        for thread in threads:
            thread.start()
        try:
            for cycle in range(cycles):
                time.sleep(self.chance.random() * 0.5)
                self.disturb()
                if self.errors:
                    break
                if sys.stdout.isatty():
                    print(f"\r\033[Kcycle {cycle + 1}", end="", flush=True)
            self.drain()
        finally:
            self.stop = True
            for thread in threads:
                thread.join()

    def another(self):
        return random.Random(self.chance.random())

    # ---- the end ----

    def left(self):
        """What has not ended, or could go back."""
        found = [(line["subscription"], line["pending"], line["inFlight"])
                 for line in ask("topicd", {"op": "stats"})[1:]
                 if line.get("pending") or line.get("inFlight")]
        return found + waiting() + [letter["id"] for _, letter in letters()
                                    if reason(letter) in BACK]

    def drain(self):
        self.fail = False
        behave({})
        set_clock(1000)  # locks of those who were killed are over
        end = time.monotonic() + PATIENCE
        while True:
            try:
                left = self.left()
            except (OSError, ValueError):  # a blob that is just replaced
                left = ["?"]
            if not left or time.monotonic() > end:
                break
            time.sleep(0.1)
        if left:
            self.errors.append(f"left: {left[:8]}")

    def judge(self):
        balance(self.errors)
        written = {(line["subscription"], offset)
                   for line in records("spool/deadletter/written/*")
                   for offset in line.get("offsets", ())}
        ledger = list(records("spool/replay/*-*.ndjson"))
        replayed = collections.Counter(
            (line["subscription"], line["offset"]) for line in ledger)
        there = {(name, letter["deadletterProperties"]["offset"])
                 for name, letter in letters()}
        dropped = list(records("spool/dropped/*"))
        self.none("twice in the ledger",
                  {place for place, n in replayed.items() if n > 1})
        self.none("nowhere", written - set(replayed) - there)
        self.none("never written", set(replayed) - written)
        self.same(ledger)
        for line in dropped:
            if line["reason"] != "DeadLetterWriteFailed" or \
                    line["subscription"] != "lost":
                self.errors.append(f"dropped: {line}")
        ended = collections.defaultdict(set)
        for name, letter in letters():
            ended[name].add(letter["id"])
        for line in dropped:
            ended[line["subscription"]].add(line["event"]["id"])
        self.taken["hook"] = arrived()
        for name in ("hook", *QUEUES):
            self.none(f"{name}: lost",
                      self.acked - self.taken[name] - ended[name])
        print(f"{len(self.acked)} acknowledged, {self.kills} kills; "
              f"{len(written)} dead letters written, {len(ledger)} replayed, "
              f"{len(there)} left, {len(dropped)} dropped")

    def same(self, ledger):
        """What went back to a subscription is in the topic as often."""
        said = collections.Counter((line["subscription"], line["id"])
                                   for line in ledger)
        found = collections.Counter(
            (line["subscription"], line["event"]["id"])
            for line in records("spool/topics/orders/log/*")
            if "subscription" in line)
        self.none("in the ledger, not in the topic", set(said - found))
        self.none("in the topic, not in the ledger", set(found - said))

    def none(self, what, some):
        if some:
            self.errors.append(f"{what}: {len(some)}: {sorted(some)[:8]}")


def reason(letter):
    return letter["deadletterProperties"]["deadletterreason"]


def letters():
    """All in containers, with their subscription."""
    for box in (BOX, AWAY):
        for path in glob.glob(f"{box}/**/*.json", recursive=True):
            for letter in records(path):
                yield path[len(box):].split("/")[3], letter


def arrived():
    """What the endpoint has said 200 to."""
    found = set()
    with open("server.requests", encoding="utf-8") as file:
        for line in map(json.loads, file):
            if line["status"] == 200:
                found.update(event["id"] for event in line.get("events", ()))
    return found


def main():
    soak = Soak(sys.argv[2])
    daemons = (soak.push, soak.dlq, soak.topicd, soak.server)
    try:
        soak.run(int(sys.argv[1]))
        soak.judge()
        for daemon in daemons:
            end_well(daemon, soak.errors)
    finally:
        for daemon in daemons:
            daemon.end()
    for error in soak.errors[:20]:
        print(error)
    sys.exit(bool(soak.errors))


main()
