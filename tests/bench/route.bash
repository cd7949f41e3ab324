# shellcheck shell=bash
# The section `route` of bench: a message's whole way, from a device's PUBLISH over
# TLS by egns-brokerd, egns-route and egns-topicd to an event in a topic, of which
# one subscription takes everything and one what has data.celsius above 90; each
# message has 200 bytes of JSON. Behind each row the topic's log is read: every
# message that was acknowledged is there once, and those of a device in order.
#
#	JOURNEY  seconds of the sustained run (20)
#	BACKLOG  messages that wait for topicd (1000000)
#	FILES    of the backlog that has a message a file (20000)
#	RECORDS  of the filter (1000000); jq has a tenth

JOURNEY=${JOURNEY:-20}
BACKLOG=${BACKLOG:-1000000}
FILES=${FILES:-20000}
RECORDS=${RECORDS:-1000000}

declare -A daemons # NAME: its pid

# run_daemons NAME... - start egns-NAME, each ready before the next.
run_daemons() {
	local name
	for name; do
		rm -f ready && mkfifo ready
		"$B/egns-$name" -C broker -r 4 4>ready >>"egns-$name.log" 2>&1 &
		daemons[$name]=$!
		read -r _ <ready || { cat "egns-$name.log" >&2; exit 1; }
	done
}

stop_daemons() {
	local name
	for name in "${!daemons[@]}"; do
		kill "${daemons[$name]}" && { wait "${daemons[$name]}" || :; }
		unset "daemons[$name]"
	done
}

# A namespace as mqtt.bash has it, whose messages go to the topic "bench".
route_fresh() {
	local ctl=("$B/egns-ctl" -C broker)
	stop_daemons
	rm -rf broker issued
	IDLE=0 SUBSCRIPTIONS=0 egns_broker_make
	"${ctl[@]}" namespace topic create -n bench -o none
	"${ctl[@]}" namespace topic event-subscription create -o none \
		--topic-name bench -n work --delivery-configuration \
		'{deliveryMode:Queue,queue:{receiveLockDurationInSeconds:300}}'
	"${ctl[@]}" namespace topic event-subscription create -o none \
		--topic-name bench -n hot --filters-configuration \
		'{filters:[{operatorType:NumberGreaterThan,key:data.celsius,value:90}]}'
	"${ctl[@]}" namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=bench
}

# device WORK... - what devices do, mqtt.c.
device() {
	local port
	port=$("$B/egns-ctl" -C broker status --jq .listeners.mqtts | tr -d '"') || :
	"$B/tests/bench/mqtt" -j -a issued/ca.pem -c device.pem -k device.key \
		"${port##*:}" "$@"
}

# cpu NAME - seconds of a daemon's processor time, all threads.
cpu() {
	awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' \
		"/proc/${daemons[$1]}/stat"
}

# in_topic N - are so many events in the topic?
in_topic() {
	[ "$("$B/egns-ctl" -C broker namespace topic event-subscription status \
		--topic-name bench -n work --jq .matched)" -ge "$1" ]
}

await_topic() {
	local end=$((SECONDS + 600))
	until in_topic "$1"; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "not all of $1 events have come" >&2
			exit 1
		fi
		sleep 0.1
	done
}

# per_second N FROM - N things since then.
per_second() {
	awk -v n="$1" -v from="$2" -v to="$EPOCHREALTIME" \
		'BEGIN { printf "%.0f", n / (to - from) }'
}

# whole N - the topic has these messages, each once, in the order of its device.
whole() {
	awk -v want="$1" '
	match($0, /"subject":"[^"]*"/) {
		s = substr($0, RSTART, RLENGTH)
		if (!match($0, /"n":[0-9]*,"at":/) ||
		    substr($0, RSTART + 4, RLENGTH - 10) + 0 != next_of[s]++) {
			print s ": lost, repeated or out of order: " $0
			exit bad = 1
		}
		got++
	}
	END {
		if (!bad && got != want)
			print got + 0 " events, not " want
		exit bad || got != want
	}' broker/topics/bench/log/*.ndjson >&2 || exit 1
}

# waiting - messages that wait in route/.
waiting() {
	find broker/route/new broker/route/cur -name '*,*' -printf '%f\n' |
		awk -F '[=,]' '{ n += $5 } END { print n + 0 }'
}

# sample FILE - what waits in route/, again and again.
sample() {
	while sleep 0.25; do
		waiting
	done >"$1"
}

# halves FILE - the most of its first half, and of its second.
halves() {
	awk '{ n[NR] = $1 }
	END {
		for (i = 1; i <= NR; i++)
			if (n[i] > most[i > NR / 2])
				most[i > NR / 2] = n[i]
		print most[0] + 0, most[1] + 0
	}' "$1"
}

# events/s, messages waiting in both halves, us of CPU a message of the daemons
# and of the load
route_sustained() {
	local from n sampler name user kernel
	route_fresh
	run_daemons topicd route brokerd
	sample samples &
	sampler=$!
	from=$EPOCHREALTIME
	TIMEFORMAT='%U %S'
	{ time device publish 50 16 "$JOURNEY" >published; } 2>spent
	kill "$sampler" && { wait "$sampler" || :; }
	read -r _ _ _ _ n <published
	read -r user kernel <spent
	await_topic "$n"
	echo "$(per_second "$n" "$from") $(halves samples)" \
		"$(for name in brokerd route topicd; do cpu "$name"; done |
		awk -v n="$n" -v user="$user" -v kernel="$kernel" '
		{ printf "%.2f ", $1 * 1e6 / n }
		END { printf "%.2f", (user + kernel) * 1e6 / n }')"
	stop_daemons
	whole "$n"
}

# ms p50, p99 from PUBLISH to receive; of PUBACK
route_latency() {
	route_fresh
	run_daemons topicd route brokerd
	"$B/tests/bench/egns" broker/run/topicd.sock arrivals 100 \
		$((1000 * JOURNEY)) >arrivals &
	device rate 50 1000 "$JOURNEY" >pubacks
	wait $! || exit 1
	paste -d ' ' arrivals pubacks
	stop_daemons
	whole $((1000 * JOURNEY))
}

# route_backlog CONNECTIONS WINDOW N - messages/s that brokerd took without
# topicd; events/s once it came; MiB of egns-route at most
route_backlog() {
	local from
	route_fresh
	run_daemons route brokerd
	device count "$@" >taken
	from=$EPOCHREALTIME
	run_daemons topicd
	await_topic "$3"
	echo "$(cat taken) $(per_second "$3" "$from")" "$(awk '/^VmHWM/ {
		printf "%.0f", $2 / 1024 }' "/proc/${daemons[route]}/status")"
	stop_daemons
	whole "$3"
}

# The parts alone: messages/s of brokerd, which writes to route/; events/s of
# topicd, 300 bytes each.
route_parts() {
	route_fresh
	run_daemons brokerd topicd
	device publish 50 16 "$LENGTH" >published
	echo "$(cut -d ' ' -f 1 published)" "$("$B/tests/bench/egns" \
		broker/run/topicd.sock publish 8 100 "$EVENTS")"
	stop_daemons
}

# records N - as brokerd writes them.
records() {
	awk -v n="$1" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "{\"tst\":\"2026-01-31T12:%02d:%02d.%06dZ\"," \
			    "\"client\":{\"authenticationName\":\"press-%02d\"," \
			    "\"session\":\"press-%02d\",\"protocol\":\"MQTT5\"," \
			    "\"attributes\":{\"hall\":2,\"kind\":\"press\"}}," \
			    "\"topic\":\"plant/press-%02d/temperature\"," \
			    "\"qos\":1,\"retain\":0,\"properties\":{" \
			    "\"user-properties\":[[\"unit\",\"C\"]]}," \
			    "\"payload\":{\"celsius\":%d.%d,\"n\":%d," \
			    "\"note\":\"%0150d\"}}\n", i / 60000 % 60,
			    i / 1000 % 60, i % 1000000, i % 50, i % 50, i % 50,
			    20 + i % 80, i % 10, i, 0
	}' </dev/null
}

# on_one_core N CMD... - records/s of the first N.
on_one_core() {
	local from n=$1
	shift
	head -n "$n" records >some
	from=$EPOCHREALTIME
	taskset -c 0 "$@" <some >/dev/null || exit 1
	per_second "$n" "$from"
}

# records/s of egns-route, of it with four enrichments, of jq
route_filter() {
	local filter=("$B/egns-route" -C broker -) plain
	[ -e records ] || records "$RECORDS" >records
	route_fresh
	plain=$(on_one_core "$RECORDS" "${filter[@]}")
	# shellcheck disable=SC2016 # expressions
	"$B/egns-ctl" -C broker namespace update -o none --set \
		topicSpacesConfiguration.routingEnrichments='{
		static: [{key: site, value: plant-1, valueType: String}],
		dynamic: [
			{key: sender, value: "${client.authenticationName}"},
			{key: hall, value: "${client.attributes.hall}"},
			{key: unit, value: "${mqtt.message.userProperties.unit}"}]}'
	[ "$(head -n 1000 records | "${filter[@]}" | jq -c '[.site, .sender, .unit]' |
		grep -c '^\["plant-1","press-..","C"\]$')" -eq 1000 ] || exit 1
	echo "$plain $(on_one_core "$RECORDS" "${filter[@]}")" \
		"$(on_one_core $((RECORDS / 10)) jq -c '{specversion: "1.0",
		id: "x/\(input_line_number)", source: "bench",
		type: "MQTT.EventPublished", time: .tst, subject: .topic,
		datacontenttype: "application/json", data: .payload}')"
}

# route_row ROW CMD... - RUNS runs.
route_row() {
	local name=$1 i
	shift
	for ((i = 0; i < RUNS; i++)); do
		say "egns: $name, run $((i + 1))"
		"$@" >>"mqtt.egns.$name"
	done
}

# route_line TEXT ROW COLUMN TO-REACH
route_line() {
	echo "| $1 | $4 | $(middle egns "$2" "$3") |"
}

route_section() {
	mqtt_certificates
	# before others leave much to the disk that is to be discarded
	route_row pace route_latency
	route_row parts route_parts
	route_row journey route_sustained
	route_row backlog route_backlog 50 16 "$BACKLOG"
	route_row files route_backlog 1 1 "$FILES"
	route_row filter route_filter
	rm -rf broker records some
	say
	route_table
}

route_table() {
	cat <<END
The median of $RUNS runs.

| a message's way to its topic | to reach | egns |
|---|---|---|
$(route_line "PUBLISH QoS 1 over TLS to event, sustained for $JOURNEY s, events/s" \
	journey 1 '60000, goal 100000')
$(route_line 'waiting in route/ at most, first half, messages' journey 2 '')
$(route_line 'waiting in route/ at most, second half, messages' journey 3 \
	'does not grow')
$(route_line 'CPU a message of egns-brokerd, µs' journey 4 '')
$(route_line 'CPU a message of egns-route, µs' journey 5 '')
$(route_line 'CPU a message of egns-topicd, µs' journey 6 '')
$(route_line 'CPU a message of the devices, µs' journey 7 '')
$(route_line 'egns-brokerd alone, messages/s' parts 1 '')
$(route_line 'egns-topicd alone, batches of 100, events/s' parts 2 '')
$(route_line 'PUBLISH to pull receive at 1000/s, p50, ms' pace 1 5)
$(route_line 'PUBLISH to pull receive at 1000/s, p99, ms' pace 2 20)
$(route_line 'PUBLISH to PUBACK at that, p50, ms' pace 3 '')
$(route_line 'PUBLISH to PUBACK at that, p99, ms' pace 4 '')
$(route_line "backlog of $BACKLOG messages, drained, events/s" backlog 2 80000)
$(route_line 'memory of egns-route at most, MiB' backlog 3 '')
$(route_line "backlog of $FILES files of a message, drained, events/s" files 2 '')
$(route_line 'memory of egns-route at most, MiB' files 3 '')
$(route_line 'egns-route - on one core, records/s' filter 1 150000)
$(route_line 'the same with 4 enrichments, records/s' filter 2 150000)
$(route_line 'jq -c that makes such an event, on one core, records/s' filter 3 '')

The whole way runs at $(awk -v a="$(middle egns journey 1)" \
	-v b="$(middle egns parts 1)" 'BEGIN { printf "%.0f", 100 * a / b }')% \
of the rate of egns-brokerd alone.
END
}
