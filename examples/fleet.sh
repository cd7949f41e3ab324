#!/bin/sh
# fleet.sh [DEVICES [SECONDS [INTERVAL]]] - so many devices (10), each with a
# certificate, publish a temperature over TLS each INTERVAL seconds (1), SECONDS
# long (10); what arrives is printed each second. Run it with the programs in PATH:
#	PATH=$PWD/build:$PATH examples/fleet.sh 100 30 0.2
# With EGNS_SPOOL set it uses the namespace there, which has to run and to have a
# route: clients fleet-NNNN, and a client group, a topic space and a binding, each
# called fleet, are made there, and stay. Else all is on a throw-away namespace.
set -eu

devices=${1:-10} seconds=${2:-10} interval=${3:-1}
case $devices$seconds in
*[!0-9]*) echo 'usage: fleet.sh [DEVICES [SECONDS [INTERVAL]]]' >&2; exit 64 ;;
esac
if [ "$devices" -lt 1 ] || [ "$devices" -gt 1000 ] || [ "$seconds" -lt 1 ]; then
	echo 'fleet.sh: 1 to 1000 devices, 1 second or more' >&2
	exit 64
fi

dir=$(mktemp -d)
supervisor='' fleet=''

# Stop what runs, by its pid, and leave nothing behind.
finish() {
	for pid in $fleet $supervisor; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" || :
	done
	cd / && rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

quickly() { egns-ctl "$@" -o none; }

# A namespace whose messages go to a topic, on free ports.
make_namespace() {
	EGNS_SPOOL=$dir/spool
	export EGNS_SPOOL
	quickly namespace create -n fleet \
		--topic-spaces-configuration '{state:Enabled}' \
		--listeners '{mqtts:"127.0.0.1:0",wss:"127.0.0.1:0"}'
	quickly namespace topic create -n telemetry
	quickly namespace update --set \
		topicSpacesConfiguration.routeTopicResourceId=telemetry
	mkfifo "$dir/ready"
	egns-ctl up -r 4 4>"$dir/ready" &
	supervisor=$!
	read -r _ <"$dir/ready" || exit 1
}

# All that devices need, in one transaction.
register() {
	seq -f '{"path":"clients/fleet-%04.0f",
		"properties":{"attributes":{"fleet":1}}}' "$devices" | jq -c .
	cat <<-'END'
	{"path":"clientGroups/fleet","properties":{"query":"attributes.fleet = 1"}}
	{"path":"topicSpaces/fleet","properties":{"topicTemplates":["fleet/${client.authenticationName}/#"]}}
	{"path":"permissionBindings/fleet","properties":{"clientGroupName":"fleet","topicSpaceName":"fleet","permission":"Publisher"}}
	END
}

# A process for each device, and one that gives all of them their lines. They end
# with their input, when all of it is acknowledged.
publish() {
	awk -v devices="$devices" -v ticks="$ticks" -v interval="$interval" '
	BEGIN {
		srand(1)
		for (i = 1; i <= devices; i++) {
			name = sprintf("fleet-%04d", i)
			device[i] = "exec egns-ctl mqtt pub -l --client " name \
				" -t fleet/" name "/temperature"
			celsius[i] = 15 + 10 * rand()
		}
		for (tick = 1; tick <= ticks; tick++) {
			for (i = 1; i <= devices; i++) {
				celsius[i] += rand() - 0.5
				printf "{\"celsius\":%.1f,\"tick\":%d}\n",
					celsius[i], tick | device[i]
				fflush(device[i])
			}
			if (tick < ticks)
				system("sleep " interval)
		}
		for (i = 1; i <= devices; i++)
			failed += close(device[i]) != 0
		exit failed > 0
	}'
}

# How many are connected, what the broker has taken, and what the topic has.
count() {
	# shellcheck disable=SC2016 # variables of jq
	read -r connections taken stored <<-END
	$(egns-ctl status --jq '
		(.daemons[] | select(.name == "brokerd")) as $broker |
		(.daemons[] | select(.name == "route") | .lanes[] |
			select(.lane == "route")) as $lane |
		"\($broker.connections) \($broker.routed) \($lane.routed)"' |
		jq -r .)
	END
}

# A line each second: what has come since the last one, and what waits.
show() {
	taken_1=$taken stored_1=$stored
	count
	printf '%8s %11d %9d %9d %9d\n' "$(date +%T)" "$connections" \
		$((taken - taken_1)) $((stored - stored_1)) \
		$((taken - taken_0 - stored + stored_0))
}

[ -n "${EGNS_SPOOL:-}" ] || make_namespace
EGNS_SPOOL=$(cd "$EGNS_SPOOL" && pwd)
register | egns-ctl apply -
cd "$dir"
for i in $(seq -f %04.0f "$devices"); do
	egns-ctl cert issue "fleet-$i"
done

ticks=$(awk -v s="$seconds" -v i="$interval" 'BEGIN { print int(s / i) }')
total=$((devices * ticks))
echo "$devices devices publish $total messages, each acknowledged when it is on disk"
count
taken_0=$taken stored_0=$stored
printf '%8s %11s %9s %9s %9s\n' time connected taken/s topic/s waiting
publish &
fleet=$!
for i in $(seq "$seconds"); do
	sleep 1
	show
done
status=0
wait "$fleet" || status=$?
fleet=''
for i in $(seq 30); do
	show
	[ $((stored - stored_0)) -lt "$total" ] || break
	sleep 1
done
[ "$status" -eq 0 ] || echo 'fleet.sh: not all was acknowledged' >&2
echo "published: $total, in the topic: $((stored - stored_0))"
[ "$status" -eq 0 ] && [ $((stored - stored_0)) -ge "$total" ]
