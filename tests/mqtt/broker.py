"""A broker to be killed, and clients of it: for crash tests and the soak.

Stands in a directory with the spool of broker_ns, certificates of devices, and
the file `clock` that EGNS_CLOCK names.
"""
import glob
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time

import raw

WINDOW = 16  # messages of a publisher on their way


class Gone(Exception):
    """The connection has ended."""


class Refused(Exception):
    """The broker has said no."""


class Daemon:
    def __init__(self, name):
        self.name = name
        self.process = None

    def start(self, **env):
        """False: it was not ready, and has ended."""
        ready, theirs = os.pipe()
        with open(f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.name, "-r", str(theirs)], pass_fds=[theirs],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **env})
        os.close(theirs)
        with os.fdopen(ready, "rb") as file:
            return file.read(1) == b"\n"

    def stats(self):
        socket_name = self.name.removeprefix("egns-")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(raw.PATIENCE)
            s.connect(f"spool/run/{socket_name}.sock")
            with s.makefile("rw") as file:
                file.readline()
                file.write('{"op":"stats"}\n')
                file.flush()
                file.readline()
                return json.loads(file.readline())

    def lives(self):
        """Only one that lives answers."""
        try:
            return bool(self.stats())
        except (OSError, ValueError):
            return False

    def end(self, how=signal.SIGKILL):
        """Its exit status; -9 when it was killed."""
        if self.process is None:
            return 0
        self.process.send_signal(how)
        status = self.process.wait(raw.PATIENCE)
        self.process = None
        return status


def preload():
    """LD_PRELOAD for crash/shim.c; a sanitizer's library has to come first."""
    build = os.environ["B"]
    libraries = subprocess.run(["ldd", f"{build}/egns-brokerd"],
                               capture_output=True, text=True, check=True)
    first = [line.split()[2] for line in libraries.stdout.splitlines()
             if "libasan" in line or "libubsan" in line]
    return " ".join(first + [f"{build}/tests/crash/shim.so"])


class Broker(Daemon):
    def __init__(self):
        super().__init__("egns-brokerd")
        self.port = None

    def start(self, **env):
        if not super().start(**env):
            return False
        try:
            address = self.stats()["listeners"]["mqtts"]
        except (OSError, ValueError):
            return False
        self.port = int(address.rpartition(":")[2])
        return True


class Client(raw.Connection):
    """One that is called as its device; ends by Gone."""

    def __init__(self, broker, device, words="", connack=True):
        self.sent_id = 0
        self.came = []  # publishes that came while something else was awaited
        try:
            super().__init__(broker.port, device)
        except (OSError, ssl.SSLError) as error:
            raise Gone from error
        self.say(f"connect {words}")
        self.present = None
        if connack:
            got = self.wait("connack")
            if got[2] != "00":
                raise Refused(got)
            self.present = got[1] == "present=1"

    def say(self, words):
        try:
            self.send(words.split())
        except (OSError, ssl.SSLError) as error:
            raise Gone from error

    def hear(self):
        try:
            got = self.receive()
        except (OSError, ssl.SSLError) as error:
            raise Gone from error
        if got == ["closed"]:
            raise Gone
        return got

    def wait(self, kind):
        """The next packet of a kind; publishes are kept."""
        while True:
            if kind == "publish" and self.came:
                return self.came.pop(0)
            got = self.hear()
            if got[0] == kind:
                return got
            if got[0] != "publish":
                raise Refused(got)
            self.came.append(got)

    def next_id(self):
        self.sent_id = self.sent_id % 65535 + 1
        return self.sent_id

    def subscribe_to(self, *filters):
        self.say(f"subscribe id={self.next_id()} {' '.join(filters)}")
        got = self.wait("suback")
        if any(len(code) == 2 and code >= "80" for code in got[2:]):
            raise Refused(got)

    def unsubscribe_from(self, *filters):
        self.say(f"unsubscribe id={self.next_id()} {' '.join(filters)}")
        got = self.wait("unsuback")
        if any(len(code) == 2 and code >= "80" for code in got[2:]):
            raise Refused(got)

    def messages(self):
        """What has come up to the answer to a PINGREQ."""
        self.say("pingreq")
        self.wait("pingresp")
        came, self.came = self.came, []
        return [Message(words) for words in came]

    def drain(self):
        """All that waits, acknowledged."""
        everything = []
        while True:
            some = self.messages()
            everything += some
            for m in some:
                if m.id is not None:
                    self.say(f"puback id={m.id}")
            if not some:
                return everything

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass


class Message:
    def __init__(self, words):
        self.topic = words[1]
        self.dup = "dup" in words
        self.retain = "retain" in words
        self.id = self.payload = None
        for word in words[2:]:
            name, equals, value = word.partition("=")
            if name == "id" and equals:
                self.id = value
            elif name == "payload" and equals:
                self.payload = value

    def __repr__(self):
        return f"{self.topic}={self.payload}{' dup' if self.dup else ''}"


class Load:
    """What soaks do all the while, each in a thread."""

    def __init__(self, seed):
        self.broker = Broker()
        self.seed = seed
        self.stop = False
        self.acked = set()  # (topic, payload)
        self.errors = []

    def forever(self, name, work):
        """In a thread: work with a connection, and again when it has ended."""
        chance = random.Random(f"{self.seed} {name}")

        def run():
            while not self.stop:
                try:
                    work(name, chance)
                except (Gone, Refused):
                    time.sleep(0.005)
                except Exception as error:  # for the main thread
                    self.errors.append(f"{name}: {error!r}")
                    raise
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def publisher(self, words, payload=str):
        """Work for it: numbered messages with QoS 1, and which are acked."""
        number = 0

        def work(name, chance):
            nonlocal number
            client = Client(self.broker, name, words)
            waiting = {}
            while not self.stop or waiting:
                while len(waiting) < WINDOW and not self.stop:
                    number += 1
                    message = (f"t/{name}/{chance.randrange(2)}",
                               payload(number))
                    waiting[str(client.next_id())] = message
                    client.say(f"publish {message[0]} q1 id={client.sent_id}"
                               f" payload={message[1]}")
                got = client.wait("puback")
                message = waiting.pop(got[1][3:])
                if got[2] in ("00", "10"):
                    self.acked.add(message)
        return work


def routed():
    """(topic, payload) of all that waits in route/, with repeats."""
    found = []
    for path in sorted(glob.glob("spool/route/new/*")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                found.append((record["topic"], record.get("payload")))
    return found


def dropped():
    """Records of messages that were dropped."""
    found = []
    for path in sorted(glob.glob("spool/dropped/*")):
        with open(path, encoding="utf-8") as file:
            found += [json.loads(line) for line in file]
    return found
