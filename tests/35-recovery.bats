# shellcheck shell=bash
# What topicd makes of what it finds on disk.
# shellcheck disable=SC2030,SC2031 # each test has its own status
load lib

log=spool/topics/t01/log/00000000000000000000.ndjson
sub=spool/topics/t01/subscriptions/s01

# five - a topic with events 1 to 5, of which 1 is acknowledged and 2 locked;
# topicd is stopped.
five() {
	ns t01/s01
	start egns-topicd
	local id
	for id in 1 2 3 4 5; do event $id | egns-ctl publish -t t01; done
	egns-pull receive -t t01 -s s01 | egns-pull acknowledge -t t01 -s s01 -
	egns-pull receive -t t01 -s s01 >/dev/null
	stop egns-topicd
}

# ids - of all that can be received now, in order.
ids() {
	egns-pull receive -t t01 -s s01 -n 100 -w 0 | jq -r .event.id | tr '\n' ' '
}

@test "a torn last line was never acknowledged and is cut off" {
	five
	head -c 100 "$log" >>"$log"
	start egns-topicd
	[ "$(ids)" = '3 4 5 ' ]
	[ "$(wc -l <"$log")" -eq 5 ]
	egns-ctl audit
	egns-ctl scrub
}

@test "a batch whose last lines are missing is cut off whole" {
	ns t01/s01
	start egns-topicd
	event 1 | egns-ctl publish -t t01
	{ event 2; event 3; event 4; } >three
	egns-ctl publish -t t01 three
	crash egns-topicd
	head -n -1 "$log" >shorter && cat shorter >"$log"
	start egns-topicd
	[ "$(ids)" = '1 ' ]
	event 5 | egns-ctl publish -t t01
	[ "$(ids)" = '5 ' ]
	egns-ctl audit
}

@test "a log that somebody made shorter is noticed, and the rest served" {
	five
	head -n 4 "$log" >shorter && cat shorter >"$log"
	start egns-topicd
	grep -q 'somebody made it shorter' egns-topicd.log
	[ "$(ids)" = '3 4 ' ]
	egns-ctl audit
}

@test "a flipped bit costs its event only, and that one is on record" {
	five
	sed -i 's/"id":"4"/"id":"X"/' "$log"
	run ! egns-ctl scrub
	[[ $output == *00000000000000000000.ndjson* ]]
	start egns-topicd
	[ "$(ids)" = '3 5 ' ]
	on_record() { [ "$(jq -r .reason spool/dropped/*.ndjson)" = Corrupt ]; }
	wait_for on_record
	jq -r .line_base64 spool/dropped/*.ndjson | base64 -d |
		grep -qF '"id":"X"'
	egns-pull receive -t t01 -s s01 -w 0
	[ "$(grep -c 'does not match its checksum' egns-topicd.log)" -ge 1 ]
	run -1 egns-ctl audit
}

@test "a missing queue is rebuilt from the log" {
	five
	rm "$sub/queue"
	start egns-topicd
	[ "$(ids)" = '3 4 5 ' ]
	egns-ctl audit
}

@test "a truncated queue is rebuilt from the log" {
	five
	truncate -s 13 "$sub/queue"
	start egns-topicd
	[ "$(ids)" = '3 4 5 ' ]
	egns-ctl audit
}

# damaged BYTES AT - a queue with other bytes at this entry: topicd ends there,
# and not again.
damaged() {
	stop egns-topicd
	printf '%b' "$1" | dd of="$sub/queue" bs=8 seek="$2" conv=notrunc status=none
	start egns-topicd
	run egns-pull receive -t t01 -s s01 -n 9 -w 0
	gone egns-topicd
	[ "$status" -eq 74 ]
	grep 'damaged: stopping, the next start makes it anew' egns-topicd.log
	start egns-topicd
}

@test "a queue that makes no sense is rebuilt from the log" {
	ns t01/s01
	start egns-topicd
	{ event 1; event 2; event 3; } | egns-ctl publish -t t01
	damaged '\0\0\0\0\0\0\0\0' 1
	[ "$(ids)" = '1 2 3 ' ]
	{ event 4; event 5; event 6; } | egns-ctl publish -t t01
	damaged '\7' 4
	[ "$(ids)" = '4 5 6 ' ]
	{ event 7; event 8; event 9; } | egns-ctl publish -t t01
	damaged '\7\7\7\7\7\7\7\7' 8
	[ "$(ids)" = '7 8 9 ' ]
	egns-ctl audit
}

@test "a missing state file costs deliveries over again, and no event" {
	five
	rm "$sub/state.ndjson"
	start egns-topicd
	[ "$(ids)" = '1 2 3 4 5 ' ]
	grep -q 'state file lost' egns-topicd.log
	egns-ctl audit
}

@test "a truncated state file costs at most deliveries over again" {
	five
	truncate -s -7 "$sub/state.ndjson"
	start egns-topicd
	[[ "$(ids)" == *'3 4 5 ' ]]
	egns-ctl audit
}

@test "a missing checkpoint costs a look at the whole log" {
	five
	rm spool/topics/t01/checkpoint.json
	start egns-topicd
	[ "$(ids)" = '3 4 5 ' ]
	egns-ctl audit
}

@test "a filter changed while topicd is down is for events to come" {
	ns t01
	subscription t01 s01 '' --filters-configuration '{includedEventTypes:[t]}'
	start egns-topicd
	local id
	for id in 1 2 3 4 5 6; do event $id; done | egns-ctl publish -t t01
	egns-pull receive -t t01 -s s01 -n 3 | egns-pull acknowledge -t t01 -s s01 -
	crash egns-topicd
	egns-ctl namespace topic event-subscription update -o none \
		--topic-name t01 -n s01 \
		--filters-configuration '{includedEventTypes:[u]}'
	start egns-topicd
	event 7 | egns-ctl publish -t t01
	event 8 | sed 's/"type":"t"/"type":"u"/' | egns-ctl publish -t t01
	[ "$(ids)" = '4 5 6 8 ' ]
	egns-ctl audit
	crash egns-topicd
	start egns-topicd
	egns-ctl audit
}

@test "a clock set back costs no event of a subscription made before" {
	advance 3600
	ns t01/s01
	advance -3600
	start egns-topicd
	event 1 | egns-ctl publish -t t01
	crash egns-topicd
	start egns-topicd
	[ "$(ids)" = '1 ' ]
	egns-ctl audit
}

@test "queue, state and checkpoint all gone: the log has every event" {
	five
	rm "$sub/queue" "$sub/state.ndjson" spool/topics/t01/checkpoint.json
	start egns-topicd
	[ "$(ids)" = '1 2 3 4 5 ' ]
	egns-ctl audit
}

@test "garbage in place of queue, state and checkpoint" {
	five
	head -c 4000 /dev/urandom >"$sub/queue"
	head -c 4000 /dev/urandom >"$sub/state.ndjson"
	head -c 4000 /dev/urandom >spool/topics/t01/checkpoint.json
	start egns-topicd
	[ "$(ids)" = '1 2 3 4 5 ' ]
	egns-ctl audit
}

@test "a second instance is refused, and says who runs" {
	ns t01/s01
	start egns-topicd
	# shellcheck disable=SC2154 # of lib.bash
	run -73 egns-topicd
	[[ $output == *"${pid_of[egns-topicd]}"* ]]
}

@test "no namespace, no topicd: it says how to make one" {
	mkdir empty
	run -66 egns-topicd -C empty
	[[ $output == *'namespace create'* ]]
}

@test "a directory that cannot be read is named" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to become another user"
	five
	chown -R 65534:65534 spool
	chmod 000 spool/topics/t01/log
	chmod 755 . "$BATS_RUN_TMPDIR" 2>/dev/null || :
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$(command -v egns-topicd)" -C spool
	[ "$status" -ne 0 ]
	[[ $output == *log*'Permission denied'* ]]
}

@test "a topic deleted while topicd was down leaves a record, and no files" {
	five
	egns-ctl namespace topic delete -n t01 --yes
	start egns-topicd
	[ ! -e spool/topics/t01 ]
	[ "$(jq -c '[.topic, .reason]' spool/dropped/*.ndjson)" = \
		'["t01","TopicDeleted"]' ]
}

# Without it, what a crash in the middle leaves would be the new topic's.
@test "of a topic that was deleted and made again the checkpoint goes last" {
	five
	egns-ctl namespace topic delete -n t01 --yes
	topic t01
	export PRELOAD
	PRELOAD=$(ldd "$B/egns-topicd" |
		awk '/lib(a|ub)san/ { printf "%s ", $3 }')$B/tests/crash/shim.so
	SHIM_PATH=/t01/ SHIM_CALLS=unlink,rmdir SHIM_TRACE=$PWD/trace \
		start egns-topicd
	grep -q ' unlink .*/log$' trace
	awk '/checkpoint.json$/ { last = 1; next }
		/(log|subscriptions)(\/|$)/ && last { exit 1 }' trace
}

@test "a subscription deleted while topicd was down leaves a record" {
	five
	egns-ctl namespace topic event-subscription delete --topic-name t01 \
		-n s01 --yes
	start egns-topicd
	[ ! -e "$sub" ]
	[ "$(jq -c '[.subscription, .reason]' spool/dropped/*.ndjson)" = \
		'["s01","SubscriptionDeleted"]' ]
}

@test "a topic that cannot be opened is told, and costs the others nothing" {
	ns t01/s01
	start egns-topicd
	mkdir -p spool/topics/t02/checkpoint.json
	run topic t02
	[[ $status -ne 0 && $output == *"topic 't02'"* ]]
	run subscription t02 s02
	[[ $status -ne 0 && $output == *"topic 't02'"* ]]
	event 1 | egns-ctl publish -t t01
	[ "$(ids)" = '1 ' ]
	rmdir spool/topics/t02/checkpoint.json
	subscription t02 s03
	event 1 | egns-ctl publish -t t02
	[ "$(egns-pull receive -t t02 -s s03 -w 0 | jq -r .event.id)" = 1 ]
}
