#!/usr/bin/python3
"""A webhook to start from: prints the events that it is sent, one a line.

	examples/webhook.py [-p port] [-s status] [-o origin]

Its URL goes to standard error once it listens; port 0 is any free one. It lets
egns deliver (OPTIONS), and answers each delivery with 204, or with another status
to see what becomes of it. It knows every form that a delivery can have: an event,
a batch of them, and binary mode. Only this machine reaches it: behind a proxy that
has a certificate the whole world may.
"""
import argparse
import base64
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


def events_of(headers, body):
    """The events of a delivery, as in the CloudEvents HTTP binding."""
    kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind == "application/cloudevents-batch+json":
        return json.loads(body)
    if kind == "application/cloudevents+json":
        return [json.loads(body)]
    event = {name.lower()[3:]: unquote(value)
             for name, value in headers.items() if name.lower()[:3] == "ce-"}
    if "specversion" not in event:
        raise ValueError("no CloudEvent")
    if kind:
        event["datacontenttype"] = headers["Content-Type"]
    if kind == "application/json" or kind.endswith("+json"):
        event["data"] = json.loads(body)
    elif kind.startswith("text/"):
        event["data"] = body.decode()
    elif body:
        event["data_base64"] = base64.b64encode(body).decode()
    return [event]


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = 300
    one_at_a_time = threading.Lock()

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def do_OPTIONS(self):
        """May somebody with this origin deliver here?"""
        origin = self.headers.get("WebHook-Request-Origin", "")
        if origin.lower() != self.server.origin:
            self.answer(403)
            return
        self.answer(200, WebHook_Allowed_Origin=origin,
                    WebHook_Allowed_Rate="*", Allow="POST, OPTIONS")

    def do_POST(self):
        try:
            length = int(self.headers["Content-Length"])
            events = events_of(self.headers, self.rfile.read(length))
        except (TypeError, ValueError):
            self.answer(400)
            self.close_connection = True
            return
        # An event counts as taken from the answer on, so whatever has to last
        # is done before it; and it may come again, with the same source and id.
        if self.server.status < 300:
            with self.one_at_a_time:
                for event in events:
                    print(json.dumps(event), flush=True)
        self.answer(self.server.status)

    def log_message(self, *args):
        pass


def main():
    about = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("-p", dest="port", type=int, default=8080)
    parser.add_argument("-s", dest="status", type=int, default=204)
    parser.add_argument("-o", dest="origin", default="eventgrid.azure.net")
    args = parser.parse_args()
    try:
        server = ThreadingHTTPServer(("127.0.0.1", args.port), Webhook)
    except OSError as error:
        sys.exit(f"webhook.py: port {args.port}: {error.strerror}")
    server.daemon_threads = True
    server.status, server.origin = args.status, args.origin.lower()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"http://127.0.0.1:{server.server_port}/", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


main()
