# shellcheck shell=bash
# The section `push` of bench: egns-push and egns-topicd bring events of 300 bytes
# that wait in a topic to destinations on this machine: an nginx that answers 204,
# to which wrk then makes the same requests, and librdkafka's mock cluster in a
# process of its own. A run ends when egns-topicd has every event on disk as
# acknowledged.
#
#	PUSHED   events of a run, one a request (300000)
#	BATCHED  in batches, and to Kafka (1000000)
#	SPREAD   events for each of 100 endpoints (2000)

PUSHED=${PUSHED:-300000}
BATCHED=${BATCHED:-1000000}
SPREAD=${SPREAD:-2000}

# free_ports N - ports that nobody listens on now.
free_ports() {
	python3 -c 'import socket, sys
all = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in all:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in all))' "$1"
}

start_nginx() {
	PATH=$PATH:/usr/sbin nginx -p "$PWD" -c nginx.conf -e nginx.log \
		2>nginx.err &
	daemons[nginx]=$!
}

# An nginx with one worker, and one who takes connections and says nothing.
push_endpoints() {
	local port hang
	read -r port hang < <(free_ports 2)
	endpoint=http://127.0.0.1:$port
	silent=http://127.0.0.1:$hang
	cat >nginx.conf <<-END
		daemon off;
		pid nginx.pid;
		worker_rlimit_nofile 65536;
		events { worker_connections 32768; }
		http {
			access_log off;
			keepalive_requests 1000000000;
			client_body_temp_path body;
			server {
				listen 127.0.0.1:$port;
				add_header WebHook-Allowed-Origin *;
				location / { return 204; }
			}
		}
	END
	start_nginx
	python3 -c 'import signal, socket, sys
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(4096)
print(flush=True)
signal.pause()' "$hang" >silent.ready &
	daemons[silent]=$!
	until [ -s nginx.pid ] && [ -s silent.ready ]; do
		kill -0 "${daemons[nginx]}" "${daemons[silent]}" ||
			{ cat nginx.err >&2; exit 1; }
		sleep 0.05
	done
}

# push_fresh - a namespace without subscriptions.
push_fresh() {
	local ctl=("$B/egns-ctl" -C broker)
	stop_daemons
	rm -rf broker
	"${ctl[@]}" namespace create -n bench -o none
	"${ctl[@]}" namespace topic create -n bench -o none
	push_endpoints
}

# push_to NAME DESTINATION [PUSH]
push_to() {
	"$B/egns-ctl" -C broker namespace topic event-subscription create \
		-o none --topic-name bench -n "$1" --delivery-configuration \
		"{deliveryMode:Push,push:{destination:$2${3:+,$3}}}"
}

# push_hook NAME URL [PROPERTIES [PUSH]]
push_hook() {
	push_to "$1" "{endpointType:WebHook,properties:{endpointUrl:'$2'\
${3:+,$3}}}" "${4:-}"
}

# push_done PREFIX - events acknowledged by the subscriptions of that prefix.
push_done() {
	"$B/egns-ctl" -C broker namespace topic event-subscription status \
		--topic-name bench --jq "[.[] | select(.subscription |
			startswith(\"$1\")) | .acknowledged] | add"
}

await_pushed() {
	local end=$((SECONDS + 600))
	until [ "$(push_done "$1")" -ge "$2" ]; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "not all of $2 events were delivered" >&2
			exit 1
		fi
		sleep 0.5 # to look costs something, too
	done
}

# push_backlog EVENTS PREFIX OF - sets rate: events/s of the subscriptions of that
# prefix, which have so many in all, once egns-push runs.
push_backlog() {
	local from
	run_daemons topicd
	"$B/tests/bench/egns" broker/run/topicd.sock publish 4 500 "$1" \
		>/dev/null
	from=$EPOCHREALTIME
	run_daemons push
	await_pushed "$2" "$3"
	rate=$(per_second "$3" "$from")
}

# us of CPU an event
push_cpu() {
	cpu "$1" | awk -v n="$2" '{ printf "%.2f", $1 * 1e6 / n }'
}

# wrk makes the requests that egns-push would.
push_script() {
	local event
	event=$(printf '{"specversion":"1.0","id":"1","source":"/bench","type":"t",'
		printf '"data":{"n":1,"note":"%0210d"}}' 0)
	"$B/egns-push" -C broker --once --dry-run -t bench -s one "$event" \
		2>/dev/null | awk -v event="$event" '
		NR == 1 { print "wrk.method = \"POST\"" }
		/^$/ { print "wrk.body = [[" event "]]"; exit }
		NR > 1 {
			colon = index($0, ": ")
			printf "wrk.headers[\"%s\"] = \"%s\"\n",
			    substr($0, 1, colon - 1), substr($0, colon + 2)
		}' >wrk.lua
}

# requests/s of wrk; events/s, us of CPU an event of egns-push and of egns-topicd
push_single() {
	local rate
	push_fresh
	push_hook one "$endpoint/"
	push_backlog "$PUSHED" one "$PUSHED"
	push_script
	echo "$(wrk -t 1 -c 64 -d "$LENGTH" -s wrk.lua "$endpoint/" |
		awk '/^Requests\/sec/ { printf "%.0f", $2 }') $rate" \
		"$(push_cpu push "$PUSHED") $(push_cpu topicd "$PUSHED")"
	stop_daemons
}

push_batches() {
	local rate
	push_fresh
	push_hook one "$endpoint/" \
		maxEventsPerBatch:100,preferredBatchSizeInKilobytes:64
	push_backlog "$BATCHED" one "$BATCHED"
	echo "$rate $(push_cpu push "$BATCHED")"
	stop_daemons
}

push_kafka() {
	local rate
	push_fresh
	rm -f cluster.*
	"$B/tests/kafka/cluster" -n 1 &
	daemons[cluster]=$!
	until [ -s cluster.servers ]; do
		kill -0 "${daemons[cluster]}" || exit 1
		sleep 0.05
	done
	echo "create events 4" >cluster.orders
	until grep -q . cluster.done; do
		sleep 0.05
	done
	push_to one "{endpointType:Kafka,properties:{bootstrapServers:'$(
		cat cluster.servers)',topic:events}}"
	push_backlog "$BATCHED" one "$BATCHED"
	echo "$rate $(push_cpu push "$BATCHED")"
	stop_daemons
}

# push_spread HANGING - sets rate: events/s of 100 endpoints beside so many that
# hang
push_spread() {
	local i
	push_fresh
	for ((i = 0; i < 100; i++)); do
		push_hook "good$i" "$endpoint/$i"
	done
	for ((i = 0; i < $1; i++)); do
		push_hook "hang$i" "$silent/$i" '' abuseProtection:Off
	done
	push_backlog "$SPREAD" good $((SPREAD * 100))
	stop_daemons
}

# events/s without, and with 100 that hang; the second as a share of the first
push_isolation() {
	local rate alone
	push_spread 0
	alone=$rate
	push_spread 100
	awk -v a="$alone" -v b="$rate" \
		'BEGIN { printf "%d %d %.0f\n", a, b, 100 * b / a }'
}

push_section() {
	route_row single push_single
	route_row batches push_batches
	route_row kafka push_kafka
	route_row isolation push_isolation
	rm -rf broker
	say
	push_table
}

push_table() {
	cat <<END
$(PATH=$PATH:/usr/sbin nginx -v 2>&1), one worker; the median of $RUNS runs.

| push | to reach | egns |
|---|---|---|
$(route_line "webhook, one event a request, events/s" single 2 \
	"$(middle egns single 1 | awk '{ printf "%.0f", $1 / 2 }')")
$(route_line 'wrk on the same nginx, 64 connections, requests/s' single 1 '')
$(route_line 'CPU an event of egns-push, µs' single 3 '')
$(route_line 'CPU an event of egns-topicd, µs' single 4 '')
$(route_line 'webhook, batches of 100, events/s' batches 1 50000)
$(route_line 'CPU an event of egns-push, µs' batches 2 '')
$(route_line 'Kafka, mock cluster, events/s' kafka 1 100000)
$(route_line 'CPU an event of egns-push, its threads included, µs' kafka 2 '')
$(route_line '100 endpoints, events/s' isolation 1 '')
$(route_line '100 endpoints beside 100 that hang, events/s' isolation 2 '')
$(route_line '... of the rate before, %' isolation 3 90)

One event a request: $(awk -v a="$(middle egns single 2)" \
	-v b="$(middle egns single 1)" 'BEGIN { printf "%.0f", 100 * a / b }')% \
of the rate of wrk.
END
}
