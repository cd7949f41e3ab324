# shellcheck shell=bash
# egns-pull: receive, peek and settle.
load lib

# publish ID... - events with these ids to topic t01.
publish() {
	local id
	for id; do event "$id" "{\"n\":$id}"; done | egns-ctl publish -t t01
}

# received - the ids of what can be received at once.
received() {
	egns-pull receive -t t01 -s s01 -n 100 -w 0 |
		jq -r .event.id | paste -sd' '
}

# token - the lock token of one event.
token() {
	egns-pull receive -t t01 -s s01 -w 0 | jq -r .brokerProperties.lockToken
}

@test "receive prints an event and its lock token on a line" {
	ns t01/s01
	start egns-topicd
	publish 1 2
	run --separate-stderr egns-pull receive -t t01 -s s01
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "${#lines[@]}" -eq 1 ]
	jq -e '.event == {specversion:"1.0",id:"1",source:"/test",type:"t",
		data:{n:1}} and .brokerProperties.deliveryCount == 1 and
		(.brokerProperties.lockToken | length > 0)' <<<"$output"
}

@test "receive has the long names of egns-ctl, too" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3
	run egns-pull receive --topic-name t01 --event-subscription-name s01 \
		--max-events 2 --max-wait-time 0
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 2 ]
}

@test "receive prints nothing and ends with 0 when nothing comes" {
	ns t01/s01
	start egns-topicd
	run egns-pull receive -t t01 -s s01 -w 0
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "receive waits for an event" {
	ns t01/s01
	start egns-topicd
	egns-pull receive -t t01 -s s01 >got 3>&- &
	publish 7
	wait $!
	jq -e '.event.id == "7"' got
}

@test "receive, jq and acknowledge make a pipeline" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3 4
	egns-pull receive -t t01 -s s01 -n 100 | jq -c 'select(.event.data.n > 2)' |
		egns-pull acknowledge -t t01 -s s01 -
	run egns-pull peek -t t01 -s s01 -n 10
	[ "$(jq -r .event.id <<<"$output" | paste -sd' ')" = "1 2" ]
}

@test "settling says nothing when all went well" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3 4
	local verb
	for verb in acknowledge release reject renew-lock; do
		run egns-pull "$verb" -t t01 -s s01 "$(token)"
		[ "$status" -eq 0 ]
		[ -z "$output" ]
	done
}

@test "release makes an event available again, at once or later" {
	ns t01/s01
	advance 0
	start egns-topicd
	publish 1
	egns-pull release -t t01 -s s01 "$(token)"
	run egns-pull receive -t t01 -s s01 -w 0
	jq -e '.brokerProperties.deliveryCount == 2' <<<"$output"
	egns-pull release -t t01 -s s01 --delay 60 \
		"$(jq -r .brokerProperties.lockToken <<<"$output")"
	[ "$(received)" = "" ]
	advance 61
	[ "$(received)" = 1 ]
}

@test "reject ends delivery" {
	ns t01/s01
	start egns-topicd
	publish 1
	egns-pull reject -t t01 -s s01 "$(token)"
	run egns-pull peek -t t01 -s s01
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "renew-lock keeps an event from being delivered again" {
	ns t01
	subscription t01 s01 receiveLockDurationInSeconds:60
	advance 0
	start egns-topicd
	publish 1
	local token
	token=$(token)
	advance 50
	egns-pull renew-lock -t t01 -s s01 "$token"
	advance 50
	[ "$(received)" = "" ]
	advance 11
	[ "$(received)" = 1 ]
}

@test "peek locks nothing" {
	ns t01/s01
	start egns-topicd
	publish 1
	egns-pull peek -t t01 -s s01 | jq -e '.event.id == "1" and
		.brokerProperties.state == "available"'
	[ "$(received)" = 1 ]
	egns-pull peek -t t01 -s s01 | jq -e '.brokerProperties.state == "locked"'
}

@test "every failed token is named, the others are settled, and it ends with 65" {
	ns t01/s01
	start egns-topicd
	publish 1
	local token
	token=$(token)
	run --separate-stderr egns-pull acknowledge -t t01 -s s01 bad "$token"
	[ "$status" -eq 65 ]
	[ -z "$output" ]
	[[ $stderr == "egns-pull: bad: BadToken: "* ]]
	run --separate-stderr egns-pull acknowledge -t t01 -s s01 "$token"
	[ "$status" -eq 65 ]
	[ "$stderr" = "egns-pull: $token: TokenLost: Token has expired." ]
}

@test "tokens come as words, as JSON strings, and as lines that receive printed" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3 4
	{
		echo
		egns-pull receive -t t01 -s s01 | jq -r .brokerProperties.lockToken
		egns-pull receive -t t01 -s s01 | jq .brokerProperties.lockToken
		egns-pull receive -t t01 -s s01
		printf '%s' "  $(token)"
	} >tokens
	egns-pull acknowledge -t t01 -s s01 - <tokens
	[ -z "$(egns-pull peek -t t01 -s s01)" ]
}

@test "a line without a token is named, and the rest is settled" {
	ns t01/s01
	start egns-topicd
	publish 1 2
	{
		token
		echo '{"brokerProperties":{}}'
		echo '{"brokerProperties":"x"}'
		echo '{"broken'
		token
		head -c 3000000 /dev/zero | tr '\0' x
	} >tokens
	run egns-pull acknowledge -t t01 -s s01 - <tokens
	[ "$status" -eq 65 ]
	[ "${#lines[@]}" -eq 4 ]
	[ "${lines[0]}" = "egns-pull: standard input: line 2: no brokerProperties.lockToken" ]
	[[ ${lines[2]} == "egns-pull: standard input: line 4: "* ]]
	[ "${lines[3]}" = "egns-pull: standard input: line 6: too long" ]
	[ -z "$(egns-pull peek -t t01 -s s01)" ]
}

@test "more tokens than a request holds are settled in several" {
	ns t01/s01
	start egns-topicd
	seq 2500 | jq -c '{specversion:"1.0",id:"\(.)",source:"/",type:"t"}' |
		egns-ctl publish -t t01
	for _ in 1 2 3; do
		egns-pull receive -t t01 -s s01 -n 1000 -w 0
	done | egns-pull acknowledge -t t01 -s s01 -
	[ -z "$(egns-pull peek -t t01 -s s01)" ]
}

@test "tokens are settled while the pipe they come through stays open" {
	ns t01/s01
	start egns-topicd
	publish 1
	mkfifo pipe
	egns-pull acknowledge -t t01 -s s01 - <pipe 3>&- &
	exec 7>pipe
	token >&7
	wait_for nothing_left
	exec 7>&-
	wait $!
}

nothing_left() {
	[ -z "$(egns-pull peek -t t01 -s s01)" ]
}

@test "what cannot be done has its own status" {
	ns t01/s01
	run egns-pull receive -t t01 -s s01
	[ "$status" -eq 69 ]
	[[ $output == *"egns-ctl up"* ]]
	start egns-topicd
	run egns-pull receive -t nope -s s01
	[ "$status" -eq 66 ]
	[[ $output == "egns-pull: "*nope* ]]
	run egns-pull receive -t t01 -s nope
	[ "$status" -eq 66 ]
	[[ $output == "egns-pull: "*nope* ]]
	run egns-pull receive -C nowhere -t t01 -s s01
	[ "$status" -eq 66 ]
	[[ $output == *nowhere* ]]
	run egns-pull receive -t t01
	[ "$status" -eq 64 ]
	[ "$output" = "egns-pull: receive: -s SUB is missing" ]
	run egns-pull receive -t t01 -s s01 5
	[ "$status" -eq 64 ]
	[[ $output == *"unexpected word '5'" ]]
	run egns-pull recieve -t t01 -s s01
	[ "$status" -eq 64 ]
	[[ ${lines[0]} == *"'recieve': no such command" ]]
	run egns-pull peek -t t01 -s s01 -w 5
	[ "$status" -eq 64 ]
	[[ ${lines[0]} == *"peek takes no --max-wait-time" ]]
	run egns-pull exec -t t01 -s s01
	[ "$status" -eq 64 ]
	[[ $output == *"CMD is missing" ]]
	run egns-pull receive -t t01 -s s01 -n 0
	[ "$status" -eq 64 ]
	[[ $output == *"-n: '0'"* ]]
	run egns-pull acknowledge -t t01 -s s01
	[ "$status" -eq 64 ]
	[[ $output == *"no TOKEN; - takes them from standard input" ]]
	run egns-pull acknowledge -t t01 -s s01 --delay 10 x
	[ "$status" -eq 64 ]
	run egns-pull
	[ "$status" -eq 64 ]
	[ "${#lines[@]}" -eq 8 ]
}

@test "receive says when its output cannot be written" {
	ns t01/s01
	start egns-topicd
	publish 1
	run bash -c 'egns-pull receive -t t01 -s s01 >/dev/full'
	[ "$status" -eq 74 ]
	[[ $output == "egns-pull: standard output: "* ]]
}

@test "receive ends with 69 when topicd goes while it waits" {
	ns t01/s01
	start egns-topicd
	egns-pull receive -t t01 -s s01 2>said 3>&- &
	local pid=$!
	publish 1
	wait "$pid"
	egns-pull receive -t t01 -s s01 2>said 3>&- &
	pid=$!
	wait_for connected "$pid"
	crash egns-topicd
	local status=0
	wait "$pid" || status=$?
	[ "$status" -eq 69 ]
	[[ $(<said) == "egns-pull: topicd: "* ]]
}

# Has this process sent its request, so that it waits for the answer?
connected() {
	[[ $(<"/proc/$1/wchan") == *poll* ]]
}
