"""route.py SHARD OF NAME=VALUE... - egns-route with a fault at each call.

Files wait in route/, some of them taken by an earlier run, and more come while
route works: with the fault of the shim's variables NAME=VALUE (N: the number of
the call) at call SHARD, SHARD + OF and so on, until it is done before the fault
is reached. Then it runs again without a fault; every message has to be in the
topic once, in order, and what is none in dropped/. Says what is not so, and with
which call; fails then.
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../mqtt"))
import maildir  # noqa: E402
import raw  # noqa: E402
from broker import Daemon, preload  # noqa: E402

BOX = "spool/route"
# Exit statuses of a route that has met a fault; it must not crash.
STATUSES = {0, 69, 70, 71, 73, 74, 75, -9}
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
    for path in sorted(glob.glob("spool/topics/ingest/log/*")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["event"]["data"]


def rubbish():
    """Records of what was dropped."""
    for path in glob.glob("spool/dropped/*"):
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["line_base64"]


def template():
    """What an earlier route has taken, and what came since."""
    with open("clock", "w", encoding="ascii") as file:
        file.write("0\n")
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
    for path in glob.glob("spool/run/*.sock"):
        os.unlink(path)
    os.rename("spool", "template")


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
    """Whether it was killed or not, and what is wrong."""
    route, wrong = Daemon("egns-route"), []
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
    if route.end(signal.SIGTERM) != 0:
        wrong.append("it does not end well")
    TOPICD.end()
    return wrong


def judge(wrong):
    there = list(arrived())
    if there != list(range(1, 15)):
        wrong.append(f"arrived: {there}")
    dropped = list(rubbish())
    # a crash may repeat a record, not leave it out
    if set(dropped) != {"cnViYmlzaA=="} or len(dropped) not in (3, 4, 5):
        wrong.append(f"dropped: {dropped}")
    if len(glob.glob(f"{BOX}/corrupt/*")) != 1:
        wrong.append("the corrupt file is not in corrupt/")
    return wrong


def sweep(shard, of, variables):
    template()
    n, failures = shard, 0
    while n < 3000:
        for name in ("spool", "trace"):
            subprocess.run(["rm", "-rf", name], check=True)
        shutil.copytree("template", "spool", symlinks=True)
        with open("clock", "w", encoding="ascii") as file:
            file.write("0\n")
        env = {"LD_PRELOAD": preload(), "SHIM_PATH": "/spool/",
               "SHIM_TRACE": os.path.abspath("trace")}
        for variable in variables:
            name, _, value = variable.partition("=")
            env[name] = value.replace("N", str(n))
        wrong = judge(run(env))
        with open("trace", encoding="utf-8") as file:
            trace = file.readlines()
        if len(trace) < n:
            break
        for words in wrong:
            print(f"call {trace[n - 1].strip()}: {words}", flush=True)
        failures += bool(wrong)
        n += of
    print(f"{(n - shard) // of} calls")
    return failures == 0 and n > 20


if __name__ == "__main__":
    sys.exit(not sweep(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
