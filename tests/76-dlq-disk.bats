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
	is .attempts 1
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
