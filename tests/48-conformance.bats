# What egns-conformance(7) promises, statement by statement, where it takes a
# session to see it; with 43-mqtt.bats, which has the greater part.

load lib
load broker

# broker DEVICE... - a broker where these may do everything.
broker() {
	local name
	broker_ns || return
	for name; do
		device "$name" || return
	done
	advance 0
	start_broker
}

# raw - a script of packets on standard input.
raw() {
	/usr/bin/python3 "$top/tests/mqtt/raw.py" "$(mport mqtts)"
}

@test "nothing larger than the client takes is sent, reasons are left out first" {
	broker a p
	raw <<-'EOF'
		a: a
		a> connect clean maximum-packet=18
		a< connack 00
		a> subscribe 1 2 3 4 5 6 7 8 9 10
		a< suback 00 00 00 00 00 00 00 00 00 00
		a> connect
		a< disconnect 82 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=18
		a< connack 00
		a> subscribe 1 2 3 4 5 6 7 8 9 10 11 12 13
		a< suback 97 97 97 97 97 97 97 97 97 97 97 97 97
		a> subscribe 1 2 3 4 5 6 7 8 9 10 11 12 13 14
		a< disconnect 97 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=19 id=
		a< connack 83 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=17 session-expiry=60 will=w
		a< connack 83 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=5 user=k:v
		a< connack 83 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=4 user=k:v
		a< closed
		a: a
		a> connect clean maximum-packet=300
		a< connack 00
		a> publish $x
		a< disconnect 87 reason=
		a< closed
		a: a
		a> connect clean maximum-packet=300 will=t will-qos=2
		a< connack 9b reason=
		a< closed
	EOF
}

@test "an UNSUBACK has codes of its own, and never says what is not so" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		a> subscribe 1
		a< suback 00
		a> unsubscribe 1 2 3 4 5 6 7 8 9 10 11
		a< unsuback 83 83 83 83 83 83 83 83 83 83 83
		a> publish 1
		a< publish 1
		a> disconnect
		a< closed
		a: a
		a> connect 4 clean
		a< connack 00
		a> subscribe 1 2 3 4 5 6 7 8 9 10 11
		a< suback 80 80 80 80 80 80 80 80 80 80 80
		a> unsubscribe 1 2 3 4 5 6 7 8 9 10 11
		a< closed
	EOF
}

@test "a remaining length has no padding in MQTT 5, CONNECT's included" {
	broker a
	raw <<-'EOF'
		a: a
		a> hex 10 8e 00 0004 4d515454 05 02 0000 00 0001 61
		a< connack 81
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> hex c0 80 00
		a< disconnect 81
		a< closed
		a: a
		a> connect 4 clean
		a< connack 00
		a> hex c0 80 00
		a< pingresp
		a> hex c0
		a> hex 80
		a> hex 00
		a< pingresp
	EOF
}

@test "3.1.1 has no CONNACK where it has no return code" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect 4 clean will=w will-qos=2
		a< closed
		a: a
		a> connect 4 clean will=w/#
		a< closed
		a: a
		a> connect 4 clean will=$w
		a< connack 05
		a< closed
		a: a
		a> hex 10 0d 0004 4d515454 04 03 0000 0001 61
		a< closed
		a: a
		a> hex 10 0f 0006 4d51497364 70 03 02 0000 0001 61
		a< connack 01
		a< closed
	EOF
}
