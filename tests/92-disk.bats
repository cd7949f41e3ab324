# shellcheck shell=bash
# A disk that is full, and much that ends at once.
load lib

no_room() {
	shim "SHIM_PATH=$1" SHIM_ENOSPC=1,1000000000 \
		SHIM_CALLS=write,pwrite,writev,pwritev
}

receive() {
	ask '{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":0}'
}

# settle OP TOKEN... - the answer.
settle() {
	ask "$(printf '%s\n' "${@:2}" | jq -Rcn --arg op "$1" '{op: $op,
		topic: "t01", subscription: "s01", lockTokens: [inputs]}')"
}

@test "without room for what was settled all else goes on, and topicd ends" {
	local token
	ns t01/s01
	no_room state.ndjson
	start egns-topicd
	ask '{"op":"publish","topic":"t01","count":1}' "$(event 1)" | jq -e .ok
	token=$(receive | jq -r '.brokerProperties.lockToken // empty')
	settle acknowledge "$token" | jq -e '.error.code == "TooManyRequests"'
	[ "$(ask '{"op":"reload"}')" = '{"ok":true}' ]
	ask '{"op":"publish","topic":"t01","count":1}' "$(event 2)" | jq -e .ok
	kill "${pid_of[egns-topicd]}"
	gone egns-topicd
	[ "$status" -eq 0 ]
	grep 'will be delivered again' egns-topicd.log
	unshim
	start egns-topicd
	[ "$(receive | jq -r '.event.id // empty')" = 1 ]
	[ "$(receive | jq -r '.event.id // empty')" = 2 ]
	egns-ctl audit
}

# large N - publish so many events of half a megabyte.
large() {
	local i data
	data=$(head -c 500000 /dev/zero | tr '\0' x)
	for ((i = 0; i < $1; i++)); do event "$i" "\"$data\""; done |
		egns-ctl publish -t t01
}

# How large is the largest file of dead letters?
largest() {
	find spool/deadletter/new -type f -printf '%s\n' | sort -n | tail -n 1
}

# ended SUBSCRIPTION REASON N
ended() {
	ask "{\"op\":\"stats\",\"topic\":\"t01\",\"subscription\":\"$1\"}" |
		jq -es --arg reason "$2" --argjson n "$3" \
			'.[-1].deadLettered[$reason] == $n'
}

@test "much that expires at once is written in parts" {
	local i
	ns t01
	subscription t01 s01 'eventTimeToLive:PT1H'
	advance 0
	start egns-topicd
	large 40
	advance 4000
	for ((i = 0; i < 40; i++)); do
		echo '{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":0}'
	done >in
	ask "$(<in)" >/dev/null
	wait_for ended s01 TimeToLiveExceeded 40
	[ "$(largest)" -lt 10000000 ]
	egns-ctl audit
}

@test "what expires in one subscription does not keep another waiting" {
	local i
	ns t01
	subscription t01 s01 'eventTimeToLive:PT1H'
	subscription t01 s02 'eventTimeToLive:PT1H'
	advance 0
	start egns-topicd
	ask '{"op":"publish","topic":"t01","count":1,"subscription":"s02"}' \
		"$(event old)"
	{
		for ((i = 0; i < 100; i++)); do
			echo '{"op":"publish","topic":"t01","count":1000,"subscription":"s01"}'
			printf '%.0s{"specversion":"1.0","id":"1","source":"/t","type":"t"}\n' {1..1000}
		done
	} >in
	socat -t "$PATIENCE" - UNIX-CONNECT:spool/run/topicd.sock <in >/dev/null
	advance 4000
	wait_for ended s02 TimeToLiveExceeded 1
	ask '{"op":"stats","topic":"t01","subscription":"s01"}' >stats
	[ "$(tail -n 1 stats | jq .pending)" -gt 0 ]
}

@test "of much that is rejected at once a part is to try again" {
	local tokens=()
	ns t01/s01
	start egns-topicd
	large 60
	for ((i = 0; i < 60; i++)); do
		echo '{"op":"receive","topic":"t01","subscription":"s01"}'
	done >in
	ask "$(<in)" | jq -r '.brokerProperties.lockToken // empty' >tokens
	mapfile -t tokens <tokens
	[ "${#tokens[@]}" -eq 60 ]
	settle reject "${tokens[@]}" >answer
	jq -e '.failedLockTokens[0].error.code == "TooManyRequests"' answer
	[ "$(largest)" -lt 20000000 ]
	jq -r '.failedLockTokens[].lockToken' answer >tokens
	mapfile -t tokens <tokens
	settle reject "${tokens[@]}" >answer
	jq -e '.failedLockTokens == []' answer
	ended s01 Rejected 60
	egns-ctl audit
}

# next - id and count of the event received.
next() {
	receive | jq -r 'select(.event) |
		"\(.event.id) \(.brokerProperties.deliveryCount)"'
}

@test "without room for records of ends, what need not end is delivered again" {
	ns t01
	subscription t01 s01 'maxDeliveryCount:2,receiveLockDurationInSeconds:60' \
		--no-dead-letter
	advance 0
	no_room dropped/
	start egns-topicd
	event 1 | egns-ctl publish -t t01
	[ "$(next)" = '1 1' ]
	advance 61
	[ "$(next)" = '1 2' ]
	event 2 | egns-ctl publish -t t01
	[ "$(next)" = '2 1' ]
	advance 61
	wait_for grep -q 'no event can leave' egns-topicd.log
	[ "$(next)" = '2 2' ]
	event 3 | egns-ctl publish -t t01
	[ "$(next)" = '3 1' ]
	advance 61
	[ "$(next)" = '3 2' ]
	unshim
	restart egns-topicd
	egns-ctl audit
}

@test "topicd starts on a full disk, and writes its checkpoint later" {
	ns t01/s01
	start egns-topicd
	event 1 | egns-ctl publish -t t01
	crash egns-topicd
	no_room checkpoint.json
	SHIM_ENOSPC=1,1 start egns-topicd
	[ "$(next)" = '1 1' ]
	[ "$(jq .offset spool/topics/t01/checkpoint.json)" -eq 0 ]
	event 2 | egns-ctl publish -t t01
	[ "$(jq .offset spool/topics/t01/checkpoint.json)" -eq \
		"$(stat -c %s spool/topics/t01/log/*.ndjson)" ]
}
