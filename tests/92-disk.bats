# shellcheck shell=bash
# A disk that is full, and much that ends at once.
load lib
load dlq

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
	local i line
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
	wait_for ended s01 TimeToLiveExceeded 100000
	# files have names in their order
	line=$(cat spool/deadletter/new/* | grep -n '"subscription":"s02"')
	[ "${line%%:*}" -lt 50000 ]
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

# full PART NAME ARG... - start a daemon for which the disk is full where the path
# has PART, until there is room.
full() {
	touch full
	shim "SHIM_PATH=$1" SHIM_CALLS=write,pwrite SHIM_FULL="$PWD/full"
	start "${@:2}"
	unshim
}

room() {
	rm full
}

@test "a container without room: dead letters wait, with words, and are written" {
	dlq_ns
	full /containers/ egns-dlq
	reject worker one two
	is .state failing
	[[ $(state .lastError) == *"No space left on device" ]]
	egns-ctl status -o json | jq -e 'tostring |
		contains("No space left on device")'
	reject worker three
	is .waiting 3
	egns-ctl audit -o none
	room
	dlq retry
	written one two three
	empty
	egns-ctl audit -o none
	[ "$(grep -c 'No space left on device; dead letters wait' egns-dlq.log)" -eq 1 ]
	grep 'dead letters are written again' egns-dlq.log
}

@test "deadletter/ without room for parcels: all stays, and goes on by itself" {
	dlq_ns
	reject worker one
	full /batch egns-dlq
	wait_for grep 'No space left on device: dead letters stay where they are' \
		egns-dlq.log
	reject worker two three
	stop egns-dlq
	[ "$(find spool/deadletter/new spool/deadletter/cur -type f | wc -l)" -eq 2 ]
	egns-ctl audit -o none
	[ -z "$(letters)" ]
	full /batch egns-dlq
	room
	written one two three
	empty
	egns-ctl audit -o none
}

# sending N - so many parcels are tried.
sending() {
	[ "$(ls spool/deadletter/sending | wc -l)" -eq "$1" ]
}

@test "no room for what was written, or given up: it is neither, and goes on by itself" {
	dlq_ns
	subscription orders lost
	to "$(directory nowhere)" lost '"deliveryRetryPeriodInDays":0'
	full .ndjson egns-dlq
	reject worker one
	reject lost two
	written one
	wait_for grep -E '(dropped|written): No space left on device' egns-dlq.log
	wait_for sending 2
	egns-ctl audit -o none
	room
	dlq retry
	empty
	written one
	[ "$(jq -r .event.id spool/dropped/*.ndjson)" = two ]
	egns-ctl audit -o none
}

@test "no room at all for dead letters: events do not end, and then do" {
	dlq_ns
	stop egns-topicd
	full /deadletter/ egns-topicd
	full /deadletter/ egns-dlq
	event one | egns-ctl publish -t orders
	egns-pull receive -t orders -s worker >received
	run egns-pull reject -t orders -s worker - <received
	[ "$status" -ne 0 ]
	room
	wait_for rejected_now
	written one
	empty
	egns-ctl audit -o none
}

# It may have ended by itself, as soon as there was room.
rejected_now() {
	egns-pull reject -t orders -s worker - <received ||
		[ "$(letters)" = one ]
}

# no_way_back WORDS PART - what egns-replay says where PART is full; its status is 75.
no_way_back() {
	local said rc=0
	touch full
	said=$(shim "SHIM_PATH=$2" SHIM_FULL="$PWD/full" &&
		LD_PRELOAD=$PRELOAD egns-replay --reason Rejected 2>&1) || rc=$?
	echo "$rc: $said"
	[ "$rc" -eq 75 ] && [[ $said == *"$1"* ]] && room
}

@test "a replay without room changes nothing, says so, and comes true later" {
	local part
	dlq_ns
	start egns-dlq
	reject worker one two
	written one two
	for part in /replay /pending.ndjson; do
		no_way_back 'No space left on device' "$part"
		[ "$(letters)" = 'one two' ]
		[ "$(cat spool/topics/orders/log/* | wc -l)" -eq 2 ]
		egns-ctl audit -o none
	done
	# the topic has them, but the books do not; and then not the blob
	no_way_back 'No space left on device' /replay/2
	[ "$(letters)" = 'one two' ]
	egns-replay --reason Rejected
	[ -z "$(letters)" ]
	[ "$(cat spool/topics/orders/log/* | wc -l)" -eq 4 ]
	[ "$(jq -r .id spool/replay/2*.ndjson | xargs)" = 'one two' ]
	egns-ctl audit -o none
}

@test "what is left of a blob has no room: it went back, and leaves later" {
	dlq_ns
	start egns-dlq
	reject worker one two
	written one two
	touch full
	shim SHIM_PATH=/containers/ SHIM_FULL="$PWD/full"
	run -75 env LD_PRELOAD="$PRELOAD" egns-replay --reason Rejected --limit 1
	unshim
	[[ $output == *"No space left on device"* ]]
	[ "$(letters)" = 'one two' ]
	[ "$(cat spool/topics/orders/log/* | wc -l)" -eq 3 ]
	room
	egns-replay --reason Rejected
	[ -z "$(letters)" ]
	[ "$(cat spool/topics/orders/log/* | wc -l)" -eq 4 ]
	egns-ctl audit -o none
}

# clients SIZE - 150 of them, each with an attribute of that size, for apply.
clients() {
	jq -nc --arg text "$(head -c "$1" /dev/zero | tr '\0' x)" 'range(150) |
		{path: "clients/d\(.)", authenticationName: "d\(.)",
			attributes: {text: $text}}'
}

# with_fault FAULT ARG... - egns-ctl, with its index's writes failing so.
with_fault() {
	run --separate-stderr "-${want:-0}" \
		env LD_PRELOAD="$PRELOAD" "$1" egns-ctl "${@:2}"
}

# from_log FILE - the registry as the log has it, which is the truth.
from_log() {
	rm -f spool/namespace/index.tcb*
	egns-ctl export >"$1"
}

# Tokyo Cabinet says nothing of a write of its own that failed.
@test "a registry's index that could not be written is not believed" {
	local k n want
	ns
	clients 40 | egns-ctl apply -
	clients 90 >change
	cp -a spool before
	shim SHIM_PATH=index.tcb SHIM_CALLS=pwrite
	with_fault SHIM_TRACE=trace apply change
	n=$(wc -l <trace)
	[ "$n" -gt 10 ]
	for k in $(seq 1 4 "$n") "$n"; do
		rm -r spool && cp -a before spool
		want=71 with_fault "SHIM_EIO=$k" apply change
		[[ $stderr == "egns-ctl: index.tcb: Input/output error; the "*" \
all the same, and counts with the next one" ]]
		rm -r spool && cp -a before spool
		want=75 with_fault "SHIM_ENOSPC=$k,1000" apply change
		egns-ctl export >now
		from_log log
		cmp now log
		[ "$(grep -c 'x\{90\}' log)" -eq 150 ]
		rm spool/namespace/index.tcb
		want=71 with_fault SHIM_EIO=5 export
		egns-ctl export | cmp - log
	done
}
