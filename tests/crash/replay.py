"""replay.py SHARD OF NAME=VALUE... - egns-replay with a fault at each call:
sweep.py; with FAULT=topicd egns-topicd meets it while egns-replay runs, and with
INDEX=missing the index is built meanwhile.

Of two blobs one goes back whole; of the other a part does, a part is put aside, and
one stays. Then egns-replay runs again without a fault: each dead letter is in one
place, what goes back is in the topic once more, and the books know of it.
"""
import collections
import glob
import os
import signal
import subprocess
import sys

from sweep import (STATUSES, balance, end_well, fail, keep_template,
                   leftovers, records, sweep, waiting, wait_for)
from broker import Daemon

BOX = "spool/containers/local/deadletter"
BACK, ASIDE, STAYS = ["1", "2", "5", "6"], ["3"], ["4"]
# Done, some put aside, and those of a fault
DONE = {0, 65}
TOPICD = Daemon("egns-topicd")


def template():
    dlq = Daemon("egns-dlq")
    assert TOPICD.start()
    fail("worker", "1", "2", subject="goes")
    fail("worker", "3", subject="goes", op="release")
    fail("worker", "4", subject="stays")
    fail("other", "5", "6", subject="goes")
    # what is released once too often ends when topicd comes round to it
    assert wait_for(lambda: len(list(records("spool/deadletter/new/*"))) == 6,
                    TOPICD)
    assert dlq.start()
    assert wait_for(lambda: not waiting(), dlq)
    assert dlq.end(signal.SIGTERM) == 0
    assert TOPICD.end(signal.SIGTERM) == 0
    assert len(glob.glob(f"{BOX}/**/*.json", recursive=True)) == 2
    with open("policy", "w", encoding="ascii") as file:
        file.write("Rejected rehydrate\nMaxDeliveryCountExceeded quarantine\n")
    assert replay("none") == (0, "")
    assert os.path.exists("spool/replay/index.tch")
    keep_template()


def replay(subject="goes", **env):
    """Its exit status, and what it says."""
    done = subprocess.run(["egns-replay", "--policy", "policy", "--quarantine",
                           "--keep", "--subject", subject], capture_output=True,
                          text=True, check=False, env={**os.environ, **env})
    with open("replay.said", "a", encoding="utf-8") as file:
        file.write(done.stderr)
    return done.returncode, done.stderr


def ids(pattern):
    return sorted(line["id"] for line in records(f"{BOX}/{pattern}/**/*.json"))


def pending():
    """The lines of what is being published."""
    for line in records("spool/replay/pending.ndjson"):
        if "key" in line:
            yield line


def judge(wrong):
    there = collections.Counter(line["event"]["id"] for line in
                                records("spool/topics/orders/log/*"))
    if there != {i: 2 if i in BACK else 1 for i in BACK + ASIDE + STAYS}:
        wrong.append(f"in the topic: {there}")
    for where, want in (("testns", STAYS), ("_quarantine", ASIDE),
                        ("_replayed", BACK)):
        if ids(where) != want:
            wrong.append(f"{where}: {ids(where)}")
    ledger = list(records("spool/replay/*-*.ndjson"))
    said = sorted((line["result"], line["id"]) for line in ledger)
    if said != [("quarantined", i) for i in ASIDE] + \
            [("replayed", i) for i in BACK]:
        wrong.append(f"in the ledger: {said}")
    # what stands in the ledger, too, is ended by the next one who publishes
    if any(line not in ledger for line in pending()):
        wrong.append(f"pending: {list(pending())}")
    if leftovers():
        wrong.append(f"left: {leftovers()}")
    balance(wrong)


def run(env):
    wrong, topicd = [], env.get("FAULT") == "topicd"
    if "INDEX" in env:
        os.unlink("spool/replay/index.tch")
    started = TOPICD.start(**(env if topicd else {}))
    status, words = replay(**({} if topicd else env))
    if status not in STATUSES | DONE:
        wrong.append(f"exit status {status}: {words}")
    if topicd:
        status = TOPICD.end(signal.SIGTERM) if started else \
            TOPICD.process.wait()
        if status not in STATUSES:
            wrong.append(f"exit status {status} of topicd")
        assert TOPICD.start()
    status, words = replay()
    if status not in DONE:
        wrong.append(f"again: exit status {status}: {words}")
    status, words = replay()
    if status != 0 or words:
        wrong.append(f"once more: {status}: {words}")
    judge(wrong)
    end_well(TOPICD, wrong)
    return wrong


if __name__ == "__main__":
    template()
    sys.exit(not sweep(run, 3))
