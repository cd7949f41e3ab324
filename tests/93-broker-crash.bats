# Every call that changes a file, one at a time, is where egns-brokerd is killed or
# told that the disk is full or broken: egns-spool(5), B1 to B7, says what each
# leaves.

load lib
load broker

# sweep SHARD OF VARIABLE... - the scenario of crash/broker.py, again and again.
sweep() {
	local name
	broker_ns
	routed
	for name in s o w p q e n; do
		device "$name"
	done
	mv spool template
	export EGNS_CLOCK=$PWD/clock B
	/usr/bin/python3 "$top/tests/crash/broker.py" "$@"
}

# Messages go to route/, and what becomes of sessions to lifecycle/.
routed() {
	topic ingest
	egns-ctl namespace update -o none --set \
		"topicSpacesConfiguration.routeTopicResourceId=$(
			egns-ctl namespace topic show -n ingest --query id -o tsv)" \
		lifecycleTopicResourceId=ingest
}

@test "killed at any call, brokerd loses nothing (1 of 2)" {
	sweep 1 2 SHIM_KILL=N
}

@test "killed at any call, brokerd loses nothing (2 of 2)" {
	sweep 2 2 SHIM_KILL=N
}

@test "killed in the middle of any write, brokerd loses nothing" {
	sweep 1 1 SHIM_CALLS=write,pwrite SHIM_KILL=N SHIM_TORN=1
}

@test "a call without space costs brokerd's clients what they asked for, no more" {
	sweep 1 1 SHIM_ENOSPC=N
}

@test "a disk that is full for some calls costs no more" {
	sweep 1 3 SHIM_ENOSPC=N,6 SHIM_TORN=1
}

@test "a disk that stays full costs no more, and brokerd ends when told" {
	sweep 30 8 SHIM_CALLS=write,pwrite,open,link,rename \
		SHIM_ENOSPC=N,1000000000
}

@test "a call that fails with EIO loses brokerd nothing" {
	sweep 1 1 SHIM_EIO=N
}
