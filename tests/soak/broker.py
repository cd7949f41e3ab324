"""broker.py CYCLES SEED - kill egns-brokerd at random moments under load.

Publishers and persistent subscribers talk to it all the while; each knows what
was acknowledged. At the end all sessions are drained and held against that.
"""
import collections
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../mqtt"))
from broker import Client, Load, routed  # noqa: E402

RETAINED = 3  # topics


class Soak(Load):
    def __init__(self, seed):
        super().__init__(seed)
        self.retained = {f"r/{n}": {None} for n in range(RETAINED)}
        self.came = collections.defaultdict(list)  # session -> messages

    def retainer(self):
        number = 0

        def work(name, chance):
            nonlocal number
            client = Client(self.broker, name, "clean")
            while not self.stop:
                # several under way at once, of one topic
                topic = f"r/{chance.randrange(RETAINED)}"
                waiting = {}
                for _ in range(chance.randrange(1, 4)):
                    number += 1
                    payload = str(number) if chance.randrange(3) else ""
                    waiting[str(client.next_id())] = payload or None
                    self.retained[topic].add(payload or None)
                    client.say(f"publish {topic} q1 retain "
                               f"id={client.sent_id} payload={payload}")
                while waiting:
                    got = client.wait("puback")
                    last = waiting.pop(got[1][3:])
                    self.retained[topic] = {last, *waiting.values()}
        return work

    def subscriber(self):
        def work(name, chance):
            client = Client(self.broker, name, "session-expiry=3600")
            if not client.present:
                self.errors.append(f"{name}: the session is lost")
            for _ in range(chance.randrange(1, 200)):
                if self.stop:
                    break
                got = client.messages()
                self.came[name] += got
                # what is left without one comes again
                for m in got:
                    if chance.randrange(50):
                        client.say(f"puback id={m.id}")
            if chance.randrange(2):
                client.say("disconnect")
            client.close()
            time.sleep(chance.random() / 10)
        return work

    def run(self, cycles):
        chance = random.Random(self.seed)
        assert self.broker.start()
        for name in ("s", "o"):
            client = Client(self.broker, name, "clean session-expiry=3600")
            client.subscribe_to("t/#,q1")
            client.close()
        threads = [self.forever("p", self.publisher("clean")),
                   self.forever("q", self.publisher("4 clean")),
                   self.forever("w", self.retainer()),
                   self.forever("s", self.subscriber()),
                   self.forever("o", self.subscriber())]
        try:
            for cycle in range(cycles):
                time.sleep(chance.random() * 0.4)
                if chance.randrange(5):
                    self.broker.end(signal.SIGKILL)
                else:
                    status = self.broker.end(signal.SIGTERM)
                    if status != 0:
                        self.errors.append(f"exit status {status}")
                if not self.broker.start():
                    self.errors.append("it does not start again")
                if self.errors:
                    break
                if sys.stdout.isatty():
                    print(f"\r\033[Kcycle {cycle + 1}", end="", flush=True)
            time.sleep(0.2)
        finally:
            self.stop = True
            for thread in threads:
                thread.join()

    def drain(self):
        for name in ("s", "o"):
            client = Client(self.broker, name, "session-expiry=3600")
            self.came[name] += client.drain()
            client.close()
        client = Client(self.broker, "w", "clean")
        client.subscribe_to("r/#,q1")
        there = {m.topic: m.payload for m in client.drain()}
        for topic, may in self.retained.items():
            if there.get(topic) not in may:
                self.errors.append(f"retained {topic} is {there.get(topic)}, "
                                   f"not {may}")
        self.broker.end()

    def judge(self):
        for name, came in sorted(self.came.items()):
            seen, last = set(), collections.defaultdict(int)
            for m in came:
                key = (m.topic, m.payload)
                if key in seen:
                    if not m.dup:
                        self.errors.append(f"{name}: again without DUP: {m}")
                    continue
                seen.add(key)
                if int(m.payload) < last[m.topic]:
                    self.errors.append(f"{name}: {m} after {last[m.topic]}")
                last[m.topic] = int(m.payload)
            lost = self.acked - seen
            if lost:
                self.errors.append(f"{name}: {len(lost)} lost: "
                                   f"{sorted(lost)[:5]}")
        lost = self.acked - set(routed())
        if lost:
            self.errors.append(f"route/: {len(lost)} lost")


def main():
    load = Soak(sys.argv[2])
    load.run(int(sys.argv[1]))
    load.drain()
    load.judge()
    counts = {name: len(came) for name, came in load.came.items()}
    print(f"{len(load.acked)} acknowledged; came {counts}")
    for error in load.errors[:20]:
        print(error)
    sys.exit(bool(load.errors))


main()
