"""raw.py PORT - talk MQTT over TLS by a script on standard input.

Packets are put together and taken apart here and by no library, so that a test
says what goes over the wire to the byte, and sees what comes. A line is one of

    a: DEVICE               open connection a with DEVICE.pem and DEVICE.key
    a> PACKET WORD...       send a packet
    a> hex 10 0c 00 04      send these bytes
    a< PACKET WORD...       wait for a packet: it has all of these words (one
                            that ends in "=" with any value, one like expiry~20
                            with that or a little less), and none of those
                            written with a "-" in front
    a< closed               the peer has closed the connection
    a< nothing              there is no packet before the answer to a PINGREQ
    a! DEVICE               close the socket without a word; with DEVICE, be
                            connected again
    advance SECONDS         move the clock that EGNS_CLOCK names
    # comment

Words are NAME or NAME=VALUE, quoted as in sh. What comes is given in the same
words, and printed: the first line that is not as expected ends the script with
status 1. A value "x*N" is N times that x; bytes that are not text, and all that
is long, are shown as hex:... and bytes*N.
"""
import os
import re
import shlex
import socket
import ssl
import sys
import time

PATIENCE = 60

TYPES = ("connect connack publish puback pubrec pubrel pubcomp subscribe suback "
         "unsubscribe unsuback pingreq pingresp disconnect auth").split()

PROPERTIES = {
    "format": (0x01, "u8"), "expiry": (0x02, "u32"),
    "content-type": (0x03, "str"), "response-topic": (0x08, "str"),
    "correlation": (0x09, "bin"), "sub-id": (0x0b, "var"),
    "session-expiry": (0x11, "u32"), "assigned-id": (0x12, "str"),
    "server-keep-alive": (0x13, "u16"), "method": (0x15, "str"),
    "data": (0x16, "bin"), "request-problem": (0x17, "u8"),
    "will-delay": (0x18, "u32"), "request-response": (0x19, "u8"),
    "response-info": (0x1a, "str"), "server-reference": (0x1c, "str"),
    "reason": (0x1f, "str"), "receive-maximum": (0x21, "u16"),
    "alias-maximum": (0x22, "u16"), "alias": (0x23, "u16"),
    "maximum-qos": (0x24, "u8"), "retain-available": (0x25, "u8"),
    "user": (0x26, "pair"), "maximum-packet": (0x27, "u32"),
    "wildcards": (0x28, "u8"), "ids": (0x29, "u8"), "shared": (0x2a, "u8"),
}
NAMES = {number: (name, kind) for name, (number, kind) in PROPERTIES.items()}


def value_of(text):
    """The bytes that a word's value stands for."""
    if text.startswith("hex:"):
        return bytes.fromhex(text[4:])
    head, star, times = text.rpartition("*")
    if star and head and times.isdigit():
        return head.encode() * int(times)
    return text.encode()


def shown(data):
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "hex:" + data.hex() if len(data) <= 64 else f"bytes*{len(data)}"
    return text if len(text) <= 64 else f"bytes*{len(data)}"


def u16(n):
    return n.to_bytes(2, "big")


def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def string(data):
    return u16(len(data)) + data


def encode(kind, text):
    if kind == "str" or kind == "bin":
        return string(value_of(text))
    if kind == "pair":
        name, _, value = text.partition(":")
        return string(value_of(name)) + string(value_of(value))
    n = int(text, 0)
    if kind == "var":
        return varint(n)
    return n.to_bytes(int(kind[1:]) // 8, "big")


class Words:
    """Words of a packet to send, taken by name; what is left are properties."""

    def __init__(self, words):
        self.list = words

    def flag(self, name):
        there = name in self.list
        if there:
            self.list.remove(name)
        return there

    def take(self, name, default=None):
        for word in self.list:
            if word.startswith(name + "="):
                self.list.remove(word)
                return word[len(name) + 1:]
        return default

    def positional(self):
        if self.list and "=" not in self.list[0]:
            return self.list.pop(0)
        return None

    def properties(self, version, prefix=""):
        out = b""
        for word in list(self.list):
            name, _, text = word.partition("=")
            if not name.startswith(prefix) and name != "will-delay":
                continue
            name = name if name == "will-delay" else name[len(prefix):]
            number, kind = PROPERTIES[name]
            out += bytes([number]) + encode(kind, text)
            self.list.remove(word)
        return varint(len(out)) + out if version == 5 else b""


class Reader:
    """What is left of a packet's body."""

    def __init__(self, data):
        self.data = data

    def take(self, n):
        if n > len(self.data):
            raise ValueError("packet is too short")
        head, self.data = self.data[:n], self.data[n:]
        return head

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def varint(self):
        n = shift = 0
        while True:
            byte = self.number(1)
            n |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return n

    def string(self):
        return self.take(self.number(2))

    def decode(self, kind):
        if kind in ("str", "bin"):
            return shown(self.string())
        if kind == "pair":
            return shown(self.string()) + ":" + shown(self.string())
        return str(self.varint() if kind == "var" else
                   self.number(int(kind[1:]) // 8))

    def properties(self, version):
        if version != 5 or not self.data:
            return []
        rest = Reader(self.take(self.varint()))
        words = []
        while rest.data:
            name, kind = NAMES[rest.number(1)]
            text = rest.decode(kind)
            if name == "user" and words and words[-1].startswith("user="):
                words[-1] += "," + text
            else:
                words.append(f"{name}={text}")
        return words


class Connection:
    def __init__(self, port, device):
        self.port = port
        self.open(device)

    def open(self, device):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations("ca.pem")
        context.load_cert_chain(device + ".pem", device + ".key")
        plain = socket.create_connection(("localhost", self.port), PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self.device = device
        self.version = 5
        self.last_id = 1
        self.input = b""

    # ---- out ----

    def connect(self, w):
        flags = 0x02 if w.flag("clean") else 0
        flags |= 0x20 if w.flag("will-retain") else 0
        level = int(w.positional() or "5")
        self.version = min(level, 5)
        keep = int(w.take("keep", "1000"))
        body = string(value_of(w.take("id", self.device)))
        name, password = w.take("name", self.device), w.take("password")
        will, payload = w.take("will"), value_of(w.take("will-payload", ""))
        if will is not None:
            flags |= 0x04 | int(w.take("will-qos", "0")) << 3
            body += w.properties(self.version, "will-")
            body += string(value_of(will)) + string(payload)
        if name:
            flags |= 0x80
            body += string(value_of(name))
        if password is not None:
            flags |= 0x40
            body += string(value_of(password))
        head = string(b"MQTT") + bytes([level, flags]) + u16(keep)
        return 0, head + w.properties(self.version) + body

    def publish(self, w):
        topic = value_of(w.positional())
        qos = 1 if w.flag("q1") else 2 if w.flag("q2") else 0
        w.flag("q0")
        flags = qos << 1 | w.flag("retain") | w.flag("dup") << 3
        payload = value_of(w.take("payload", ""))
        body = string(topic)
        if qos > 0:
            body += u16(int(w.take("id", "1")))
        return flags, body + w.properties(self.version) + payload

    def puback(self, w):
        number = w.take("id")
        reason = w.take("code")
        body = u16(self.last_id if number is None else int(number))
        properties = w.properties(self.version)
        if reason is not None or len(properties) > 1:
            body += bytes([int(reason or "0", 16)]) + properties
        return 0, body

    def filters(self, w):
        """FILTER[,q1][,nl][,rap][,rh=N]: those that have no "="."""
        number = u16(int(w.take("id", "1")))
        properties = [x for x in w.list if x.partition("=")[0] in PROPERTIES]
        filters = [x for x in w.list if x not in properties]
        w.list = properties
        return number + w.properties(self.version), filters

    def subscribe(self, w):
        body, filters = self.filters(w)
        for item in filters:
            text, *options = item.split(",")
            byte = 0
            for option in options:
                byte |= {"q1": 1, "q2": 2, "nl": 4, "rap": 8, "rh1": 0x10,
                         "rh2": 0x20}[option]
            body += string(value_of(text)) + bytes([byte])
        return 2, body

    def unsubscribe(self, w):
        body, filters = self.filters(w)
        return 2, body + b"".join(string(value_of(f)) for f in filters)

    def disconnect(self, w):
        reason = w.positional()
        properties = w.properties(self.version)
        if reason is None and len(properties) <= 1:
            return 0, b""
        return 0, bytes([int(reason or "0", 16)]) + properties

    auth = disconnect

    def pingreq(self, _):
        return 0, b""

    def send(self, words):
        if words[0] == "hex":
            self.socket.sendall(bytes.fromhex("".join(words[1:])))
            return
        w = Words(words[1:])
        flags, body = getattr(self, words[0])(w)
        if w.list:
            raise ValueError(f"no such words: {w.list}")
        first = (TYPES.index(words[0]) + 1) << 4 | flags
        self.socket.sendall(bytes([first]) + varint(len(body)) + body)

    # ---- in ----

    def more(self, n):
        while len(self.input) < n:
            try:
                data = self.socket.recv(65536)
            except (ssl.SSLEOFError, ConnectionResetError):
                data = b""
            if not data:
                raise EOFError
            self.input += data

    def packet(self):
        size = 1
        while True:
            self.more(size + 1)
            if self.input[size] < 0x80:
                break
            size += 1
        rest = Reader(self.input[1:size + 1]).varint()
        self.more(size + 1 + rest)
        first, body = self.input[0], self.input[size + 1:size + 1 + rest]
        self.input = self.input[size + 1 + rest:]
        return first, Reader(body)

    def describe(self, first, r):
        kind = TYPES[(first >> 4) - 1]
        words = [kind]
        if kind == "connack":
            words += [f"present={r.number(1)}", f"{r.number(1):02x}"]
        elif kind == "publish":
            words += [shown(r.string()), f"q{first >> 1 & 3}"]
            words += ["retain"] if first & 1 else []
            words += ["dup"] if first & 8 else []
            if first & 6:
                self.last_id = r.number(2)
                words.append(f"id={self.last_id}")
        elif kind in ("puback", "suback", "unsuback"):
            words.append(f"id={r.number(2)}")
            if kind == "puback":
                words.append(f"{r.number(1) if r.data else 0:02x}")
        elif kind in ("disconnect", "auth"):
            words.append(f"{r.number(1) if r.data else 0:02x}")
        words += r.properties(self.version)
        if kind == "publish":
            words.append(f"payload={shown(r.data)}")
        elif kind in ("suback", "unsuback"):
            words += [f"{code:02x}" for code in r.data]
        elif r.data:
            raise ValueError(f"{kind} has bytes behind its end")
        return words

    def receive(self):
        try:
            return self.describe(*self.packet())
        except EOFError:
            return ["closed"]

    def expect(self, words):
        if words == ["nothing"]:
            self.send(["pingreq"])
            words = ["pingresp"]
        got = self.receive()
        print(" ", *got)
        if got[0] != words[0]:
            return False
        if words[0] in ("suback", "unsuback"):
            codes = [x for x in words[1:] if "=" not in x and x[0] != "-"]
            if codes != [x for x in got[1:] if "=" not in x]:
                return False
        names = [x.partition("=")[0] for x in got]
        return all(word[1:] not in names if word.startswith("-") else
                   word[:-1] in names if word.endswith("=") else
                   about(word, got) if ABOUT.fullmatch(word) else word in got
                   for word in words[1:])


ABOUT = re.compile(r"([a-z-]+)~(\d+)")


def about(word, got):
    """Seconds go by while a test runs, too."""
    name, most = ABOUT.fullmatch(word).groups()
    return any(f"{name}={int(most) - n}" in got for n in range(16))


def advance(seconds):
    path = os.environ["EGNS_CLOCK"]
    with open(path, encoding="ascii") as file:
        now = int(file.read())
    with open(path + ".new", "w", encoding="ascii") as file:
        print(now + seconds, file=file)
    os.rename(path + ".new", path)
    time.sleep(0.1)


def main():
    port = int(sys.argv[1])
    connections = {}
    for line in sys.stdin:
        words = shlex.split(line)
        if not words or words[0] == "#":
            continue
        print(line.strip())
        verb, words = words[0], words[1:]
        name, action = verb[:-1], verb[-1]
        if verb == "advance":
            advance(int(words[0]))
        elif action == ":":
            connections[name] = Connection(port, words[0])
        elif action == ">":
            connections[name].send(words)
        elif action == "!":
            connections[name].socket.close()
            if words:
                connections[name].open(words[0])
        elif not connections[name].expect(words):
            print("expected:", *words)
            sys.exit(1)


if __name__ == "__main__":
    main()
