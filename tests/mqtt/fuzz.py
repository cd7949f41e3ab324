"""fuzz.py PORT WSS-PORT PID COUNT [SEED] - throw packets at the broker by chance.

COUNT times, a connection is made and sends packets by a grammar of what clients
send; some are broken a little. Up to eight connections live at a time, of three
clients that share sessions, subscriptions and topics, so that takeovers,
wills, retained messages and redelivery mix. The broker must answer all the
while. The seed is printed: with it the same is sent again.
"""
import random
import ssl
import sys
import time

from hostile import (frame, memory, over_tls, packet, stats,
                     websocket)
from raw import advance, string, u16, varint

COUNT = int(sys.argv[4])
SEED = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 32)
DEVICES = ["bad", "good", "canary"]
SESSIONS = [b"", b"", b"", b"1", b"2", b"3"]
LIVE = 8

dice = random.Random(SEED)
pick = dice.choice


def chance(one_in):
    return dice.randrange(one_in) == 0


def topic():
    if chance(20):
        return pick([b"", b"$SYS/x", b"a" * 256, b"a" * 300, b"/".join(
            [b"l"] * 16), b"+", b"\xff", b"a\0", b"/", b"//", b"\xc3\xa9"])
    return b"/".join(pick([b"a", b"b", b"c"])
                     for _ in range(dice.randrange(1, 4)))


def wildcards():
    if chance(20):
        return pick([b"", b"#/a", b"a+", b"$share//a", b"$share/g", b"\xfe",
                     b"$share/g/#", b"a" * 257, b"$SYS/#"])
    levels = [pick([b"a", b"b", b"c", b"+"])
              for _ in range(dice.randrange(1, 4))]
    if chance(3):
        levels[-1] = b"#"
    prefix = pick([b"", b"", b"", b"$share/g/", b"$share/h/"])
    return prefix + b"/".join(levels)


def number(bits):
    top = (1 << bits) - 1
    return pick([0, 1, 2, 10, 11, 16, 100, top, top >> 1,
                 dice.randrange(top)]) & top


def text():
    return pick([b"", b"x", b"\xe2\x82\xac", b"y" * 256, b"y" * 257, b"z" * 5000,
                 b"\xff"]) if chance(4) else b"text"


KINDS = {0x01: "u8", 0x02: "u32", 0x03: "str", 0x08: "str", 0x09: "str",
         0x0b: "var", 0x11: "u32", 0x12: "str", 0x13: "u16", 0x15: "str",
         0x16: "str", 0x17: "u8", 0x18: "u32", 0x19: "u8", 0x1a: "str",
         0x1c: "str", 0x1f: "str", 0x21: "u16", 0x22: "u16", 0x23: "u16",
         0x24: "u8", 0x25: "u8", 0x26: "pair", 0x27: "u32", 0x28: "u8",
         0x29: "u8", 0x2a: "u8"}


def one_property(name):
    kind = KINDS[name]
    if kind == "str":
        return bytes([name]) + string(text())
    if kind == "pair":
        return bytes([name]) + string(text()) + string(text())
    if kind == "var":
        return bytes([name]) + varint(number(28))
    bits = int(kind[1:])
    return bytes([name]) + number(bits).to_bytes(bits // 8, "big")


def properties(version, names):
    if version != 5:
        return b""
    out = b"".join(one_property(name) for name in names if chance(3))
    if chance(60):
        out += one_property(pick(list(KINDS)))
    size = len(out) + (pick([1, -1]) if chance(200) else 0)
    return varint(max(size, 0)) + out


def payload():
    return pick([b"", b"{}", b"x" * dice.randrange(2000), dice.randbytes(30),
                 b"p" * (70000 if chance(20) else 7)])


def connect(device):
    version = pick([4, 5, 5, 5])
    flags = 0x80 | pick([0, 2])
    body = string(pick([b"shared", b"", b"n" * 128, b"\xff", b"\0"])
                  if chance(20) else device.encode() + pick(SESSIONS))
    if chance(3):
        flags |= 4 | pick([0, 8]) | pick([0, 0x20])
        body += properties(version, [0x18, 0x01, 0x02, 0x03, 0x26])
        body += string(topic()) + string(payload()[:60000])
    body += string(device.encode())
    if chance(40):
        flags ^= 1 << dice.randrange(8)
    head = string(b"MQTT") + bytes([version, flags]) + u16(number(16))
    limits = [0x11] * 3 + [0x21, 0x22, 0x27] if chance(2) else [0x11]
    wanted = properties(version, limits[-4:] if chance(5) else [0x11])
    return version, packet(0x10, head + wanted + body)


def publish(version):
    first = 0x30 | pick([0, 2, 2, 2]) | pick([0, 0, 0, 1]) | (
        pick([8, 4, 6]) if chance(50) else 0)
    return packet(first, string(topic()) + (
        u16(pick([1, 2, 3, number(16)])) if first & 6 else b"") + properties(
            version, [0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26]) + payload())


def subscribe(version):
    return packet(0x82, u16(pick([1, 2, 3, 0] if chance(20) else [1, 2, 3])) +
                  properties(version, [0x0b]) + b"".join(
        string(wildcards()) + bytes([pick([0, 1, 2]) | (
            dice.randrange(256) if chance(20) else pick(
                [0, 0, 4, 8, 0x10, 0x20]) if version == 5 else 0)])
        for _ in range(dice.randrange(1, 12 if chance(10) else 4))))


def unsubscribe(version):
    return packet(0xa2, u16(1) + properties(version, [0x26]) + b"".join(
        string(wildcards()) for _ in range(dice.randrange(1, 4))))


def puback(_):
    return b"".join(packet(0x40, u16(n)) for n in range(1, pick([2, 5, 20])))


def noise(version):
    return pick([b"\xc0\0", packet(pick([0x50, 0x62, 0x70, 0x20, 0x90, 0xb0]),
                                   u16(1)),
                 packet(0xf0, b"\x19" + properties(version, [0x15, 0x16])),
                 packet(0xe0, bytes([pick([0, 4, 0x80])]) + properties(
                     version, [0x11])),
                 dice.randbytes(dice.randrange(1, 40)),
                 b"\x30\xff\xff\xff\x7f", b"\x00\x00"])


def some(version):
    kind = pick([publish] * 8 + [subscribe] * 4 + [puback] * 4 +
                [unsubscribe] * 2 + ([noise] if chance(3) else [publish]))
    data = kind(version)
    if chance(60):
        at = dice.randrange(len(data))
        data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1:]
    if chance(150):
        data = data[:dice.randrange(len(data))]
    return data


class Peer:
    def __init__(self):
        self.device = pick(DEVICES)
        self.websocket = chance(4)
        self.socket = websocket(self.device) if self.websocket else over_tls(
            device=self.device)
        self.version, hello = connect(self.device)
        self.left = dice.randrange(1, 15)
        self.send(hello)

    def send(self, data):
        if self.websocket:
            parts = [data]
            if chance(3) and len(data) > 1:
                at = dice.randrange(1, len(data))
                parts = [data[:at], data[at:]]
            data = b"".join(frame(
                part, (0 if n else 2) | (0x80 if n == len(parts) - 1 else 0))
                for n, part in enumerate(parts))
        self.socket.settimeout(5)
        self.socket.sendall(data)

    def step(self):
        """False when it is over."""
        self.left -= 1
        if self.left < 0:
            if chance(2):
                self.send(b"\xe0\0")
            self.socket.close()
            return False
        self.send(b"".join(some(self.version)
                           for _ in range(dice.randrange(1, 6))))
        if not chance(3):
            self.socket.settimeout(0.002)
            try:
                if not self.socket.recv(65536):
                    return False
            except (TimeoutError, ssl.SSLWantReadError):
                pass
        return True


def main():
    print(f"seed {SEED}", flush=True)
    live, done = [], 0
    begin = time.monotonic()
    while done < COUNT:
        try:
            if len(live) < LIVE and not chance(4):
                live.append(Peer())
                done += 1
                if done % 100 == 0:
                    stats()
                if done % 50 == 0:
                    advance(pick([1, 1, 30, 4000]))
        except (OSError, AssertionError):
            memory()  # fails when the broker is gone
        if not live:
            continue
        peer = pick(live)
        try:
            if peer.step():
                continue
        except OSError:
            pass
        live.remove(peer)
    for peer in live:
        peer.socket.close()
    print(f"{done} connections in {time.monotonic() - begin:.1f} s")
    print(stats(), memory(), "MB")


if __name__ == "__main__":
    main()
