# shellcheck shell=bash
# The section `dlq` of bench: dead letters on their way to a local container and
# back. A flood: events of 300 bytes come at a steady rate, the endpoint of their
# push subscription (nginx) answers 403 to every batch, and egns-dlq writes what
# becomes of them. Then LETTERS letters in BLOBS blobs are counted, and replayed to
# the subscription; cat(1) of the same files, and `egns-ctl publish` of the same
# events, are what the machine does without them.
#
#	FLOOD    seconds of the flood (20)
#	PACE     events/s of it (20000)
#	LETTERS  dead letters that are counted and replayed (1000000)
#	BLOBS    that they are in (10000)

FLOOD=${FLOOD:-20}
PACE=${PACE:-20000}
LETTERS=${LETTERS:-1000000}
BLOBS=${BLOBS:-10000}

# The nginx of push_fresh wants nothing any more.
dlq_endpoint() {
	# shellcheck disable=SC2016 # nginx's variable
	sed 's/{ return 204; }/{ if ($request_method = POST) { return 403; } return 204; }/' \
		nginx.conf >nginx.new
	mv nginx.new nginx.conf
	kill "${daemons[nginx]}" && { wait "${daemons[nginx]}" || :; }
	rm -f nginx.pid
	start_nginx
	until [ -s nginx.pid ]; do
		kill -0 "${daemons[nginx]}" || { cat nginx.err >&2; exit 1; }
		sleep 0.05
	done
}

# letters in deadletter/ that are not in the container yet
dlq_waiting() {
	find broker/deadletter/new broker/deadletter/cur \
		broker/deadletter/sorted broker/deadletter/sending -type f \
		-printf '%f\n' | awk '
		match($0, /,N=[0-9]+/) {
			n += substr($0, RSTART + 3, RLENGTH - 3); next }
		{ n += 1000 } # a parcel has a second'\''s share, about
		END { print n + 0 }'
}

dlq_written() {
	cat broker/deadletter/written/*.ndjson 2>/dev/null |
		awk 'match($0, /"count":[0-9]+/) {
			n += substr($0, RSTART + 8, RLENGTH - 8) }
			END { print n + 0 }'
}

# letters/s, letters that wait after half of it and at the end, blobs/s, blobs of
# the second that had most; us of CPU a letter of egns-dlq
dlq_flood() {
	local from i waiting=() all=$((FLOOD * PACE)) rate
	push_fresh
	dlq_endpoint
	push_hook one "$endpoint/" \
		maxEventsPerBatch:100,preferredBatchSizeInKilobytes:64
	run_daemons topicd push dlq
	from=$EPOCHREALTIME
	for ((i = 0; i < FLOOD; i++)); do
		"$B/tests/bench/egns" broker/run/topicd.sock publish 4 500 \
			"$PACE" >/dev/null
		waiting+=("$(dlq_waiting)")
		awk -v from="$from" -v now="$EPOCHREALTIME" -v due="$((i + 1))" \
			'BEGIN { s = from + due - now
				printf "%.3f", (s > 0 ? s : 0) }' |
			xargs sleep
	done
	until [ "$(dlq_written)" -ge "$all" ]; do
		sleep 0.1
	done
	rate=$(per_second "$all" "$from")
	find broker/containers -name '*.json' -printf '%Ts\n' | sort | uniq -c |
		awk -v rate="$rate" -v half="${waiting[FLOOD / 2]}" \
			-v last="${waiting[FLOOD - 1]}" -v cpu="$(cpu dlq)" \
			-v all="$all" -v s="$FLOOD" '
		{ n += $1; if ($1 > most) most = $1 }
		END { printf "%d %d %d %.0f %d %.1f\n", rate, half, last, n / s,
		    most, cpu * 1e6 / all }'
	stop_daemons
}

# A namespace with dead letters of its queue subscription.
dlq_fresh() {
	local ctl=("$B/egns-ctl" -C broker) at
	stop_daemons
	rm -rf broker
	"${ctl[@]}" namespace create -n bench -o none
	"${ctl[@]}" namespace topic create -n bench -o none
	"${ctl[@]}" namespace topic event-subscription create -o none \
		--topic-name bench -n work
	at=broker/containers/local/deadletter/bench/bench/work
	mkdir -p "$at/2026/01/31/12"
	python3 - "$at/2026/01/31/12" "$LETTERS" "$BLOBS" <<-'END'
		import sys
		at, letters, blobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		note = "0" * 210
		each = letters // blobs
		with open("events", "w") as events:
		    for b in range(blobs):
		        with open(f"{at}/{b:08x}-0000-4000-8000-000000000000.json", "w") as f:
		            for n in range(b * each, (b + 1) * each):
		                event = f'{{"specversion":"1.0","id":"{n}","source":"/bench","type":"t","data":{{"n":{n},"note":"{note}"}}}}'
		                print(event, file=events)
		                print(event[:-1] + f',"deadletterProperties":{{"deadletterreason":"Unauthorized","deliveryattempts":1,"deliveryresult":"Forbidden","lastDeliveryAttemptTime":"2026-01-31T12:00:00.000000Z","publishTime":"2026-01-31T12:00:00.000000Z","deadLetterTime":"2026-01-31T12:00:01.000000Z","offset":{n * 400}}}}}', file=f)
	END
}

# took CMD... - sets seconds, and mib: its memory at most
took() {
	local out
	out=$(python3 -c 'import resource, subprocess, sys, time
t = time.time()
p = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
t = time.time() - t
m = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{t:.2f} {m:.0f}")
sys.exit(p.returncode)' "$@" 2>took.log) || { cat took.log >&2; exit 1; }
	read -r seconds mib <<<"$out"
}

# seconds of cat, and of stat; MiB of stat
dlq_stat() {
	local seconds mib read_in
	# shellcheck disable=SC2016 # for the shell inside
	took sh -c 'find broker/containers -name "*.json" -exec cat {} + >/dev/null'
	read_in=$seconds
	took "$B/egns-dlq" -C broker stat
	echo "$read_in $seconds $mib"
}

# events/s of egns-ctl publish, and of egns-replay; MiB of egns-replay
dlq_replay() {
	local seconds mib published
	dlq_fresh
	run_daemons topicd
	took "$B/egns-ctl" -C broker publish -t bench -s work events
	published=$seconds
	sync
	took "$B/egns-replay" -C broker --reason Unauthorized
	awk -v n="$LETTERS" -v a="$published" -v b="$seconds" -v m="$mib" \
		'BEGIN { printf "%.0f %.0f %d\n", n / a, n / b, m }'
	stop_daemons
}

dlq_section() {
	route_row flood dlq_flood
	dlq_fresh
	route_row stat dlq_stat
	route_row replay dlq_replay
	rm -rf broker events
	say
	dlq_table
}

dlq_table() {
	cat <<END
The median of $RUNS runs.

| dead letters | to reach | egns |
|---|---|---|
$(route_line "a flood of $PACE events/s for $FLOOD s that are refused: letters/s \
written" flood 1 "$PACE")
$(route_line 'letters that wait, after half of it' flood 2 '')
$(route_line 'letters that wait, at its end' flood 3 'does not grow')
$(route_line 'blobs/s' flood 4 100)
$(route_line 'blobs in the second that had most' flood 5 100)
$(route_line 'CPU a letter of egns-dlq, µs' flood 6 '')
$(route_line "\`egns-dlq stat\` of $LETTERS letters in $BLOBS blobs, s" stat 2 5)
$(route_line 'cat of the same files, s' stat 1 '')
$(route_line 'memory of egns-dlq, MiB' stat 3 '')
$(route_line "replay of $LETTERS letters, events/s" replay 2 50000)
$(route_line "\`egns-ctl publish\` of the same events, events/s" replay 1 '')
$(route_line 'memory of egns-replay, MiB' replay 3 64)

The replay runs at $(awk -v a="$(middle egns replay 2)" \
	-v b="$(middle egns replay 1)" 'BEGIN { printf "%.0f", 100 * a / b }')% \
of the rate at which the events are published.
END
}
