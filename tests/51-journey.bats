# shellcheck shell=bash
# The whole way of a message, as the examples go it: from devices over TLS to a
# topic, and out of its subscriptions.
load lib

# left_over - what an example has left in the temporary directory.
left_over() {
	ls -A tmp
}

@test "the quickstart goes the whole way, and leaves nothing" {
	mkdir tmp
	TMPDIR=$PWD/tmp run -0 --separate-stderr "$top/examples/quickstart.sh"
	echo "$output"
	[ -z "$stderr" ]
	[[ $output == *'"sender": "press-08",'* ]]
	[[ $output == *$'\ncool press-07: 93 degrees\ncool press-08: 97.2 degrees\n'* ]]
	[[ $output == *$'\n["press-07","plant/press-07/temperature",{"celsius":95.1}]\n'* ]]
	[[ $output == *'"deadletterreason": "Unauthorized",'* ]]
	[[ $output == *"press-08/temperature': not authorized (0x87)"* ]]
	[[ $output == *$'\nDENIED: '* ]]
	[[ $output == *'"balanced": true'* ]]
	[ -z "$(left_over)" ]
}

@test "a fleet of devices loses nothing, and leaves nothing" {
	mkdir tmp
	TMPDIR=$PWD/tmp run -0 --separate-stderr "$top/examples/fleet.sh" 5 2 0.5
	echo "$output"
	[ "${lines[-1]}" = "published: 20, in the topic: 20" ]
	[ -z "$(left_over)" ]
}

@test "a fleet uses the namespace that runs, and is refused what it cannot be" {
	run -64 "$top/examples/fleet.sh" 0
	run -64 "$top/examples/fleet.sh" five
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -n testns -o none \
		--topic-spaces-configuration '{state:Enabled}' \
		--listeners '{mqtts:"127.0.0.1:0",wss:"127.0.0.1:0"}'
	topic ingest
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=ingest
	egns-ctl up -d
	run -0 "$top/examples/fleet.sh" 2 1
	[ "${lines[-1]}" = "published: 2, in the topic: 2" ]
	run -0 "$top/examples/fleet.sh" 2 1
	[ "$(jq -c .event.subject spool/topics/ingest/log/* | sort | uniq -c |
		awk '{ print $1 }' | tr '\n' ' ')" = "2 2 " ]
	egns-ctl down
}
