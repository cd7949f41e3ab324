"""store.py SCENARIO - what egns-brokerd's files go through in a long life."""
import base64
import glob
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../mqtt"))
from broker import Broker, Client, dropped  # noqa: E402

LASTS = "clean session-expiry=3600"
BACK = "session-expiry=3600"
LARGE = 400000  # bytes


def check(true, *words):
    if not true:
        raise AssertionError(" ".join(str(w) for w in words))


def publish(client, *messages, flags=""):
    ids = set()
    for message in messages:
        topic, _, payload = message.partition("=")
        client.say(f"publish {topic} q1 id={client.next_id()} {flags} "
                   f"payload={payload}")
        ids.add(f"id={client.sent_id}")
    while ids:
        got = client.wait("puback")
        check(got[2] in ("00", "10"), got)
        ids.remove(got[1])


def segments():
    return sorted(glob.glob("spool/sessions/0*.ndjson"))


def memory(broker):
    """MB that it has resident."""
    with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024
    return 0


def waits(broker):
    """What one session has that is not there for long."""
    client = Client(broker, "s", LASTS)
    client.subscribe_to("t/#,q1")
    client.close()
    return Client(broker, "p", "clean")


def again(broker, how=signal.SIGKILL):
    status = broker.end(how)
    check(status == (0 if how == signal.SIGTERM else -9), "status", status)
    check(broker.start(), "it does not start again")


def cleaning(broker):
    """Segments go, but not what somebody waits for in them."""
    p = waits(broker)
    publish(p, "r/keep=1", "r/gone=1", "t/r=1", flags="retain")
    publish(p, *(f"t/1={n}" for n in range(1, 6)))
    publish(p, "r/gone=", "t/r=", flags="retain")
    client = Client(broker, "o", LASTS)
    client.subscribe_to("b/#,q1")
    client.close()
    for kill in range(4):
        p = Client(broker, "p", "clean")
        client = Client(broker, "o", BACK)
        check(client.present, "o is lost")
        for _ in range(30):
            publish(p, *[f"b/x=x*{LARGE}"] * 4)
            client.drain()
        check(len(segments()) < 6, "nothing is cleaned:", segments())
        if kill < 3:
            again(broker)
    check(not os.path.exists("spool/sessions/0000000001.ndjson"),
          "the first segment stays")
    for how in (signal.SIGKILL, signal.SIGTERM):
        again(broker, how)
        client = Client(broker, "e", "clean")
        client.subscribe_to("r/#,q1", "t/#,q1")
        there = [(m.topic, m.payload) for m in client.drain()]
        check(there == [("r/keep", "1")], "retained:", there)
        client.close()
    client = Client(broker, "s", BACK)
    there = [(m.topic, m.payload) for m in client.drain()]
    check(there == [("t/r", "1"), *(("t/1", str(n)) for n in range(1, 6)),
                    ("t/r", "")], "s has", there)


def memory_is_bounded(broker):
    """What waits for those that are offline need not fit into memory."""
    p = waits(broker)
    publish(p, "t/r=1", flags="retain")
    online = Client(broker, "o", "clean")
    online.subscribe_to("t/#")
    n = int(os.environ.get("STORE_MESSAGES", "800"))
    for k in range(0, n, 4):
        publish(p, *(f"t/{j}=x*{LARGE}" for j in range(k, k + 4)))
        check(online.messages(), "o gets nothing")
    for restart in range(2):
        check(memory(broker) < 420, memory(broker), "MB resident")
        print(f"{n * LARGE // 1000000} MB queued, {memory(broker)} MB resident")
        if restart == 0:
            since = time.monotonic()
            again(broker)
            print(f"restart {time.monotonic() - since:.2f} s")
    client = Client(broker, "s", BACK)
    there = client.drain()
    check([m.topic for m in there] == ["t/r"] + [f"t/{k}" for k in range(n)],
          "s has", len(there))
    check(all(m.payload == f"bytes*{LARGE}" for m in there[1:]), "payloads")
    client.subscribe_to("t/r,q1")
    check(client.wait("publish")[-1] == "payload=1", "retained")
    check(memory(broker) < 420, memory(broker), "MB resident")


def flip(path, find):
    """A bit of the line that has this."""
    with open(path, "r+b") as file:
        data = file.read()
        file.seek(data.index(find) + 2)
        file.write(bytes([data[data.index(find) + 2] ^ 1]))


def broken_lines(broker):
    """A broken line costs what is in it."""
    p = waits(broker)
    client = Client(broker, "o", LASTS)
    client.subscribe_to("t/1,q1", "t/2,q1")
    client.close()
    publish(p, *(f"t/1={n}" for n in range(1, 6)))
    broker.end(signal.SIGTERM)
    name = segments()[0]
    flip(name, b'"payload":"3"')
    flip("spool/sessions/state.ndjson", b'"subscribe":"t/2"')
    # the last one, too, if it has its end
    with open(name, "ab") as file:
        file.write(b'{"crc32c":"00000000","session":0,"settled":[]}\n')
    check(broker.start(), "it does not start")
    records = dropped()
    check([r["reason"] for r in records] == ["Corrupt"] * 3, records)
    check(any(b'yload":"3"' in base64.b64decode(r["line_base64"])
              for r in records), records)
    for session in ("s", "o"):
        client = Client(broker, session, BACK)
        there = [m.payload for m in client.drain()]
        check(there == ["1", "2", "4", "5"], session, "has", there)
        client.close()
    publish(Client(broker, "p", "clean"), "t/2=6", "t/1=7")
    again(broker)
    there = [m.payload for m in Client(broker, "o", BACK).drain()]
    check(there == ["7"], "o has", there)


def torn_lines(broker):
    """What was not written to its end was promised to nobody."""
    p = waits(broker)
    publish(p, "t/1=1")
    broker.end()
    paths = (segments()[0], "spool/sessions/state.ndjson")
    sizes = [os.path.getsize(path) for path in paths]
    for path in paths:
        with open(path, "ab") as file:
            file.write(b'{"crc32c":"00000000","session":1')
    check(broker.start(), "it does not start")
    check(os.path.getsize(paths[0]) == sizes[0], "not cut off")
    check(not dropped(), "recorded")
    publish(Client(broker, "p", "clean"), "t/1=2")
    again(broker)
    there = [m.payload for m in Client(broker, "s", BACK).drain()]
    check(there == ["1", "2"], "s has", there)


def snapshots(broker):
    """state.ndjson is written anew when it has grown."""
    waits(broker).close()
    client = Client(broker, "o", LASTS)
    filters = [f"{'x' * 200}/{n},q1" for n in range(10)]
    while os.path.getsize("spool/sessions/state.ndjson") < 1048576:
        client.subscribe_to(*filters)
    client.subscribe_to("t/1,q1")
    client.unsubscribe_from("x" * 200 + "/0")
    for how in (signal.SIGKILL, signal.SIGTERM):
        check(os.path.getsize("spool/sessions/state.ndjson") < 100000,
              "not written anew")
        again(broker, how)
        check(broker.stats()["subscriptions"] == 11, broker.stats())
        publish(Client(broker, "p", "clean"), "t/1=1")
        client = Client(broker, "o", BACK)
        check(client.present, "o is lost")
        check([m.payload for m in client.drain()] == ["1"], "t/1")
        client.close()
    check([m.payload for m in Client(broker, "s", BACK).drain()] == ["1", "1"],
          "s")


def main():
    # what sanitizers keep of freed memory is not the broker's
    os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=16"
    broker = Broker()
    try:
        check(broker.start(), "it does not start")
        globals()[sys.argv[1]](broker)
        check(broker.end(signal.SIGTERM) == 0, "exit status")
    finally:
        broker.end()


if __name__ == "__main__":
    main()
