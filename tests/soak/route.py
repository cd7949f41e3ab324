"""route.py CYCLES SEED - kill brokerd, route and topicd at random under load.

Devices publish all the while and know what was acknowledged. At the end all of
it must have arrived in the topic, once, as it was, in the order of its MQTT topic.
"""
import base64
import collections
import glob
import json
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../mqtt"))
from broker import Daemon, Load  # noqa: E402

PATIENCE = 120  # seconds for what waits to arrive


class Soak(Load):
    def __init__(self, seed):
        super().__init__(seed)
        self.daemons = [self.broker, Daemon("egns-route"),
                        Daemon("egns-topicd")]

    def run(self, cycles):
        chance = random.Random(self.seed)
        for daemon in self.daemons:
            assert daemon.start()
        threads = [self.forever(name, self.publisher(words, payload))
                   for name, words in (("p", "clean"), ("q", "4 clean"),
                                       ("r", "clean"))]
        try:
            for cycle in range(cycles):
                time.sleep(chance.random() * 0.4)
                some = chance.sample(self.daemons, chance.choice((1, 1, 2, 3)))
                for daemon in some:
                    how = signal.SIGKILL if chance.randrange(5) else \
                        signal.SIGTERM
                    status = daemon.end(how)
                    if how == signal.SIGTERM and status != 0:
                        self.errors.append(f"{daemon.name}: exit {status}")
                for daemon in some:
                    if not daemon.start():
                        self.errors.append(f"{daemon.name}: no start")
                if self.errors:
                    break
                if sys.stdout.isatty():
                    print(f"\r\033[Kcycle {cycle + 1}", end="", flush=True)
        finally:
            self.stop = True
            for thread in threads:
                thread.join()

    def arrive(self):
        end = time.monotonic() + PATIENCE
        while glob.glob("spool/route/[nc]*/*") and time.monotonic() < end:
            time.sleep(0.05)
        left = glob.glob("spool/route/[nc]*/*")
        if left:
            self.errors.append(f"{len(left)} files are left: {left[:3]}")
        for daemon in self.daemons:
            daemon.end(signal.SIGTERM)

    def judge(self):
        arrived, ids = events("ingest")
        for message, n in arrived.items():
            if n > 1:
                self.errors.append(f"{n} times: {message}")
        if len(ids) != sum(arrived.values()):
            self.errors.append("an id is there twice")
        lost = self.acked - set(arrived)
        if lost:
            self.errors.append(f"{len(lost)} lost: {sorted(lost)[:5]}")
        if glob.glob("spool/dropped/*"):
            self.errors.append("something was dropped")
        last = collections.defaultdict(int)
        for topic, text in arrived:
            number = int(text.partition("-")[0].strip('{}"n:'))
            if number < last[topic]:
                self.errors.append(f"{topic}: {number} after {last[topic]}")
            last[topic] = number
        return sum(arrived.values())


def payload(number):
    """JSON, and what is none."""
    if number % 3 == 0:
        return f'{{"n":{number}}}'
    return f"{number}-{'x' * (number % 200)}"


def events(topic):
    """How often each (subject, payload) is there, in order, and all ids."""
    found, ids = collections.Counter(), set()
    for path in sorted(glob.glob(f"spool/topics/{topic}/log/*")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                event = json.loads(line)["event"]
                ids.add(event["id"])
                if "data_base64" in event:
                    text = base64.b64decode(event["data_base64"]).decode()
                else:
                    text = json.dumps(event["data"], separators=(",", ":"))
                found[event["subject"], text] += 1
    return found, ids


def main():
    load = Soak(sys.argv[2])
    load.run(int(sys.argv[1]))
    load.arrive()
    n = load.judge()
    print(f"{len(load.acked)} acknowledged; {n} arrived")
    for error in load.errors[:20]:
        print(error)
    sys.exit(bool(load.errors))


main()
