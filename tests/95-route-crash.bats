# Every call that changes a file, one at a time, is where egns-route is killed or
# told that the disk is full or broken: each message is in the topic once, in order.

load lib
load broker

# sweep SHARD OF VARIABLE... - the scenario of crash/route.py, again and again.
sweep() {
	broker_ns
	topic ingest
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=ingest \
		routingSchedule='[1]'
	export EGNS_CLOCK=$PWD/clock B
	/usr/bin/python3 "$top/tests/crash/route.py" "$@"
}

@test "killed before any call, route loses and repeats nothing" {
	sweep 1 1 SHIM_KILL=N
}

@test "killed behind any call, route loses and repeats nothing" {
	sweep 1 1 SHIM_KILL=N SHIM_AFTER=1
}

@test "killed in the middle of any write, route loses and repeats nothing" {
	sweep 1 1 SHIM_CALLS=write,pwrite,open,rename,unlink SHIM_KILL=N SHIM_TORN=1
}

@test "a call without space costs route time, nothing else" {
	sweep 1 1 SHIM_ENOSPC=N
}

@test "a disk that is full for some calls costs route time, nothing else" {
	sweep 1 2 SHIM_ENOSPC=N,6 SHIM_TORN=1
}

@test "a call that fails with EIO costs route nothing but a new start" {
	sweep 1 1 SHIM_EIO=N
}
