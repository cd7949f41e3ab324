# What is in sessions/, egns-spool(5), in the long run.

load lib
load broker

# scenario NAME - of crash/store.py.
scenario() {
	local name
	broker_ns
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.sessionQueue.maximumBytes=1000000000
	for name in s o p e; do
		device "$name"
	done
	/usr/bin/python3 "$top/tests/crash/store.py" "$1"
	egns-ctl audit
}

@test "segments of the session store go, and nothing that somebody waits for" {
	scenario cleaning
	egns-ctl scrub
}

@test "what waits for sessions that are offline need not fit into memory" {
	scenario memory_is_bounded
}

@test "a broken line in sessions/ is kept, and costs what is in it" {
	scenario broken_lines
	run egns-ctl scrub
	[ "$status" -eq 1 ]
	jq -e '[.broken[].file] | unique == ["sessions/0000000001.ndjson",
		"sessions/state.ndjson"]' <<<"$output"
	grep 'is broken; it is kept in dropped/' egns-brokerd.log
}

@test "a torn line in sessions/ is cut off" {
	scenario torn_lines
}

@test "state.ndjson is written anew when it has grown" {
	scenario snapshots
}

@test "sessions/ that cannot be read to its end is not taken for all there is" {
	broker_ns
	start_broker
	stop egns-brokerd
	shim SHIM_CALLS=readdir SHIM_PATH=sessions SHIM_EIO=3
	run -71 timeout "$PATIENCE" env "LD_PRELOAD=$PRELOAD" egns-brokerd
	[[ $output == *"sessions: Input/output error"* ]]
}
