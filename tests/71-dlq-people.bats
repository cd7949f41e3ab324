#!/usr/bin/env bats
# egns-dlq for people: list, show, cat, stat, check, prune

load lib

box=spool/containers/local/deadletter

# letter ID [REASON] [TIME] [MEMBERS] - a dead letter as egns-dlq writes it, on a
# line; MEMBERS: more of the event.
letter() {
	local time=${3:-2026-01-31T12:00:00.000001Z}
	printf '{"specversion":"1.0","id":"%s","source":"/press","type":"t"%s,' \
		"$1" "${4:+,$4}"
	printf '"deadletterProperties":{"deadletterreason":"%s",' \
		"${2:-MaxDeliveryCountExceeded}"
	printf '"deliveryattempts":10,"deliveryresult":"NotAcknowledged",'
	printf '"publishTime":"2026-01-30T08:00:00.000000Z",'
	printf '"deadLetterTime":"%s","offset":7}}\n' "$time"
}

# blob NAME - standard input is its text.
blob() {
	mkdir -p "$box/$(dirname "$1")"
	cat >"$box/$1"
}

# Three blobs of two subscriptions, all as egns-dlq writes them.
some() {
	{
		letter a1
		letter a2 Unauthorized 2026-01-31T12:30:00.000000Z \
			'"subject":"plant/press-1"'
	} | blob testns/t01/s01/2026/01/31/12/1.json
	letter b1 Unauthorized 2026-01-31T13:10:00.000000Z '"subject":"plan"' |
		blob testns/t01/s01/2026/01/31/13/2.json
	letter c1 Unauthorized 2026-02-01T00:00:00.000000Z '"data":{"c":1}' |
		blob testns/t01/s02/2026/02/01/00/3.json
}

# say STATUS WORDS ARG... - egns-dlq ends so, with these words in its messages.
say() {
	local want=$1 words=$2
	shift 2
	run --separate-stderr egns-dlq "$@"
	echo "status $status: $output: $stderr"
	[ "$status" -eq "$want" ]
	[[ $stderr == *"$words"* ]]
}

ids() {
	egns-dlq cat "$@" | jq -r '.id // .event.id' | tr '\n' ' '
}

@test "list counts by topic, subscription, reason and hour" {
	ns
	some
	run --separate-stderr egns-dlq list
	echo "$output"
	[ "$status" -eq 0 ] && [ -z "$stderr" ]
	[[ ${lines[0]} == Topic*Subscription*Reason*Hour*Count*Oldest ]]
	[ "$(egns-dlq list -o tsv)" = "$(printf '%s\t%s\t%s\t%s\t%s\t%s\n' \
		t01 s01 MaxDeliveryCountExceeded 2026-01-31T12:00:00Z 1 \
		2026-01-31T12:00:00.000001Z \
		t01 s01 Unauthorized 2026-01-31T12:00:00Z 1 \
		2026-01-31T12:30:00.000000Z \
		t01 s01 Unauthorized 2026-01-31T13:00:00Z 1 \
		2026-01-31T13:10:00.000000Z \
		t01 s02 Unauthorized 2026-02-01T00:00:00Z 1 \
		2026-02-01T00:00:00.000000Z)" ]
	[ "$(egns-dlq list --by reason -o json)" = "$(printf '%s\n' \
		'{"reason":"MaxDeliveryCountExceeded","count":1,"oldest":"2026-01-31T12:00:00.000001Z"}' \
		'{"reason":"Unauthorized","count":3,"oldest":"2026-01-31T12:30:00.000000Z"}')" ]
	[ "$(egns-dlq list --by hour,subscription -o tsv | cut -f1-3)" = \
		"$(printf '%s\t%s\t%s\n' 2026-01-31T12:00:00Z s01 2 \
		2026-01-31T13:00:00Z s01 1 2026-02-01T00:00:00Z s02 1)" ]
	[ "$(egns-dlq list --by container,blob -o tsv | head -1 | cut -f1-3)" = \
		"$(printf 'local/deadletter\ttestns/t01/s01/2026/01/31/12/1.json\t2')" ]
}

@test "what is selected is what all options say" {
	ns
	some
	[ "$(ids)" = "a1 a2 b1 c1 " ]
	[ "$(ids -t t01 -s s02)" = "c1 " ]
	[ "$(ids --topic-name t02)" = "" ]
	[ "$(ids --reason unauthorized,Rejected)" = "a2 b1 c1 " ]
	[ "$(ids --since 2026-01-31T12:30:00Z --until 2026-02-01)" = "a2 b1 " ]
	[ "$(ids --subject plant/)" = "a2 " ]
	[ "$(ids --select '.data.c == 1')" = "c1 " ]
	[ "$(ids --limit 3)" = "a1 a2 b1 " ]
	[ "$(ids --container local/deadletter --limit 1)" = "a1 " ]
	# a line that the expression fails on is told, and is none of them
	say 74 "1.json: line" cat --select '.id + 1'
}

@test "a reason that is nobody's is told, with the one that it may be" {
	local verb words="no dead letter was found with the reason 'Unautorized'; did you mean 'Unauthorized'?"
	ns
	some
	for verb in list show cat stat "prune --older-than 1s"; do
		# shellcheck disable=SC2086
		say 0 "egns-dlq: $words" $verb --reason Rejected,Unautorized
		[ "${#stderr_lines[@]}" -eq 1 ]
	done
	say 0 "$words" check --reason Unautorized
	say 0 "reason 'A comet'" list --reason 'A comet'
	[[ $stderr != *mean* ]]
	letter d1 Unautorized | blob testns/t01/s01/2026/01/31/12/4.json
	say 0 "" list --reason Unautorized
	[ -z "$stderr" ]
	say 0 "" check --reason deadletterwritefailed
	[ -z "$stderr" ]
}

@test "a namespace without dead letters has nothing to show" {
	ns
	for verb in list show cat; do
		run --separate-stderr egns-dlq "$verb"
		[ "$status" -eq 0 ] && [ -z "$output$stderr" ]
	done
	[ "$(egns-dlq stat -o json)" = '{"count":0,"oldest":null,"newest":null,"blobs":0,"bytes":0,"unreadable":0,"reasons":[]}' ]
}

@test "every shape of a dead letter is read" {
	ns
	printf '%s' '{"event":{"specversion":"1.0","id":"one","source":"/s",
		"type":"t","subject":"x"},"customDeliveryProperties":{"a":"b"},
		"deadletterProperties":{
		"deadletterreason":"Undeliverable due to client error",
		"deliveryattempts":1,"deliveryresult":"Unauthorized",
		"publishutc":"2023-11-01T20:28:29.6269489Z",
		"deliveryattemptutc":"2023-11-01T20:33:51.4521467Z"}}' |
		blob testns/t01/s01/2023/11/1/20/1.json
	printf '%s' '{"specversion":"1.0","id":"two","source":"/s","type":"t",
		"deadLetterProperties":{
		"deadletterreason":"Maximum delivery attempts was exceeded.",
		"deliveryattemptutc":"2023-11-01T20:34:00Z"},
		"customDeliveryProperties":{}}' |
		blob testns/t01/s01/2023/11/1/20/2.json
	printf '%s' '[{"event":{"id":"three"},"brokerProperties":{
		"deadletterreason":"TIMETOLIVEEXCEEDED"}},
		{"event":{"id":"four"},"deadletterProperties":{}}]' |
		blob testns/t01/s01/2023/11/1/20/3.json
	[ "$(ids)" = "one two three four " ]
	[ "$(egns-dlq list --by reason,hour -o json)" = "$(printf '%s\n' \
		'{"reason":null,"hour":"2023-11-01T20:00:00Z","count":1,"oldest":"2023-11-01T20:00:00.000000Z"}' \
		'{"reason":"MaxDeliveryCountExceeded","hour":"2023-11-01T20:00:00Z","count":1,"oldest":"2023-11-01T20:34:00.000000Z"}' \
		'{"reason":"TimeToLiveExceeded","hour":"2023-11-01T20:00:00Z","count":1,"oldest":"2023-11-01T20:00:00.000000Z"}' \
		'{"reason":"Unauthorized","hour":"2023-11-01T20:00:00Z","count":1,"oldest":"2023-11-01T20:33:51.452146Z"}')" ]
	[ "$(egns-dlq cat | wc -l)" -eq 4 ]
	[ "$(egns-dlq cat --events two)" = \
		'{"specversion":"1.0","id":"two","source":"/s","type":"t"}' ]
	egns-dlq show one | grep -qx '    subject       x'
}

@test "what cannot be read is told, and all else is shown" {
	ns
	some
	letter broken | head -c 100 | blob testns/t01/s01/2026/01/31/14/1.json
	{ letter d1; echo 'no JSON'; letter d2; } |
		blob testns/t01/s01/2026/01/31/14/2.json
	echo '[{"id":"x"},7]' | blob testns/t01/s01/2026/01/31/14/3.json
	truncate -s 33M $box/testns/huge.json
	: | blob testns/t01/s01/2026/01/31/14/4.json
	echo | blob testns/t01/s01/2026/01/31/14/5.json
	letter hidden | blob .hidden
	letter unfinished | blob testns/t01/1.json.tmp~
	say 74 "14/2.json: line 2: " cat
	[[ $stderr == *"14/1.json: line 1: "* ]]
	[[ $stderr == *"14/3.json: line 1: an object without"* ]]
	[[ $stderr == *"huge.json: "* ]]
	[ "${#stderr_lines[@]}" -eq 5 ]
	[ "$(jq -r .id <<<"$output" | tr '\n' ' ')" = "a1 a2 b1 d1 d2 c1 " ]
	say 74 "line 2" stat -o json
	[ "$(jq '[.count, .unreadable] == [6, 5]' <<<"$output")" = true ]
	say 74 "huge.json" list
	say 74 "huge.json" show
}

@test "troubles without end are told a hundred times" {
	ns
	yes '{}' | head -n 1000 | blob testns/t01/s01/2026/01/31/14/1.json
	say 74 "line 100: " cat
	[ "${#stderr_lines[@]}" -eq 101 ]
	[[ ${stderr_lines[100]} == *"900 more that cannot be read" ]]
}

@test "reasons of others stand as they are, and command no terminal" {
	ns
	{
		letter '\u001b[31mred' 'Because | of \u001b[2J' ''
		letter z "$(printf 'C1 \302\2332J')" '' \
			"$(printf '"data":{"x":"\302\2332J","n":12345678901234567890}')"
	} | blob "testns/t01/s01/2026/01/31/12/$(printf 'n\033[1m').json"
	for verb in list "list -o tsv" show "stat" check "list --by blob"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr egns-dlq $verb
		[ "$status" -le 1 ]
		[[ $output != *$'\033'* && $output != *$'\302\233'* ]]
	done
	egns-dlq show | grep -qF 'id            \x1B[31mred'
	egns-dlq show z | grep -qF '"n": 12345678901234567890'
	egns-dlq show z | grep -qF '"x": "\u009b2J"'
	# a pipe has it as it is, a terminal does not
	egns-dlq cat z | grep -qF "$(printf '\302\233')"
	run script -qec 'egns-dlq cat z' /dev/null
	[[ $output == *'"x":"\u009b2J"'* && $output != *$'\302\233'* ]]
	# the words of a check end at the bar
	[ "$(egns-dlq check | tr -dc '|' | wc -c)" -eq 1 ]
}

@test "show has what a person wants to know" {
	ns
	some
	diff - <(egns-dlq show c1) <<-'END'
	local/deadletter/testns/t01/s02/2026/02/01/00/3.json, 1
	    reason        Unauthorized
	    result        NotAcknowledged
	    attempts      10
	    published     2026-01-30T08:00:00.000000Z
	    dead since    2026-02-01T00:00:00.000000Z
	    id            c1
	    source        /press
	    type          t
	    data          {
	                    "c": 1
	                  }
	END
	[ "$(egns-dlq show 1.json | grep -c '^local')" -eq 2 ]
	[ "$(egns-dlq show s01/2026/01/31/13/2.json c1 | grep -c '^local')" -eq 2 ]
	[ "$(egns-dlq show deadletter/testns/t01/s02/2026/02/01/00/3.json |
		grep -c '^local')" -eq 1 ]
	say 66 "'.json': no such dead letter" show .json c1
	[[ $output == *"id            c1"* ]]
	say 66 "'d1': no such dead letter" cat d1
}

@test "cat gives records to pipes as they lie, and events as they were published" {
	ns
	event='{ "specversion" : "1.0","id":"a","source":"/s","type":"t","data":1.50 }'
	properties='"deadletterProperties":{"deadletterreason":"Rejected","deadLetterTime":"2026-01-31T12:00:00.000000Z","offset":3}}'
	printf '%s,%s\n' "${event%\}}" "$properties" |
		blob testns/t01/s01/2026/01/31/12/1.json
	[ "$(egns-dlq cat)" = "${event%\}},$properties" ]
	[ "$(egns-dlq cat --events)" = "$event" ]
}

@test "cat ends when its reader has enough" {
	ns
	for i in {1..2000}; do
		letter "e$i"
	done | blob testns/t01/s01/2026/01/31/12/1.json
	set -o pipefail
	egns-dlq cat 2>err | head -n 1 >first
	set +o pipefail
	[ "$(jq -r .id first)" = e1 ]
	[ ! -s err ]
	run -74 bash -c 'egns-dlq cat e1 >/dev/full'
	[[ $output == *"standard output: No space left on device" ]]
}

@test "stat counts by reason, with the oldest and the newest" {
	ns
	some
	[ "$(egns-dlq stat -o json | jq -c 'del(.bytes, .reasons[].bytes)')" = \
		'{"count":4,"oldest":"2026-01-31T12:00:00.000001Z","newest":"2026-02-01T00:00:00.000000Z","blobs":3,"unreadable":0,"reasons":[{"reason":"MaxDeliveryCountExceeded","count":1,"oldest":"2026-01-31T12:00:00.000001Z","newest":"2026-01-31T12:00:00.000001Z","blobs":1},{"reason":"Unauthorized","count":3,"oldest":"2026-01-31T12:30:00.000000Z","newest":"2026-02-01T00:00:00.000000Z","blobs":3}]}' ]
	[ "$(egns-dlq stat -o json | jq .bytes)" -eq \
		$(($(find $box -name '*.json' -exec cat {} + | wc -c) - 4)) ]
	[ "$(egns-dlq stat -o tsv | cut -f1,2,5)" = "$(printf '%s\t%s\t%s\n' \
		MaxDeliveryCountExceeded 1 1 Unauthorized 3 3 '(all)' 4 3)" ]
	run egns-dlq stat -s s02
	[[ ${lines[0]} == Reason*Count*Oldest*Newest*Blobs*Bytes ]]
	[[ ${lines[2]} == Unauthorized*" 1 "* ]]
}

@test "a list of more rows than can be says so" {
	ns
	for i in {1..101000}; do
		echo "{\"event\":{},\"deadletterProperties\":{\"deadletterreason\":\"$i\"}}"
	done | blob testns/1.json
	say 65 "more than 100000 rows: choose fewer dead letters, or count them --by less" \
		list
	[ "$(egns-dlq list --by topic -o json)" != "" ]
	egns-dlq stat -o json >stat.json
	[ "$(jq .count stat.json)" -eq 101000 ]
	[ "$(jq -c '.reasons[-1] | [.reason, .count]' stat.json)" = \
		'["(others)",1000]' ]
}

@test "what was put aside is shown when it is asked for" {
	ns
	some
	letter q1 SchemaRejected |
		blob _quarantine/testns/t01/s01/2026/01/31/12/9.json
	letter k1 | blob _replayed/testns/t01/s01/2026/01/31/12/8.json
	[ "$(ids)" = "a1 a2 b1 c1 " ]
	[ "$(ids --quarantine)" = "q1 " ]
	[ "$(egns-dlq list --quarantine -o tsv | cut -f1-3)" = \
		"$(printf 't01\ts01\tSchemaRejected')" ]
}

@test "a directory and a container that is not there" {
	ns
	topic t01
	subscription t01 s01 "deadLetterDestinationWithResourceIdentity:{deadLetterDestination:{endpointType:Directory,properties:{path:'$PWD/far'}}}"
	some
	mkdir far
	letter f1 >far/1.json
	[ "$(ids)" = "f1 a1 a2 b1 c1 " ] || [ "$(ids)" = "a1 a2 b1 c1 f1 " ]
	[ "$(ids --container "$PWD/far")" = "f1 " ]
	rm -r far
	say 74 "$PWD/far: " cat
	[ "$(jq -r .id <<<"$output" | tr '\n' ' ')" = "a1 a2 b1 c1 " ]
	say 74 "local/nowhere: " cat --container local/nowhere
}

@test "check is 0 when there is nothing, 1 with dead letters" {
	ns t01/s09
	[ "$(egns-dlq check)" = "OK - nothing dropped, 0 dead letters | deadlettered=0;0;;0 dropped=0;;0;0 waiting=0;0;;0" ]
	some
	run -1 --separate-stderr egns-dlq check
	[ "$output" = "WARNING - nothing dropped, 4 dead letters (1 MaxDeliveryCountExceeded, 3 Unauthorized) | deadlettered=4;0;;0 dropped=0;;0;0 waiting=0;0;;0" ]
	[ -z "$stderr" ]
	run -0 egns-dlq check -t t01 -s s09
	run -0 egns-dlq check --since 2026-03-01
	run -1 egns-dlq check --reason Unauthorized --since 2026-01-01
	[[ $output == "WARNING - nothing dropped, 3 dead letters (3 Unauthorized) | "* ]]
}

# Who watches a name that is none would never be told anything.
@test "a topic or a subscription that is not there, and has left no dead letter" {
	ns t01/s01
	some
	run -3 egns-dlq check -t t02
	[[ $output == "UNKNOWN - nothing dropped, 0 dead letters; there is no topic 't02', nor a dead letter of it that is meant | "* ]]
	run -3 egns-dlq check -s s0l
	for verb in list show cat stat; do
		say 66 "there is no subscription 't01/s09', nor a" "$verb" -t t01 -s s09
	done
	say 66 "there is no topic 't09', nor a" prune --older-than 1s -t t09
	say 66 "there is no subscription 's09', nor a" list -s s09
	say 66 "there is no topic 'T01', nor a" list -t T01
	# its letters are left
	say 0 "" list -t t01 -s s02
	say 66 "" list -t t01 -s s02 --reason Rejected
	# it is there, and has none
	say 0 "" list -t t01 -s s01 --reason Rejected
	say 0 "" list -s s01 --since 1s
	say 0 "" list -t t01 --since 1s
}

@test "check counts what is on its way" {
	ns t01/s01 t01/s02
	start egns-topicd
	for i in 1 2 3; do
		event "$i"
	done | egns-ctl publish -t t01
	for i in 1 2 3; do
		token=$(egns-pull receive -t t01 -s s01 |
			jq -r .brokerProperties.lockToken)
		egns-pull reject -t t01 -s s01 "$token"
	done
	stop egns-topicd
	run -1 egns-dlq check
	[ "$output" = "WARNING - nothing dropped, 0 dead letters, 3 on their way | deadlettered=0;0;;0 dropped=0;;0;0 waiting=3;0;;0" ]
	run -1 egns-dlq check -t t01 --reason Rejected
	[[ $output == *" waiting=3;"* ]]
	run -0 egns-dlq check -s s02
	run -0 egns-dlq check --until 2026-01-01
	# a parcel
	cat spool/deadletter/new/* >records
	rm spool/deadletter/new/*
	mkdir -p spool/deadletter/sending
	head -n 2 records >spool/deadletter/sending/t01.s01.2026013112.1-2.0b0b0b0b-0000-4000-8000-000000000000
	run -1 egns-dlq check
	[[ $output == *" waiting=2;"* ]]
	run -0 egns-dlq check -s s02
}

@test "check is 2 when an event was dropped in the last day" {
	ns
	today=$(date -u +%F)
	drop() {
		printf '{"time":"%s","topic":"t01","subscription":"s01","reason":"%s"%s}\n' \
			"$1" "$2" "$3"
	}
	drop "$(date -u -d '-25 hours' +%FT%TZ)" TimeToLiveExceeded \
		>"spool/dropped/$(date -u -d '-24 hours' +%F).ndjson"
	drop 2026-01-30T00:00:00Z Rejected >spool/dropped/2026-01-30.ndjson
	# of a session, and of a message
	{
		echo '{"time":"2026-01-31T12:00:00Z","session":"c1","client":"c1","topic":"a/b","reason":"QueueFull"}'
		echo '{"time":"2026-01-31T12:00:00Z","reason":"BadRequest","message":"no","target":"t01","record":{}}'
	} >"spool/dropped/$today.ndjson"
	run -0 egns-dlq check
	run -2 egns-dlq check --since 2026-01-29
	[[ $output == "CRITICAL - 2 events dropped (1 Rejected, 1 TimeToLiveExceeded), "*" dropped=2;;0;0 "* ]]
	{
		drop "$(date -u +%FT%TZ)" DeadLetterWriteFailed
		drop "$(date -u +%FT%TZ)" SubscriptionDeleted ',"count":17,"from":0,"to":9'
		drop "$(date -u +%FT%TZ)" SubscriptionDeleted ',"count":0,"from":0,"to":0'
		printf '{"time":"2026-'
	} >>"spool/dropped/$today.ndjson"
	some
	run -2 --separate-stderr egns-dlq check
	[[ $output == "CRITICAL - 18 events dropped (1 DeadLetterWriteFailed, 17 SubscriptionDeleted), 4 dead letters "*"| deadlettered=4;0;;0 dropped=18;;0;0 waiting=0;0;;0" ]]
	[ -z "$stderr" ]
	run -2 egns-dlq check -s s01 --reason deadletterwritefailed
	run -1 egns-dlq check -s s02
}

@test "check is 3 when it cannot be told" {
	mkdir nothing
	run -3 --separate-stderr egns-dlq check -C nothing
	[[ $output == "UNKNOWN - "*nothing* ]]
	ns
	topic t01
	subscription t01 s01 "deadLetterDestinationWithResourceIdentity:{deadLetterDestination:{endpointType:Directory,properties:{path:'$PWD/far'}}}"
	run -3 --separate-stderr egns-dlq check
	[[ $output == "UNKNOWN - nothing dropped, 0 dead letters; 1 container, blob or line cannot be read: "*"/far' is not there"*" | "* ]]
	# there are some all the same
	some
	run -1 egns-dlq check
	mkdir far
	# a drop that is known, and a line that is not
	now=$(date -u +%FT%TZ)
	printf 'nonsense\n' >"spool/dropped/$(date -u +%F).ndjson"
	run -3 --separate-stderr egns-dlq check
	[[ $output == *"dropped/$(date -u +%F).ndjson: a line that cannot be read"* ]]
	printf '{"time":"%s","topic":"t01","subscription":"s01","reason":"x"}\n' \
		"$now" >>"spool/dropped/$(date -u +%F).ndjson"
	run -2 --separate-stderr egns-dlq check
}

@test "prune takes what is old, and leaves a line for each blob" {
	ns
	some
	say 0 "1 dead letter of 1 blob would be removed" \
		prune --older-than 2026-01-31T12:15:00Z --dry-run
	[ "$output" = "$(printf '1\tlocal/deadletter/testns/t01/s01/2026/01/31/12/1.json')" ]
	[ "$(ids)" = "a1 a2 b1 c1 " ]
	[ ! -e spool/deadletter/written ]
	say 0 "egns-dlq: 1 dead letter of 1 blob removed" \
		prune --older-than 2026-01-31T12:15:00Z
	[ -z "$output" ]
	[ "$(ids)" = "a2 b1 c1 " ]
	say 0 "2 dead letters of 2 blobs removed" prune --older-than 2026-02-01
	[ "$(ids)" = "c1 " ]
	[ ! -e $box/testns/t01/s01 ]
	[ "$(jq -c 'del(.time)' spool/deadletter/written/*)" = "$(printf '%s\n' \
		'{"topic":"t01","subscription":"s01","container":"local/deadletter","blob":"testns/t01/s01/2026/01/31/12/1.json","pruned":1}' \
		'{"topic":"t01","subscription":"s01","container":"local/deadletter","blob":"testns/t01/s01/2026/01/31/12/1.json","pruned":1}' \
		'{"topic":"t01","subscription":"s01","container":"local/deadletter","blob":"testns/t01/s01/2026/01/31/13/2.json","pruned":1}')" ]
	run --separate-stderr egns-dlq prune --older-than 2026-02-01
	[ "$status" -eq 0 ] && [ -z "$output$stderr" ]
	advance $((40 * 86400))
	letter new '' "$(date -u -d '+39 days' +%FT%TZ)" |
		blob testns/t01/s02/2026/02/01/00/3.json
	letter old '' "$(date -u -d '+1 days' +%FT%TZ)" |
		blob testns/t01/s02/2026/02/01/00/4.json
	say 0 "1 dead letter of 1 blob removed" prune --older-than 30d
	[ "$(ids)" = "new " ]
}

@test "prune touches nothing but what is selected" {
	ns
	some
	{ letter d1; echo 'no JSON'; letter d2 Rejected; } |
		blob testns/t01/s02/2026/01/31/14/2.json
	printf '[%s,\n%s]\n' "$(letter e1)" "$(letter e2 Rejected)" |
		blob testns/t01/s02/2026/01/31/14/3.json
	letter q1 | blob _quarantine/testns/t01/s01/2026/01/31/12/9.json
	say 74 "2 dead letters of 2 blobs removed" prune --older-than 1d \
		--reason MaxDeliveryCountExceeded,Unauthorized -s s02 \
		--until 2026-02-01
	[ "$(egns-dlq cat 2>err | jq -r '.id' | tr '\n' ' ')" = \
		"a1 a2 b1 d2 e2 c1 " ]
	# what was no dead letter is there still
	grep -q "2.json: line 1: " err
	[ "$(ids --quarantine)" = "q1 " ]
}

@test "prune needs to be told how old" {
	ns
	some
	say 64 "prune: --older-than is missing" prune
	say 64 "--older-than 'soon': not a time, nor how long ago: 12h, 30d" \
		prune --older-than soon
	[ "$(ids)" = "a1 a2 b1 c1 " ]
}

@test "what makes no sense is refused" {
	ns
	say 64 "'frob': no such command" frob
	[[ $stderr == *"usage: egns-dlq [-hv] [-C DIR] [-r FD]"* ]]
	say 64 "list takes no --events" list --events
	say 64 "check takes no --limit" check --limit 1
	say 64 "cat takes no -o" cat -o json
	say 64 "show takes no -v" -v show
	say 64 "stat: unexpected word 'x'" stat x
	say 64 "-o 'yaml': not table, tsv or json" list -o yaml
	say 64 "--by 'size': not topic, subscription, reason" list --by reason,size
	say 64 "--by: 'hour' twice" list --by hour,hour
	say 64 "--by ''" list --by reason,
	say 64 "--since" list --since yesterday
	say 64 "--limit" cat --limit -1
	say 64 "--select" cat --select '.['
	say 64 "usage: egns-dlq list " list --frob
	[[ $stderr != *"egns-dlq show"* ]]
	say 64 "usage: egns-dlq prune " prune --older-than
	say 64 "--container: 'local' is none: ACCOUNT/NAME" list --container local
	for help in -h --help; do
		say 0 "" $help
		[[ -z $stderr && $output == "usage: egns-dlq [-hv]"*"egns-dlq prune "* ]]
		say 0 "" show $help
		[[ -z $stderr && $output == "usage: egns-dlq show "*SELECTION* ]]
	done
	say 66 "nowhere" list -C nowhere
}
