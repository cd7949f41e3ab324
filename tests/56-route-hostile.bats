# shellcheck shell=bash
# What devices, files, sockets and other servers may do to egns-route.
load lib
load broker

# routed N - so many events are in the topic.
routed() {
	[ "$(cat spool/topics/ingest/log/* | wc -l)" -eq "$1" ]
}

# nothing_waits - and nothing was put aside.
nothing_waits() {
	[ -z "$(find spool/route/new spool/route/cur -mindepth 1)" ]
}

# waiting N - so many messages are there for egns-route.
waiting() {
	[ "$(cat spool/route/new/* | wc -l)" -eq "$1" ]
}

# route_ns - a broker's namespace that routes to topic ingest.
route_ns() {
	broker_ns && topic ingest && egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=ingest
}

@test "wills of many clients at once are more than one file, and arrive" {
	route_ns
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.maximumClientSessionsPerAuthenticationName=60
	device d
	start_broker
	# 60 wills of 60000 characters that JSON escapes: 20 MiB, and they come
	# due in one turn of the loop
	TOP=$top /usr/bin/python3 - "$(mport mqtts)" "${pid_of[egns-brokerd]}" <<-'EOF'
		import os, signal, sys
		sys.path.insert(0, os.environ["TOP"] + "/tests/mqtt")
		import raw
		all = []
		for i in range(60):
		    c = raw.Connection(int(sys.argv[1]), "d")
		    c.send(["connect", "clean", f"id=d{i}", "will=bye",
		            "will-qos=1", "will-payload=\x01*60000"])
		    assert c.receive()[2] == "00"
		    all.append(c)
		os.kill(int(sys.argv[2]), signal.SIGSTOP)
		for c in all:
		    c.socket.close()
		os.kill(int(sys.argv[2]), signal.SIGCONT)
	EOF
	wait_for waiting 60
	[ "$(find spool/route/new -size +17M | wc -l)" -eq 0 ]
	start egns-topicd
	start egns-route
	wait_for routed 60
	wait_for nothing_waits
	[ -z "$(ls spool/route/corrupt)" ]
}

# babble HEAD TEXT - in place of topicd, say HEAD to who connects, and then TEXT
# for as long as it is listened to; ends with the first connection.
babble() {
	/usr/bin/python3 - "$@" <<-'EOF' 3>&- &
		import os, socket, sys
		head, text = (x.encode() for x in sys.argv[1:])
		s = socket.socket(socket.AF_UNIX)
		s.bind("spool/run/babble")
		s.listen()
		os.chmod("spool/run/babble", 0o666)
		os.rename("spool/run/babble", "spool/run/topicd.sock")
		c, _ = s.accept()
		c.settimeout(30)
		try:
		    c.sendall(head)
		    while True:
		        c.sendall(text * 65536)
		except OSError:
		    pass
	EOF
	pid_of[babble]=$!
}

# babbled WORDS - egns-route says so, and hangs up; all is well with a real one.
babbled() {
	start egns-route
	wait_for grep -q "$1" egns-route.log
	gone babble
	device d
	start_broker
	mpub d -q 1 -t t -m 1
	start egns-topicd
	wait_for routed 1
	[ "$(jq -r .event.subject spool/topics/ingest/log/*)" = t ]
}

@test "answers that were not asked for end a connection, and are taken for none" {
	route_ns
	babble $'{"egns":"topicd","version":1}\n' $'{"ok":true}\n'
	babbled "topicd: it answers what was not asked"
}

@test "a greeting without an end is not read for ever" {
	route_ns
	babble '' x
	babbled "topicd: an answer has no end"
}

@test "a bridge says that what its broker sends is no MQTT" {
	ns ingest
	start egns-topicd
	# a CONNACK, and a CONNECT, which no server sends
	stub='import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
c = s.accept()[0]
c.recv(4096)
c.sendall(bytes.fromhex("20030000001000"))
while c.recv(4096):
    pass'
	python3 -c "$stub" >port 3>&- &
	pid_of[stub]=$!
	wait_for test -s port
	egns-route --from "mqtt://127.0.0.1:$(cat port)" --to ingest \
		2>egns-route.log 3>&- &
	pid_of[egns-route]=$!
	wait_for grep -q "what the broker sent is not taken: " egns-route.log
	gone stub
}
