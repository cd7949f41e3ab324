"""What tests share that meet a fault at each call of a program.

A test says how it goes once, in `spool`, a copy of `template`; sweep() does it
again and again, as the command line says:

    SHARD OF NAME=VALUE...

with the shim's variables NAME=VALUE (N: the number of the call) at call SHARD,
SHARD + OF and so on, until all is done before the fault is reached.
"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../mqtt"))
import raw  # noqa: E402
from broker import preload  # noqa: E402

# Exit statuses of a program that has met a fault; it must not crash.
STATUSES = {0, 69, 70, 71, 73, 74, 75, -9}


def ask(name, request, *lines):
    """The lines of an answer, its header first; ValueError when it is torn."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(raw.PATIENCE)
        s.connect(f"spool/run/{name}.sock")
        with s.makefile("rw", encoding="utf-8") as file:
            file.readline()
            for line in (request, *lines):
                file.write(json.dumps(line) + "\n")
            file.flush()
            answer = [json.loads(file.readline())]
            if not lines:
                answer += [json.loads(file.readline())
                           for _ in range(answer[0].get("count", 0))]
            return answer


def fail(subscription, *ids, op="reject", **members):
    """Events become dead letters of it, in a file of deadletter/new."""
    topic = {"topic": "orders", "subscription": subscription}
    events = [{"specversion": "1.0", "id": i, "source": "/test", "type": "t",
               **members} for i in ids]
    ask("topicd", {"op": "publish", "count": len(ids), **topic}, *events)
    got = ask("topicd", {"op": "receive", "maxEvents": len(ids), **topic})[1:]
    tokens = [line["brokerProperties"]["lockToken"] for line in got]
    answer = ask("topicd", {"op": op, "lockTokens": tokens, **topic})
    assert len(tokens) == len(ids) and answer[0]["ok"], answer


def waiting():
    """Dead letters that are in no container yet."""
    return [path for name in ("new", "cur", "batch", "sorted", "sending")
            for path in glob.glob(f"spool/deadletter/{name}/*")]


def leftovers():
    """Files that somebody has not finished, and that stay: topicd writes, too."""
    end = time.monotonic() + raw.PATIENCE
    while True:
        left = [path for path in glob.glob("spool/**", recursive=True)
                if re.search(r"(\.tmp|\.new|~)$", path)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)


def wait_for(fact, daemon):
    """False: it has not come about; what has ended makes no facts."""
    end = time.monotonic() + raw.PATIENCE
    while daemon.process.poll() is None:
        try:
            if fact():
                return True
        except (OSError, ValueError):
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def records(pattern):
    """Of files of lines, in the order of their names."""
    for path in sorted(glob.glob(pattern, recursive=True)):
        with open(path, encoding="utf-8") as file:
            yield from map(json.loads, file)


def set_clock(seconds):
    with open("clock.new", "w", encoding="ascii") as file:
        print(seconds, file=file)
    os.rename("clock.new", "clock")


def end_well(daemon, wrong):
    if daemon.end(signal.SIGTERM) != 0:
        wrong.append(f"{daemon.name} does not end well")


def balance(wrong):
    """The books do, and nothing is noted of them."""
    audit = subprocess.run(["egns-ctl", "audit"], capture_output=True,
                           text=True, check=False)
    if audit.returncode != 0 or audit.stderr:
        wrong.append(f"the books: {audit.returncode}: {audit.stderr}")


def keep_template():
    """The spool as it is now, without what its daemons have left."""
    for path in glob.glob("spool/run/*.sock"):
        os.unlink(path)
    os.rename("spool", "template")


def anew(*names):
    """The spool as it was kept; these files and directories go."""
    subprocess.run(["rm", "-rf", "spool", "trace", *names], check=True)
    shutil.copytree("template", "spool", symlinks=True)


def sweep(run, least, *others, **fixed):
    """run(env) with a fault at each call, which returns what is wrong. True when
    nothing is, and there were calls enough."""
    shard, of = int(sys.argv[1]), int(sys.argv[2])
    n, failures, reached = shard, 0, True
    while reached and n < 3000:
        anew(*others)
        env = {"LD_PRELOAD": preload(), "SHIM_TRACE": os.path.abspath("trace"),
               **fixed}
        for variable in sys.argv[3:]:
            name, _, value = variable.partition("=")
            env[name] = value.replace("N", str(n))
        wrong = run(env)
        with open("trace", encoding="utf-8") as file:
            trace = file.read().splitlines()
        reached = len(trace) >= n
        for words in wrong:
            print(f"call {trace[n - 1] if reached else 'none'}: {words}",
                  flush=True)
        failures += bool(wrong)
        n += of
    print(f"{(n - shard) // of - 1} calls")
    return failures == 0 and n > least
