"""broker.py SHARD OF NAME=VALUE... - egns-brokerd with a fault at each call.

The scenario with the fault of the shim's variables NAME=VALUE (N: the number of
the call) at call SHARD, SHARD + OF and so on, until it ends before the fault is
reached. Then the broker runs again without a fault, and what it acknowledged
has to be there. Says what is not, and with which call; fails then.
"""
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../mqtt"))
import raw  # noqa: E402
from broker import (Broker, Client, Gone, Refused, dropped,  # noqa: E402
                    preload, routed)

LASTS = "clean session-expiry=3600"
BACK = "session-expiry=3600"
# Exit statuses of a broker that has met a fault; it must not crash.
STATUSES = {0, 69, 70, 71, 73, 74, 75, -9}


class Run:
    """One run: what was asked for, what was answered."""

    def __init__(self):
        self.broker = Broker()
        self.acked, self.refused = [], set()  # (topic, payload)
        self.retained = {}   # topic -> what may be there: payloads, None
        self.heard = {}      # session -> what came, in order
        self.answered = {}   # session -> what was acknowledged of that
        self.facts = set()   # steps that were answered
        self.tried = set()
        self.wrong = []

    def fact(self, name, do):
        self.tried.add(name)
        done = do()
        self.facts.add(name)
        return done

    def check(self, true, *words):
        if not true:
            self.wrong.append(" ".join(str(w) for w in words))

    # ---- the scenario ----

    def publish(self, client, *messages, flags=""):
        """Messages TOPIC=PAYLOAD, all at once."""
        ids = {}
        for message in messages:
            topic, _, payload = message.partition("=")
            ids[str(client.next_id())] = (topic, payload)
            self.tried.add((topic, payload))
            if "retain" in flags:
                self.retained.setdefault(topic, {None}).add(payload or None)
            client.say(f"publish {topic} q1 id={client.sent_id} {flags} "
                       f"payload={payload}")
        while ids:
            try:
                got = client.wait("puback")
            except Gone:
                # 3.1.1 is told so; what was behind it may be there
                if client.version != 5 and self.broker.lives():
                    self.refused.add(next(iter(ids.values())))
                raise
            topic, payload = ids.pop(got[1][3:])
            if got[2] in ("00", "10"):
                self.acked.append((topic, payload))
                if "retain" in flags:
                    self.retained[topic] = {payload or None} | {
                        later or None for name, later in ids.values()
                        if name == topic}
            else:
                self.refused.add((topic, payload))

    def take(self, client, session):
        """What has come, and acknowledge the first of it."""
        came = client.messages()
        self.heard.setdefault(session, []).extend(came)
        if came:
            client.say(f"puback id={came[0].id}")
            self.answered.setdefault(session, []).append(came[0])

    def steps(self):
        b = self.broker
        c = {}  # the clients, by name

        def connect(name, words, fact=None):
            def do():
                c[name] = Client(b, name, words)
            self.fact(fact or f"{name} connected", do)

        def subscribe(name, *filters):
            self.fact(f"{name} subscribed", lambda: c[name].subscribe_to(*filters))

        def again():  # 3.1.1 is not told otherwise
            if c["q"].version == 5:
                return
            c["q"].close()
            connect("q", "4 clean", "q")

        yield lambda: connect("s", LASTS)
        yield lambda: subscribe("s", "t/#,q1")
        yield lambda: connect("o", LASTS)
        yield lambda: subscribe("o", "t/#,q1", "will/#,q1")
        yield lambda: c["o"].say("disconnect")
        yield lambda: connect("w", f"{LASTS} will=will/w will-qos=1 "
                              "will-payload=gone will-delay=30")
        yield lambda: connect("p", "clean", "p")
        yield lambda: connect("q", "4 clean", "q")
        yield lambda: self.publish(c["p"], "t/1=1", "t/1=2", "t/1=3")
        yield lambda: self.publish(c["q"], "t/2=1", "t/2=2")
        yield again
        yield lambda: self.take(c["s"], "s")
        yield lambda: self.publish(c["p"], "r/a=1", "r/b=1", flags="retain")
        yield lambda: self.publish(c["p"], "r/a=2", "r/b=", flags="retain")
        yield lambda: self.publish(c["p"], "r/c=1", "r/c=", flags="retain")
        yield lambda: c["s"].subscribe_to("u/#,q1")
        yield lambda: self.fact("s unsubscribed",
                                lambda: c["s"].unsubscribe_from("u/#"))
        yield lambda: connect("e", LASTS)
        yield lambda: subscribe("e", "t/#,q1")
        yield lambda: connect("e", "clean", "e ended")
        yield lambda: connect("n", LASTS)
        yield lambda: subscribe("n", "t/#,q1")
        yield lambda: connect("n", LASTS, "n anew")
        yield lambda: self.publish(c["p"], "t/3=1", flags="expiry=5")
        yield lambda: raw.advance(10)
        yield lambda: connect("o", BACK, "o back")
        yield lambda: self.take(c["o"], "o")
        yield lambda: self.publish(c["p"], "t/1=4", "t/1=5")
        yield lambda: self.publish(c["q"], "t/2=3")
        yield again
        yield lambda: self.take(c["s"], "s")

    def scenario(self):
        for step in self.steps():
            try:
                step()
            except (Gone, Refused, KeyError):
                if not self.broker.lives():
                    return

    # ---- what must be true behind it ----

    def verify(self):
        self.check(self.broker.start(), "the broker does not start again")
        if self.wrong:
            return
        for session in ("s", "o"):
            self.verify_session(session)
        self.verify_others()
        self.verify_retained()
        there = set(routed())
        for message in self.acked:
            self.check(message in there or message[1] == "",
                       "not in route/:", message)
        self.verify_will()
        # and once more: what was over then stays so
        self.broker.end()
        self.check(self.broker.start(), "the broker does not start twice")
        self.verify_others()
        self.verify_retained()
        self.broker.end()

    def verify_session(self, session):
        client = Client(self.broker, session, BACK)
        self.check(client.present or f"{session} connected" not in self.facts,
                   session, "is not present")
        self.check(not client.present or f"{session} connected" in self.tried,
                   session, "is present")
        now = client.drain()
        before = self.heard.get(session, [])
        came = [(m.topic, m.payload) for m in before + now]
        known = {(m.topic, m.payload) for m in before}
        done = {(m.topic, m.payload) for m in self.answered.get(session, [])}
        for m in now:
            key = (m.topic, m.payload)
            self.check(key not in known or m.dup,
                       session, "came again without DUP:", m)
            self.check(key not in self.refused, session,
                       "came though refused:", m)
        if f"{session} subscribed" in self.facts:
            again = {(m.topic, m.payload) for m in now}
            for key in self.acked:
                if not key[0].startswith("t/"):
                    continue
                expired = key == ("t/3", "1")
                self.check(key in came or expired, session, "lost", key)
                self.check(key in again or key in done or expired, session,
                           "has not acknowledged, and it is gone:", key)
        for topic in {key[0] for key in came}:
            order = [int(m.payload) for m in now if m.topic == topic]
            self.check(order == sorted(order), session, "order", topic, order)
        # what it is subscribed to, and what not any more
        probe = Client(self.broker, "p", "clean")
        self.publish(probe, "t/probe=1", "u/probe=1")
        got = {m.topic for m in client.drain()}
        if f"{session} subscribed" in self.facts:
            self.check("t/probe" in got, session, "has lost a subscription")
        if "s unsubscribed" in self.facts:
            self.check("u/probe" not in got, session, "is subscribed again")
        probe.close()
        self.acked = [key for key in self.acked if key[0] != "u/probe"
                      and key[0] != "t/probe"]
        client.say("disconnect")
        client.close()

    def verify_others(self):
        """The session that ended, the one that was begun anew."""
        for name, gone in (("e", "e ended"), ("n", None)):
            client = Client(self.broker, name, BACK)
            if gone in self.facts:
                self.check(not client.present, name, "is back")
            if name == "n" and "n anew" in self.facts:
                self.check(client.present, name, "is not present")
                old = [m for m in client.drain() if m.topic != "t/probe"
                       and (m.topic, m.payload) not in self.late()]
                self.check(not old, name, "has what it had before:", old)
            client.say("disconnect session-expiry=3600")
            client.close()
        # the session that was asked for here is nobody's
        if "e ended" in self.facts:
            Client(self.broker, "e", "clean").close()

    def late(self):
        return {("t/1", "4"), ("t/1", "5"), ("t/2", "3"), ("t/3", "1")}

    def verify_retained(self):
        client = Client(self.broker, "p", "clean")
        client.subscribe_to("r/#,q1")
        there = {m.topic: m.payload for m in client.drain()}
        for topic, may in self.retained.items():
            self.check(there.get(topic) in may, "retained", topic, "is",
                       there.get(topic), "but should be", may)
            self.retained[topic] = {there.get(topic)}
        client.close()

    def verify_will(self):
        """Of the client that was cut off: not before its time, but then."""
        if "w connected" not in self.tried:
            return
        client = Client(self.broker, "o", BACK)
        client.subscribe_to("will/#,q1")
        early = client.drain()
        raw.advance(31)
        wills = []
        for _ in range(50 if "w connected" in self.facts else 1):
            wills += [m for m in client.drain() if m.topic == "will/w"]
            if wills:
                break
            raw.advance(0)
        self.check(not any(m.topic == "will/w" for m in early),
                   "a will before its time")
        if "w connected" in self.facts:
            self.check(len(wills) == 1, len(wills), "wills")
            self.check(("will/w", "gone") in routed(), "no will in route/")
        client.close()


def sweep(shard, of, variables):
    shim = preload()
    n, failures = shard, 0
    while n < 3000:
        for name in ("spool", "trace", "clock"):
            subprocess.run(["rm", "-rf", name], check=True)
        shutil.copytree("template", "spool", symlinks=True)
        with open("clock", "w", encoding="ascii") as file:
            file.write("0\n")
        run = Run()
        env = {"LD_PRELOAD": shim, "SHIM_PATH": "/spool/",
               "SHIM_TRACE": os.path.abspath("trace")}
        for variable in variables:
            name, _, value = variable.partition("=")
            env[name] = value.replace("N", str(n))
        if run.broker.start(**env):
            run.scenario()
        killed = "SHIM_KILL" in env or n % 2
        status = run.broker.end(signal.SIGKILL if killed else signal.SIGTERM)
        # calls that only give room back work when there is none
        run.check(status == 0 if "SHIM_CALLS" in env and not killed else
                  status in STATUSES, "exit status", status)
        with open("trace", encoding="utf-8") as file:
            trace = file.readlines()
        if len(trace) < n:
            break
        try:
            run.verify()
        except (Gone, Refused, OSError) as error:
            run.check(False, "verify:", repr(error))
        finally:
            run.broker.end()
        for wrong in run.wrong:
            print(f"call {trace[n - 1].strip()}: {wrong}", flush=True)
        failures += bool(run.wrong)
        n += of
    print(f"{(n - shard) // of} calls")
    return failures == 0 and n > 30


if __name__ == "__main__":
    sys.exit(not sweep(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
