# Every call of egns-dlq and egns-replay that changes a file or tells somebody
# something, one at a time, is where it is killed or told that the disk is full or
# broken: egns-spool(5), P, W, F and A, says what each leaves.

load lib
load dlq

# sort_and_write SHARD OF VARIABLE... - the scenario of crash/dlq.py.
sort_and_write() {
	dlq_ns --dead-letter-schedule '[1]'
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

# What there is no room for.
grow=SHIM_CALLS=pwrite,open,mkdir,rename,link

@test "a call without space costs dlq time, nothing else" {
	sort_and_write 1 1 "$grow" SHIM_ENOSPC=N
}

@test "a disk that is full for some calls costs dlq time, nothing else" {
	sort_and_write 1 3 "$grow" SHIM_ENOSPC=N,10 SHIM_TORN=1
}

@test "a call that fails with EIO costs dlq nothing but a new start" {
	sort_and_write 1 1 SHIM_CALLS=open,pwrite,fsync,fdatasync,rename,link \
		SHIM_EIO=N
}

@test "a part that cannot be removed is not sent once more" {
	sort_and_write 1 1 SHIM_PATH=/sorted/ SHIM_CALLS=unlink SHIM_EIO=N
}
