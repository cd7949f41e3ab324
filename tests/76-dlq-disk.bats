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
