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

@test "a message that was begun is sent again though it has expired meanwhile" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect session-expiry=3600 receive-maximum=2
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		p> publish t q1 payload=1 expiry=10
		p< puback 00
		p> publish t q1 payload=2 expiry=10
		p< puback 00
		p> publish t q1 payload=3 expiry=10
		p< puback 00
		s< publish t q1 id=1 -dup payload=1 expiry=10
		s< publish t q1 id=2 -dup payload=2
		s> puback id=2
		s< publish t q1 id=3 -dup payload=3
		p> publish t q1 payload=4 expiry=10
		p< puback 00
		s< nothing
		s!
		advance 11
		s: s
		s> connect session-expiry=3600
		s< connack 00 present=1
		s< publish t q1 id=1 dup payload=1 expiry=1
		s< publish t q1 id=3 dup payload=3
		s< nothing
	EOF
	restart egns-brokerd
	raw <<-'EOF'
		s: s
		s> connect session-expiry=3600
		s< connack 00 present=1
		s< publish t q1 id=1 dup payload=1
		s< publish t q1 id=3 dup payload=3
		s< nothing
	EOF
}

@test "an alias whose new topic is refused does not stand for the old one" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe #
		s< suback 00
		p: p
		p> connect clean
		p< connack 00
		p> publish old q1 alias=1
		p< puback 00
		s< publish old
		p> publish x*257 q1 alias=1
		p< puback 90
		p> publish "" alias=1
		p< disconnect 82
		p< closed
		s< nothing
	EOF
}

@test "retained messages have the identifier of the subscription, whatever else comes" {
	local n
	broker p s
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			p> publish r q1 retain payload=1
			p< puback 00
			s: s
			s> connect session-expiry=60
			s< connack 00
		EOF
		for n in {1..50}; do
			echo "s> subscribe r,q1 sub-id=$((n + 1000))"
			printf 'p> hex'
			printf ' 3206000161%04x00' {1..40}
			printf '\ns< suback 01\n'
			echo "s< publish r q1 retain sub-id=$((n + 1000))"
			echo "s> puback"
			printf 'p< puback id=%d\n' {1..40}
		done
	} >script
	raw <script
}

@test "a retained message that comes together with a subscription is not missed" {
	local n
	broker p s
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			s: s
			s> connect session-expiry=60
			s< connack 00
		EOF
		for n in {1..40}; do
			echo "s> subscribe r/$n,q1 id=$n"
			echo "p> publish r/$n q1 retain payload=$n"
			echo "p< puback 00"
			echo "s< suback id=$n 01"
			echo "s< publish r/$n q1 payload=$n"
			echo "s> puback"
		done
		echo "s< nothing"
	} >script
	raw <script
}

@test "no local is for retained messages, too" {
	broker a b
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		b: b
		b> connect clean
		b< connack 00
		a> publish r/a q1 retain payload=1
		a< puback 00
		b> publish r/b q1 retain payload=2
		b< puback 00
		a> subscribe r/#,nl
		a< suback 00
		a< publish r/b retain payload=2
		a> publish r/a payload=3
		a< nothing
		a> subscribe r/+
		a< suback 00
		a< publish r/a retain
		a< publish r/b retain
		a> publish r/a payload=4
		a< publish r/a payload=4
		a< nothing
	EOF
}
