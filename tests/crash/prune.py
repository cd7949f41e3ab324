"""prune.py SHARD OF NAME=VALUE... - egns-dlq prune with a fault at each call:
sweep.py.

Of two blobs one goes whole, of the other a part. Then it runs again without a fault:
what is meant is gone, the rest is there, and the books know why.
"""
import os
import signal
import subprocess
import sys

from sweep import (STATUSES, balance, fail, keep_template, leftovers, records,
                   set_clock, sweep, waiting, wait_for)
from broker import Daemon

BOX = "spool/containers/local/deadletter"
STAYS = ["3", "4"]


def template():
    topicd, dlq = Daemon("egns-topicd"), Daemon("egns-dlq")
    assert topicd.start() and dlq.start()
    fail("other", "1", "2", subject="goes")
    assert wait_for(lambda: not waiting(), dlq)
    assert dlq.end(signal.SIGTERM) == 0
    fail("worker", "3", subject="stays")
    fail("worker", "5", "6", subject="goes")
    fail("worker", "4", subject="stays")
    assert dlq.start()
    assert wait_for(lambda: not waiting(), dlq)
    assert dlq.end(signal.SIGTERM) == 0
    assert topicd.end(signal.SIGTERM) == 0
    set_clock(100)
    keep_template()


def prune(**env):
    done = subprocess.run(["egns-dlq", "prune", "--older-than", "10s",
                           "--subject", "goes"], capture_output=True, text=True,
                          check=False, env={**os.environ, **env})
    return done.returncode, done.stderr


def run(env):
    wrong = []
    status, words = prune(**env)
    if status not in STATUSES:
        wrong.append(f"exit status {status}: {words}")
    there = {line["id"] for line in records(f"{BOX}/**/*.json")}
    if not there.issuperset(STAYS):
        wrong.append(f"in the container: {there}")
    balance(wrong)
    status, words = prune()
    if status != 0:
        wrong.append(f"again: exit status {status}: {words}")
    there = sorted(line["id"] for line in records(f"{BOX}/**/*.json"))
    if there != STAYS or leftovers():
        wrong.append(f"in the container: {there}; left: {leftovers()}")
    balance(wrong)
    return wrong


if __name__ == "__main__":
    template()
    sys.exit(not sweep(run, 3, SHIM_PATH="/spool/"))
