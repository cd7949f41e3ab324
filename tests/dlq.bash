# What tests of egns-dlq stand on: `load lib; load dlq`.
# shellcheck shell=bash

# dlq_ns [FLAG...] - a namespace in ./spool with the topic orders and its queue
# subscription worker, a movable clock, and egns-topicd.
dlq_ns() {
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -C spool -n testns -o none "$@" &&
		topic orders && subscription orders worker &&
		advance 0 && start egns-topicd
}

# reject SUBSCRIPTION ID... - events of these ids become dead letters of it.
reject() {
	local subscription=$1 id
	shift
	for id; do
		event "$id"
	done | egns-ctl publish -t orders -s "$subscription" &&
		egns-pull receive -t orders -s "$subscription" -n $# -w 60 |
		egns-pull reject -t orders -s "$subscription" - >/dev/null
}

# blobs [DIR] - their names, in order.
blobs() {
	find "${1:-spool/containers/local/deadletter}" -name '*.json' \
		-printf '%P\n' | sort
}

# letters [DIR] - the ids in all of them, in the order of names.
# shellcheck disable=SC2120 # tests name another one
letters() {
	local dir=${1:-spool/containers/local/deadletter} name
	blobs "$dir" | while read -r name; do
		jq -r .id "$dir/$name" || return
	done | xargs
}

# written ID... - wait until just these are in the container, in any order.
written() {
	wait_for written_now "$@" || { blobs; return 1; }
}

written_now() {
	[ "$(letters spool/containers/local/deadletter | xargs -n1 | sort |
		xargs)" = \
		"$(printf '%s\n' "$@" | sort | xargs)" ]
}

# dlq OP - what egns-dlq answers, without greeting and header.
dlq() {
	printf '{"op":"%s"}\n' "$1" |
		socat -t "$PATIENCE" - UNIX-CONNECT:spool/run/dlq.sock |
		tail -n +3
}

# state JQ - of the one destination, as stats tells it.
state() {
	dlq stats | jq -r "$1"
}

# is JQ VALUE - wait until it is so.
is() {
	wait_for is_now "$@" || { dlq stats; return 1; }
}

is_now() {
	[ "$(state "$1")" = "$2" ]
}

# empty - nothing is on its way any more. What goes on while we look is found where
# it is by then: we go the same way.
empty() {
	wait_for empty_now || { find spool/deadletter -type f; return 1; }
}

empty_now() {
	[ -z "$(find spool/deadletter/{tmp,new,cur,batch.tmp,batch,sorted,sending} \
		-type f 2>/dev/null)" ]
}

# new_hour - the clock stands at the begin of one: those who die now share it.
new_hour() {
	local now=0
	[ ! -e clock ] || read -r now <clock
	advance $((3600 - ($(date +%s) + now) % 3600))
}

# to DESTINATION SUBSCRIPTION [MEMBERS] - its dead letters go there: JSON of a
# deadLetterDestination.
to() {
	egns-ctl namespace topic event-subscription update -o none \
		--topic-name orders -n "$2" --set "deliveryConfiguration.queue.\
deadLetterDestinationWithResourceIdentity={\"deadLetterDestination\":$1${3:+,$3}}"
}

directory() {
	printf '{"endpointType":"Directory","properties":{"path":"%s"}}' "$1"
}
