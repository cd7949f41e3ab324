# shellcheck shell=bash
# egns-dlq on a disk that is full, and with files that a disk has spoilt.
load lib
load dlq

# full PATH CALL... - for the egns-dlq that is started next, there is no room
# where PATH is part of the path.
full() {
	local IFS=,
	shim "SHIM_PATH=$1" "SHIM_CALLS=${*:2}" SHIM_ENOSPC=1,1000000000
}

# freed - it begins anew, and there is room.
freed() {
	crash egns-dlq
	unshim
	start egns-dlq
}

@test "without room to remember what was written, no more is" {
	dlq_ns
	subscription orders other
	full deadletter/written/ open pwrite
	start egns-dlq
	reject worker one
	written one
	wait_for grep -q 'No space left' egns-dlq.log
	reject other two
	is '.parcels' 2
	dlq retry
	[ "$(letters)" = one ]
	[ "$(grep -c 'No space left' egns-dlq.log)" -eq 1 ]
	freed
	written one two
	empty
	[ "$(jq -s 'map(.count) | add' spool/deadletter/written/*)" -eq 2 ]
}

@test "without room for names of parcels they wait, and so does egns-dlq" {
	dlq_ns
	# the batch, and then its parcel
	shim SHIM_PATH=deadletter/sorted/ SHIM_CALLS=rename SHIM_ENOSPC=1,3
	start egns-dlq
	reject worker one two
	written one two
	empty
	stop egns-dlq
	[ "$(grep -c 'No space left' egns-dlq.log)" -eq 1 ]
	egns-ctl audit
}

@test "parcels that are spoilt block nothing" {
	dlq_ns
	rmdir spool/containers/local/deadletter
	start egns-dlq
	reject worker one
	is .state failing
	reject worker two
	is .waiting 2
	stop egns-dlq
	sending=$(ls spool/deadletter/sending)
	sorted=$(ls spool/deadletter/sorted)
	printf '{"torn' >>"spool/deadletter/sending/$sending"
	mv "spool/deadletter/sorted/$sorted" kept
	mkdir "spool/deadletter/sorted/$sorted"
	mkdir spool/containers/local/deadletter
	start egns-dlq
	written one
	empty
	# what is no record any more has left one
	jq -e '.reason == "Corrupt" and .topic == "orders" and .subscription ==
		"worker" and (.line_base64 | @base64d) == "{\"torn"' \
		spool/dropped/*.ndjson
	wait_for grep "sorted/$sorted.*it stays" egns-dlq.log
	stop egns-dlq
	rmdir "spool/deadletter/sorted/$sorted"
	mv kept "spool/deadletter/sorted/$sorted"
	start egns-dlq
	written one two
}

@test "a file that is none of ours keeps no round from its end" {
	dlq_ns
	shim SHIM_PATH=deadletter/sorted/ SHIM_CALLS=rename SHIM_KILL=1
	start egns-dlq
	reject worker one
	gone egns-dlq
	unshim
	echo swap >spool/deadletter/batch/.taken.swp
	start egns-dlq
	written one
	empty
	[ "$(cat spool/deadletter/corrupt/.taken.swp)" = swap ]
}

@test "a part of a parcel that does not go ends egns-dlq, and no letter goes twice" {
	dlq_ns --dead-letter-schedule '[600]'
	new_hour
	rmdir spool/containers/local/deadletter
	shim SHIM_PATH=deadletter/sorted/ SHIM_CALLS=unlink SHIM_EIO=1
	start egns-dlq
	reject worker one
	is .attempts 1
	reject worker two
	is .waiting 2
	reject worker three
	is .waiting 3
	mkdir spool/containers/local/deadletter
	advance 600
	gone egns-dlq
	[ "$status" -eq 74 ]
	unshim
	start egns-dlq
	written one two three
	empty
	[ "$(jq -s 'map(.count) | add' spool/deadletter/written/*)" -eq 3 ]
}

# silent PATH - for the egns-dlq that is started next, a sync of what has PATH in
# its path does not return as long as there is the file silent.
silent() {
	: >silent
	shim "SHIM_HANG=$PWD/silent" "SHIM_PATH=$1" SHIM_CALLS=fsync
}

# tried N - so many are in the middle of a put.
tried() {
	[ "$(find away -mindepth 2 -maxdepth 2 -name testns | wc -l)" -eq "$1" ]
}

holds() {
	[ "$(letters "$1" | xargs -n1 | sort | xargs)" = "$2" ]
}

# What is on its way is tried again and again, until nothing is.
retried() {
	dlq retry && empty_now
}

# place JQ - of the directory away/1.
place() {
	state "select(.container | endswith(\"/away/1\")) | $1"
}

place_is() {
	[ "$(place "$1")" = "$2" ]
}

@test "a disk that is silent holds up its own letters, and those alone" {
	dlq_ns
	mkdir -p away/1
	subscription orders other
	to "$(directory "$PWD/away/1")" other
	silent "$PWD/away/"
	start egns-dlq
	unshim
	reject other one
	wait_for tried 1
	reject worker two
	written two
	reject other three
	place_is .state ready
	# opened anew, it is as silent
	egns-ctl namespace update -o none --endpoints '[{resourceId:
		/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/namespaces/n,
		url: "http://127.0.0.1:1"}]'
	reject worker four
	written two four
	advance 60
	wait_for place_is .state failing
	[ "$(place .attempts)" -eq 1 ]
	[[ $(place .lastError) == *"away/1' has not answered for 60 seconds" ]]
	dlq retry
	wait_for place_is .attempts 2
	wait_for place_is .waiting 2
	reject worker five
	written two four five
	rm silent
	wait_for retried
	holds away/1 'one three'
	[ "$(place .state)" = ready ]
	[ "$(jq -s 'map(.count) | add' spool/deadletter/written/*)" -eq 5 ]
	egns-ctl audit
}

@test "egns-dlq ends while a disk is silent, and its letters are there once" {
	dlq_ns
	mkdir -p away/1
	to "$(directory "$PWD/away/1")" worker
	silent "$PWD/away/"
	start egns-dlq
	unshim
	reject worker one
	wait_for tried 1
	kill "${pid_of[egns-dlq]}"
	advance 5
	gone egns-dlq
	[ "$status" -eq 0 ]
	[ -z "$(blobs away)" ]
	start egns-dlq
	wait_for holds away/1 one
	empty
	egns-ctl audit
}

# record N - of a subscription that is gone, for a directory of its own.
record() {
	printf '{"time":"2026-01-31T12:00:00Z","topic":"orders","subscription":"s%d","offset":%d,"destination":{"deadLetterDestination":%s},"deadletterProperties":{"deadletterreason":"Rejected"},"event":%s}\n' \
		"$1" "$1" "$(directory "$PWD/away/$1")" "$(event "$1")"
}

@test "many directories on a disk that is silent leave room for others" {
	local i
	dlq_ns
	for i in {1..20}; do
		mkdir -p "away/$i"
		record "$i"
	done >records
	silent "$PWD/away/"
	egns-dlq - <records
	start egns-dlq
	unshim
	wait_for tried 16
	reject worker one
	advance 60
	written one
	rm silent
	wait_for retried
	[ "$(letters away | xargs -n1 | sort -n | xargs)" = "$(echo {1..20})" ]
}

@test "a limit of the size of files is as a disk that is full" {
	dlq_ns
	start egns-dlq
	reject worker one
	empty
	prlimit --pid "${pid_of[egns-dlq]}" --fsize=200: # its log is smaller
	reject worker two
	wait_for grep 'File too large: dead letters stay' egns-dlq.log
	prlimit --pid "${pid_of[egns-dlq]}" --fsize=unlimited:
	written one two
	run -75 prlimit --fsize=0 egns-replay --reason Rejected
	[[ $output == *"replay/"*": File too large" ]]
	egns-replay --reason Rejected
	egns-ctl audit
}
