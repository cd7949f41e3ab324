"""dlq.py SHARD OF NAME=VALUE... - egns-dlq with a fault at each call: sweep.py.

Records wait in deadletter/ and more come; those of the subscription `worker` have a
container, those of `late` get theirs while egns-dlq works, after some that wait
together have become one parcel, and those of `lost` are given up. Then egns-dlq
runs again without a fault: each dead letter is in one blob or in dropped/, and the
books know of it.
"""
import collections
import glob
import os
import signal
import subprocess
import sys

from sweep import (STATUSES, ask, balance, end_well, fail, keep_template,
                   leftovers, records, set_clock, sweep, waiting, wait_for)
import raw
from broker import Daemon

BOX = "spool/containers/local"
WRITTEN = ["l1", "l2", "l3", "l4", "l5", "w1", "w2", "w3", "w4"]
DROPPED = {"x1", "x2"}
TOPICD = Daemon("egns-topicd")


def late(member):
    """What egns-dlq says of the container that comes late."""
    for line in ask("dlq", {"op": "stats"})[1:]:
        if line["container"] == "local/late":
            return line.get(member, 0)
    return 0


def template():
    """Some are sorted, and tried, by an earlier run, that tries nothing twice."""
    dlq = Daemon("egns-dlq")
    assert TOPICD.start()
    assert dlq.start()
    for i in (1, 2, 3):
        fail("late", f"l{i}")
        assert wait_for(lambda n=i: late("parcels") == n, dlq)
    assert dlq.end(signal.SIGTERM) == 0
    assert len(glob.glob("spool/deadletter/sorted/*")) == 2
    fail("worker", "w1", "w2", "w3")
    fail("late", "l4")
    fail("lost", "x1", "x2")
    os.rename("spool/deadletter/new", "kept")
    os.mkdir("spool/deadletter/new")
    fail("worker", "w4")
    fail("late", "l5")
    os.rename("spool/deadletter/new", "stash")
    os.rename("kept", "spool/deadletter/new")
    TOPICD.end(signal.SIGTERM)
    subprocess.run(["egns-ctl", "namespace", "update", "-o", "none", "--set",
                    "deadLetterSchedule=[1]"], check=True)
    keep_template()


def more_come():
    for path in glob.glob("stash/*"):
        os.link(path, f"spool/deadletter/new/{os.path.basename(path)}")


def go_on(dlq):
    """All is done: what waits for its time, or for room, need not."""
    seconds = 0

    def done():
        nonlocal seconds
        seconds += 1
        set_clock(seconds)
        ask("dlq", {"op": "retry"})
        return not waiting()
    return wait_for(done, dlq)


def with_fault(env, wrong):
    dlq = Daemon("egns-dlq")
    lives = dlq.start(**env)
    if lives and not wait_for(lambda: not glob.glob("spool/deadletter/new/*")
                              and late("attempts"), dlq):
        wrong.append("it takes nothing")
    more_come()
    if lives and not wait_for(lambda: glob.glob(f"{BOX}/deadletter/**/*.json",
                                                recursive=True), dlq):
        wrong.append("it writes nothing")
    os.mkdir(f"{BOX}/late")
    if lives and not go_on(dlq):
        wrong.append(f"it stands still: {waiting()}")
    status = dlq.end(signal.SIGTERM) if lives else \
        dlq.process.wait(raw.PATIENCE)
    # it does not end for want of space
    if status not in ({0} if lives and "SHIM_ENOSPC" in env else STATUSES):
        wrong.append(f"exit status {status}")


def without(wrong):
    dlq = Daemon("egns-dlq")
    if not dlq.start() or not go_on(dlq):
        wrong.append(f"it does not go on: {waiting()}")
    end_well(dlq, wrong)


def judge(wrong):
    letters = list(records(f"{BOX}/**/*.json"))
    if sorted(line["id"] for line in letters) != WRITTEN:
        wrong.append(f"in containers: {sorted(line['id'] for line in letters)}")
    said = collections.Counter(offset
                               for line in records("spool/deadletter/written/*")
                               for offset in line["offsets"])
    # a crash may repeat a line, not leave it out
    if set(said) != {line["deadletterProperties"]["offset"] for line in letters} \
            or max(said.values()) > 2:
        wrong.append(f"in written/: {said}")
    dropped = collections.Counter(line["event"]["id"]
                                  for line in records("spool/dropped/*"))
    if set(dropped) != DROPPED or max(dropped.values()) > 2:
        wrong.append(f"dropped: {dropped}")
    if waiting() or leftovers() or os.path.exists("spool/deadletter/batch") or \
            glob.glob("spool/deadletter/corrupt/*"):
        wrong.append(f"left: {waiting()} {leftovers()}")
    balance(wrong)


def run(env):
    wrong = []
    set_clock(0)
    with_fault(env, wrong)
    without(wrong)
    judge(wrong)
    return wrong


if __name__ == "__main__":
    template()
    sys.exit(not sweep(run, 3, SHIM_PATH="/spool/"))
