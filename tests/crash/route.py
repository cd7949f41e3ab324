"""route.py SHARD OF NAME=VALUE... - egns-route with a fault at each call.

Files wait in route/, some of them taken by an earlier run, and more come while
route works: with the fault of the shim's variables NAME=VALUE (N: the number of
the call) at call SHARD, SHARD + OF and so on, until it is done before the fault
is reached. Then it runs again without a fault; every message has to be in the
topic once, in order, and what is none in dropped/. Says what is not so, and with
which call; fails then.
"""
import glob
import os
import signal
import sys
import time

from sweep import (STATUSES, end_well, keep_template, records, set_clock,
                   sweep)
import maildir
import raw
from broker import Daemon

BOX = "spool/route"
TOPICD = Daemon("egns-topicd")


def message(number):
    return (b'{"tst":"2026-01-31T12:00:00.000000Z","topic":"t","qos":1,'
            b'"retain":0,"payload":%d}\n' % number)


def put(second, *numbers):
    """A file of these messages; 0 stands for a line that is none."""
    return maildir.put(BOX, second, b"".join(
        message(n) if n else b"rubbish\n" for n in numbers))


def waiting():
    return glob.glob(f"{BOX}/new/*") + glob.glob(f"{BOX}/cur/*")


def arrived():
    for line in records("spool/topics/ingest/log/*"):
        yield line["event"]["data"]


def template():
    """What an earlier route has taken, and what came since."""
    set_clock(0)
    put(10, 1, 2, 3)
    put(11, 4, 0)
    put(12, 5)
    route = Daemon("egns-route")
    assert route.start()
    while glob.glob(f"{BOX}/new/*"):
        time.sleep(0.01)
    assert route.end(signal.SIGTERM) == 0
    back = put(13, 6, 7)
    os.rename(f"{BOX}/new/{back}", f"{BOX}/cur/{back}")
    put(14, 8, 0, 0, 9)
    broken = put(15, 1000)
    with open(f"{BOX}/new/{broken}", "ab") as file:
        file.write(b"x")
    put(16, 10, 11)
    keep_template()


def until_done(route):
    """All has gone, or route has."""
    end = time.monotonic() + raw.PATIENCE
    while waiting() and route.process.poll() is None:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
        if len(waiting()) == until_done.before:
            raw.advance(1)  # it may wait for room
        until_done.before = len(waiting())
    return True


until_done.before = 0


def run(env):
    """What is wrong."""
    route, wrong = Daemon("egns-route"), []
    set_clock(0)
    assert TOPICD.start()
    if route.start(**env):
        put(20, 12)
        put(21, 13, 14)
        if not until_done(route):
            wrong.append("it stands still")
        status = route.end(signal.SIGTERM)
    else:
        status = route.process.wait(raw.PATIENCE)
    if status not in STATUSES:
        wrong.append(f"exit status {status}")
    for path, *numbers in ((20, 12), (21, 13, 14)):
        if not any(n in numbers for n in arrived()) and not any(
                f"/{path}." in name for name in waiting()):
            put(path, *numbers)  # route was not there when it was to come
    if not route.start() or not until_done(route):
        wrong.append("it does not go on")
    end_well(route, wrong)
    TOPICD.end()
    judge(wrong)
    return wrong


def judge(wrong):
    there = list(arrived())
    if there != list(range(1, 15)):
        wrong.append(f"arrived: {there}")
    dropped = [line["line_base64"] for line in records("spool/dropped/*")]
    # a crash may repeat a record, not leave it out
    if set(dropped) != {"cnViYmlzaA=="} or len(dropped) not in (3, 4, 5):
        wrong.append(f"dropped: {dropped}")
    if len(glob.glob(f"{BOX}/corrupt/*")) != 1:
        wrong.append("the corrupt file is not in corrupt/")


if __name__ == "__main__":
    template()
    sys.exit(not sweep(run, 20, SHIM_PATH="/spool/"))
