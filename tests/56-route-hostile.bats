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
	[ -z "$(ls spool/route/new spool/route/cur | grep -v :$)" ]
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
	wait_for eval '[ "$(cat spool/route/new/* | wc -l)" -eq 60 ]'
	[ "$(find spool/route/new -size +17M | wc -l)" -eq 0 ]
	start egns-topicd
	start egns-route
	wait_for routed 60
	nothing_waits
	[ -z "$(ls spool/route/corrupt)" ]
}
