# What tests of egns-push stand on: `load lib; load push`. Endpoints are
# webhook/server and webhook/receiver.mjs.
# shellcheck shell=bash

PATH=$top/tests/webhook:$PATH

# push_ns [FLAG...] - a namespace in ./spool with the topic orders, where an event
# that failed is tried again at once, and an endpoint that is called "server".
push_ns() {
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -C spool -n testns -o none \
		--delivery-schedule '[0]' "$@" &&
		topic orders && start server
}

# url [PATH [NAME]] - of an endpoint.
url() {
	local port
	read -r port <"${2:-server}.port" && echo "http://127.0.0.1:$port/${1:-}"
}

# hook NAME [PUSH [PROPERTIES [FLAG...]]] - a push subscription of orders. Its
# webhook has the subscription's name as path, unless there is an endpointUrl in
# PROPERTIES; both are members, as JSON.
hook() {
	local name=$1 push=${2:-} properties=${3:-}
	shift $(($# < 3 ? $# : 3))
	[[ $properties == *endpointUrl* ]] ||
		properties="\"endpointUrl\":\"$(url "$name")\"${properties:+,$properties}"
	destination "$name" "$push" "{\"endpointType\":\"WebHook\",
		\"properties\":{$properties}}" "$@"
}

# destination NAME PUSH DESTINATION [FLAG...]
destination() {
	local name=$1 push=$2 to=$3
	shift 3
	egns-ctl namespace topic event-subscription create -o none \
		--topic-name orders -n "$name" --delivery-configuration \
		"{\"deliveryMode\":\"Push\",\"push\":{\"destination\":$to\
${push:+,$push}}}" "$@"
}

# sub VERB NAME [FLAG...] - of a subscription of orders.
sub() {
	local verb=$1 name=$2
	shift 2
	egns-ctl namespace topic event-subscription "$verb" \
		--topic-name orders -n "$name" "$@"
}

# set_push NAME MEMBER=VALUE... - change what it has in push.
set_push() {
	local member
	for member in "${@:2}"; do
		sub update "$1" -o none \
			--set "deliveryConfiguration.push.$member" || return
	done
}

# push_up - egns-topicd and egns-push, with a movable clock.
push_up() {
	advance 0 && start egns-topicd && start egns-push
}

# publish ID... - events of these ids, in one go.
publish() {
	local id
	for id; do
		event "$id"
	done | egns-ctl publish -t orders
}

# then_do ORDER... - what the server does next, see webhook/server.
then_do() {
	orders "$@" >script.new && mv script.new server.script
}

# always [ORDER...] - and what it does when that is done; nothing is as at first.
always() {
	orders "$@" >always.new && mv always.new server.always
}

orders() {
	printf '%s\n' "$@" | jq -c .
}

# posts [JQ [NAME]] - of each delivery; asked - of each handshake.
posts() {
	requests POST "${1:-.}" "${2:-server}"
}

asked() {
	requests OPTIONS "${1:-.}" "${2:-server}"
}

requests() {
	[ ! -e "$3.requests" ] ||
		jq -rc "select(.method == \"$1\") | $2" "$3.requests"
}

# The ids of events in them, in order.
ids() {
	posts '(.events // [])[].id'
}

ids_just() {
	[ "$(ids | wc -l)" -eq "$1" ]
}

# posted N [NAME] - wait for that many deliveries; never for more.
posted() {
	wait_for posted_now "$@" || { posts; return 1; }
}

posted_now() {
	[ "$(posts 1 "${2:-server}" | wc -l)" -ge "$1" ]
}

posted_just() {
	[ "$(posts 1 "${2:-server}" | wc -l)" -eq "$1" ]
}

asked_just() {
	[ "$(asked 1 | wc -l)" -eq "$1" ]
}

# delivered ID... - wait until the server has said 2xx to just these, each once.
delivered() {
	wait_for delivered_now "$@" || { cat server.requests; return 1; }
}

delivered_now() {
	[ "$(posts 'select(.status >= 200 and .status < 300) | .events[].id' |
		sort)" = "$(printf '%s\n' "$@" | sort)" ]
}

# settled NAME - wait until egns-topicd has nothing of this subscription.
settled() {
	wait_for settled_now "$1" || { sub status "$1"; return 1; }
}

settled_now() {
	sub status "$1" | jq -e '.pending == 0 and .inFlight == 0' >/dev/null
}

# status NAME JQ - wait until this is true of the subscription's status.
status() {
	wait_for status_now "$@" || { sub status "$1"; return 1; }
}

status_now() {
	sub status "$1" | jq -e "$2" >/dev/null
}

# dead [JQ] - records in deadletter/.
dead() {
	cat spool/deadletter/new/* 2>/dev/null | jq -rc "${1:-.}"
}

# ends - how each event ended: "ID REASON RESULT ATTEMPTS".
ends() {
	dead '"\(.event.id) \(.deadletterProperties |
		"\(.deadletterreason) \(.deliveryresult) \(.deliveryattempts)")"'
}

# ended LINE... - wait until just these have, in any order.
ended() {
	wait_for ended_now "$@" || { ends; return 1; }
}

ended_now() {
	[ "$(ends | sort)" = "$(printf '%s\n' "$@" | sort)" ]
}

# said WORDS - wait until egns-push has.
said() {
	wait_for grep -qF -- "$1" egns-push.log
}

# certificate NAME HOST - NAME.pem and NAME.key, signed by itself.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-days 2 -keyout "$1.key" -out "$1.pem" -subj "/CN=$2" \
		-addext "subjectAltName=DNS:$2" 2>>openssl.log
}

# expired NAME - it has been so for a day.
expired() {
	openssl x509 -in "$1.pem" -signkey "$1.key" -days -1 -out "$1.new" \
		2>>openssl.log && mv "$1.new" "$1.pem"
}

# another NAME [ARG...] - one more endpoint, as that of push_ns.
another() {
	[ -e "$1" ] || ln -s "$top/tests/webhook/server" "$1"
	PATH=$PWD:$PATH start "$@"
}
