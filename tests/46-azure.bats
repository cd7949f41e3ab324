# The profile of the service: rates, and queues that end their session. The
# clients that are too fast are mqtt/hostile.py's.

load lib
load broker

# azure SCENARIO - against a broker with that profile.
azure() {
	broker_ns --profile Azure
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.maximumClientSessionsPerAuthenticationName=100
	device bad
	advance 0
	start_broker
	hostile "$1"
}

hostile() {
	/usr/bin/python3 "$top/tests/mqtt/hostile.py" "$(mport mqtts)" \
		"$(mport wss)" "${pid_of[egns-brokerd]}" "$1"
}

@test "1000 messages and 1 MB a second of a session, and of a unit" {
	azure fast_publish
}

@test "a CONNECT a second of a session, and 200 of a unit" {
	azure fast_connect
}

@test "5 SUBSCRIBE and UNSUBSCRIBE a second" {
	azure fast_subscribe
}

@test "100 messages a second to a session, the others wait" {
	azure fast_deliveries
}

@test "a queue of more than 100 messages or 1 MB ends its session" {
	azure overflow
}

@test "who has no binding is let in, and may do nothing" {
	bare_ns --profile Azure
	device bad
	start_broker
	/usr/bin/python3 "$top/tests/mqtt/raw.py" "$(mport mqtts)" <<-'X'
		a: bad
		a> connect clean
		a< connack 00
		a> publish t q1 id=1
		a< puback id=1 87
		a> subscribe t
		a< suback 87
		a> publish t
		a< disconnect 87
	X
}

@test "a change of the profile is in force at once" {
	broker_ns
	device bad
	advance 0
	start_broker
	hostile change
}
