# Bad peers of the broker: what they do costs them, and nobody else anything.
# The peers are mqtt/hostile.py's.

load lib
load broker

# hostile SCENARIO - against a broker that runs.
hostile() {
	# what sanitizers need for themselves
	[[ $B != */asan ]] || export MEMORY=$((3 * ${MEMORY:-64}))
	/usr/bin/python3 "$top/tests/mqtt/hostile.py" "$(mport mqtts)" \
		"$(mport wss)" "${pid_of[egns-brokerd]}" "$1"
}

# broker [FLAG...] - a broker with clients bad, good and canary, who may do
# everything and have as many sessions as they like. Freed memory goes back to
# the kernel at once under the sanitizer, too.
broker() {
	local name
	broker_ns || return
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.maximumClientSessionsPerAuthenticationName=100 \
		"$@" || return
	for name in bad good canary; do
		device "$name" || return
	done
	advance 0
	export ASAN_OPTIONS=quarantine_size_mb=1:$ASAN_OPTIONS
	start_broker
}

@test "a peer that stops before its CONNECT has 15 seconds" {
	broker
	hostile silent
}

@test "one byte a second is not in time" {
	broker
	hostile slowly
}

@test "garbage before and within TLS is the end" {
	broker
	hostile garbage
}

@test "there is no renegotiation" {
	broker
	hostile renegotiate
}

@test "a remaining length of 268 MB is refused at sight" {
	broker
	hostile too_long
}

@test "packets that are never finished" {
	broker
	hostile unfinished
}

@test "every malformed packet has its reason code" {
	broker
	hostile packets
}

@test "WebSocket frames that MQTT does not come in" {
	broker
	hostile frames
}

@test "who reads no answers is not listened to any more" {
	broker
	hostile unread_answers
}

@test "who reads nothing gets less, and nobody else does" {
	broker
	MEMORY=100 hostile never_reads
}

@test "who acknowledges nothing has a window, a queue, and drops on record" {
	broker --set topicSpacesConfiguration.sessionQueue.maximumMessages=200
	hostile never_acknowledges
}

@test "small publishes to many subscribers who read nothing" {
	broker
	hostile amplify
}

@test "a full route/ refuses, and goes on when there is room" {
	broker_ns
	egns-ctl namespace topic create -o none -n routed
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId="$(
			egns-ctl namespace topic show -n routed --query id -o tsv)" \
		topicSpacesConfiguration.routingSpool.maximumBytes=1048576 \
		topicSpacesConfiguration.maximumClientSessionsPerAuthenticationName=9
	device bad
	advance 0
	start_broker
	ROUTE=1048576 hostile full_route
}

@test "acknowledgements of nothing cost nothing" {
	broker
	hostile acks
}

@test "reconnecting as fast as can be" {
	broker
	hostile reconnects
}

@test "50 subscriptions that overlap" {
	broker
	hostile overlaps
}

@test "100,000 topics" {
	broker
	hostile topics
}

@test "retained messages to their limit, and all of them again and again" {
	broker
	hostile retained
}

@test "100 wills at once" {
	broker
	hostile wills
}

@test "half-open connections up to the limit of descriptors" {
	# it raises its soft limit to the hard one
	start_broker() {
		mkdir limited
		printf '#!/bin/sh\nulimit -n 256\nexec %s "$@"\n' \
			"$B/egns-brokerd" >limited/egns-brokerd
		chmod +x limited/egns-brokerd
		PATH=$PWD/limited:$PATH start egns-brokerd
	}
	broker
	LIMIT=256 hostile half_open
}

# Longer: B=build/asan FUZZ=100000 bats -f chance tests/44-hostile.bats
@test "packets by chance" {
	broker --set topicSpacesConfiguration.sessionQueue.maximumMessages=30
	chance
}

@test "packets by chance, with the profile of the service" {
	broker --profile Azure
	chance
}

chance() {
	/usr/bin/python3 "$top/tests/mqtt/fuzz.py" "$(mport mqtts)" \
		"$(mport wss)" "${pid_of[egns-brokerd]}" "${FUZZ:-300}"
}
