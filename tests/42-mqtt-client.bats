# egns-ctl mqtt pub and sub, against a broker that others wrote.

load lib
load mosquitto

setup_broker() {
	certificates server press || return
	start_mosquitto "$@" || return
	flags=(--client press --host localhost --port "$mqtts" --cafile ca.pem)
}

# subscriber NAME FLAG... - mqtt sub in the background; returns once it has
# subscribed. What it prints goes to NAME.out.
subscriber() {
	local name=$1
	shift
	rm -f "$name.ready" && mkfifo "$name.ready"
	egns-ctl mqtt sub "${flags[@]}" -r 4 "$@" \
		4>"$name.ready" >"$name.out" 2>"$name.log" 3>&- &
	# shellcheck disable=SC2004 # a name
	pid_of[$name]=$!
	read -r -t "$PATIENCE" _ <"$name.ready" || { cat "$name.log"; return 1; }
}

# fails STATUS WORDS ARG... - egns-ctl fails so and says so on one line.
fails() {
	local want=$1 words=$2
	shift 2
	run --separate-stderr egns-ctl "$@"
	echo "status $status: $stderr"
	[ "$status" -eq "$want" ]
	[[ $stderr == *"$words"* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ -z "$output" ]
}

@test "a message goes from mqtt pub to mqtt sub, both versions, both QoS" {
	setup_broker
	subscriber sub -t 'a/+' -n 4
	for version in 5 311; do
		for qos in 0 1; do
			run -0 --separate-stderr egns-ctl mqtt pub \
				"${flags[@]}" --mqtt-version "$version" \
				-q "$qos" -t a/b -m "v$version q$qos"
			[ -z "$output$stderr" ]
		done
	done
	gone sub
	[ "$status" -eq 0 ]
	printf 'v%s\n' '5 q0' '5 q1' '311 q0' '311 q1' | cmp - sub.out
	[ ! -s sub.log ]
}

@test "mqtt sub -o json shows topic, properties in order, and any payload" {
	setup_broker
	subscriber sub -t '#' -n 3 -o json
	egns-ctl mqtt pub "${flags[@]}" -t press/1 -m '{"t":20}' -r \
		--user-property k=1 --user-property 'b=x=y' \
		--user-property k=2 --content-type application/json \
		--payload-format-indicator 1 --response-topic answer/here \
		--correlation-data c7 --message-expiry 300
	egns-ctl mqtt pub "${flags[@]}" -t press/2 -m 'größer'
	printf '\xff\0' | egns-ctl mqtt pub "${flags[@]}" -t press/3 -f -
	gone sub
	[ "$status" -eq 0 ]
	jq -e -s '.[0].properties == {
		"payload-format-indicator": 1,
		"message-expiry-interval": 300,
		"content-type": "application/json",
		"response-topic": "answer/here", "correlation-data": "c7",
		"user-properties": [["k", "1"], ["b", "x=y"], ["k", "2"]] } and
		(.[0].tst | test("^[0-9-]+T[0-9:.]+Z$")) and
		(map(del(.tst, .properties)) == [
		{topic: "press/1", qos: 1, retain: 0, payload: {t: 20}},
		{topic: "press/2", qos: 1, retain: 0, payload: "größer"},
		{topic: "press/3", qos: 1, retain: 0, payload_base64: "/wA="}])' \
		sub.out
	egns-ctl mqtt sub "${flags[@]}" -t press/+ -n 1 -o json |
		jq -e '.retain == 1 and .topic == "press/1"'
}

@test "what mosquitto_pub sends mqtt sub prints, and the other way round" {
	setup_broker
	subscriber sub -t t -n 1
	mosquitto_pub -h localhost -p "$mqtts" --cafile ca.pem \
		--cert press.pem --key press.key -q 1 -t t -m 'from there'
	gone sub
	[ "$(cat sub.out)" = 'from there' ]
	egns-ctl mqtt pub "${flags[@]}" -t t -r -m 'from here' \
		--user-property a=b
	run -0 mosquitto_sub -V 5 -h localhost -p "$mqtts" --cafile ca.pem \
		--cert press.pem --key press.key -t t -C 1 -F '%P %p'
	[ "$output" = 'a:b from here' ]
}

@test "mqtt pub -l sends every line in order and returns when all are answered" {
	setup_broker 'max_queued_messages 0'
	subscriber sub -t lines -n 20001
	{ seq 20000 && printf last; } |
		egns-ctl mqtt pub "${flags[@]}" -t lines -l
	gone sub
	[ "$status" -eq 0 ]
	{ seq 20000 && echo last; } | cmp - sub.out
}

@test "mqtt pub -l sends a line when it comes, not when input ends" {
	setup_broker
	subscriber sub -t slow
	mkfifo input
	egns-ctl mqtt pub "${flags[@]}" -t slow -l <input 3>&- &
	pid_of[pub]=$!
	exec 5>input
	echo first >&5
	wait_for grep -qx first sub.out
	echo second >&5
	wait_for grep -qx second sub.out
	exec 5>&-
	gone pub
	[ "$status" -eq 0 ]
}

@test "TERM ends mqtt sub with status 0, -w without -n too" {
	setup_broker
	subscriber sub -t t
	stop sub
	run -0 --separate-stderr egns-ctl mqtt sub "${flags[@]}" -t t -w 1
	[ -z "$output$stderr" ]
}

@test "mqtt sub -n says when too few messages came, and ends with status 75" {
	setup_broker
	fails 75 '0 of 2 messages came in 1 seconds' \
		mqtt sub "${flags[@]}" -t t -n 2 -w 1
}

@test "a session keeps what comes while mqtt sub is away, and what -n leaves" {
	setup_broker
	session=(-t kept --id s1 --session-expiry 600)
	egns-ctl mqtt sub "${flags[@]}" "${session[@]}" -w 1
	seq 5 | egns-ctl mqtt pub "${flags[@]}" -t kept -l
	run -0 egns-ctl mqtt sub "${flags[@]}" "${session[@]}" -n 2
	[ "$output" = $'1\n2' ]
	run -0 egns-ctl mqtt sub "${flags[@]}" "${session[@]}" -n 3
	[ "$output" = $'3\n4\n5' ]
}

@test "the will of mqtt sub is published when it is killed, not when it ends" {
	setup_broker
	subscriber watch -t will/+ -n 1
	subscriber tidy -t x --will-topic will/tidy --will-message bye
	subscriber killed -t x --will-topic will/killed --will-message gone \
		--will-qos 1
	stop tidy
	crash killed
	gone watch
	[ "$(cat watch.out)" = gone ]
}

@test "what the broker refuses has its reason in words, and what to do" {
	printf '%s\n' 'user press' 'topic readwrite ok/#' >acl
	setup_broker "acl_file $PWD/acl"
	egns-ctl mqtt pub "${flags[@]}" -t ok/x -m 1
	fails 77 "publish to 'no': not authorized (0x87); see egns-ctl explain \
--client press --publish 'no'" mqtt pub "${flags[@]}" -t no -m 1
	run --separate-stderr egns-ctl mqtt pub "${flags[@]}" -t no -l <<<$'1\n2'
	[ "$status" -eq 77 ]
	[[ $stderr == *"line 1: publish to 'no': not authorized"* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

@test "a client that the broker does not know is told how to find out why" {
	setup_broker 'allow_anonymous false' 'password_file /dev/null'
	fails 77 "connect: not authorized (0x87); see egns-ctl explain \
--client press --connect" mqtt pub "${flags[@]}" -t t -m 1
	fails 77 'connect: ' mqtt pub "${flags[@]}" --mqtt-version 311 -t t -m 1
}

@test "a broker that is not there, or is not trusted, is named" {
	setup_broker
	read -r other < <(free_ports 1)
	fails 69 'localhost: Connection refused' mqtt pub --client press \
		--host localhost --port "$other" --cafile ca.pem -t t -m 1
	cp ca.pem was.pem && certificates stranger
	fails 76 'TLS: certificate verify failed' \
		mqtt pub "${flags[@]}" -t t -m 1
	fails 76 'TLS: ' mqtt pub "${flags[@]}" -t t -m 1 --cafile was.pem \
		--cert stranger.pem --key stranger.key
}

@test "a certificate that is missing is named, with the command that makes it" {
	certificates server
	fails 66 'press.pem: No such file or directory; egns-ctl cert issue press' \
		mqtt pub --client press --host localhost --cafile ca.pem \
		-t t -m 1
	fails 66 'x.pem: No such file' mqtt pub --client press --cert x.pem \
		--key x.key --host localhost --cafile ca.pem -t t -m 1
}

@test "without --host it talks to the broker of the spool, and trusts its CAs" {
	setup_broker
	ns
	fails 69 brokerd mqtt pub --client press -t t -m 1
	answer='{"ok":true,"count":1}'
	listeners="{\"listeners\":{\"mqtts\":\"127.0.0.1:$mqtts\"}}"
	printf '%s\n' '#!/bin/sh' "echo '{\"egns\":\"brokerd\",\"version\":1}'" \
		'read -r line' "echo '$answer'" "echo '$listeners'" >says
	chmod +x says
	socat UNIX-LISTEN:spool/run/brokerd.sock,fork EXEC:./says 3>&- &
	pid_of[socat]=$!
	wait_for socat -u OPEN:/dev/null UNIX-CONNECT:spool/run/brokerd.sock
	fails 76 'certificate verify failed' mqtt pub --client press -t t -m 1
	egns-ctl namespace ca-certificate create -n own -o none \
		--encoded-certificate @ca.pem
	run -0 --separate-stderr egns-ctl mqtt pub --client press -t t -r -m hi
	[ -z "$output$stderr" ]
	[ "$(egns-ctl mqtt sub --client press -t t -n 1)" = hi ]
	kill "${pid_of[socat]}"
	gone socat
}

@test "options of mqtt pub and sub that make no sense are refused" {
	some=(--client c --host localhost --cafile ca.pem)
	fails 64 '-t TOPIC is missing' mqtt pub "${some[@]}" -m 1
	fails 64 'not a topic to publish to' mqtt pub "${some[@]}" -t 'a/#' -m 1
	fails 64 'one of -m MESSAGE, -f FILE and -l' \
		mqtt pub "${some[@]}" -t t -m 1 -l
	fails 64 'NAME=VALUE' mqtt pub "${some[@]}" -t t -m 1 --user-property x
	fails 64 'MQTT 3.1.1 has no properties' mqtt pub "${some[@]}" -t t -m 1 \
		--mqtt-version 311 --content-type x
	fails 64 '--client NAME is missing' mqtt pub -t t -m 1
	fails 64 'not a topic filter' mqtt sub "${some[@]}" -t 'a/#/b'
	fails 64 '--session-expiry needs --id' \
		mqtt sub "${some[@]}" -t t --session-expiry 5
	fails 64 'is --user-property meant' \
		mqtt pub "${some[@]}" -t t -m 1 --user-propety a=b
	fails 64 'needs a value' mqtt sub "${some[@]}" -t
}
