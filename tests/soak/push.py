"""push.py CYCLES SEED - kill and stop egns-push, egns-topicd and the endpoints at
random under load.

Each event that was acknowledged must have arrived at the endpoint of each
subscription, or be a dead letter with a reason that is one of its endpoint. It
comes twice only when somebody was killed since it came first, and a kill has a bounded
number of them; with `orderBySubject`, events of a subject come in the order of the
log, from where it begins again.
"""
import bisect
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
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../mqtt"))
import raw  # noqa: E402
from broker import Daemon  # noqa: E402
from sweep import ask  # noqa: E402

SUBJECTS = 12
PATIENCE = 2 * raw.PATIENCE  # for what is left at the end
STUCK = 20   # seconds: locks last for 60, and nothing is to wait for that
LAG = 5      # seconds that an endpoint may need for what was sent to it
BATCH, IN_FLIGHT = 20, 8
AGAIN = 200  # attempts: under way, or answered and not yet on topicd's disk
TROUBLE = [{"status": 500}, {"status": 503}, {"status": 408}, {"do": "reset"},
           {"do": "cut"}, {"do": "close"}, {"status": 429}]
BUSY = {"status": 429, "headers": {"Retry-After": "1"}}
NOBODY = "http://127.0.0.1:9"

# name: members of push, what its endpoint does, reasons to end there
SUBSCRIPTIONS = {
    "plain": ({}, [{}], {}),
    "batch": ({"batch": BATCH}, [{}] * 5 + TROUBLE, {}),
    "binary": ({"contentMode": "binary", "abuseProtection": "Off"}, [{}], {}),
    "ordered": ({"orderBySubject": True}, [{}] * 20 + TROUBLE, {}),
    "flaky": ({}, [{}] * 10 + TROUBLE + [BUSY], {}),
    "final": ({"abuseProtection": "Off"}, [{}] * 5 + [{"status": 403}],
              {"Unauthorized": {"Forbidden"}}),
    "dead": ({"abuseProtection": "Off", "maxDeliveryCount": 2}, [{}],
             {"MaxDeliveryCountExceeded": {"SocketError", "Aborted"}}),
    "kafka": ({}, [{}], {}),
}
# An event may be under way, or locked and not come, at each of its deliveries.
EXHAUSTED = {"MaxDeliveryCountExceeded":
             {"Aborted", "Busy", "TimedOut", "SocketError"}}


def subscribe(name, push, port):
    push = dict({"maxInFlight": IN_FLIGHT}, **push)
    to = {"endpointUrl": f"{NOBODY if name == 'dead' else port}/{name}"}
    kind = "WebHook"
    if "batch" in push:
        to["maxEventsPerBatch"] = push.pop("batch")
    if name == "kafka":
        kind = "Kafka"
        with open("cluster.servers", encoding="ascii") as file:
            to = {"bootstrapServers": file.read().strip(), "topic": name}
    push["destination"] = {"endpointType": kind, "properties": to}
    subprocess.run(
        ["egns-ctl", "namespace", "topic", "event-subscription", "create",
         "--topic-name", "soak", "-n", name, "-o", "none",
         "--delivery-configuration",
         json.dumps({"deliveryMode": "Push", "push": push})], check=True)


def behave(trouble):
    with open("always.new", "w", encoding="ascii") as file:
        for name, (_, chances, _) in SUBSCRIPTIONS.items():
            if trouble or name == "final":
                file.write(json.dumps({"path": f"/{name}", "any": chances,
                                       "method": "POST"}) + "\n")
    os.rename("always.new", "server.always")


class Soak:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.stop, self.errors = False, []
        self.acked = set()
        self.kills = []  # when
        self.server = Daemon("server")
        self.push, self.topicd = Daemon("egns-push"), Daemon("egns-topicd")
        self.daemons = [self.push, self.topicd, self.server]

    # ---- load ----

    def publish(self, seed):
        """What is not answered is not sent again: it may be there or not."""
        chance, number = random.Random(seed), 0
        while not self.stop:
            ids = [f"{number + i}" for i in range(chance.choice((1, 1, 5, 30)))]
            number += len(ids)
            events = [{"specversion": "1.0", "id": i, "source": "/soak",
                       "type": "t", "subject": f"s{chance.randrange(SUBJECTS)}",
                       "data": "x" * chance.randrange(2000)} for i in ids]
            try:
                answer = ask("topicd", {"op": "publish", "topic": "soak",
                                        "count": len(ids)}, *events)
                if answer[0]["ok"]:
                    self.acked.update(ids)
            except (OSError, ValueError):
                pass
            time.sleep(chance.random() * 0.2)

    # ---- faults ----

    def kill(self, some):
        for daemon in some:
            how = signal.SIGKILL if self.chance.randrange(4) else signal.SIGTERM
            if how == signal.SIGKILL or daemon is self.server:
                self.kills.append(time.time())
            status = daemon.end(how)
            if how == signal.SIGTERM and status != 0:
                self.errors.append(f"{daemon.name}: exit {status}")
        for daemon in some:
            if not daemon.start():
                self.errors.append(f"{daemon.name}: no start")

    def pause(self, daemon):
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.random() * 2)
        daemon.process.send_signal(signal.SIGCONT)

    def run(self, cycles):
        for daemon in self.daemons:
            assert daemon.start()
        with open("server.port", encoding="ascii") as file:
            port = f"http://127.0.0.1:{file.read().strip()}"
        for name, (push, _, _) in SUBSCRIPTIONS.items():
            subscribe(name, push, port)
        behave(True)
        load = threading.Thread(target=self.publish, args=(str(self.chance),))
        load.start()
        try:
            for cycle in range(cycles):
                time.sleep(self.chance.random() * 0.6)
                if self.chance.randrange(5) == 0:
                    self.pause(self.chance.choice(self.daemons))
                else:
                    self.kill(self.chance.sample(
                        self.daemons, self.chance.choice((1, 1, 1, 2, 3))))
                if self.errors:
                    break
                if sys.stdout.isatty():
                    print(f"\r\033[Kcycle {cycle + 1}", end="", flush=True)
        finally:
            self.stop = True
            load.join()

    # ---- the end ----

    def left(self):
        return {line["subscription"]: (line["pending"], line["inFlight"])
                for line in ask("topicd", {"op": "stats"})[1:]
                if line.get("pending") or line.get("inFlight")}

    def drain(self):
        behave(False)
        subprocess.run(["egns-ctl", "namespace", "update", "-o", "none",
                        "--set", "deliverySchedule=[0]"], check=True)
        begin = last = time.monotonic()
        before = None
        while (left := self.left()):
            now = time.monotonic()
            if left != before:
                before, last = left, now
            if now - last > STUCK or now - begin > PATIENCE:
                self.errors.append(f"left: {left}")
                for line in ask("push", {"op": "stats"})[1:]:
                    if line["subscription"] in left:
                        self.errors.append(json.dumps(line))
                break
            time.sleep(0.05)
        if subprocess.run(["egns-ctl", "audit"], check=False,
                          stdout=subprocess.DEVNULL).returncode != 0:
            self.errors.append("the books do not balance")
        for daemon in self.daemons:
            if daemon.end(signal.SIGTERM) != 0:
                self.errors.append(f"{daemon.name}: it does not end well")

    def judge(self):
        log = list(lines("spool/topics/soak/log/*"))
        place = {e["event"]["id"]: i for i, e in enumerate(log)}
        subject = {e["event"]["id"]: e["event"]["subject"] for e in log}
        ended = endings()
        arrived = arrivals()
        for name, (_, _, reasons) in SUBSCRIPTIONS.items():
            came, dead = arrived[name], ended[name]
            lost = self.acked - set(came) - set(dead)
            if lost:
                self.say(name, "lost", lost)
            if not set(came) | set(dead) <= set(place):
                self.say(name, "nobody published", set(came) - set(place))
            for i, (reason, result) in dead.items():
                if result not in reasons.get(reason, ()) and \
                        result not in EXHAUSTED.get(reason, ()):
                    self.say(name, f"ended as {reason}, {result}", {i})
            self.twice(name, came)
        self.in_order(arrived["ordered"], place, subject)
        self.report(arrived, ended)

    def say(self, name, what, ids):
        self.errors.append(f"{name}: {what}: {len(ids)}: {sorted(ids)[:8]}")

    def twice(self, name, came):
        """Each has a kill before it, and a kill a bounded number of them."""
        most = AGAIN * (BATCH if name == "batch" else 1)
        if name == "kafka":  # which does not tell when
            again = sum(map(len, came.values())) - len(came)
            if again > most * len(self.kills):
                self.errors.append(f"{name}: {again} times again")
            return
        of_kill = collections.Counter()
        for i, times in came.items():
            for first, again in zip(times, times[1:]):
                at = bisect.bisect(self.kills, again)
                if at == 0 or self.kills[at - 1] < first - LAG:
                    self.say(name, f"twice, at {first} and {again}", {i})
                of_kill[at] += 1
        if max(of_kill.values(), default=0) > most:
            self.errors.append(f"{name}: twice: {of_kill}")

    def in_order(self, came, place, subject):
        """What comes behind a later one, which does not come again, is not; a
        repeat begins somewhere and goes on in order."""
        last = {}
        for i in sorted(came, key=lambda i: -place[i]):
            at, later = last.get(subject[i], (float("inf"), None))
            if came[i][0] > at:
                self.say("ordered", f"at {came[i]}, behind {later}, at "
                         f"{came[later]}", {i})
            last[subject[i]] = min((came[i][-1], i), (at, later),
                                   key=lambda pair: pair[0])

    def report(self, arrived, ended):
        print(f"{len(self.acked)} acknowledged, {len(self.kills)} kills")
        for name in SUBSCRIPTIONS:
            times = [len(t) for t in arrived[name].values()]
            print(f"{name}: {len(times)} arrived, {sum(times) - len(times)} "
                  f"again, {len(ended[name])} ended")


def lines(pattern):
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def requests():
    """Without those that the endpoint was killed in: the next is behind them."""
    with open("server.requests", encoding="utf-8") as file:
        for line in file:
            begin = line.rfind('{"connection"')
            if begin != -1 and line.endswith("\n"):
                yield json.loads(line[begin:])


def endings():
    """By subscription: event -> reason and result."""
    found = collections.defaultdict(dict)
    for line in lines("spool/deadletter/new/*"):
        properties = line["deadletterProperties"]
        found[line["subscription"]][line["event"]["id"]] = (
            properties["deadletterreason"], properties["deliveryresult"])
    return found


def arrivals():
    """By subscription: event -> when an endpoint has said 2xx to it."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in requests():
        if line["method"] != "POST" or line["status"] != 200:
            continue
        ids = [event["id"] for event in line.get("events", ())] or \
            [line["headers"]["ce-id"]]
        for i in ids:
            found[line["path"][1:]][i].append(line["time"])
    with open("cluster.servers", encoding="ascii") as file:
        records = subprocess.run(["records", file.read().strip(), "kafka"],
                                 capture_output=True, text=True, check=True)
    for line in map(json.loads, records.stdout.splitlines()):
        found["kafka"][json.loads(line["value"])["id"]].append(0)
    return found


def main():
    soak = Soak(sys.argv[2])
    soak.run(int(sys.argv[1]))
    soak.drain()
    soak.judge()
    for error in soak.errors[:20]:
        print(error)
    sys.exit(bool(soak.errors))


main()
