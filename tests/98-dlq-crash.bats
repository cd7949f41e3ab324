# Every call of egns-dlq and egns-replay that changes a file or tells somebody
# something, one at a time, is where it is killed or told that the disk is full or
# broken: egns-spool(5), P, W, F and A, says what each leaves.

load lib
load dlq

# sort_and_write SHARD OF VARIABLE... - the scenario of crash/dlq.py.
sort_and_write() {
	dlq_ns --dead-letter-schedule '[600]'
	stop egns-topicd
	subscription orders late
	subscription orders lost
	egns-ctl namespace topic event-subscription update -o none \
		--topic-name orders -n late --set "deliveryConfiguration.queue.\
deadLetterDestinationWithResourceIdentity.deadLetterDestination.properties.\
blobContainerName=late"
	to "$(directory nowhere)" lost '"deliveryRetryPeriodInDays":0'
	export B
	/usr/bin/python3 "$top/tests/crash/dlq.py" "$@"
}

@test "killed before any call, dlq loses and repeats nothing (1 of 2)" {
	sort_and_write 1 2 SHIM_KILL=N
}

@test "killed before any call, dlq loses and repeats nothing (2 of 2)" {
	sort_and_write 2 2 SHIM_KILL=N
}

@test "killed behind any call, dlq loses and repeats nothing" {
	sort_and_write 1 3 SHIM_KILL=N SHIM_AFTER=1
}

@test "killed in the middle of any write, dlq loses and repeats nothing" {
	sort_and_write 1 1 SHIM_CALLS=pwrite SHIM_KILL=N SHIM_TORN=1
}

# What there is no room for, and what a disk that is broken does not do. (What it
# does not remove stays until the next start; and when Tokyo Cabinet cannot cut off
# a file that it closes, it crashes.)
grow=SHIM_CALLS=pwrite,open,mkdir,rename,link
break=SHIM_CALLS=pwrite,open,mkdir,rename,link,fsync,fdatasync

@test "a call without space costs dlq time, nothing else" {
	sort_and_write 1 1 "$grow" SHIM_ENOSPC=N
}

@test "a disk that is full for some calls costs dlq time, nothing else" {
	sort_and_write 1 3 "$grow" SHIM_ENOSPC=N,10 SHIM_TORN=1
}

@test "a call that fails with EIO costs dlq nothing but a new start" {
	sort_and_write 1 1 "$break" SHIM_EIO=N
}

@test "a part that cannot be removed is not sent once more" {
	sort_and_write 1 1 SHIM_PATH=/sorted/ SHIM_CALLS=unlink SHIM_EIO=N
}

# prune SHARD OF VARIABLE... - the scenario of crash/prune.py.
prune() {
	ns orders/worker orders/other
	advance 0
	export B
	/usr/bin/python3 "$top/tests/crash/prune.py" "$@"
}

@test "killed before any call, prune removes nothing that the books do not know" {
	prune 1 1 SHIM_KILL=N
}

@test "a call without space costs prune another run" {
	prune 1 1 "$grow" SHIM_ENOSPC=N
}

@test "a call that fails with EIO costs prune another run" {
	prune 1 1 "$break,unlink" SHIM_EIO=N
}

# bring_back SHARD OF VARIABLE... - the scenario of crash/replay.py.
bring_back() {
	ns orders
	subscription orders worker maxDeliveryCount:1
	subscription orders other
	new_hour
	export B
	/usr/bin/python3 "$top/tests/crash/replay.py" "$@"
}

@test "killed before any call, replay brings each back once" {
	bring_back 1 1 SHIM_PATH=/spool/ SHIM_KILL=N
}

@test "killed behind any call, replay brings each back once" {
	bring_back 1 3 SHIM_PATH=/spool/ SHIM_KILL=N SHIM_AFTER=1
}

@test "killed in the middle of any write, replay brings each back once" {
	bring_back 1 1 SHIM_PATH=/spool/ SHIM_CALLS=pwrite SHIM_KILL=N SHIM_TORN=1
}

@test "killed before it tells or hears anything, replay brings each back once" {
	bring_back 1 1 SHIM_CALLS=connect,send,recv SHIM_KILL=N
}

@test "killed when it has told or heard something, replay brings each back once" {
	bring_back 1 1 SHIM_CALLS=connect,send,recv SHIM_KILL=N SHIM_AFTER=1
}

@test "killed in the middle of telling, replay brings each back once" {
	bring_back 1 1 SHIM_CALLS=send SHIM_KILL=N SHIM_TORN=1
}

@test "killed while it builds its index, replay brings each back once" {
	bring_back 1 150 INDEX=missing SHIM_PATH=/index.tch SHIM_KILL=N
}

@test "a call without space costs replay another run" {
	bring_back 1 1 SHIM_PATH=/spool/ "$grow" SHIM_ENOSPC=N
}

@test "a disk that is full for some calls costs replay another run" {
	bring_back 1 3 SHIM_PATH=/spool/ "$grow" SHIM_ENOSPC=N,6 SHIM_TORN=1
}

@test "a call that fails with EIO costs replay another run" {
	bring_back 1 1 SHIM_PATH=/spool/ "$break" SHIM_EIO=N
}

@test "topicd killed while replay publishes stores each once" {
	bring_back 1 2 FAULT=topicd SHIM_PATH=/topics/ SHIM_KILL=N
}

@test "topicd without space while replay publishes stores each once" {
	bring_back 1 2 FAULT=topicd SHIM_PATH=/topics/ "$grow" SHIM_ENOSPC=N
}

# dead ID... - they are rejected, and in the container.
dead() {
	reject worker "$@" && start egns-dlq && wait_for in_container "$@" &&
		empty && stop egns-dlq
}

in_container() {
	local id
	for id; do
		[[ " $(letters) " == *" $id "* ]] || return
	done
}

# goes_back WORDS ID... - what egns-replay says; they are in the topic once more,
# where the subscription takes what it has.
goes_back() {
	local said id
	said=$(egns-replay --reason Rejected 2>&1) || return
	echo "$said"
	[ "$said" = "egns-replay: $1" ] || return
	for id in "${@:2}"; do
		[ "$(cat spool/topics/orders/log/* |
			grep -c "\"id\":\"$id\"")" -eq 2 ] || return
		[ "$(jq -r .id spool/replay/2*.ndjson | grep -cx "$id")" -eq 1 ] ||
			return
	done
	egns-pull receive -t orders -s worker -n 10 -w 0 |
		egns-pull acknowledge -t orders -s worker - &&
		[ -z "$(letters)" ] && [ ! -s spool/replay/pending.ndjson ] &&
		egns-ctl audit -o none
}

ok='0 held, 0 quarantined, 0 to be tried later'

@test "an index that is missing, cut off or broken is built anew" {
	local n=0 how index=spool/replay/index.tch
	dlq_ns
	dead e0
	cp -r spool/containers/local/deadletter old
	goes_back "1 replayed, $ok" e0
	for how in "rm $index" "truncate -s 0 $index" \
		"truncate -s 100 $index" "truncate -s 4000000 $index" \
		"dd conv=notrunc status=none if=/dev/zero bs=256 count=1 of=$index" \
		"dd status=none if=/dev/urandom bs=64k count=1 of=$index"; do
		echo "$how"
		dead "e$((++n))"
		cp -r old/. spool/containers/local/deadletter
		$how
		goes_back "1 replayed, $ok, 1 replayed before" "e$n" e0
	done
}

@test "without room for what belongs to the index, replay is to come again" {
	local path dry
	dlq_ns
	dead one
	for path in replay/lock index.tch.new; do
		shim "SHIM_PATH=$path" SHIM_CALLS=ftruncate,pwrite,open \
			SHIM_ENOSPC=1,1000
		[ "$path" = replay/lock ] || rm -f spool/replay/index.tch
		for dry in '' --dry-run; do
			run -75 env LD_PRELOAD="$PRELOAD" egns-replay \
				--reason Rejected $dry
			[[ $output == *": No space left on device" ]]
		done
		unshim
	done
	run -74 bash -c 'egns-replay --reason Rejected --dry-run >/dev/full'
	rm -f spool/replay/index.tch
	mkfifo spool/replay/index.tch
	goes_back "1 replayed, $ok" one
}

@test "an index that could not be written is built anew" {
	local how n=0
	dlq_ns
	for how in 'SHIM_ENOSPC=1,1000 No space left on device' \
		'SHIM_EIO=1,1000 Input/output error'; do
		dead "e$((++n))"
		egns-replay # now it has one
		shim SHIM_PATH=index.tch SHIM_CALLS=pwrite "${how%% *}"
		run ! env LD_PRELOAD="$PRELOAD" egns-replay --reason Rejected
		unshim
		echo "$output"
		[[ $output == *"replay/index.tch: "@(${how#* }|read error)* ]]
		[ ! -e spool/replay/index.tch ]
		run -0 egns-replay --reason Rejected
		[[ $output == *", 1 replayed before" ]]
		[ -z "$(letters)" ]
		[ "$(cat spool/topics/orders/log/* | wc -l)" -eq $((2 * n)) ]
		egns-pull receive -t orders -s worker |
			egns-pull acknowledge -t orders -s worker -
	done
}

# A record of the index has no beginning any more.
break_index() {
	/usr/bin/python3 - "$(jq -r .key spool/replay/2*.ndjson | tail -n 1)" <<-'END'
		import sys
		with open("spool/replay/index.tch", "r+b") as file:
		    at = file.read().index(bytes.fromhex(sys.argv[1]))
		    file.seek(at - 16)
		    file.write(bytes(16))
	END
}

@test "what an index has and cannot be read is not what it has not" {
	dlq_ns
	dead e0 e1
	cp -r spool/containers/local/deadletter old
	goes_back "2 replayed, $ok" e0 e1
	cp -r old/. spool/containers/local/deadletter
	break_index
	run -75 egns-replay --reason Rejected
	[[ $output == "egns-replay: replay/index.tch is broken, and will be built anew"* ]]
	cp -r old/. spool/containers/local/deadletter
	goes_back "0 replayed, $ok, 2 replayed before" e0 e1
}

@test "what is pending and torn was told to nobody" {
	local n=0 size bytes pending=spool/replay/pending.ndjson
	dlq_ns
	for size in -1 50% 68 67 66 10 1 0 +1; do
		echo "$size"
		dead "a$((++n))" "b$n"
		shim SHIM_PATH=pending SHIM_CALLS=fdatasync SHIM_KILL=1
		run -137 env LD_PRELOAD="$PRELOAD" egns-replay --reason Rejected
		unshim
		bytes=$(stat -c %s $pending)
		[ "$bytes" -gt 100 ]
		[ "$size" != 50% ] || size=$((bytes / 2))
		truncate -s "$size" $pending
		goes_back "2 replayed, $ok" "a$n" "b$n"
	done
}

@test "a line that is torn is cut off by the next one" {
	local n=0 file day
	dlq_ns
	for file in spool/replay spool/deadletter/written; do
		dead "e$((++n))"
		goes_back "1 replayed, $ok" "e$n"
		day=$(ls $file/2*.ndjson)
		printf '{"time":"2026-01-31T12:00:00.000000Z","key":"00' >>"$day"
		egns-ctl audit -o none
		dead "e$((++n))"
		goes_back "1 replayed, $ok" "e$n"
		jq -e -n '[inputs] | length > 1' "$day"
	done
}
