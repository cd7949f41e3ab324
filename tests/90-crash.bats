# Every call that changes a file, one at a time, is where topicd is killed or told
# that the disk is full or broken: egns-spool(5) says what each leaves.

load lib
load crash/scenario

# sweep SHARD OF VARIABLE... - the scenario with a fault at call SHARD, SHARD + OF
# and so on, until it ends before the fault is reached. VARIABLE: NAME=VALUE for
# the shim, N being the number of the call.
sweep() {
	local n shard=$1 of=$2 failures=0
	shift 2
	trap - DEBUG # by which BATS follows every command, at its price
	template
	for ((n = shard; n < 3000; n += of)); do
		fresh
		shim SHIM_PATH=/spool/ "SHIM_TRACE=$PWD/trace" "${@/=N/=$n}"
		start egns-topicd && scenario
		end
		unshim
		[ "$(wc -l <trace)" -ge "$n" ] || break
		later 100
		start egns-topicd
		if ! verify >verdict 2>&1; then
			failures=1
			echo "call $(sed -n "${n}p" trace):"
			cat verdict
		fi
		stop egns-topicd
	done 2>>errors # where bash tells of each process that was killed
	grep -vE ' Killed |not ready' errors || :
	echo "$n calls" && [ "$n" -gt 30 ] && [ "$failures" -eq 0 ]
}

# It may have been killed, have stopped because of the fault, or live: then TERM
# ends it as ever.
end() {
	local pid=${pid_of[egns-topicd]} status=0
	unset "pid_of[egns-topicd]"
	kill "$pid" 2>/dev/null || :
	wait "$pid" || status=$?
	case $status in
	0 | 70 | 71 | 74 | 75 | 137) ;;
	*) echo "exit status $status"; failures=1 ;;
	esac
}

@test "killed before any call, topicd loses nothing (1 of 2)" {
	sweep 1 2 SHIM_KILL=N
}

@test "killed before any call, topicd loses nothing (2 of 2)" {
	sweep 2 2 SHIM_KILL=N
}

@test "killed behind any call, topicd loses nothing (1 of 2)" {
	sweep 1 2 SHIM_KILL=N SHIM_AFTER=1
}

@test "killed behind any call, topicd loses nothing (2 of 2)" {
	sweep 2 2 SHIM_KILL=N SHIM_AFTER=1
}

@test "killed in the middle of any write, topicd loses nothing" {
	sweep 1 1 SHIM_CALLS=write,pwrite,writev,pwritev SHIM_KILL=N SHIM_TORN=1
}

@test "a call without space costs its request, nothing else" {
	sweep 1 1 SHIM_ENOSPC=N
}

@test "a disk that is full for some calls costs these requests" {
	sweep 1 2 SHIM_ENOSPC=N,6 SHIM_TORN=1
}

@test "a call that fails with EIO loses nothing" {
	sweep 1 1 SHIM_EIO=N
}

@test "a publish whose sync fails is not acknowledged, and topicd stops" {
	local answer
	ns orders/work
	shim
	SHIM_PATH=/log/ SHIM_CALLS=fsync,fdatasync SHIM_EIO=1,1000 \
		start egns-topicd
	answer=$(ask '{"op":"publish","topic":"orders","count":1}' "$(event 1)")
	[[ $answer != *'"ok":true'* ]]
	gone egns-topicd
	[ "$status" -eq 74 ]
	grep 'Input/output error' egns-topicd.log
}

@test "an acknowledge whose sync fails is not answered, and topicd stops" {
	local answer token
	ns orders/work
	shim
	SHIM_PATH=/subscriptions/ SHIM_CALLS=fsync,fdatasync SHIM_EIO=2,1000 \
		start egns-topicd
	ask '{"op":"publish","topic":"orders","count":1}' "$(event 1)"
	token=$(ask '{"op":"receive","topic":"orders","subscription":"work"}' |
		jq -r '.brokerProperties.lockToken // empty')
	[ -z "$token" ] ||
		answer=$(ask "{\"op\":\"acknowledge\",\"topic\":\"orders\",\
\"subscription\":\"work\",\"lockTokens\":[\"$token\"]}")
	[[ $answer != *'"ok":true'* ]]
	gone egns-topicd
	[ "$status" -eq 74 ]
}

@test "a full disk refuses a publish, and the next one is stored" {
	ns orders/work
	shim
	SHIM_PATH=/log/ SHIM_CALLS=write,pwrite,writev,pwritev SHIM_ENOSPC=1,2 \
		SHIM_TORN=1 start egns-topicd
	ask '{"op":"publish","topic":"orders","count":1}' "$(event 1)" |
		jq -e '.ok == false and .error.code == "TooManyRequests"'
	ask '{"op":"publish","topic":"orders","count":1}' "$(event 2)" | jq -e .ok
	[ "$(cat spool/topics/orders/log/*.ndjson | jq -r .event.id)" = 2 ]
	egns-ctl audit
}

@test "the shim kills, tears and refuses at the call that was asked for" {
	PRELOAD=$B/tests/crash/shim.so
	export SHIM_PATH=/f SHIM_TRACE=$PWD/trace
	run env SHIM_KILL=2 LD_PRELOAD="$PRELOAD" dd if=/dev/zero of="$PWD/f" \
		bs=10 count=3 status=none
	[ "$status" -eq 137 ] && [ "$(stat -c %s f)" -eq 0 ]
	run env SHIM_KILL=3 SHIM_TORN=1 LD_PRELOAD="$PRELOAD" dd if=/dev/zero \
		of="$PWD/f" bs=10 count=3 status=none
	[ "$status" -eq 137 ] && [ "$(stat -c %s f)" -eq 15 ]
	run env SHIM_ENOSPC=2 LD_PRELOAD="$PRELOAD" dd if=/dev/zero \
		of="$PWD/f" bs=10 count=3 status=none
	[ "$status" -eq 1 ] && [[ $output == *'No space left'* ]]
	[ "$(grep -c ' open .*/f$' trace)" -eq 3 ]
}
