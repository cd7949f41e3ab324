# The broker as clients see it, egns-mqtt(7): what goes over the wire for what
# they send, by scripts for mqtt/raw.py; and clients that others have written.

load lib
load broker

@test "messages go from every version and QoS to every other" {
	broker p s
	for publisher in 4 5; do
		for subscriber in 4 5; do
			cat <<-EOF
				p: p
				p> connect $publisher clean
				p< connack 00 present=0
				s: s
				s> connect $subscriber clean
				s< connack 00 present=0
				s> subscribe id=7 one,q1 zero
				s< suback id=7 01 00
				p> publish one payload=a
				s< publish one q0 -retain payload=a
				p> publish one q1 id=1 payload=b
				p< puback id=1 00
				s< publish one q1 -dup -retain payload=b
				s> puback
				p> publish zero q1 id=2 payload=c
				p< puback id=2 00
				s< publish zero q0 payload=c
				p> publish one q1 id=3 payload=
				p< puback id=3
				s< publish one q1 payload=
				s> puback
				s> disconnect
				s< closed
				p> disconnect
				p< closed
			EOF
		done
	done >script
	raw <script
}

@test "mosquitto_pub and mosquitto_sub of both versions" {
	broker p s3 s5
	listen s3 s3 -V 311 -i s3 -q 1 -t 'a/#'
	listen s5 s5 -V 5 -i s5 -q 1 -t 'a/#'
	mpub p -V 311 -i p -q 1 -t a/1 -m one
	mpub p -V 5 -i p -q 1 -t a/2 -m two
	mpub p -V 5 -i p -q 0 -t a/3 -m three
	mpub p -V 311 -i p -q 0 -t b -m none
	seq 100 | mpub p -V 5 -i p -q 1 -t a/n -l
	mapfile -t lines < <(seq -f 'a/n %g' 100)
	heard s3 'a/1 one' 'a/2 two' 'a/3 three' "${lines[@]}"
	heard s5 'a/1 one' 'a/2 two' 'a/3 three' "${lines[@]}"
}

@test "paho: properties, request and response" {
	broker p s
	cat >asker.py <<-'EOF'
		import sys, threading
		import paho.mqtt.client as mqtt
		from paho.mqtt.properties import Properties
		from paho.mqtt.packettypes import PacketTypes

		done, ready = threading.Event(), threading.Event()

		def client(name):
		    c = mqtt.Client(name, protocol=mqtt.MQTTv5)
		    c.tls_set("ca.pem", f"{name}.pem", f"{name}.key")
		    c.username_pw_set(name)
		    c.on_subscribe = lambda *_: ready.set()
		    c.connect("localhost", int(sys.argv[1]),
		              clean_start=True)
		    c.loop_start()
		    return c

		def subscribe(c, topic):
		    ready.clear()
		    c.subscribe(topic, qos=1)
		    assert ready.wait(60)

		def answer(c, _, request):
		    p = Properties(PacketTypes.PUBLISH)
		    p.CorrelationData = request.properties.CorrelationData
		    p.UserProperty = request.properties.UserProperty
		    c.publish(request.properties.ResponseTopic,
		              request.payload.upper(), 1, properties=p)

		def answered(c, _, response):
		    p = response.properties
		    print(response.topic, response.payload, p.CorrelationData,
		          p.UserProperty)
		    done.set()

		server, asker = client("s"), client("p")
		server.on_message, asker.on_message = answer, answered
		subscribe(server, "ask/+")
		subscribe(asker, "answers/p")
		p = Properties(PacketTypes.PUBLISH)
		p.ResponseTopic, p.CorrelationData = "answers/p", b"\x00\xff7"
		p.UserProperty = [("k", "2"), ("a", "x"), ("k", "1")]
		p.ContentType, p.PayloadFormatIndicator = "text/plain", 1
		asker.publish("ask/1", "how much", 1, properties=p)
		assert done.wait(60)
		for c in server, asker:
		    c.disconnect()
		    c.loop_stop()
	EOF
	run /usr/bin/python3 asker.py "$(mport mqtts)"
	echo "$output"
	[ "$output" = "answers/p b'HOW MUCH' b'\\x00\\xff7'\
 [('k', '2'), ('a', 'x'), ('k', '1')]" ]
}

@test "a CONNACK says what there is, and nothing else" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean keep=1160
		a< connack 00 present=0 maximum-qos=1 receive-maximum=1000 alias-maximum=10 maximum-packet=524288 -session-expiry -server-keep-alive -assigned-id -retain-available -wildcards -ids -shared -response-info -reason
		a> disconnect
		a< closed
		a: a
		a> connect clean session-expiry=3600 request-response=1
		a< connack 00 -session-expiry -response-info
		a> disconnect
		a< closed
		a: a
		a> connect clean session-expiry=4294967295
		a< connack 00 session-expiry=3600
		a> disconnect
		a: a
		a> connect 3
		a< connack present=0 01
		a< closed
		a: a
		a> connect 6
		a< connack 84
		a< closed
		a: a
		a> connect name=nobody
		a< connack 87
		a< closed
		a: a
		a> connect 4 name=nobody
		a< connack 05
		a< closed
		a: a
		a> connect user=k:v
		a< connack 83
		a< closed
		a: a
		a> connect receive-maximum=0
		a< connack 82
		a< closed
		a: a
		a> connect method=OAUTH2-JWT data=x
		a< connack 8c
		a< closed
	EOF
}

@test "a client without an id is given one, of its own" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean id=
		a< connack 00 present=0 assigned-id=
		a> disconnect
		a< closed
		a: a
		a> connect 4 clean id=
		a< connack 02
		a< closed
		a: a
		a> connect clean id=x*128
		a< connack 00 -assigned-id
		a> disconnect
		a< closed
		a: a
		a> connect clean id=x*129
		a< connack 85
		a< closed
	EOF
}

@test "keep alive is 1160 seconds at most, and is kept" {
	broker a b c
	raw <<-'EOF'
		a: a
		a> connect clean keep=0
		a< connack 00 server-keep-alive=1160
		b: b
		b> connect clean keep=65535
		b< connack 00 server-keep-alive=1160
		c: c
		c> connect 4 clean keep=0
		c< connack 00
		advance 1700
		a< nothing
		b< nothing
		c< nothing
		advance 500
		c< nothing
		advance 1300
		a< disconnect 8d
		a< closed
		b< disconnect 8d
		advance 500
		c< closed
		c: c
		c> connect clean keep=100
		c< connack 00
		advance 140
		c< nothing
		advance 151
		c< disconnect 8d
		c< closed
	EOF
}

@test "wildcards match whole levels" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect clean
		s< connack 00
		s> subscribe a/+/c sub-id=1 id=1
		s< suback 00
		s> subscribe a/# sub-id=2 id=2
		s< suback 00
		s> subscribe + sub-id=3 id=3
		s< suback 00
		s> subscribe +/+ sub-id=4 id=4
		s< suback 00
		p> publish a/b/c payload=1
		s< publish a/b/c sub-id=1 sub-id=2 payload=1
		p> publish a payload=2
		s< publish a sub-id=2 sub-id=3 payload=2
		p> publish a//c payload=3
		s< publish a//c sub-id=1 sub-id=2 payload=3
		p> publish /x payload=4
		s< publish /x sub-id=4 payload=4
		p> publish a/b/c/d payload=5
		s< publish a/b/c/d sub-id=2 payload=5
		p> publish x/y/z payload=6
		p> publish x payload=7
		s< publish x sub-id=3 payload=7
		s> unsubscribe + +/+ id=5
		s< unsuback 00 00
		s> subscribe x/é/+ id=6
		s< suback 00
		p> publish x/é/日本 payload=8
		s< publish x/é/日本 payload=8
	EOF
}

@test "filters and topics that are none are refused" {
	broker a b
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		a> subscribe a+ a/#/b a/b# #/a a/+b ok/+
		a< suback 8f 8f 8f 8f 8f 00
		a> subscribe x*256 x*257 /*14 /*15 $share/g $share/g+/a $share//a
		a< suback 00 8f 00 8f 8f 8f 8f
		a> publish x*256 q1
		a< publish bytes*256 payload=
		a< puback 00
		a> publish x*257 q1
		a< puback 90
		a> publish /*14 q1
		a< publish //////////////
		a< puback 00
		a> publish /*15 q1
		a< puback 90
		a> publish a/+ q1
		a< puback 90
		a> publish a/# q0
		a< disconnect 90
		a< closed
		b: b
		b> connect 4 clean
		b< connack 00
		b> subscribe a+ ok,q1
		b< suback 80 01
		b> publish a/# q1
		b< closed
	EOF
}

@test "topics that begin with a dollar sign are nobody's" {
	broker a b
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		a> subscribe $SYS/# $x # +/x
		a< suback 87 87 00 00
		a> publish $SYS/x q1
		a< puback 87
		a> publish $SYS/x q0
		a< disconnect 87
		a< closed
		a: a
		a> connect clean will=$SYS/x
		a< connack 87
		b: b
		b> connect 4 clean
		b< connack 00
		b> publish $SYS/x q1
		b< closed
	EOF
}

@test "the last retained message of a topic is kept until it is cleared" {
	broker p s t
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		p> publish r/a q1 retain payload=1 user=k:v
		p< puback 00
		p> publish r/b retain payload=2
		p> publish r/c q1 payload=none
		p< puback 00
		s: s
		s> connect clean
		s< connack 00
		s> subscribe r/a,q1
		s< suback 01
		s< publish r/a q1 retain user=k:v -expiry payload=1
		s> puback
		s> subscribe r/b,q1 r/c
		s< suback 01 00
		s< publish r/b q0 retain payload=2
		s< nothing
		p> publish r/a q1 retain payload=3
		p< puback 00
		s< publish r/a q1 -retain -expiry payload=3
		s> puback
		t: t
		t> connect 4 clean
		t< connack 00
		t> subscribe r/a
		t< suback 00
		t< publish r/a q0 retain payload=3
		p> publish r/a q1 retain payload=
		p< puback 00
		s< publish r/a q1 -retain payload=
		s> puback
		t< publish r/a q0 payload=
		t> subscribe r/#
		t< suback 00
		t< publish r/b retain payload=2
		t< nothing
	EOF
	restart egns-brokerd
	[ "$(msub s -V 5 -i s -t 'r/#' -C 1 -W "$PATIENCE")" = 2 ]
}

@test "retain handling and retain as published" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect 4 clean
		p< connack 00
		p> publish r q1 retain payload=1
		p< puback
		s: s
		s> connect clean
		s< connack 00
		s> subscribe r,rh2
		s< suback 00
		s< nothing
		s> subscribe r,rh1
		s< suback 00
		s< nothing
		s> subscribe r
		s< suback 00
		s< publish r retain payload=1
		s> subscribe r
		s< suback 00
		s< publish r retain payload=1
		s> unsubscribe r
		s< unsuback 00
		s> subscribe r,rh1,rap
		s< suback 00
		s< publish r retain payload=1
		p> publish r retain payload=2
		s< publish r retain payload=2
		p> publish r payload=3
		s< publish r -retain payload=3
		s> subscribe r,rh2
		s< suback 00
		p> publish r retain payload=4
		s< publish r -retain payload=4
		s> subscribe $share/g/r
		s< suback 00
		s< nothing
	EOF
}

@test "a retained message expires" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		p> publish r/a q1 retain expiry=60 payload=1
		p< puback 00
		p> publish r/b q1 retain expiry=600 payload=2
		p< puback 00
		p> publish r/c q1 retain expiry=0 payload=3
		p< puback 00
		advance 40
		s: s
		s> connect clean
		s< connack 00
		s> subscribe r/a
		s< suback 00
		s< publish r/a retain expiry~20 payload=1
		advance 30
		s> subscribe r/a r/b
		s< suback 00 00
		s< publish r/b retain expiry~530 payload=2
		s< nothing
		advance 100000
		s: s
		s> connect clean
		s< connack 00
		s> subscribe #
		s< suback 00
		s< publish r/c retain payload=3
		s< nothing
	EOF
}

@test "a retained payload has 64 KiB at most" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		p> publish r q1 retain payload=x*65536
		p< puback 00
		p> publish r q1 retain payload=x*65537
		p< puback 97
		p> publish r q1 payload=x*65537
		p< puback 00
		s: s
		s> connect clean
		s< connack 00
		s> subscribe r
		s< suback 00
		s< publish r retain payload=bytes*65536
		p> publish r retain payload=x*65537
		p< disconnect 97
		p< closed
	EOF
}

@test "a client that is killed leaves its will, one that says goodbye does not" {
	broker s w
	listen s s -V 5 -i s -q 1 -t 'will/#'
	listen w w -V 5 -i w -t x --will-topic will/w --will-payload gone \
		--will-qos 1
	crash w
	heard s 'will/w gone'
	listen w w -V 311 -i w -t x --will-topic will/w3 --will-payload 3
	stop w
	listen w w -V 311 -i w -t x --will-topic will/w3 --will-payload 4
	crash w
	heard s 'will/w gone' 'will/w3 4'
}

@test "when a will is published" {
	broker s w
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe will/#,q1,rap
		s< suback 01
		w: w
		w> connect clean will=will/1 will-payload=1
		w< connack 00
		w> disconnect
		w< closed
		w: w
		w> connect clean will=will/2 will-payload=2 will-qos=1 will-retain will-user=k:v will-content-type=t will-format=1 will-expiry=30 will-response-topic=r will-correlation=c
		w< connack 00
		w> disconnect 04
		s< publish will/2 q1 retain payload=2 user=k:v content-type=t format=1 expiry~30 response-topic=r correlation=c
		s> puback
		w: w
		w> connect clean will=will/3
		w< connack 00
		w! w
		s< publish will/3 q0 -retain payload=
		w> connect clean will=will/4
		w< connack 00
		w> connect clean
		w< disconnect 82
		w< closed
		s< publish will/4
		w: w
		w> connect clean will=will/5
		w< connack 00
		w2: w
		w2> connect clean will=will/6 will-qos=1 keep=10
		w2< connack 00
		w< disconnect 8e
		s< publish will/5
		advance 16
		w2< disconnect 8d
		s< publish will/6 q1
		s> puback
		w: w
		w> connect clean will=will/7 will-qos=2
		w< connack 9b
		w< closed
		s< nothing
	EOF
}

@test "a will waits for its delay, or the end of the session" {
	broker s a b c d
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe will/#,q1
		s< suback 01
		a: a
		a> connect clean will=will/a will-delay=20 session-expiry=100
		a< connack 00
		b: b
		b> connect clean will=will/b will-delay=20 session-expiry=100
		b< connack 00
		c: c
		c> connect clean will=will/c will-delay=20 session-expiry=5
		c< connack 00
		d: d
		d> connect clean will=will/d will-delay=20
		d< connack 00
		d!
		s< publish will/d
		a!
		b!
		c!
		s< nothing
		advance 6
		s< publish will/c
		s< nothing
		b: b
		b> connect
		b< connack 00 present=1
		advance 15
		s< publish will/a
		s< nothing
		a: a
		a> connect clean will=will/a2 will-delay=20 session-expiry=100
		a< connack 00
		a!
		a: a
		a> connect clean
		a< connack 00 present=0
		s< publish will/a2
	EOF
}

@test "a session lives on for as long as was asked" {
	broker a p
	raw <<-'EOF'
		a: a
		a> connect session-expiry=100
		a< connack 00 present=0
		a> subscribe t,q1
		a< suback 01
		a> disconnect
		a< closed
		advance 90
		a: a
		a> connect session-expiry=100
		a< connack 00 present=1
		a!
		advance 90
		a: a
		a> connect
		a< connack 00 present=1
		a> disconnect
		a< closed
		a: a
		a> connect session-expiry=100
		a< connack 00 present=0
		a> disconnect
		a< closed
		advance 101
		a: a
		a> connect session-expiry=100
		a< connack 00 present=0
		a> disconnect 00 session-expiry=10
		a< closed
		advance 11
		a: a
		a> connect session-expiry=100
		a< connack 00 present=0
		a> disconnect
		a< closed
		a: a
		a> connect clean session-expiry=100
		a< connack 00 present=0
		a> disconnect 00 session-expiry=0
		a< closed
		a: a
		a> connect
		a< connack 00 present=0
		a> disconnect 00 session-expiry=10
		a< disconnect 82
		a< closed
	EOF
}

@test "a 3.1.1 session lives for as long as the namespace says" {
	broker a p
	raw <<-'EOF'
		a: a
		a> connect 4
		a< connack 00 present=0
		a> subscribe t,q1
		a< suback 01
		a> disconnect
		a< closed
		advance 3500
		p: p
		p> connect 4 clean
		p< connack 00
		p> publish t q1 payload=1
		p< puback
		a: a
		a> connect 4
		a< connack 00 present=1
		a< publish t q1 payload=1
		a> puback
		a> disconnect
		a< closed
		advance 3601
		a: a
		a> connect 4
		a< connack 00 present=0
		a> disconnect
		a< closed
		a: a
		a> connect 4 clean
		a< connack 00 present=0
		a> disconnect
		a< closed
		a: a
		a> connect 4
		a< connack 00 present=0
	EOF
}

@test "QoS 1 messages wait for a session, in order and for their time" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect session-expiry=3600
		s< connack 00
		s> subscribe t/#,q1 sub-id=5
		s< suback 01
		s> disconnect
		s< closed
		p: p
		p> connect clean
		p< connack 00
		p> publish t/1 q1 payload=1 expiry=60 user=k:1 user=a:2
		p< puback 00
		p> publish t/0 q0 payload=0
		p> publish t/2 q1 payload=2 expiry=600 content-type=c
		p< puback 00
		p> publish t/3 q1 payload=3
		p< puback 00
		p> publish t/4 q1 payload=hex:00ff80 expiry=0
		p< puback 00
		advance 20
		s: s
		s> connect session-expiry=3600
		s< connack 00 present=1
		s< publish t/1 q1 -dup payload=1 expiry~40 user=k:1,a:2 sub-id=5
		s< publish t/2 q1 -dup payload=2 expiry~580 content-type=c
		s< publish t/3 q1 -dup payload=3 -expiry
		s< publish t/4 q1 -dup payload=hex:00ff80
		s< nothing
		s> puback id=1
		s< nothing
		s!
		advance 100
		s: s
		s> connect 5
		s< connack 00 present=1
		s< publish t/2 q1 dup id=2 payload=2 expiry~480
		s< publish t/3 q1 dup id=3 payload=3
		s< publish t/4 q1 dup id=4
		s< nothing
	EOF
}

@test "what has expired while it waited is not sent" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect session-expiry=3600
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		s> disconnect
		s< closed
		p: p
		p> connect clean
		p< connack 00
		p> publish t q1 payload=1 expiry=10
		p< puback 00
		p> publish t q1 payload=2
		p< puback 00
		advance 11
		s: s
		s> connect session-expiry=3600
		s< connack 00 present=1
		s< publish t payload=2
		s< nothing
	EOF
}

@test "clean start throws away what was there" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect session-expiry=3600
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		s> disconnect
		s< closed
		p: p
		p> connect clean
		p< connack 00
		p> publish t q1 payload=1
		p< puback 00
		s: s
		s> connect clean session-expiry=3600
		s< connack 00 present=0
		p> publish t q1 payload=2
		p< puback 00
		s< nothing
	EOF
}

# publishes FROM TO - script lines: p publishes these numbers to t.
publishes() {
	local n
	for ((n = $1; n <= $2; n++)); do
		echo "p> publish t q1 id=$n payload=$n"
		echo "p< puback id=$n 00"
	done
}

# deliveries FROM TO [WORD] - script lines: s gets these numbers.
deliveries() {
	local n
	for ((n = $1; n <= $2; n++)); do
		echo "s< publish t q1 id=$n payload=$n ${3:--dup}"
	done
}

@test "16 messages may wait for their acknowledgement" {
	broker p s
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			s: s
			s> connect session-expiry=60
			s< connack 00
			s> subscribe t,q1 zero
			s< suback 01 00
		EOF
		publishes 1 20
		deliveries 1 16
		echo "s< nothing"
		echo "p> publish zero payload=z"
		echo "s< publish zero q0 payload=z"
		echo "s> puback id=2"
		deliveries 17 17
		echo "s< nothing"
		echo "s> puback id=1"
		deliveries 18 18
		cat <<-'EOF'
			s< nothing
			s!
			s: s
			s> connect session-expiry=60
			s< connack 00 present=1
		EOF
		deliveries 3 18 dup
		echo "s< nothing"
		for n in {3..18}; do
			echo "s> puback id=$n"
		done
		deliveries 19 20
		echo "s< nothing"
	} >script
	raw <script
}

@test "a client's receive maximum is kept" {
	broker p s
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			s: s
			s> connect receive-maximum=2
			s< connack 00
			s> subscribe t,q1
			s< suback 01
		EOF
		publishes 1 5
		deliveries 1 2
		echo "s< nothing"
		echo "s> puback id=1"
		deliveries 3 3
		echo "s< nothing"
		echo "s> puback id=3"
		echo "s> puback id=2"
		deliveries 4 5
		echo "s> puback id=77"
		echo "s< nothing"
	} >script
	raw <script
}

@test "our receive maximum is 1000" {
	broker p
	{
		printf '%s\n' 'p: p' 'p> connect clean' 'p< connack 00'
		printf 'p> hex'
		for ((n = 1; n <= 1100; n++)); do
			printf ' 3206000161%04x00' "$n"
		done
		printf '\n%s\n' 'p< disconnect 93' 'p< closed'
	} >script
	raw <script
}

@test "packets have 512 KiB at most, both ways" {
	broker p s t
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect clean
		s< connack 00
		s> subscribe #,q1
		s< suback 01
		t: t
		t> connect clean maximum-packet=40
		t< connack 00
		t> subscribe #,q1
		t< suback 01
		p> publish a payload=x*524280
		s< publish a payload=bytes*524280
		p> publish a q1 payload=12345678901234567890123456789012
		p< puback 00
		s< publish a payload=12345678901234567890123456789012
		t< publish a payload=12345678901234567890123456789012
		p> publish a q1 payload=123456789012345678901234567890123
		p< puback 00
		s< publish a payload=123456789012345678901234567890123
		p> publish a q1 payload=small
		p< puback 00
		s< publish a payload=small
		t< publish a payload=small
		t< nothing
		p> hex 30 fd ff 1f
		p< disconnect 95
		p< closed
		p: p
		p> connect 4 clean
		p< connack 00
		p> hex 32 ff ff ff 7f
		p< closed
	EOF
}

@test "topic aliases are the client's, and its connection's" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect clean alias-maximum=10
		s< connack 00
		s> subscribe #
		s< suback 00
		p: p
		p> connect clean
		p< connack 00
		p> publish a/b q1 alias=1 payload=1
		p< puback 00
		s< publish a/b -alias payload=1
		p> publish "" alias=1 payload=2
		s< publish a/b -alias payload=2
		p> publish c alias=1 payload=3
		s< publish c payload=3
		p> publish d alias=10 payload=4
		s< publish d payload=4
		p> publish "" q1 alias=1 payload=5
		p< puback 00
		s< publish c payload=5
		p> publish e alias=11
		p< disconnect 94
		p< closed
		p: p
		p> connect clean
		p< connack 00
		p> publish "" alias=1
		p< disconnect 82
		p< closed
		p: p
		p> connect clean
		p< connack 00
		p> publish a alias=0
		p< disconnect 94
		p< closed
		p: p
		p> connect clean
		p< connack 00
		p> publish "" q1
		p< disconnect 82
		p< closed
		s< nothing
	EOF
}

@test "properties pass through, user properties in their order" {
	broker p s t
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe t
		s< suback 00
		t: t
		t> connect 4 clean
		t< connack 00
		t> subscribe t
		t< suback 00
		p: p
		p> connect clean
		p< connack 00
		p> publish t payload=x format=1 content-type=text/plain response-topic=r/1 correlation=hex:00ff user=b:1 user=a:2 user=b: user=:3 user=b:1
		s< publish t payload=x format=1 content-type=text/plain response-topic=r/1 correlation=hex:00ff user=b:1,a:2,b:,:3,b:1 -expiry -alias -sub-id
		t< publish t payload=x
		p> publish t payload=y
		s< publish t payload=y -format -content-type -response-topic -correlation -user -expiry
		p> publish t q1 content-type=x*256 response-topic=x*256 correlation=x*256
		p< puback 00
		s< publish t
		p> publish t q1 content-type=x*257
		p< puback 97
		p> publish t q1 response-topic=x*257
		p< puback 97
		p> publish t q1 correlation=x*257
		p< puback 97
		p> publish t q1 user=k:x*32767
		p< puback 00
		s< publish t
		p> publish t q1 user=k:x*32767 user=a:
		p< puback 97
		s< nothing
		p> publish t q1 response-topic=a/+
		p< disconnect 82
		p< closed
	EOF
}

@test "user properties that the service does not take end the connection" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		a> unsubscribe x user=k:v
		a< unsuback 11
		a> subscribe x user=k:v
		a< disconnect 83
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> disconnect 00 user=k:v
		a< disconnect 83
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> subscribe t,q1
		a< suback 01
		a> publish t q1
		a< publish t q1
		a< puback 00
		a> puback code=97
		a< disconnect 83
		a< closed
	EOF
}

@test "members of a shared subscription take turns" {
	broker p a b c
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		a: a
		a> connect clean
		a< connack 00
		a> subscribe $share/g/t/#,q1
		a< suback 01
		b: b
		b> connect clean
		b< connack 00
		b> subscribe $share/g/t/#,q1
		b< suback 01
		c: c
		c> connect clean
		c< connack 00
		c> subscribe $share/h/t/+,q1 t/1 sub-id=4
		c< suback 01 00
		p> publish t/1 q1 payload=1
		p< puback 00
		a< publish t/1 payload=1
		p> publish t/2 q1 payload=2
		p< puback 00
		b< publish t/2 payload=2
		p> publish t/3 q0 payload=3
		a< publish t/3 payload=3
		a< nothing
		b< nothing
		c< publish t/1 payload=1 sub-id=4
		c< publish t/1 payload=1 sub-id=4
		c< publish t/2 payload=2 q1
		c< publish t/3 payload=3 q0
		c< nothing
		b> unsubscribe $share/g/t/#
		b< unsuback 00
		p> publish t/4 payload=4
		a< publish t/4 payload=4
		p> publish t/5 payload=5
		a< publish t/5 payload=5
		b< nothing
	EOF
}

@test "what a member leaves goes to another one" {
	broker p a b
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		a: a
		a> connect clean
		a< connack 00
		a> subscribe $share/g/t,q1
		a< suback 01
		p> publish t q1 payload=1 user=k:v
		p< puback 00
		p> publish t q1 payload=2
		p< puback 00
		a< publish t payload=1
		a< publish t payload=2
		a> puback id=1
		a< nothing
		b: b
		b> connect clean
		b< connack 00
		b> subscribe $share/g/t,q1
		b< suback 01
		a> disconnect
		a< closed
		b< publish t q1 payload=2
		b> puback
		b< nothing
	EOF
}

@test "an offline member is the last that is asked" {
	broker p a b
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		a: a
		a> connect session-expiry=600
		a< connack 00
		a> subscribe $share/g/t,q1
		a< suback 01
		a> disconnect
		a< closed
		b: b
		b> connect session-expiry=600
		b< connack 00
		b> subscribe $share/g/t,q1
		b< suback 01
		p> publish t q1 payload=1
		p< puback 00
		p> publish t q1 payload=2
		p< puback 00
		b< publish t payload=1
		b> puback
		b< publish t payload=2
		b> puback
		b< nothing
		b> unsubscribe $share/g/t
		b< unsuback 00
		p> publish t q0 payload=lost
		p> publish t q1 payload=3
		p< puback 00
		a: a
		a> connect session-expiry=600
		a< connack 00 present=1
		a< publish t payload=3
		a< nothing
	EOF
}

@test "a broker that is killed comes back with all that it had promised" {
	broker p s m w
	raw <<-'EOF'
		s: s
		s> connect session-expiry=600
		s< connack 00
		s> subscribe t/#,q1 sub-id=5
		s< suback 01
		m: m
		m> connect session-expiry=600
		m< connack 00
		m> subscribe $share/g/t/+,q1
		m< suback 01
		m> disconnect
		m< closed
		w: w
		w> connect session-expiry=600 will=t/will will-delay=30 will-qos=1
		w< connack 00
		p: p
		p> connect clean
		p< connack 00
		p> publish t/1 q1 retain payload=1 user=k:1 user=k:0 expiry=60
		p< puback 00
		p> publish t/2 q1 payload=hex:00ff
		p< puback 00
		p> publish t/2 q1 payload='{"a":1}'
		p< puback 00
		s< publish t/1 id=1
		s< publish t/2 id=2
		s< publish t/2 id=3
		s> puback id=2
		s< nothing
		p> publish x q1
		p< puback 00
	EOF
	crash egns-brokerd
	start_broker
	raw <<-'EOF'
		advance 10
		s: s
		s> connect session-expiry=600
		s< connack 00 present=1
		s< publish t/1 q1 id=1 dup sub-id=5 payload=1 user=k:1,k:0 expiry~50
		s< publish t/2 q1 id=3 dup sub-id=5 payload='{"a":1}'
		s> puback id=1
		s> puback id=3
		s< nothing
		m: m
		m> connect session-expiry=600
		m< connack 00 present=1
		m< publish t/1 q1 -sub-id user=k:1,k:0 payload=1
		m< publish t/2 q1 payload=hex:00ff
		m< publish t/2 q1 payload='{"a":1}'
		m< nothing
		advance 31
		s< publish t/will q1 sub-id=5 payload=
		p: p
		p> connect clean
		p< connack 00
		p> subscribe t/+
		p< suback 00
		p< publish t/1 retain payload=1 expiry~19
	EOF
}

@test "shared subscriptions are for MQTT 5, and never local" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect 4 clean
		a< connack 00
		a> subscribe $share/g/t
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> subscribe $share/g/t,nl
		a< disconnect 82
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> unsubscribe $share/g/t
		a< unsuback 11
		a> subscribe t,nl
		a< suback 00
		a> publish t
		a< nothing
	EOF
}

@test "a message has the identifiers of all subscriptions that match" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect clean
		s< connack 00
		s> subscribe t/+,q1 sub-id=7
		s< suback 01
		s> subscribe t/# sub-id=268435455
		s< suback 00
		s> subscribe t/1
		s< suback 00
		p> publish t/1 q1
		p< puback 00
		s< publish t/1 q1 sub-id=7 sub-id=268435455
		s> puback
		p> publish t/1/2
		s< publish t/1/2 q0 sub-id=268435455
		s> subscribe t/#
		s< suback 00
		p> publish t/1/2
		s< publish t/1/2 -sub-id
		p> publish t/1 q1 sub-id=7
		p< disconnect 82
		s> subscribe t sub-id=0
		s< disconnect 82
		s< closed
	EOF
}

@test "a session is taken over by its owner only" {
	broker a b
	raw <<-'EOF'
		a: a
		a> connect id=x session-expiry=60
		a< connack 00 present=0
		b: b
		b> connect id=x
		b< connack 87
		b< closed
		b: b
		b> connect 4 id=x clean
		b< connack 05
		b< closed
		a< nothing
		a2: a
		a2> connect id=x session-expiry=60
		a2< connack 00 present=1
		a< disconnect 8e
		a< closed
		a3: a
		a3> connect 4 id=x
		a3< connack 00 present=1
		a2< disconnect 8e
		a4: a
		a4> connect id=x session-expiry=60
		a4< connack 00 present=1
		a3< closed
		a4> disconnect
		a4< closed
		b: b
		b> connect id=x
		b< connack 87
		b< closed
		advance 61
		b: b
		b> connect id=x
		b< connack 00 present=0
	EOF
}

@test "a name has one session, or as many as the namespace says" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect id=x session-expiry=60
		a< connack 00
		a2: a
		a2> connect id=y
		a2< connack 97
		a2< closed
		a> disconnect
		a< closed
		a2: a
		a2> connect 4 id=y clean
		a2< connack 03
		a2< closed
		a2: a
		a2> connect id=x
		a2< connack 00 present=1
		a2> disconnect
		a2< closed
		a2: a
		a2> connect id=y
		a2< connack 00 present=0
	EOF
	egns-ctl namespace update -o none --topic-spaces-configuration \
		'{state:Enabled,maximumClientSessionsPerAuthenticationName:2}'
	raw <<-'EOF'
		a: a
		a> connect id=x
		a< connack 00
		b: a
		b> connect id=y
		b< connack 00
		c: a
		c> connect id=z
		c< connack 97
		a< nothing
		b< nothing
	EOF
}

@test "QoS 2 is refused, or granted as 1" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00 maximum-qos=1
		a> subscribe t,q2
		a< suback 01
		a> publish t q2
		a< disconnect 9b
		a< closed
		a: a
		a> connect 4 clean
		a< connack 00
		a> subscribe t,q2
		a< suback 01
		a> publish t q2
		a< closed
	EOF
}

@test "unsubscribing says what there was" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		a> subscribe t u/+
		a< suback 00 00
		a> unsubscribe id=9 t x u/+ t
		a< unsuback id=9 00 11 00 11
		a> publish t
		a> publish u/1
		a< nothing
		a> disconnect
		a< closed
		a: a
		a> connect 4 clean
		a< connack 00
		a> subscribe t
		a< suback 00
		a> unsubscribe id=3 t x
		a< unsuback id=3
		a> publish t
		a< nothing
	EOF
}

@test "10 filters in a packet, 50 subscriptions in a session" {
	broker a
	{
		printf '%s\n' 'a: a' 'a> connect clean' 'a< connack 00'
		echo "a> subscribe $(seq -s ' ' 11)"
		echo "a< suback$(printf ' 97%.0s' {1..11})"
		for n in 0 1 2 3; do
			echo "a> subscribe $(seq -s ' ' -f "$n%g" 10)"
			echo "a< suback$(printf ' 00%.0s' {1..10})"
		done
		echo "a> subscribe $(seq -s ' ' -f "\$share/g/%g" 10)"
		echo "a< suback$(printf ' 00%.0s' {1..10})"
		cat <<-'EOF'
			a> subscribe one-more $share/g/1,q1 01,q1 $share/g/x
			a< suback 97 01 01 97
			a> unsubscribe 01
			a< unsuback 00
			a> subscribe $share/g/x one-more
			a< suback 97 00
		EOF
	} >script
	raw <script
}

@test "packets out of place end the connection" {
	broker a
	raw <<-'EOF'
		a: a
		a> pingreq
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> connect clean
		a< disconnect 82
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> hex 20 03 00 00 00
		a< disconnect 82
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> auth 19 method=CUSTOM-JWT data=x
		a< disconnect 82
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> hex 80 06 00 01 00 00 01 61
		a< disconnect 81
		a< closed
	EOF
}
