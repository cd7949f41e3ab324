"""hostile.py PORT WSS-PORT PID SCENARIO - be a bad peer of the broker.

Each scenario does to the broker with process id PID what no client should do,
and fails when the answer is another than egns-mqtt(7) has, when the broker's
memory grows by more than MEMORY MB (an environment variable), or when the
canary, a client that behaves, is not served all the while.
"""
import base64
import itertools
import json
import os
import random
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

import raw
from raw import advance, string, u16, varint

PORT, WSS, PID = (int(x) for x in sys.argv[1:4])
MEMORY = int(os.environ.get("MEMORY", "64"))
SLOW = 30  # seconds that the canary may wait for one answer

UPGRADE = (b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
           b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: " +
           base64.b64encode(b"0123456789abcdef") + b"\r\n\r\n")


def check(fact, *words):
    if not fact:
        raise AssertionError(" ".join(str(w) for w in words))


def memory():
    """MB that the broker has resident."""
    with open(f"/proc/{PID}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024
    raise AssertionError("the broker is gone")


def stats():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("spool/run/brokerd.sock")
        file = s.makefile("rw")
        file.readline()
        file.write('{"op":"stats"}\n')
        file.flush()
        file.readline()
        return json.loads(file.readline())


def wait_for(fact, *words):
    end = time.monotonic() + raw.PATIENCE
    while not fact():
        check(time.monotonic() < end, "waited in vain:", *words)
        time.sleep(0.02)


def wait_moving(fact, seconds, *words):
    """For what comes about `seconds` after something that the broker may not
    have seen yet."""
    end = time.monotonic() + raw.PATIENCE
    while True:
        advance(seconds)
        soon = time.monotonic() + 5
        while time.monotonic() < soon:
            if fact():
                return
            time.sleep(0.02)
        check(soon < end, "waited in vain:", *words)


# ---- peers ----

def plain(port=PORT):
    s = socket.create_connection(("localhost", port), raw.PATIENCE)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def over_tls(port=PORT, device=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations("ca.pem")
    if device is not None:
        context.load_cert_chain(device + ".pem", device + ".key")
    return context.wrap_socket(plain(port), server_hostname="localhost")


def hello():
    """The first flight of a TLS client."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.wrap_bio(ssl.MemoryBIO(), out,
                         server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def client(device="bad", *words):
    """A client that is connected; version 5 and clean but for the words."""
    c = raw.Connection(PORT, device)
    c.send(["connect", *words] if words else ["connect", "clean"])
    got = c.receive()
    check(got[0] == "connack" and "00" in got, "connect:", *got)
    return c


def websocket(device="bad"):
    s = over_tls(WSS, device)
    s.sendall(UPGRADE)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += s.recv(1)
    check(b" 101 " in answer, answer)
    return s


def frame(data, first=0x82, masked=True, length=None):
    n = len(data) if length is None else length
    head = bytes([first])
    bit = 0x80 if masked else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + n.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + n.to_bytes(8, "big")
    return head + (bytes(4) if masked else b"") + data


def connect_packet(device="bad", extra=b""):
    body = (string(b"MQTT") + b"\x05\x82" + u16(1000) + varint(len(extra)) +
            extra + string(device.encode()) + string(device.encode()))
    return b"\x10" + varint(len(body)) + body


def ended(s):
    """What comes until the peer closes; None when it does not."""
    got = b""
    s.settimeout(raw.PATIENCE)
    try:
        while True:
            data = s.recv(65536)
            if not data:
                return got
            got += data
    except (ssl.SSLError, ConnectionError):
        return got
    except TimeoutError:
        return None


def is_open(s):
    """Nothing has come, not even the end."""
    s.settimeout(0)
    try:
        return s.recv(1, socket.MSG_PEEK) != b"" if not isinstance(
            s, ssl.SSLSocket) else select.select([s], [], [], 0)[0] == []
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False


def last_word(c):
    """The reason of a DISCONNECT, or "closed"."""
    while True:
        got = c.receive()
        if got[0] == "disconnect":
            check(c.receive() == ["closed"], "open after DISCONNECT")
            return got[1]
        if got[0] == "closed":
            return "closed"


class Canary(threading.Thread):
    """A client that behaves: each of its messages comes back, soon."""

    def __init__(self):
        super().__init__(daemon=True)
        self.c = client("canary")
        self.c.send(["subscribe", "canary,q1"])
        self.c.receive()
        self.rounds, self.worst = 0, 0.0
        self.error, self.over = None, False

    def round(self):
        begin = time.monotonic()
        self.c.send(["publish", "canary", "q1", f"payload={self.rounds}"])
        kinds = {self.c.receive()[0], self.c.receive()[0]}
        check(kinds == {"puback", "publish"}, "canary got", kinds)
        self.c.send(["puback"])
        self.rounds += 1
        self.worst = max(self.worst, time.monotonic() - begin)

    def run(self):
        try:
            while not self.over:
                self.round()
                time.sleep(0.005)
        except Exception as error:  # shown by the main thread
            self.error = error

    def finish(self):
        before = self.rounds
        wait_for(lambda: self.rounds > before + 2 or self.error is not None,
                 "the canary")
        self.over = True
        self.join(raw.PATIENCE)
        print(f"canary: {self.rounds} rounds, worst {self.worst:.3f} s")
        if self.error is not None:
            raise self.error
        check(self.worst < SLOW, "the canary waited", self.worst, "s")


# ---- connections that come to nothing ----

def silent():
    """Peers that stop on the way to their CONNECT have 15 seconds."""
    half = hello()
    packet = connect_packet()
    peers = {"says nothing": plain(), "says nothing, wss": plain(WSS),
             "half a hello": plain(), "half of TLS": plain(),
             "no CONNECT": over_tls(), "half a CONNECT": over_tls(),
             "no request": over_tls(WSS), "half a request": over_tls(WSS),
             "no CONNECT, wss": websocket(), "half a frame": websocket()}
    peers["half a hello"].sendall(half[:len(half) // 2])
    peers["half of TLS"].sendall(half)
    peers["half of TLS"].recv(65536)
    peers["half a CONNECT"].sendall(packet[:-1])
    peers["half a request"].sendall(UPGRADE[:-1])
    peers["half a frame"].sendall(frame(packet[:-1], length=len(packet)))
    advance(5)
    for name, s in peers.items():
        check(is_open(s), name, "is closed too early")
    advance(11)
    for name, s in peers.items():
        check(ended(s) == b"", name, "is not closed")


def slowly():
    """One byte a second is no way to be in time."""
    for port, data in (PORT, hello()), (None, connect_packet()):
        begin = time.monotonic()
        s = plain(port) if port else over_tls()
        s.setblocking(False)
        for n, byte in enumerate(data):
            try:
                s.send(bytes([byte]))
            except OSError:
                break
            advance(1)
            if not is_open(s):
                break
        took = n + 1 + time.monotonic() - begin
        check(n < len(data) - 1 and took > 15, "it was ended after", took,
              "seconds")


GARBAGE = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", connect_packet(), b"\0" * 1000,
           b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x16\x03\x01\0\0" * 2000,
           b"\x80\x80\x01\x03\x01" + b"y" * 200, b"\xff" * 5,
           b"\x15\x03\x03\0\x02\x02\x28", b"\x14\x03\x03\0\x01\x01" * 1000]


def say(s, data):
    """Send; the peer may be done with us before the end of it."""
    try:
        s.sendall(data)
    except OSError:
        pass


def hang_up(s):
    """Say no more; the broker may have been quicker."""
    try:
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def garbage():
    """Noise before TLS, and within it, is the end."""
    dice = random.Random(1)
    noise = GARBAGE + [dice.randbytes(n) for n in (1, 5, 100, 20000)]
    for port in PORT, WSS:
        for data in noise:
            s = plain(port)
            say(s, data)
            hang_up(s)
            check(ended(s) is not None, "still open after", data[:20])
    for data in noise[:2] + noise[3:]:
        if data[0] == 0x10:
            continue
        s = over_tls()
        say(s, data)
        check(ended(s) == b"", "an answer to", data[:20])
    good = hello()
    for n in range(5, len(good), 7):
        s = plain()
        say(s, good[:n] + bytes([good[n] ^ 0xff]) + good[n + 1:])
        hang_up(s)
        check(ended(s) is not None, "still open")


def renegotiate():
    """TLS 1.2: no renegotiation, as often as it is asked for."""
    run = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"localhost:{PORT}", "-tls1_2",
         "-CAfile", "ca.pem", "-legacy_renegotiation"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    for line in run.stdout:
        if b"Verify return code" in line:
            break
    try:
        for _ in range(3):
            run.stdin.write(b"R\n")
            run.stdin.flush()
            time.sleep(0.05)
        run.stdin.close()
    except BrokenPipeError:
        pass
    said = run.stdout.read()
    run.wait(raw.PATIENCE)
    check(b"RENEGOTIATING" in said, said)
    check(said.count(b"verify return:1") == 0, "it renegotiates:", said)


def too_long():
    """268 MB: closed before CONNECT, 0x95 after; never waited for."""
    s = over_tls()
    s.sendall(b"\x10\xff\xff\xff\x7f")
    check(ended(s) == b"", "not closed")
    c = client()
    c.send(["hex", "30ffffff7f"])
    check(last_word(c) == "95", "not 0x95")
    c = client()
    say(c.socket, b"\x30" + varint(600000) + bytes(600000))
    check(last_word(c) == "95", "not 0x95, with a body")
    s = over_tls()
    s.sendall(b"\x10\xff\xff\xff\xff\x7f")
    check(ended(s) == b"", "not closed")


def unfinished():
    """Packets that are never finished are counted with their sender alone."""
    for n in range(20):
        c = client()
        c.socket.sendall(b"\x30" + varint(100000) + bytes(50000))
        time.sleep(0.05)
        c.socket.sendall(bytes(50000))
        check(last_word(c) == "82", "another reason")
    c = client("good")
    whole = publish(payload=bytes(300000))
    for n in range(0, len(whole), 50000):
        c.socket.sendall(whole[n:n + 50000])
        time.sleep(0.02)
    check(c.receive()[0] == "puback", "a packet in pieces is refused")


# ---- packets ----

def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def publish(topic=b"t", properties=b"", payload=b"", first=0x32):
    return packet(first, string(topic) + (u16(1) if first & 6 else b"") +
                  varint(len(properties)) + properties + payload)


def subscribe(filters, properties=b"", options=1):
    return packet(0x82, u16(1) + varint(len(properties)) + properties +
                  b"".join(string(f) + bytes([options]) for f in filters))


def suback(codes):
    return "suback " + " ".join(codes)


# What a client of MQTT 5 sends behind its CONNECT, and what it gets.
PACKETS = [
    ("topic is no UTF-8", publish(b"\xff"), "disconnect 81"),
    ("overlong UTF-8", publish(b"\xc0\xaf"), "disconnect 81"),
    ("surrogate", publish(b"\xed\xa0\x80"), "disconnect 81"),
    ("U+0000", publish(b"a\0b"), "disconnect 81"),
    ("above U+10FFFF", publish(b"\xf4\x90\x80\x80"), "disconnect 81"),
    ("UTF-8 cut off", publish(b"\xe2\x82"), "disconnect 81"),
    ("filter is no UTF-8", subscribe([b"\xff"]), "disconnect 81"),
    ("topic beyond the packet", packet(0x30, b"\xff\xfft"), "disconnect 81"),
    ("properties beyond the packet", packet(0x30, b"\0\1t\x7f"),
     "disconnect 81"),
    ("property length of 5 bytes", packet(0x30, b"\0\1t" + b"\x80" * 4 + b"\1"),
     "disconnect 81"),
    ("property cut off", publish(properties=b"\x02\0\0"), "disconnect 81"),
    ("expiry twice", publish(properties=b"\x02\0\0\0\1" * 2), "disconnect 82"),
    ("alias twice", publish(properties=b"\x23\0\1" * 2), "disconnect 82"),
    ("property of CONNECT", publish(properties=b"\x11\0\0\0\1"),
     "disconnect 81"),
    ("identifier in PUBLISH", publish(properties=b"\x0b\1"), "disconnect 82"),
    ("no such property", publish(properties=b"\x7f\0"), "disconnect 81"),
    ("format 2", publish(properties=b"\x01\2"), "disconnect 82"),
    ("alias 0", publish(properties=b"\x23\0\0"), "disconnect 94"),
    ("alias 11", publish(properties=b"\x23\0\x0b"), "disconnect 94"),
    ("alias 65535", publish(properties=b"\x23\xff\xff"), "disconnect 94"),
    ("alias never set", publish(b"", properties=b"\x23\0\1"), "disconnect 82"),
    ("no topic, no alias", publish(b""), "disconnect 82"),
    ("QoS 2", publish(first=0x34), "disconnect 9b"),
    ("QoS 3", publish(first=0x36), "disconnect 81"),
    ("DUP with QoS 0", publish(first=0x38), "disconnect 81"),
    ("packet identifier 0", packet(0x32, b"\0\1t\0\0\0"), "disconnect 82"),
    ("wildcard", publish(b"a/#"), "puback 90"),
    ("16 levels", publish(b"/".join([b"a"] * 16)), "puback 90"),
    ("257 bytes", publish(b"a" * 257), "puback 90"),
    ("65535 bytes", publish(b"a" * 65535), "puback 90"),
    ("$SYS", publish(b"$SYS/x"), "puback 87"),
    ("SUBSCRIBE without its flags", packet(0x80, b"\0\1\0\0\1a\0"),
     "disconnect 81"),
    ("PINGREQ with flags", b"\xc1\0", "disconnect 81"),
    ("PINGREQ with a body", b"\xc0\1a", "disconnect 81"),
    ("type 0", b"\0\0", "disconnect"),
    ("CONNACK", b"\x20\3\0\0\0", "disconnect 82"),
    ("SUBACK", b"\x90\4\0\1\0\0", "disconnect 82"),
    ("PUBREL", b"\x62\2\0\1", "disconnect 82"),
    ("PUBREC", b"\x50\2\0\1", "disconnect 82"),
    ("PUBACK of nothing", b"\x40\2\0\1\xc0\0", "pingresp"),
    ("PUBACK with a property twice",
     packet(0x40, u16(1) + b"\0\x08" + b"\x1f\0\1a" * 2), "disconnect 82"),
    ("length longer than need be", b"\xc0\x80\0", "disconnect 81"),
    ("CONNECT twice", connect_packet(), "disconnect 82"),
    ("no filter", packet(0x82, b"\0\1\0"), "disconnect 82"),
    ("reserved options", subscribe([b"a"], options=0xc0), "disconnect 81"),
    ("QoS 3 of a filter", subscribe([b"a"], options=3), "disconnect 82"),
    ("retain handling 3", subscribe([b"a"], options=0x30), "disconnect 82"),
    ("identifier 0", subscribe([b"a"], b"\x0b\0"), "disconnect 82"),
    ("identifier twice", subscribe([b"a"], b"\x0b\1\x0b\1"), "disconnect 82"),
    ("$share/", subscribe([b"$share/"]), suback(["8f"])),
    ("a/#/b", subscribe([b"a/#/b", b"+a", b"ok"]),
     suback(["8f", "8f", "01"])),
    ("filter of 65535 bytes", subscribe([b"a" * 65535]), suback(["8f"])),
    ("10,000 filters", subscribe([b"%d" % n for n in range(10000)]),
     suback(["97"] * 10000)),
    ("UNSUBSCRIBE of 65535 bytes",
     packet(0xa2, u16(1) + b"\0" + string(b"a" * 65535)), "unsuback 8f"),
    ("AUTH without a method", b"\xf0\0", "disconnect 82"),
    ("DISCONNECT with a property twice",
     packet(0xe0, b"\0\x0a" + b"\x11\0\0\0\1" * 2), "disconnect 82"),
]

# CONNECTs, and the code of their CONNACK, or "closed".
CONNECTS = [
    ("user name is no UTF-8", packet(0x10, string(b"MQTT") + b"\5\x82" +
     u16(9) + b"\0" + string(b"bad") + string(b"\xff")), "81"),
    ("reserved flag", packet(0x10, string(b"MQTT") + b"\5\3" + u16(9) + b"\0" +
     string(b"bad")), "81"),
    ("will QoS 3", packet(0x10, string(b"MQTT") + b"\5\x1e" + u16(9) + b"\0" +
     string(b"bad") + b"\0" + string(b"t") + string(b"")), "81"),
    ("session expiry twice", connect_packet(extra=b"\x11\0\0\0\1" * 2), "82"),
    ("alias", connect_packet(extra=b"\x23\0\1"), "81"),
    ("receive maximum 0", connect_packet(extra=b"\x21\0\0"), "82"),
    ("maximum packet size 0", connect_packet(extra=b"\x27\0\0\0\0"), "82"),
    ("data without method", connect_packet(extra=b"\x16\0\1x"), "82"),
    ("user property", connect_packet(extra=b"\x26\0\1a\0\1b"), "83"),
    ("MQTT 6", packet(0x10, string(b"MQTT") + b"\6\2" + u16(9) + b"\0" +
     string(b"bad")), "84"),
    ("129 characters", connect_packet("x" * 129), "85"),
    ("cut off", packet(0x10, string(b"MQTT") + b"\5\x82" + u16(9)), "81"),
    ("bytes behind it", packet(0x10, connect_packet()[2:] + b"x"), "81"),
    ("MQIsdp", packet(0x10, string(b"MQIsdp") + b"\3\2" + u16(9) +
     string(b"bad")), "01"),
    ("flags of its own", b"\x12" + connect_packet()[1:], "closed"),
    ("nothing", b"\x10\0", "closed"),
]


def packets():
    """Each malformed packet has its reason code."""
    wrong = []
    for name, data, answer in PACKETS:
        c = client()
        say(c.socket, data)
        got = c.receive()
        words = answer.split()
        if got[0] != words[0] or [w for w in words[1:]
                                  if w not in got]:
            wrong.append(f"{name}: {' '.join(got[:5])}, not {answer[:40]}")
        c.socket.close()
    for name, data, answer in CONNECTS:
        c = raw.Connection(PORT, "bad")
        say(c.socket, data)
        got = c.receive()
        if (got[0] if got[0] == "closed" else got[2]) != answer:
            wrong.append(f"CONNECT, {name}: {' '.join(got)}, not {answer}")
        c.socket.close()
    check(not wrong, "\n".join(wrong))


# ---- WebSocket ----

def frames():
    """Frames that MQTT does not come in, and frames in pieces."""
    data = connect_packet()
    bad = [("text", frame(b"hello", 0x81), 1003),
           ("unmasked", frame(data, masked=False), 1002),
           ("reserved bit", frame(data, 0xc2), 1002),
           ("no such opcode", frame(data, 0x83), 1002),
           ("continues nothing", frame(data, 0x80), 1002),
           ("long ping", frame(b"x" * 126, 0x89), 1002),
           ("ping in pieces", frame(b"x", 0x09), 1002),
           ("text in the middle", frame(data[:4], 0x02) +
            frame(data[4:], 0x81), 1002),
           ("length with its top bit", b"\x82\xff" + b"\xff" * 8 + bytes(4),
            1002)]
    for name, sent, code in bad:
        s = websocket()
        s.sendall(sent)
        got = ended(s)
        check(got is not None and got[-4:] == b"\x88\2" + u16(code), name, got)
    s = websocket()
    s.sendall(frame(data[:1], 0x02))
    for byte in data[1:-1]:
        s.sendall(frame(bytes([byte]), 0) + frame(b"", 0x89))
    s.sendall(frame(data[-1:], 0x80))
    got = b""
    while b"\x82" not in got:
        got = s.recv(65536)
        check(got, "no CONNACK")
    s = websocket()
    s.sendall(frame(data, length=1 << 30))
    while (got := s.recv(65536))[0] != 0x82:
        pass
    check(got[2] == 0x20, "no CONNACK in a frame of 1 GB")
    s.sendall(b"\xc0\0" * 30000)
    answers = 0
    while answers < 60000:
        got = s.recv(65536)
        check(got, "closed")
        answers += got.count(b"\xd0\0") * 2
    s.close()


# ---- peers that do not read ----

def flood(s, data, most):
    """Send until nothing goes any more, or `most` bytes; those that went."""
    sent = 0
    s.settimeout(1)
    try:
        while sent < most:
            sent += s.send(data)
    except (TimeoutError, ssl.SSLWantWriteError, OSError):
        pass
    return sent


def unread_answers():
    """Who asks and asks and reads no answer is not listened to any more."""
    asks = {"PINGREQ": b"\xc0\0" * 8000,
            "filters": subscribe([b"%d" % n for n in range(4000)]),
            "refused": publish(b"$x") * 1000,
            "PUBLISH": publish() * 1000}
    peers = []
    for name, data in asks.items():
        c = client("bad", "clean", f"id={name}")
        sent = flood(c.socket, data, 100 << 20)
        print(f"{name}: {sent >> 10} KiB")
        check(sent < 100 << 20, name, "is taken without end")
        peers.append((name, c.socket))
    s = websocket()
    sent = flood(s, frame(b"x" * 100, 0x89) * 500, 400 << 20)
    print(f"pings of WebSocket: {sent >> 10} KiB")
    grown = memory()
    wait_moving(lambda: stats()["connections"] == 1, 130,
                "they are still there")
    print(f"memory {grown} MB, then {memory()} MB")


def never_reads():
    """Who reads nothing gets less; nobody else notices."""
    lazy = []
    for n in range(4):
        c = client("bad", "clean", f"id=lazy{n}")
        c.send(["subscribe", f"load,q{n % 2}" if n % 2 else "load"])
        c.receive()
        lazy.append(c)
    good = client("good")
    good.send(["subscribe", "load,q1"])
    good.receive()
    p = client("good", "clean", "id=publisher")
    for n in range(3000):
        p.send(["publish", "load", "q1", f"id={n + 1}", f"content-type={n}",
                "payload=x*12000"])
        check(p.receive()[2] == "00", "refused")
        check(f"content-type={n}" in good.receive(), "another message")
        good.send(["puback"])
    s = stats()
    print(s)
    check(s["droppedQoS0Messages"] > 0, "no drop was counted")
    good.send(["unsubscribe", "load"])
    good.receive()
    for n in range(3000):
        p.send(["publish", "load", "payload=x*12000"])
    p.send(["pingreq"])
    while p.receive()[0] != "pingresp":
        pass
    wait_moving(lambda: stats()["connections"] == 3, 121,
                "they are still there")


def never_acknowledges():
    """16 in its window, the rest in its queue, and then drops with a record."""
    c = client("bad")
    c.send(["subscribe", "load,q1"])
    c.receive()
    p = client("good")
    for n in range(500):
        p.send(["publish", "load", "q1", f"id={n + 1}", f"payload={n}"])
    for n in range(500):
        check(p.receive()[2] == "00", "not acknowledged")
    for n in range(16):
        check(c.receive()[-1] == f"payload={n}", "another message")
    c.send(["pingreq"])
    check(c.receive()[0] == "pingresp", "more than 16")
    s = stats()
    check(s["droppedMessages"] == 300, s)
    check(s["queued"] - 200 in (0, 1), s)  # one may be the canary's
    names = os.listdir("spool/dropped")
    wait_for(lambda: sum(1 for name in os.listdir("spool/dropped")
             for _ in open("spool/dropped/" + name)) == 300, names)
    with open("spool/dropped/" + os.listdir("spool/dropped")[0]) as file:
        lines = [json.loads(line) for line in file]
    check(all(x["reason"] == "SessionOverflow" and x["topic"] == "load" and
              x["session"] == "bad" for x in lines), lines[0])
    check([int(x["payload"]) for x in lines] == list(range(200, 500)), "others")
    # acknowledged from the last to the first; and then those that waited
    for n in range(16, 0, -1):
        c.send(["puback", f"id={n}"])
    for n in range(16, 200):
        check(c.receive()[-1] == f"payload={n}", "another message")
        c.send(["puback"])


def waiting():
    """Bytes of files that wait in route/."""
    return sum(os.stat(f"spool/route/new/{name}").st_size
               for name in os.listdir("spool/route/new"))


def full_route():
    """When route/ is full nothing is accepted; the connection stays."""
    p = client("bad")
    most = int(os.environ["ROUTE"])
    answers = []
    while "97" not in answers[-1:]:
        check(len(answers) < 10000, "no end")
        p.send(["publish", "load", "q1", "payload=x*1000"])
        answers.append(p.receive()[2])
    check(set(answers[:-1]) == {"00"}, answers)
    check(most * 0.9 < waiting() < most * 1.1, waiting())
    before = waiting()
    q0 = raw.Connection(PORT, "bad")
    q0.send(["connect", "clean", "id=q0"])
    q0.receive()
    q0.send(["publish", "load", "payload=x"])
    check(last_word(q0) == "97", "QoS 0: another reason")
    old = raw.Connection(PORT, "bad")
    old.send(["connect", "4", "clean", "id=old"])
    old.receive()
    old.send(["publish", "load", "q1"])
    check(old.receive() == ["closed"], "3.1.1: not closed")
    s = client("bad", "clean", "id=s")
    s.send(["subscribe", "load,q1"])
    check("01" in s.receive(), "SUBSCRIBE needs no room")
    check(waiting() == before, "something was written")
    check(stats()["routed"] == len(answers) - 1, stats(), len(answers))
    for name in os.listdir("spool/route/new"):
        os.unlink("spool/route/new/" + name)

    def goes_on():
        p.send(["publish", "load", "q1", "payload=again"])
        return p.receive()[2] == "00"

    advance(2)
    wait_for(goes_on, "room again")
    check("payload=again" in s.receive(), "not delivered")


# ---- many of something ----

def reconnects():
    """Connections as fast as they can be made, of all kinds."""
    end = time.monotonic() + 4
    counts = [0] * 4

    def storm(kind):
        while time.monotonic() < end:
            try:
                if kind == 0:
                    plain().close()
                elif kind == 1:
                    s = plain()
                    s.sendall(hello())
                    s.close()
                elif kind == 2:
                    client("bad").socket.close()
                else:
                    over_tls().close()
            except OSError:
                pass
            counts[kind] += 1

    threads = [threading.Thread(target=storm, args=(kind,))
               for kind in (0, 0, 1, 2, 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("connections:", counts)
    wait_for(lambda: stats()["connections"] == 1, "they are still there")


def overlaps():
    """50 subscriptions that all match: one copy, with 50 identifiers."""
    c = client("bad")
    filters = ["/".join(levels) for levels in
               itertools.product("a+", "b+", "d+", "e+", "f+", "g+")][:50]
    for n, text in enumerate(filters):
        c.send(["subscribe", f"sub-id={n + 1}", text + ",q1"])
        check("01" in c.receive(), text)
    p = client("good")
    for n in range(200):
        p.send(["publish", "a/b/d/e/f/g", "q1", f"id={n + 1}"])
    got = c.receive()
    ids = sorted(int(w[7:]) for w in got if w.startswith("sub-id="))
    check(ids == list(range(1, 51)), ids)
    for n in range(199):
        c.send(["puback"])
        check(c.receive()[0] == "publish", "not all")
    c.send(["puback"])
    c.send(["pingreq"])
    check(c.receive()[0] == "pingresp", "more than one copy")


def topics():
    """100,000 topics cost nothing once they have been."""
    p = client("bad")
    for n in range(0, 100000, 500):
        p.socket.sendall(b"".join(publish(b"x/%d/y" % (n + i))
                                  for i in range(500)))
        for _ in range(500):
            check(p.receive()[2] == "00", "refused")


def retained():
    """Retained messages have a limit, and cost only who asks for them."""
    p = client("bad")
    codes = {"00": 0, "97": 0}
    for n in range(0, 11000, 500):
        p.socket.sendall(b"".join(publish(b"r/%d" % (n + i), payload=b"x" * 200,
                                          first=0x33) for i in range(500)))
        for _ in range(500):
            codes[p.receive()[2]] += 1
    check(codes == {"00": 10000, "97": 1000}, codes)
    s = client("good", "clean", "id=reader")
    names = [b"r/#", b"#", b"+/#", b"r/+", b"+/+", b"r/+/#", b"+/+/#"]
    asked = b"".join(subscribe(names, options=0) for _ in range(200))
    flood(s.socket, asked, len(asked))
    s.socket.close()
    wait_for(lambda: stats()["connections"] == 2, "it is still there")


def wills():
    """Sessions that die at once: a will of each."""
    watcher = client("good")
    watcher.send(["subscribe", "will/+,q1"])
    watcher.receive()
    dying = [client("bad", "clean", f"id=w{n}", f"will=will/{n}", "will-qos=1",
                    "will-payload=gone") for n in range(100)]
    for c in dying:
        c.socket.close()
    heard = set()
    while len(heard) < 100:
        got = watcher.receive()
        check(got[0] == "publish", *got)
        heard.add(got[1])
        watcher.send(["puback"])


def half_open():
    """More half-open connections than descriptors: who works, works on, and who
    comes is let in."""
    limit = int(os.environ["LIMIT"])
    crowd = []
    for n in range(2 * limit):
        try:
            s = plain(PORT if n % 2 else WSS)
            if n % 3 == 0:
                s.sendall(hello()[:50])
            crowd.append(s)
        except OSError:
            break
    advance(6)
    for n in range(20):
        client("good", "clean", f"id=new{n}").socket.close()
    for s in crowd:
        s.close()
    wait_for(lambda: stats()["connections"] == 1, "they are still there")


def amplify():
    """Small publishes to many subscribers, who read nothing."""
    crowd = [client("good", "clean", f"id=s{n}") for n in range(99)]
    for c in crowd:
        c.send(["subscribe", "load,q1"])
        c.receive()
    p = client("bad")
    for first in 0x30, 0x32:
        data = publish(b"load", first=first) * 1000
        print(flood(p.socket, data, 30000 * len(data) // 1000), "bytes")
    p.socket.close()
    for c in crowd:
        c.socket.close()
    wait_for(lambda: stats()["connections"] == 1, "they are still there")


def acks():
    """PUBACKs of nothing, behind one message that is never acknowledged."""
    c = client("bad")
    c.send(["subscribe", "load,q1"])
    c.receive()
    p = client("good")
    for n in range(30000):
        p.send(["publish", "load", "q1", f"id={n % 60000 + 1}"])
        p.receive()
        got = c.receive()
        if n > 0:
            c.send(["puback"])
    begin = time.monotonic()
    say(c.socket, b"\x40\2\xff\xf0" * 200000)
    c.send(["pingreq"])
    check(c.receive()[0] == "pingresp", got)
    print(f"200,000 PUBACKs in {time.monotonic() - begin:.2f} s")


# ---- the rates of the profile Azure ----

def throttled(kind):
    with open("spool/metrics/brokerd.prom", encoding="ascii") as file:
        for line in file:
            if line.startswith("egns_MQTT_ThrottlingEnforcements") and \
                    f'"{kind}"' in line:
                return float(line.split()[-1])
    return 0.0


def counted(kind):
    """The metric says so, as soon as it is written anew."""
    advance(6)
    wait_for(lambda: throttled(kind) > 0, kind)


def session(name, *words):
    """A client with a session of its own: one CONNECT a second for each."""
    return client("bad", *(words or ("clean",)), f"id={name}")


def fast_publish():
    """1000 messages and 1 MB a second, of a session and of a unit."""
    p = session("p")
    codes = []
    while len(codes) < 1500 or "97" not in codes:
        check(len(codes) < 30000, "no end")
        p.socket.sendall(publish() * 500)
        codes += [p.receive()[2] for _ in range(500)]
    check(codes[:1000] == ["00"] * 1000, codes[:1000])
    check(set(codes[1000:]) == {"00", "97"}, set(codes[1000:]))
    advance(2)
    codes = []
    while "97" not in codes:
        check(len(codes) < 100, "no end")
        p.socket.sendall(publish(payload=bytes(400000)) * 4)
        codes += [p.receive()[2] for _ in range(4)]
    check(codes[:2] == ["00"] * 2, codes)
    advance(2)
    # what one session may do is what all may do with one unit
    others = [session(f"q{n}") for n in range(2)]
    codes = []
    while "97" not in codes:
        check(len(codes) < 50000, "no end")
        for c in others:
            c.socket.sendall(publish() * 900)
        for c in others:
            codes += [c.receive()[2] for _ in range(900)]
    check(codes.count("00") >= 1000, codes.count("00"))
    advance(2)
    p.socket.sendall(publish(first=0x30) * 3000)
    check(last_word(p) == "96", "QoS 0: another reason")
    advance(2)
    old = session("old", "4", "clean")
    say(old.socket, (packet(0x32, string(b"t") + u16(1))) * 3000)
    while (got := old.receive())[0] == "puback":
        pass
    check(got == ["closed"], "3.1.1:", *got)
    for kind in ("IncomingPublishPacketsPerConnection",
                 "IncomingPublishPacketsPerNamespace",
                 "InboundBandwidthPerConnection"):
        counted(kind)


def connacks(*names):
    """What sessions of these names get, one behind the other; one that begins
    with 4 is of MQTT 3.1.1."""
    peers = [raw.Connection(PORT, "bad") for _ in names]
    codes = []
    for c, name in zip(peers, names):
        version = "4" if name[0] == "4" else "5"
        c.send(["connect", version, "clean", f"id={name.lstrip('4')}"])
        codes.append(c.receive()[2])
    return codes


def fast_connect():
    """One CONNECT a second for a session, 200 for a unit."""
    codes = connacks("a", "a", "4a", "b")
    check(codes == ["00", "9f", "03", "00"], codes)
    advance(2)
    codes = connacks("a")
    check(codes == ["00"], codes)
    end = time.monotonic() + raw.PATIENCE
    while not throttled("ConnectPacketsPerNamespace"):
        # a busy machine may be too slow to be too fast
        check(time.monotonic() < end, "waited in vain for a unit's limit")
        advance(2)
        peers, begin = [], time.monotonic()
        for _ in range(320):
            peers.append(raw.Connection(PORT, "bad"))
            if time.monotonic() - begin > 5:  # 15 s, and they are too late
                advance(-5)
                begin += 5
        for n, c in enumerate(peers):
            c.send(["connect", "clean", f"id=n{n % 80}"])
        codes = [c.receive()[2] for c in peers]
        check("00" in codes and "9f" in codes, codes)
        counted("ConnectPacketsPerConnection")


def fast_subscribe():
    """5 SUBSCRIBE and UNSUBSCRIBE a second; each filter has its 0x97."""
    c = session("s")
    for n in range(20):
        c.send(["subscribe", f"id={n + 1}", "a", "b,q1"])
    answers = [c.receive()[-2:] for _ in range(20)]
    check(answers[:5] == [["00", "01"]] * 5, answers)
    check(answers[-1] == ["97", "97"], answers)
    c.send(["unsubscribe", "a"])
    check(c.receive()[0] == "unsuback", "no answer")
    advance(2)
    c.send(["subscribe", "a"])
    check(c.receive()[-1] == "00", "not allowed a second later")
    counted("SubscribeOperationsPerConnection")


def change():
    """Limits come and go with the profile."""
    c = client("bad")
    for profile in "Default", "Azure", "Default":
        subprocess.run(["egns-ctl", "namespace", "update", "-o", "none",
                        "--profile", profile], check=True)
        for _ in range(20):
            c.send(["subscribe", "a"])
        codes = [c.receive()[-1] for _ in range(20)]
        check(("97" in codes) == (profile == "Azure"), profile, codes)


def fast_deliveries():
    """100 messages a second to a session: the others wait, in order."""
    s = session("s")
    s.send(["subscribe", "load,q1"])
    s.receive()
    p = session("p")
    begin = time.monotonic()
    for n in range(140):
        p.send(["publish", "load", f"payload={n}"])
    for n in range(140):
        check(f"payload={n}" in s.receive(), "not", n)
    check(time.monotonic() - begin > 0.3, "140 messages at once, QoS 0")
    advance(2)
    begin = time.monotonic()
    for n in range(140):
        p.send(["publish", "load", "q1", f"payload={n}"])
        p.receive()
        check(f"payload={n}" in s.receive(), "not", n)
        s.send(["puback"])
    check(time.monotonic() - begin > 0.3, "140 messages at once, QoS 1")
    counted("OutboundPublishPacketsPerConnection")


def overflow():
    """100 messages wait for a session; the next one is its end."""
    s = session("s", "session-expiry=3600", "will=will", "will-qos=1",
                "will-payload=gone")
    s.send(["subscribe", "load,q1", "will,q1"])
    s.receive()
    watcher = session("w")
    watcher.send(["subscribe", "will,q1"])
    watcher.receive()
    p = session("p")

    def fill(n):
        for i in range(n):
            p.send(["publish", "load", "q1", f"payload={i}"])
            check(p.receive()[2] == "00", "the publisher is refused")

    fill(100)
    s.send(["pingreq"])
    got = s.receive()
    while got[0] == "publish":
        got = s.receive()
    check(got == ["pingresp"], *got)
    advance(2)
    fill(1)
    check(last_word(s) == "97", "another reason")
    check("payload=gone" in watcher.receive(), "no will")
    advance(2)
    s = raw.Connection(PORT, "bad")
    s.send(["connect", "session-expiry=3600", "id=s"])
    check("present=0" in s.receive(), "the session is still there")
    s.send(["subscribe", "load,q1"])
    s.receive()
    s.socket.close()
    wait_for(lambda: stats()["connections"] == 2, "it is still there")
    advance(2)
    p.send(["publish", "load", "q1", "payload=x*300000"])
    check(p.receive()[2] == "00", "refused")
    advance(2)
    for _ in range(3):
        p.send(["publish", "load", "q1", "payload=x*300000"])
        check(p.receive()[2] == "00", "refused")
        advance(2)
    wait_for(lambda: stats()["sessions"] == 2, "1 MB, and it is still there")
    with open("spool/dropped/" + os.listdir("spool/dropped")[0],
              encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    check(sum(x["topic"] == "load" for x in lines) == 105, len(lines))
    check({x["reason"] for x in lines} == {"SessionOverflow"}, lines[0])


# No canary: it would be limited, too.
ALONE = {"full_route", "fast_publish", "fast_connect", "fast_subscribe",
         "fast_deliveries", "overflow", "change"}


def main():
    name = sys.argv[4]
    before = memory()
    if name in ALONE:
        globals()[name]()
        return
    canary = Canary()
    canary.start()
    globals()[name]()
    canary.finish()
    after = memory()
    print(f"memory: {before} MB, then {after} MB")
    check(after - before < MEMORY, "memory has grown by", after - before, "MB")


if __name__ == "__main__":
    main()
