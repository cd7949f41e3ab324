"""push.py SHARD OF NAME=VALUE... - egns-push with a fault at each call.

Events wait and more come; one endpoint has to be asked first and fails once, one
takes batches, one fails for good until its circuit breaker says stop, and two
subscriptions are put on hold and freed by hand while the fault of the shim's
variables NAME=VALUE (N: the number of the call) is at call SHARD, SHARD + OF and
so on, until all is done before the fault is reached. Then egns-push runs again
without a fault: what it has answered is in force, each event arrives or is a dead
letter, and comes twice only when it was under way. Says what is not so, and with
which call; fails then.
"""
import collections
import glob
import json
import os
import signal
import sys

from sweep import (STATUSES, ask, balance, end_well, keep_template, records,
                   sweep, wait_for)
import raw
from broker import Daemon

TOPICD = Daemon("egns-topicd")
EARLY, LATE = ["1", "2", "3", "4"], ["5", "6"]
SUBSCRIPTIONS = ("hook", "batch", "bad", "held", "freed")
IN_FLIGHT = 2  # maxInFlight of all
BATCH = 3      # maxEventsPerBatch of batch
FAILURES = 2   # of bad's circuit breaker
SCRIPT = '{"path":"/hook","status":500}\n'
ALWAYS = '{"path":"/bad","status":403}\n'


def publish(ids):
    events = [{"specversion": "1.0", "id": i, "source": "/test", "type": "t",
               "subject": "s"} for i in ids]
    answer = ask("topicd", {"op": "publish", "topic": "orders",
                            "count": len(ids)}, *events)
    assert answer[0]["ok"], answer


def told(op, subscription):
    """Has egns-push said that it is so?"""
    try:
        return ask("push", {"op": op, "topic": "orders", "by": "a test",
                            "subscription": subscription})[0]["ok"]
    except (OSError, ValueError):
        return False


def state():
    """Of egns-push: by whom each subscription is on hold, or None."""
    lines = ask("push", {"op": "stats"})[1:]
    return {line["subscription"]: line.get("by") for line in lines}


def books():
    """Of egns-topicd: what each subscription has to do."""
    lines = ask("topicd", {"op": "stats"})[1:]
    return {line["subscription"]: line["pending"] + line["inFlight"]
            for line in lines if "subscription" in line}


def locked(subscription):
    lines = ask("topicd", {"op": "peek", "topic": "orders", "maxEvents": 100,
                           "subscription": subscription})[1:]
    return {line["event"]["id"] for line in lines
            if line["brokerProperties"]["state"] == "locked"}


def arrived():
    """How often each event has come, by path."""
    found = collections.defaultdict(collections.Counter)
    if os.path.exists("server.requests"):
        with open("server.requests", encoding="utf-8") as file:
            for line in map(json.loads, file):
                for event in line.get("events", ()):
                    found[line["path"][1:], line["status"]][event["id"]] += 1
    return found


def orders(script, always):
    for name, text in (("script", script), ("always", always)):
        with open(f"{name}.new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(f"{name}.new", f"server.{name}")


def all_done(but=()):
    """Nothing is left, where nobody says stop."""
    by, left = state(), books()
    return all(left[name] == 0 or (name in but and by[name])
               for name in SUBSCRIPTIONS)


def template():
    assert TOPICD.start()
    publish(EARLY)
    TOPICD.end(signal.SIGTERM)
    keep_template()


def file_says(name):
    """Who it is on hold by, as a file tells."""
    try:
        with open(f"spool/push/orders/{name}.json", encoding="ascii") as file:
            return json.load(file).get("hold", {}).get("by")
    except FileNotFoundError:
        return None


def with_fault(env, wrong):
    """What was answered, and what was on its way at the end."""
    push, said = Daemon("egns-push"), {}
    if push.start(**env):
        said = {"held": told("hold", "held"), "freed": told("unhold", "freed")}
        publish(LATE)
        # a hold that was refused may be on disk, or not: nobody has said so
        if not wait_for(lambda: all_done(("bad", "held", "freed")), push):
            wrong.append(f"it stands still: {books()}")
        status = push.end(signal.SIGTERM)
    else:
        publish(LATE)
        status = push.process.wait(raw.PATIENCE)
    if status not in STATUSES:
        wrong.append(f"exit status {status}")
    return said, {name: locked(name) for name in SUBSCRIPTIONS}


def without(said, wrong):
    push = Daemon("egns-push")
    breaker = file_says("bad")
    if not push.start():
        wrong.append("it does not start")
        return
    by = state()
    if said.get("held") and by["held"] != "a test":
        wrong.append("the hold is forgotten")
    if said.get("freed") and by["freed"]:
        wrong.append("the end of the hold is forgotten")
    if breaker and by["bad"] != "circuitBreaker":
        wrong.append("what the circuit breaker said is forgotten")
    if not wait_for(lambda: all_done(("bad", "held", "freed")), push):
        wrong.append(f"it does not go on: {books()}")
    orders("", "")
    for name in ("bad", "held", "freed"):
        if not told("unhold", name):
            wrong.append(f"{name} cannot be freed")
    if not wait_for(all_done, push):
        wrong.append(f"it does not come to an end: {books()}")
    end_well(push, wrong)


def judge(under_way, wrong):
    after, ended = arrived(), collections.Counter()
    for line in records("spool/deadletter/new/*"):
        properties = line["deadletterProperties"]
        ended[line["event"]["id"]] += 1
        if (properties["deadletterreason"], properties["deliveryresult"]) != \
                ("Unauthorized", "Forbidden"):
            wrong.append(f"ended: {line}")
    for name in SUBSCRIPTIONS:
        there = set(after[name, 200])
        if name == "bad":
            there |= set(ended)
        if there != set(EARLY + LATE):
            wrong.append(f"{name}: arrived: {sorted(there)}")
        twice = {i for i, n in after[name, 200].items() if n > 1}
        # what is answered and not told, and as much that was sent since
        most = 2 * IN_FLIGHT * (BATCH if name == "batch" else 1)
        if not twice <= under_way[name] or len(twice) > most or \
                max(after[name, 200].values(), default=0) > 2:
            wrong.append(f"{name}: twice: {after[name, 200]}, and under way "
                         f"were {under_way[name]}")
    if max(ended.values(), default=0) > 1 or len(ended) > 2 * FAILURES:
        wrong.append(f"ended: {ended}")
    balance(wrong)


def run(env):
    wrong = []
    orders(SCRIPT, ALWAYS)
    assert TOPICD.start()
    said, under_way = with_fault(env, wrong)
    if "SHIM_KILL" not in env and any(under_way.values()):
        wrong.append(f"it has kept {under_way}")
    without(said, wrong)
    judge(under_way, wrong)
    TOPICD.end()
    return wrong


if __name__ == "__main__":
    template()
    sys.exit(not sweep(run, 10, "server.requests"))
