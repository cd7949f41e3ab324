# What tests of the broker stand on: `load lib; load broker` in a .bats file.
# Tests give the functions more arguments than they give each other (2119, 2120).
# shellcheck shell=bash disable=SC2119,SC2120

# broker_ns [FLAG...] - a namespace in ./spool with the broker on, on free ports,
# where every client may publish and subscribe to everything.
broker_ns() {
	bare_ns "$@" && topic_space all '#' && allow all "\$all"
}

# bare_ns [FLAG...] - the same without anything that may be done.
bare_ns() {
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -C spool -n testns -o none \
		--topic-spaces-configuration '{state:Enabled}' --listeners \
		'{"mqtts":"127.0.0.1:0","wss":"127.0.0.1:0","https":"127.0.0.1:0"}' \
		"$@"
}

# topic_space NAME TEMPLATE...
topic_space() {
	local templates
	templates=$(jq -nc '$ARGS.positional' --args "${@:2}") || return
	egns-ctl namespace topic-space create -o none -n "$1" \
		--topic-templates "$templates"
}

# allow SPACE GROUP [PERMISSION...] - both permissions by default; bindings are
# called GROUP-SPACE-PERMISSION.
allow() {
	local space=$1 group=$2 permission
	shift 2
	[ $# -gt 0 ] || set -- Publisher Subscriber
	for permission; do
		egns-ctl namespace permission-binding create -o none \
			-n "${group#'$'}-$space-$permission" \
			--topic-space-name "$space" \
			--client-group-name "$group" \
			--permission "$permission" || return
	done
}

# device NAME [ATTRIBUTES [FLAG...]] - a client of this name whose certificate
# has it as its subject: NAME.pem and NAME.key in the test's directory, where
# ca.pem is what the broker's own certificate is checked with.
device() {
	local name=$1 attributes=${2:-'{}'}
	shift $(($# < 2 ? $# : 2))
	egns-ctl namespace client create -o none -n "$name" \
		--attributes "$attributes" "$@" &&
		egns-ctl cert issue "$name" -o .
}

# start_broker [ARG...]
start_broker() {
	start egns-brokerd "$@"
}

# broker DEVICE... - a running broker where these may do everything, with a movable
# clock.
broker() {
	local name
	broker_ns || return
	for name; do
		device "$name" || return
	done
	advance 0
	start_broker
}

# raw - a script for mqtt/raw.py, exact packets, on standard input.
raw() {
	/usr/bin/python3 "$top/tests/mqtt/raw.py" "$(mport mqtts)"
}

# mport LISTENER - the port of mqtts or wss as it is now.
mport() {
	local address
	address=$(egns-ctl status --jq ".listeners.$1") || :
	address=${address##*:}
	echo "${address%\"}"
}

# as DEVICE - set `flags` to what connects a mosquitto client as that device, by
# its certificate and User Name, with a ClientId that is new. A -u or -i behind
# them counts instead.
as() {
	flags=(-h localhost -p "$(mport mqtts)" --cafile ca.pem
		--cert "$1.pem" --key "$1.key" -u "$1"
		-i "$1-$RANDOM$RANDOM")
}

# mpub DEVICE ARG... - mosquitto_pub as that device.
mpub() {
	local flags
	as "$1"
	mosquitto_pub "${flags[@]}" "${@:2}"
}

# msub DEVICE ARG... - mosquitto_sub as that device; give it -C or -E, and -W.
msub() {
	local flags
	as "$1"
	mosquitto_sub "${flags[@]}" "${@:2}"
}

# listen NAME DEVICE ARG... - the same in the background; returns when all is
# subscribed. What it says goes to NAME.out, a message as "message TOPIC PAYLOAD"
# (or as a -F says). With -C it ends by itself: `gone NAME`; else `stop NAME`,
# or `crash NAME`. Not under `run`.
listen() {
	local name=$1 flags
	as "$2"
	shift 2
	: >"$name.out" # what is read below must not be an earlier one's
	stdbuf -oL mosquitto_sub -d "${flags[@]}" -F 'message %t %p' "$@" \
		>"$name.out" 2>&1 3>&- &
	# shellcheck disable=SC2034,SC2004 # lib.bash's, and of names
	pid_of[$name]=$!
	wait_for grep -q 'received SUBACK' "$name.out" ||
		{ cat "$name.out"; return 1; }
}

# heard NAME LINE... - wait until NAME has got these messages, in this order
# and no others: "TOPIC PAYLOAD".
heard() {
	wait_for heard_now "$@" || { cat "$1.out"; return 1; }
}

heard_now() {
	[ "$(sed -n 's/^message //p' "$1.out")" = "$(printf '%s\n' "${@:2}")" ]
}
