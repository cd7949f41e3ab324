"""An MQTT client by paho. Options and lines are those of mqttjs.js."""
import argparse
import json
import os
import ssl
import sys
import time
import urllib.parse

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

NAMES = {
    "payload-format-indicator": ("PayloadFormatIndicator", int),
    "message-expiry-interval": ("MessageExpiryInterval", int),
    "content-type": ("ContentType", str),
    "response-topic": ("ResponseTopic", str),
    "correlation-data": ("CorrelationData", str.encode),
    "subscription-identifier": ("SubscriptionIdentifier", int),
}

parser = argparse.ArgumentParser()
for name in "url ca cert key user resume".split():
    parser.add_argument("--" + name)
for name in "subscribe publish property user-property".split():
    parser.add_argument("--" + name, action="append", default=[])
parser.add_argument("--id", default="")
parser.add_argument("--version", type=int, default=5)
parser.add_argument("--count", type=int, default=0)
parser.add_argument("--abort", action="store_true")
opt = parser.parse_args()
v5 = opt.version == 5

got = acked = subscribed = 0
status = None


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def end(code):
    global status
    if status is None:
        status = code


def look():
    if (got >= opt.count and acked >= len(opt.publish)
            and subscribed >= len(opt.subscribe)):
        end(0)


def number(code):
    return getattr(code, "value", code)


def properties():
    if not v5:
        return None
    all = Properties(PacketTypes.PUBLISH)
    for name, value in (p.split("=", 1) for p in opt.property):
        theirs, make = NAMES[name]
        setattr(all, theirs, make(value))
    for p in opt.user_property:
        all.UserProperty = tuple(p.split("=", 1))
    return all


def read(theirs):
    all = {}
    for name, (attribute, _) in NAMES.items():
        value = getattr(theirs, attribute, None)
        if value is not None:
            all[name] = value.decode() if isinstance(value, bytes) else value
    if getattr(theirs, "UserProperty", None):
        all["user-properties"] = theirs.UserProperty
    return all


def publish(client):
    for topic, payload in (p.split("=", 1) for p in opt.publish):
        client.publish(topic, payload, qos=1, properties=properties())


def on_connect(client, _, flags, code, props=None):
    code = number(code)
    say("connack", code=code, sessionPresent=bool(flags["session present"]))
    if code != 0:
        end(1)
        return
    for filter in opt.subscribe:
        client.subscribe(filter, qos=1)
    if not opt.subscribe:
        publish(client)
    look()


def on_subscribe(client, _, mid, granted, props=None):
    global subscribed
    codes = [number(code) for code in granted]
    say("suback", codes=codes)
    subscribed += len(codes)
    if max(codes) >= 0x80:
        end(1)
    elif subscribed == len(opt.subscribe):
        publish(client)
    look()


# paho's own callback does not tell the reason of a PUBACK.
class Client(mqtt.Client):
    def _handle_pubackcomp(self, cmd):
        global acked
        packet = self._in_packet["packet"]
        code = packet[2] if len(packet) > 2 else 0
        if cmd == "PUBACK":
            say("puback", code=code)
            acked += 1
            if code >= 0x80:
                end(1)
        result = super()._handle_pubackcomp(cmd)
        look()
        return result


def on_message(client, _, m):
    global got
    say("message", topic=m.topic, payload=m.payload.decode(), qos=m.qos,
        retain=bool(m.retain), dup=bool(m.dup),
        properties=read(getattr(m, "properties", None)))
    got += 1
    look()


def on_disconnect(client, _, code, props=None):
    if status is not None:
        return
    code = number(code)
    if code >= 0x80:
        say("disconnect", code=code)
    else:
        say("closed")
    end(1)


def connect(client, url):
    more = {}
    if v5:
        more["clean_start"] = opt.resume is None
    if v5 and opt.resume is not None:
        more["properties"] = Properties(PacketTypes.CONNECT)
        more["properties"].SessionExpiryInterval = int(opt.resume)
    client.connect(url.hostname, url.port, **more)


def main():
    url = urllib.parse.urlsplit(opt.url)
    client = Client(
        opt.id, protocol=mqtt.MQTTv5 if v5 else mqtt.MQTTv311,
        clean_session=None if v5 else opt.resume is None,
        transport="websockets" if url.scheme == "wss" else "tcp")
    if url.scheme == "wss":
        client.ws_set_options(path=url.path)
    client.tls_set(opt.ca, opt.cert, opt.key, ssl.CERT_REQUIRED)
    if opt.user is not None:
        client.username_pw_set(opt.user)
    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = on_message
    client.on_disconnect = on_disconnect
    deadline = time.monotonic() + 30
    try:
        connect(client, url)
        while status is None and time.monotonic() < deadline:
            if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
                end(1)
    except (OSError, mqtt.WebsocketConnectionError) as error:
        say("error", words=str(error))
        end(1)
    if status is None:
        end(75)
    if opt.abort:
        os._exit(status)
    client.disconnect()
    client.loop(0.1)
    return status


sys.exit(main())
