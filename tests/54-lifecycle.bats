# Life-cycle events: what egns-brokerd writes to lifecycle/ about sessions, and
# what becomes of that.

load lib
load broker

# lifecycle - a namespace whose life-cycle events go to topic "life".
lifecycle() {
	broker_ns "$@" && topic life && tell_topic
}

tell_topic() {
	egns-ctl namespace update -o none --set "lifecycleTopicResourceId=$(
		egns-ctl namespace topic show -n life --query id -o tsv)"
}

# told LINE... - wait until lifecycle/ has these lines, in this order and no
# others: "NAME SESSION NUMBER", and the reason when it is an end.
told() {
	wait_for told_now "$@" || { lines; return 1; }
}

told_now() {
	[ "$(lines)" = "$(printf '%s\n' "$@")" ]
}

lines() {
	find spool/lifecycle/new -type f | sort -V | xargs -r cat | jq -r '
		[.name, .session, .sequenceNumber, .disconnectionReason // empty]
		| map(tostring) | join(" ")'
}

# said_line LINE - is this one of them?
said_line() {
	lines | grep -qx "$1"
}

# so_many N - are there so many lines?
so_many() {
	[ "$(lines | wc -l)" -eq "$1" ]
}

# leave NAME... - clients that ended with their broker, or do so now.
leave() {
	local name pid
	for name; do
		pid=${pid_of[$name]}
		unset "pid_of[$name]"
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" || :
	done
}

# script LINE... - what raw.py says to these; broken off at the end.
script() {
	printf '%s\n' "$@" | raw
}

# stats FILTER - of what the broker says about itself.
stats() {
	printf '{"op":"stats"}\n' | socat -t "$PATIENCE" - \
		UNIX-CONNECT:spool/run/brokerd.sock | tail -n 1 | jq -e "$1"
}

@test "a session that begins and ends is told, with its number" {
	lifecycle
	device a
	start_broker
	mpub a -i one -t t -m x
	told 'a one 1' 'a one 1 ClientInitiatedDisconnect'
	mpub a -i one -c -q 1 -t t -m x
	told 'a one 1' 'a one 1 ClientInitiatedDisconnect' 'a one 2' \
		'a one 2 ClientInitiatedDisconnect'
	cat spool/lifecycle/new/* | jq -es 'all(.tst | test("^20.*Z$")) and
		([.[].event] | unique) == ["MQTTClientSessionConnected",
		"MQTTClientSessionDisconnected"]'
	wait_for stats '.lifecycleEvents == 4 and .droppedLifecycleEvents == 0'
}

@test "without a topic for them nothing is told, and from when there is one" {
	broker a
	topic life
	mpub a -i one -t t -m x
	listen l a -i two -t t
	tell_topic
	stop l
	told 'a two 2 ClientInitiatedDisconnect'
	egns-ctl namespace update -o none --set lifecycleTopicResourceId=
	mpub a -i one -t t -m x
	stop egns-brokerd
	told 'a two 2 ClientInitiatedDisconnect'
}

@test "the reasons why sessions end" {
	lifecycle
	for name in a b c d e; do device "$name"; done
	advance 0
	start_broker
	# taken over, and then lost
	script 'a: a' 'a> connect' 'a< connack 00' 'n: a' 'n> connect' \
		'n< connack 00' 'a< disconnect 8e' 'n!'
	told 'a a 1' 'a a 1 SessionTakenOver' 'a a 2' 'a a 2 ConnectionLost'
	rm spool/lifecycle/new/*
	script 'b: b' 'b> connect keep=10' 'b< connack 00' 'advance 16' \
		'b< disconnect 8d'
	told 'b b 3' 'b b 3 ConnectionLost'
	rm spool/lifecycle/new/*
	script 'b: b' 'b> connect' 'b< connack 00' 'b> hex f0 00 00' \
		'b< disconnect'
	told 'b b 4' 'b b 4 ClientError'
	rm spool/lifecycle/new/*
	script 'b: b' 'b> connect' 'b< connack 00' \
		'b> publish t content-type=x*257' 'b< disconnect 97'
	told 'b b 5' 'b b 5 QuotaExceeded'
	rm spool/lifecycle/new/*
	listen c c -i c -t t
	egns-ctl namespace client update -o none -n c --state Disabled
	told 'c c 6' 'c c 6 ClientAuthenticationError'
	rm spool/lifecycle/new/*
	listen d d -i d -t t
	kill -STOP "${pid_of[d]}" # which would come again
	egns-ctl namespace permission-binding delete -n all-all-Subscriber -y
	told 'd d 7' 'd d 7 ClientAuthorizationError'
	rm spool/lifecycle/new/*
	script 'e: e' 'e> connect' 'e< connack 00' 'e> disconnect' 'e< closed'
	told 'e e 8' 'e e 8 ClientInitiatedDisconnect'
	leave c d
}

@test "addresses that are not let in any more, and a broker that stops" {
	lifecycle
	device a
	start_broker
	listen l a -i one -V 5 -t t
	egns-ctl namespace update -o none \
		--inbound-ip-rules '[{"ipMask":"192.0.2.0/24"}]'
	told 'a one 1' 'a one 1 IpForbidden'
	leave l
	egns-ctl namespace update -o none --inbound-ip-rules '[]'
	rm spool/lifecycle/new/*
	listen l a -i one -t t
	stop egns-brokerd
	leave l
	told_now 'a one 2' 'a one 2 ServerInitiatedDisconnect'
}

@test "a session whose queue is full ends" {
	lifecycle --profile Azure
	device a
	device p
	advance 0
	start_broker
	script 'a: a' 'a> connect session-expiry=3600 receive-maximum=1' \
		'a< connack 00' 'a> subscribe t/#,q1' 'a< suback 01' \
		'p: p' 'p> connect' 'p< connack 00' \
		'p> publish t q1 payload=x*500000' 'p< puback 00' 'advance 2' \
		'p> publish t q1 payload=x*500000' 'p< puback 00' 'advance 2' \
		'p> publish t q1 payload=x*500000' 'p< puback 00' \
		'a< publish' 'a< disconnect 97'
	wait_for said_line 'a a 1 SessionOverflow'
}

@test "numbers rise with every connection, whatever becomes of the broker" {
	local n
	lifecycle
	device a
	device t
	# shellcheck disable=SC2034
	for n in 1 2 3; do
		start_broker
		mpub a -i stored -c -q 1 -t t -m x
		mpub t -i clean -t t -m x
		mpub t -i clean -t t -m x
		wait_for so_many 6
		if [ "$n" = 1 ]; then stop egns-brokerd
		else crash egns-brokerd; fi
		lines >>all
		rm spool/lifecycle/new/*
	done
	# each number is the name's own, and they rise
	grep -v Disconnect all | awk '$3 <= last[$1] { exit 1 }
		{ last[$1] = $3 }'
	grep -c Disconnect all | grep -x 9
	[ "$(grep -v Disconnect all | grep -c ' stored ')" -eq 3 ]
	[ "$(awk '$2 == "stored" { print $3 }' all | sort -u | wc -l)" -eq 3 ]
}

# Is each end by ServerError told, and once?
lost_once() {
	[ "$(lines | grep ServerError | sort)" = "a a 1 ServerError
b b 2 ServerError" ]
}

@test "after a crash the ends of stored sessions are told once" {
	lifecycle
	for name in a b t; do device "$name"; done
	start_broker
	listen a a -i a -c -q 1 -t t
	listen b b -i b -c -q 1 -t t
	listen t t -i t -t t
	wait_for so_many 3
	crash egns-brokerd
	leave a b t
	rm spool/lifecycle/new/*
	start_broker
	wait_for lost_once
	# and not again, if it had not been told of more
	crash egns-brokerd
	start_broker
	mpub a -i a -c -t t -m x
	wait_for said_line 'a a 2 ClientInitiatedDisconnect'
	lost_once
	stop egns-brokerd
}

started_or_killed() {
	process_ended "${pid_of[egns-brokerd]}" ||
		{ lost_once && [ ! -e spool/sessions/lost.ndjson ]; }
}

@test "killed at any call of its start, brokerd tells them once all the same" {
	local n=0 killed=true
	lifecycle
	for name in a b; do device "$name"; done
	start_broker
	listen a a -i a -c -q 1 -t t
	listen b b -i b -c -q 1 -t t
	crash egns-brokerd
	leave a b
	rm -f spool/lifecycle/new/*
	mv spool template
	while $killed; do
		n=$((n + 1))
		rm -rf spool && cp -a template spool
		shim "SHIM_KILL=$n"
		start egns-brokerd 2>/dev/null || :
		unshim
		wait_for started_or_killed
		sleep 0.3 # what it does unasked is done within 0.1 s
		killed=false
		process_ended "${pid_of[egns-brokerd]}" && killed=true
		crash egns-brokerd 2>/dev/null || :
		start_broker
		wait_for lost_once || { echo "call $n"; return 1; }
		stop egns-brokerd
		lost_once
		[ ! -e spool/sessions/lost.ndjson ]
	done
	[ "$n" -gt 10 ]
}

@test "what finds no room on disk is told when there is some" {
	lifecycle
	device a
	shim SHIM_PATH=lifecycle SHIM_ENOSPC=1,5 SHIM_CALLS=write,pwrite,link
	start_broker
	mpub a -i one -q 1 -t t -m x
	mpub a -i one -q 1 -t t -m x
	told 'a one 1' 'a one 1 ClientInitiatedDisconnect' 'a one 2' \
		'a one 2 ClientInitiatedDisconnect'
	wait_for stats '.lifecycleEvents == 4 and .droppedLifecycleEvents == 0'
}

publish_and_see() {
	mpub a -i two -q 1 -t t -m x
	lines | grep -q 'a two .*Disconnect'
}

@test "what finds no room in lifecycle/ is counted" {
	local full='1.M000001P1Q1.h,S=67108864,N=1,C=00000000'
	lifecycle
	device a
	mkdir -p spool/lifecycle/cur
	touch "spool/lifecycle/cur/$full"
	start_broker
	mpub a -i one -q 1 -t t -m x
	mpub a -i one -q 1 -t t -m x
	wait_for stats '.droppedLifecycleEvents == 4'
	[ "$(grep -c 'lifecycle/: no room' egns-brokerd.log)" -eq 1 ]
	rm "spool/lifecycle/cur/$full"
	wait_for publish_and_see
	grep 'lifecycle/: there is room again' egns-brokerd.log
}

# ---- in the topic ----

# events N FILTER - wait for N events in the topic, and print them all by the
# filter, in order.
events() {
	wait_for logged_so_many "$1" || { logged_events; return 1; }
	logged_events | jq -r "$2"
}

logged_so_many() {
	[ "$(logged_events | wc -l)" -ge "$1" ]
}

logged_events() {
	cat spool/topics/life/log/*.ndjson 2>/dev/null | jq -c .event
}

# client VERB NAME [FLAG...]
client() {
	egns-ctl namespace client "$1" -o none -n "${@:2}"
}

@test "sessions and clients are events of the topic" {
	local id
	broker_ns
	device before
	topic life
	tell_topic
	start egns-topicd
	start egns-route
	device a '{"kind":"press"}' --authentication-name press
	start_broker
	mosquitto_pub -h localhost -p "$(mport mqtts)" --cafile ca.pem \
		--cert a.pem --key a.key -u press -i one -t t -m x || :
	client update a --state Disabled
	client delete a -y
	id=$(egns-ctl namespace show --query id -o tsv)
	events 3 '[.type, .subject, .data.clientAuthenticationName,
		.data.state // empty] | join(" ")' >got
	cat got
	[ "$(grep -v Session got)" = "$(printf 'Microsoft.EventGrid.%s\n' \
		'MQTTClientCreatedOrUpdated clients/a press Enabled' \
		'MQTTClientCreatedOrUpdated clients/a press Disabled' \
		'MQTTClientDeleted clients/a press')" ]
	logged_events | jq -es --arg id "$id" 'all(.source == $id) and
		all(.data.namespaceName == "testns") and
		([.[].id] | unique | length) == length'
	logged_events | jq -es 'map(select(.data.state)) |
		.[0].data.createdOn == .[0].data.updatedOn and
		.[1].data.createdOn < .[1].data.updatedOn and
		.[0].data.attributes == {"kind":"press"}'
}

@test "changes are told once, whoever is killed" {
	local i n
	ns life
	tell_topic
	start egns-topicd
	for i in 1 2 3 4 5; do
		start egns-route
		for n in $(seq 5); do client create "c$i-$n"; done
		crash egns-route
	done
	start egns-route
	client delete c3-3 -y
	events 26 .subject | sort | uniq -c | sort -rn >got
	head -n 3 got
	# behind which nothing else comes
	client create behind
	events 27 .subject | tail -n 1 | grep -x clients/behind
	[ "$(logged_events | wc -l)" -eq 27 ]
	[ "$(head -n 1 got | tr -s ' ')" = ' 2 clients/c3-3' ]
	[ "$(logged_events | jq -r .id | sort -u | wc -l)" -eq 27 ]
}

@test "a topic hears of what comes after it was named" {
	ns life other
	client create early
	tell_topic
	start egns-topicd
	start egns-route
	client create one
	events 1 .subject | grep -x clients/one
	egns-ctl namespace update -o none --set lifecycleTopicResourceId=other
	client create two
	wait_for grep -rqs clients/two spool/topics/other/log
	egns-ctl namespace update -o none --set lifecycleTopicResourceId=
	client create three
	tell_topic
	client create four
	[ "$(events 2 .subject)" = "clients/one
clients/four" ]
	[ "$(cat spool/topics/other/log/*.ndjson | wc -l)" -eq 1 ]
}

@test "of changes only those of clients are dropped when their topic is gone" {
	ns life
	tell_topic
	start egns-topicd
	start egns-route
	client create one
	events 1 .subject | grep -x clients/one
	stop egns-route
	egns-ctl namespace topic delete -n life --yes
	topic other
	client create two
	start egns-route
	wait_for grep -rqs clients/two spool/dropped
	[ "$(jq -r .record.path spool/dropped/*)" = clients/two ]
}
