# shellcheck shell=bash
# From the broker's spool to a topic: every message, once, in order, whatever
# stops, fills up or changes on the way.
load lib
load broker

# routed [DEVICE...] - a namespace whose messages go to the topic ingest, with a
# broker that runs and these devices; nothing runs behind it yet.
routed() {
	local name
	broker_ns || return
	topic ingest
	route_to ingest
	for name; do
		device "$name" || return
	done
	start_broker
}

# route_to TOPIC - null: nowhere.
route_to() {
	configure topicSpacesConfiguration.routeTopicResourceId="$1"
}

configure() {
	egns-ctl namespace update -o none --set "$@"
}

# say DEVICE TOPIC PAYLOAD... - each is acknowledged when this returns.
say() {
	local payload
	for payload in "${@:3}"; do
		printf '%s\n' "$payload"
	done | mpub "$1" -V 5 -q 1 -t "$2" -l
}

# lines FIRST LAST - records as the broker writes them, of topic t.
lines() {
	local i
	for ((i = $1; i <= $2; i++)); do
		echo '{"tst":"2026-01-31T12:00:00.000000Z","client":{"authenticationName":"d","session":"s","protocol":"MQTT5","attributes":{}},"topic":"t","qos":1,"retain":0,"payload":{"n":'"$i"'}}'
	done
}

# put SECOND [PER] - standard input as files for route; names on standard output.
put() {
	/usr/bin/python3 "$top/tests/mqtt/maildir.py" spool/route "$@"
}

# events [TOPIC] - what has arrived.
events() {
	find "spool/topics/${1:-ingest}/log" -name '*.ndjson' -print0 2>/dev/null |
		sort -z | xargs -0r cat | jq -c .event
}

# data [TOPIC] - on one line.
data() {
	events "$@" | jq -c .data | paste -sd' '
}

# arrived N [TOPIC] - that many are there, and then nothing waits any more.
arrived() {
	wait_for arrived_now "$@" || {
		echo "there are $(events "${2:-ingest}" | wc -l)"
		ls spool/route/*
		return 1
	}
	[ "$(events "${2:-ingest}" | jq -r .id | sort | uniq -d | wc -l)" -eq 0 ]
}

arrived_now() {
	[ "$(events "${2:-ingest}" | wc -l)" -eq "$1" ] && drained
}

drained() {
	[ "$(waiting)" -eq 0 ]
}

# waiting - how many files of messages?
waiting() {
	find spool/route/new spool/route/cur -mindepth 1 | wc -l
}

# dropped - records, with all but their time.
dropped() {
	cat spool/dropped/* 2>/dev/null | jq -c 'del(.time)'
}

dropped_now() {
	[ "$(dropped | wc -l)" -eq "$1" ]
}

# state - of the lane.
state() {
	egns_ask route '{"op":"stats"}' | jq -r '.lanes[0].state'
}

state_is() {
	[ "$(state)" = "$1" ]
}

# egns_ask DAEMON LINE
egns_ask() {
	echo "$2" | socat -t "$PATIENCE" - "UNIX-CONNECT:spool/run/$1.sock" |
		tail -n 1
}

no_errors() {
	! grep . egns-route.log
}

@test "a message becomes an event, and leaves nothing behind" {
	routed d
	start egns-topicd
	start egns-route
	say d floor/1 '{"n":1}'
	arrived 1
	events | jq -e '.source == "testns" and .subject == "floor/1" and
		.type == "MQTT.EventPublished" and .data == {n: 1} and
		.specversion == "1.0"'
	stop egns-route
	no_errors
	egns-ctl scrub
}

@test "every payload there may be ends as an event" {
	local deep
	routed d
	start egns-topicd
	start egns-route
	deep=$(printf '[%.0s' {1..2000})$(printf ']%.0s' {1..2000})
	head -c 520000 /dev/zero | tr '\0' z >large
	head -c 520000 /dev/zero | tr '\0' '\001' >control
	raw <<-END
		p: d
		p> connect clean
		p< connack 00
		p> publish t/json q1 id=1 'payload={"a":[1,2,{"b":null}]}'
		p< puback id=1
		p> publish t/text q1 id=2 payload=hello format=1
		p< puback id=2
		p> publish t/binary q1 id=3 payload=hex:00ff80c0
		p< puback id=3
		p> publish t/empty q1 id=4
		p< puback id=4
		p> publish t/latin q1 id=5 payload=hex:e9e8 format=0
		p< puback id=5
		p> publish t/nan q1 id=6 payload=NaN
		p< puback id=6
		p> publish t/surrogate q1 id=7 payload=hex:22eda08022
		p< puback id=7
		p> publish t/nul q1 id=8 payload=hex:00
		p< puback id=8
		p> publish t/twice q1 id=9 'payload={"a":1,"a":2}'
		p< puback id=9
		p> publish t/number q1 id=10 payload=1e999999999
		p< puback id=10
		p> publish t/newline q1 id=11 payload=hex:7b0a7d0a0a
		p< puback id=11
		p> publish t/bom q1 id=12 payload=hex:efbbbf7b7d
		p< puback id=12
	END
	mpub d -V 5 -q 1 -t t/large -f large
	mpub d -V 5 -q 1 -t t/bytes -f control
	mpub d -V 5 -q 1 -t t/deep -m "$deep"
	mpub d -V 311 -q 0 -t t/old -m 1
	mpub d -V 5 -q 1 -t t/last -m 2
	wait_for drained
	wait_for grep -rq t/last spool/topics/ingest/log
	arrived 17
	[ -z "$(dropped)" ]
	[ "$(events | jq -rs 'map(.subject) | join(" ")')" = "t/json t/text \
t/binary t/empty t/latin t/nan t/surrogate t/nul t/twice t/number t/newline t/bom \
t/large t/bytes t/deep t/old t/last" ]
	# what came is what went, byte by byte
	events | jq -es 'any(.subject == "t/json" and
		.data == {a: [1, 2, {b: null}]})'
	events | jq -es 'any(.subject == "t/text" and .data == "hello")'
	events | jq -es 'any(.subject == "t/binary" and .data_base64 == "AP+AwA==")'
	events | jq -e 'select(.subject == "t/number").data_base64' ||
		grep -q '"data":1e999999999' spool/topics/ingest/log/*
	[ "$(events | jq -r 'select(.subject == "t/bytes").data_base64' |
		base64 -d | cksum)" = "$(cksum <control)" ]
	[ "$(events | jq -r 'select(.subject == "t/large") |
		.data_base64 // empty' | base64 -d | cksum)" = "$(cksum <large)" ]
	no_errors
}

@test "user properties and topics of any characters end as an event" {
	routed d
	start egns-topicd
	start egns-route
	raw <<-'END'
		p: d
		p> connect clean
		p< connack 00
		p> publish t/1 q1 id=1 payload=1 user=plain:1 'user=A B:2' user=:
		p< puback id=1
		p> publish t/2 q1 id=2 payload=1 'user=q"\\uote:"\\' user=é€😀:é€😀
		p< puback id=2
		p> publish t/3 q1 id=3 payload=1 user=id:x user=source:y user=data:z user=specversion:0.3
		p< puback id=3
		p> publish t/4 q1 id=4 payload=1 user=k:1 user=k:2 user=K:3
		p< puback id=4
		p> publish t/5 q1 id=5 payload=1 user=long:x*30000
		p< puback id=5
		p> publish 't/"\\é €😀/ü' q1 id=7 payload=1 'content-type=a/b;"x"é' correlation=hex:00ff response-topic=r/1
		p< puback id=7
	END
	say d t/8 last
	wait_for grep -rq t/8 spool/topics/ingest/log
	wait_for drained
	[ -z "$(dropped)" ]
	events | jq -es 'any(.subject == "t/3" and .source == "testns" and
		.specversion == "1.0" and .data == 1)'
	no_errors
}

@test "a message that is too large as an event is dropped with its record" {
	routed
	start egns-topicd
	start egns-route
	lines 1 1 >in
	lines 0 0 | jq -c '.payload = ("x" * 1100000)' >>in
	lines 2 2 >>in
	put 1 3 <in
	arrived 2
	[ "$(data)" = '{"n":1} {"n":2}' ]
	dropped | jq -e '.reason == "PayloadTooLarge" and .record.topic == "t" and
		(.record.payload | length) == 1100000'
	[ "$(dropped | wc -l)" -eq 1 ]
	grep -c 'line 2: dropped' egns-route.log
}

@test "text that is only too large as text is an event" {
	routed d
	start egns-topicd
	start egns-route
	head -c 520000 /dev/zero | tr '\0' '\001' >control
	mpub d -V 5 -q 1 -t t -D publish payload-format-indicator 1 -f control
	arrived 1
	events | jq -r .data_base64 | base64 -d | cmp - control
}

@test "messages of an MQTT topic arrive in their order, those of others too" {
	local i pids=()
	routed a b
	start egns-topicd
	start egns-route
	for i in a b; do
		seq 20000 | mpub $i -V 5 -q 1 -t t/$i -l 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	arrived 40000
	for i in a b; do
		events | jq -r 'select(.subject == "t/'$i'").data' >order
		cmp order <(seq 20000)
	done
	no_errors
}

@test "without topicd messages are acknowledged, wait, and go at once when it is back" {
	routed d
	configure routingSchedule='[3600]'
	start egns-route
	say d t 1 2 3
	wait_for state_is waiting
	say d t 4 5
	[ "$(waiting)" -gt 0 ]
	egns_ask route '{"op":"stats"}' | jq -e '.lanes[0] | .nextAttempt and .error'
	start egns-topicd
	arrived 5
	[ "$(data)" = "1 2 3 4 5" ]
	stop egns-topicd
	wait_for state_is waiting
	say d t 6
	start egns-topicd
	arrived 6
	restart egns-topicd
	say d t 7
	arrived 7
	[ "$(data)" = "1 2 3 4 5 6 7" ]
}

@test "topicd that is back before its end was seen is tried at once" {
	local i flags
	routed d
	configure routingSchedule='[3600]'
	start egns-topicd
	start egns-route
	say d t 0
	arrived 1
	as d # which would ask who stands still
	for i in {1..10}; do
		kill -STOP "${pid_of[egns-route]}"
		restart egns-topicd
		seq "$i" "$i" | mosquitto_pub "${flags[@]}" -q 1 -t t -l
		kill -CONT "${pid_of[egns-route]}"
		arrived "$((i + 1))"
	done
}

accepted() {
	raw <<-END
		p: d
		p> connect clean
		p< connack 00
		p> publish t q1 id=1 payload=x*400000
		p< puback id=1 00
	END
}

@test "the broker's cap refuses what does not fit, and goes on when it does" {
	routed d
	configure topicSpacesConfiguration.routingSpool.maximumBytes=1048576
	head -c 400000 /dev/zero | tr '\0' x >large
	raw <<-END
		p: d
		p> connect clean
		p< connack 00
		p> publish t q1 id=1 payload=x*400000
		p< puback id=1 00
		p> publish t q1 id=2 payload=x*400000
		p< puback id=2 00
		p> publish t q1 id=3 payload=x*400000
		p< puback id=3 00
		p> publish t q1 id=4 payload=x*400000
		p< puback id=4 97
	END
	start egns-topicd
	start egns-route
	arrived 3
	# it looks at the directory now and then
	wait_for accepted
	arrived 4
}

@test "a topicd that stands still costs nothing but time" {
	local flags
	advance 0
	routed d
	start egns-topicd
	start egns-route
	say d t 1
	arrived 1
	as d # which would ask who stands still
	kill -STOP "${pid_of[egns-topicd]}"
	seq 2 500 | mosquitto_pub "${flags[@]}" -q 1 -t t -l
	seq 501 1000 | mosquitto_pub "${flags[@]}" -q 1 -t t -l
	[ "$(waiting)" -gt 0 ]
	wait_for says_no_answer
	kill -CONT "${pid_of[egns-topicd]}"
	arrived 1000
	wait_for grep -q "ingest: it answers again" egns-route.log
	[ "$(events | jq -r .data)" = "$(seq 1000)" ]
	# and ended while it stands
	kill -STOP "${pid_of[egns-topicd]}"
	seq 1001 1002 | mosquitto_pub "${flags[@]}" -q 1 -t t -l
	stop egns-route
	kill -CONT "${pid_of[egns-topicd]}"
	start egns-route
	arrived 1002
	[ "$(events | jq -r .data)" = "$(seq 1002)" ]
}

# The 60 s begin when route has asked.
says_no_answer() {
	advance 61
	grep -q "ingest: no answer for 60 s" egns-route.log
}

@test "the schedule is kept when topicd is there and refuses" {
	routed d
	configure routingSchedule='[100,1000]'
	advance 0
	shim SHIM_PATH=/ingest/log/ SHIM_CALLS=write,pwrite,writev,pwritev \
		SHIM_ENOSPC=1,3
	start egns-topicd
	unshim
	restart egns-brokerd # whose clock is not the one that moves
	start egns-route
	say d t 1
	wait_for state_is waiting
	# a disk of ours is looked at more often
	advance 11
	wait_for grep -q 'attempt' egns-route.log
	advance 11
	advance 11
	advance 11
	arrived 1
	grep 'events arrive again' egns-route.log
	[ "$(grep -c 'next attempt' egns-route.log)" -eq 1 ]
}

@test "a corrupt file is put aside, what is around it arrives, repaired it does, too" {
	local bad
	routed
	lines 1 1 | put 1
	bad=$(lines 2 3 | put 2 2)
	printf X | dd of="spool/route/new/$bad" bs=1 seek=20 conv=notrunc status=none
	lines 4 4 | put 3
	echo rubbish >spool/route/new/README
	start egns-topicd
	start egns-route
	arrived 2
	[ "$(data)" = '{"n":1} {"n":4}' ]
	both_named() { [ "$(wc -l <egns-route.log)" -eq 2 ]; }
	wait_for both_named
	[ "$(grep -c 'its lines or its checksum' egns-route.log)" -eq 1 ]
	[ -z "$(dropped)" ]
	lines 2 2 | head -c 21 | tail -c 1 |
		dd of="spool/route/corrupt/$bad" bs=1 seek=20 conv=notrunc status=none
	mv "spool/route/corrupt/$bad" spool/route/new/
	arrived 4
	[ "$(data)" = '{"n":1} {"n":4} {"n":2} {"n":3}' ]
	[ "$(ls spool/route/corrupt)" = README ]
}

@test "a line that is no message is dropped with all its bytes, the rest arrives" {
	routed
	{
		lines 1 2
		printf 'no \377 JSON\n'
		lines 3 3
		printf '{"topic":1}\n'
		lines 4 4
	} | put 1 100
	start egns-topicd
	start egns-route
	arrived 4
	wait_for dropped_now 2
	[ "$(data)" = '{"n":1} {"n":2} {"n":3} {"n":4}' ]
	[ "$(dropped | jq -r .reason | sort -u)" = BadRequest ]
	[ "$(dropped | jq -r 'select(.line_base64).line_base64' | base64 -d |
		xxd -p)" = "$(printf 'no \377 JSON' | xxd -p)" ]
	dropped | jq -es '.[1].record == {topic: 1}'
	grep 'line 3: dropped, which dropped/ has now' egns-route.log
	counted() { egns_ask route '{"op":"stats"}' | jq -e '.lanes[0] |
		.routed == 4 and .dropped == 2 and .held == 0'; }
	wait_for counted
}

@test "what waits when the route changes goes to the new topic alone" {
	routed d
	topic other
	start egns-route
	say d t 1 2 3
	wait_for state_is waiting
	route_to other
	start egns-topicd
	arrived 3 other
	say d t 4
	arrived 4 other
	[ -z "$(events ingest)" ]
	route_to ingest
	say d t 5
	arrived 1 ingest
	[ "$(data other)" = "1 2 3 4" ]
	[ "$(data ingest)" = "5" ]
}

@test "a route that changes under load loses and repeats nothing" {
	local i pid
	routed d
	topic other
	start egns-topicd
	start egns-route
	seq 30000 | mpub d -V 5 -q 1 -t t -l 3>&- &
	pid=$!
	for i in {1..8}; do
		route_to other
		route_to ingest
	done
	wait "$pid"
	wait_for drained
	{ events ingest; events other; } | jq .data | sort -n | cmp - <(seq 30000)
	for i in ingest other; do
		events $i | jq .data | sort -nc
	done
	no_errors
}

@test "a route that is taken away lets messages stay until it is set again" {
	routed d
	start egns-route
	say d t 1 2 3
	wait_for state_is waiting
	route_to null
	start egns-topicd
	[ "$(state)" = nowhere ]
	say d t 4 # nobody's
	restart egns-route
	[ "$(state)" = nowhere ]
	[ "$(waiting)" -gt 0 ]
	route_to ingest
	arrived 3
	say d t 5
	arrived 4
	[ "$(data)" = "1 2 3 5" ]
}

@test "messages for a topic that was deleted are dropped, and can be brought back" {
	routed d
	topic other
	start egns-route
	say d t 1 2 '"three"'
	wait_for state_is waiting
	start egns-topicd
	arrived 3
	egns-ctl namespace topic delete -n ingest --yes
	say d t 4 5 '"six"'
	wait_for dropped_now 3
	wait_for drained
	[ "$(dropped | jq -r .reason | sort -u)" = TopicNotFoundError ]
	[ "$(dropped | jq -r .record.payload | paste -sd' ')" = '4 5 "six"' ]
	dropped | jq -e '.target | test("/topics/ingest$")'
	jq -c 'select(.record).record' spool/dropped/* | egns-route - |
		egns-ctl publish -t other
	[ "$(data other)" = '4 5 "six"' ]
	topic ingest
	say d t 7
	arrived 1
	[ "$(data)" = 7 ]
}

@test "what is of no use to the topic is in dropped/ also when that has no room" {
	routed
	{ lines 1 1; echo rubbish; lines 2 2; } | put 1 100
	lines 3 3 | put 2
	start egns-topicd
	shim SHIM_PATH=/dropped/ SHIM_CALLS=write,pwrite,writev,pwritev,open \
		SHIM_ENOSPC=1,3 SHIM_TORN=1
	start egns-route
	unshim
	arrived 3
	wait_for dropped_now 1
	[ "$(data)" = '{"n":1} {"n":2} {"n":3}' ]
	[ "$(dropped | jq -r .line_base64 | base64 -d)" = rubbish ]
	[ "$(grep -c 'No space left' egns-route.log)" -eq 1 ]
}

@test "without room in route/cur messages wait, and go when there is" {
	routed
	lines 1 500 | put 1
	start egns-topicd
	shim SHIM_PATH=/route/ SHIM_CALLS=rename SHIM_ENOSPC=100,3
	start egns-route
	unshim
	arrived 500
	[ "$(events | jq .data.n)" = "$(seq 500)" ]
	restart egns-route
	lines 501 600 | put 501
	arrived 600
	[ "$(events | jq .data.n)" = "$(seq 600)" ]
}

@test "without room for the topic's log messages wait, and go when there is" {
	routed
	configure routingSchedule='[1]'
	shim SHIM_PATH=/ingest/log/ SHIM_CALLS=write,pwrite,writev,pwritev \
		SHIM_ENOSPC=3,2 SHIM_TORN=1
	start egns-topicd
	unshim
	start egns-route
	lines 1 5000 | put 1 50
	arrived 5000
	[ "$(events | jq .data.n)" = "$(seq 5000)" ]
	egns-ctl scrub
}

@test "a sync of route/cur that fails stops route before anything is sent" {
	routed
	lines 1 10 | put 1
	start egns-topicd
	shim SHIM_PATH=/route/cur SHIM_CALLS=fsync SHIM_EIO=1
	start egns-route
	unshim
	gone egns-route
	[ "$status" -eq 74 ]
	grep 'Input/output error' egns-route.log
	[ -z "$(events)" ]
	start egns-route
	arrived 10
	[ "$(events | jq .data.n)" = "$(seq 10)" ]
}

@test "TERM under load loses nothing and repeats nothing" {
	local i pid
	routed d
	start egns-topicd
	start egns-route
	seq 30000 | mpub d -V 5 -q 1 -t t -l 3>&- &
	pid=$!
	for i in {1..10}; do
		restart egns-route
		[ "$((i % 3))" -ne 0 ] || restart egns-topicd
	done
	wait "$pid"
	arrived 30000
	events | jq .data | cmp - <(seq 30000)
}

@test "one route at a time, and none without its spool" {
	routed
	start egns-route
	run -73 egns-route
	[[ $output == *route* ]]
	[ "${#lines[@]}" -eq 1 ]
	run -66 egns-route -C none
	[ "${#lines[@]}" -eq 1 ]
	stop egns-route
	rm -r spool/route
	echo >spool/route
	run egns-route
	[ "$status" -ne 0 ]
	[[ $output == *route* ]]
	[ "${#lines[@]}" -eq 1 ]
}

@test "enrichments that change are those of the messages behind them" {
	routed d
	start egns-topicd
	start egns-route
	say d t 1
	arrived 1
	configure topicSpacesConfiguration.routingEnrichments='{static:[{key:site,valueType:String,value:oslo}]}'
	say d t 2
	arrived 2
	configure topicSpacesConfiguration.routingEnrichments=null
	say d t 3
	arrived 3
	[ "$(events | jq -c '[.data, .site]' | paste -sd' ')" = \
		'[1,null] [2,"oslo"] [3,null]' ]
}

@test "a hundred thousand small files go in order, in bounded memory" {
	local before
	routed
	start egns-topicd
	start egns-route
	egns_ask route '{"op":"stats"}' >/dev/null
	before=$(peak)
	kill -STOP "${pid_of[egns-route]}"
	lines 1 1 | jq -c 'range(1; 100001) as $n | .payload.n = $n' |
		put 1 >/dev/null
	kill -CONT "${pid_of[egns-route]}"
	PATIENCE=300 wait_for drained
	events | jq .data.n | cmp - <(seq 100000)
	[ "$(peak)" -lt "$((before + 150000))" ]
	no_errors
}

@test "while topicd is away many small files become few, and nothing else changes" {
	routed
	configure routingSchedule='[3600]'
	start egns-route
	lines 1 9000 | put 1 >/dev/null
	wait_for gathered
	crash egns-route
	start egns-route
	wait_for state_is waiting
	gathered
	start egns-topicd
	arrived 9000
	events | jq .data.n | cmp - <(seq 9000)
	run ! grep corrupt egns-route.log
}

# 4096 are held as they were.
gathered() {
	[ "$(waiting)" -lt 4400 ]
}

# peak - of route's memory, in KiB.
peak() {
	awk '/VmHWM/ { print $2 }' "/proc/${pid_of[egns-route]}/status"
}

@test "a connection to topicd that is cut again and again loses and repeats nothing" {
	local i
	routed
	start egns-topicd
	/usr/bin/python3 "$top/tests/mqtt/cut.py" spool/run/topicd.sock 7 \
		>cut.log 2>&1 3>&- &
	pid_of[cut]=$!
	wait_for [ -S spool/run/topicd.sock.behind ]
	wait_for [ -S spool/run/topicd.sock ]
	start egns-route
	for i in {1..60}; do
		lines "$i" "$i" | put "$i" >/dev/null
		wait_for drained
	done
	[ "$(events | jq .data.n)" = "$(seq 60)" ]
	[ "$(grep -c ' [01]$' cut.log)" -gt 30 ]
	crash cut
}
