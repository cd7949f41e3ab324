# shellcheck shell=bash
# egns-ctl publish: files and pipes into a topic.
load lib

# ids - of all that is in the topic's log, in order.
ids() {
	cat spool/topics/t01/log/*.ndjson | jq -r .event.id | paste -sd' '
}

# events FROM TO
events() {
	local id
	for ((id = $1; id <= $2; id++)); do event "$id"; done
}

# pending - of each subscription.
pending() {
	egns-ctl namespace topic event-subscription status --topic-name t01 \
		--jq 'map("\(.subscription):\(.pending)") | join(" ")' | tr -d \"
}

logged() {
	[ "$(ids)" = "$1" ]
}

@test "publish stores lines byte for byte, and says nothing" {
	ns t01/s01
	start egns-topicd
	local odd='{ "id" : "1","source":"/", "subject":"ä","type":"t","specversion":"1.0","data":{"n": 1.0e2} }'
	printf '  %s \r\n\n' "$odd" >in
	run egns-ctl publish -t t01 in
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	cat spool/topics/t01/log/*.ndjson | grep -qF "\"event\":$odd}"
}

@test "publish takes files, and standard input for -, in order" {
	ns t01/s01
	start egns-topicd
	events 1 2 >a
	events 5 6 >b
	events 3 4 | egns-ctl publish --topic-name t01 a - b
	[ "$(ids)" = "1 2 3 4 5 6" ]
	events 7 7 | egns-ctl publish -t t01
	[ "$(ids)" = "1 2 3 4 5 6 7" ]
}

@test "publish takes the elements of an array, however it is laid out" {
	ns t01/s01
	start egns-topicd
	events 1 3 | jq -s . | egns-ctl publish -t t01
	events 4 5 | jq -sc . | egns-ctl publish -t t01
	printf '\n [ ] \n' | egns-ctl publish -t t01
	event 6 '["],[{\"}",[{}]]' | jq -s . | egns-ctl publish -t t01
	[ "$(ids)" = "1 2 3 4 5 6" ]
}

@test "what comes before a bad line is stored, and the line is named" {
	ns t01/s01
	start egns-topicd
	{
		events 1 16
		echo '{"specversion":"1.0","id":"","source":"/","type":"t"}'
		events 18 18
	} >in
	run egns-ctl publish -t t01 in
	[ "$status" -eq 65 ]
	[[ $output == 'egns-ctl: in: line 17: "id" must be '*'; 16 events stored' ]]
	[ "$(ids)" = "$(seq -s' ' 16)" ]
}

@test "what comes before a bad element is stored, and the element is named" {
	ns t01/s01
	start egns-topicd
	printf '[\n%s,\n\n %s]' "$(event 1)" '{"id":"2"}' >in
	run egns-ctl publish -t t01 - <in
	[ "$status" -eq 65 ]
	[[ $output == "egns-ctl: standard input: line 4, element 2: "*"; 1 event stored" ]]
	[ "$(ids)" = 1 ]
}

@test "an array that is not well formed is refused where it ends to be" {
	ns t01/s01
	start egns-topicd
	local bad
	for bad in "[$(event 1)" "[$(event 1)," "[$(event 1),]" \
		"[$(event 1),,$(event 2)]" "[$(event 1)] x" "[$(event 1)}" "[,]" \
		"[$(event 1) $(event 2)]"; do
		run egns-ctl publish -t t01 - <<<"$bad"
		[ "$status" -eq 65 ]
		[[ $output == "egns-ctl: standard input: line "* ]]
	done
}

@test "a line that is too long is named" {
	ns t01/s01
	start egns-topicd
	{
		event 1
		head -c 3000000 /dev/zero | tr '\0' x
	} >in
	run egns-ctl publish -t t01 in
	[ "$status" -eq 65 ]
	[[ $output == "egns-ctl: in: line 2: longer than "*"; 1 event stored" ]]
	{ printf '[%s,"' "$(event 2)" && tail -c +200 in; } >array
	run egns-ctl publish -t t01 array
	[ "$status" -eq 65 ]
	[[ $output == *"element 2: longer than "*"; 1 event stored" ]]
}

@test "publish makes batches by count and by size" {
	ns t01/s01
	start egns-topicd
	events 1 2500 | egns-ctl publish -t t01
	[ "$(ids)" = "$(seq -s' ' 2500)" ]
	egns-pull receive -t t01 -s s01 -n 1000 -w 0 |
		egns-pull acknowledge -t t01 -s s01 -
	local big id
	big=\"$(head -c 400000 /dev/zero | tr '\0' x)\"
	for id in 2501 2502 2503 2504 2505; do event $id "$big"; done |
		egns-ctl publish -t t01
	[ "$(ids)" = "$(seq -s' ' 2505)" ]
}

@test "events are published while the pipe they come through stays open" {
	ns t01/s01
	start egns-topicd
	mkfifo pipe
	egns-ctl publish -t t01 <pipe 3>&- &
	exec 7>pipe
	event 1 >&7
	wait_for logged 1
	printf '{"specversion":"1.0",' >&7
	echo '"id":"2","source":"/","type":"t"}' >&7
	wait_for logged "1 2"
	exec 7>&-
	wait $!
}

@test "an array is published while the pipe it comes through stays open" {
	ns t01/s01
	start egns-topicd
	mkfifo pipe
	egns-ctl publish -t t01 <pipe 3>&- &
	exec 7>pipe
	printf '[%s,' "$(event 1)" >&7
	wait_for logged 1
	printf '%s]' "$(event 2)" >&7
	exec 7>&-
	wait $!
	[ "$(ids)" = "1 2" ]
}

@test "publish --wrap makes an event of any line of JSON" {
	ns t01/s01
	start egns-topicd
	printf '%s\n' '{"who":"ann","n":1}' '[1, 2]' '"s"' null |
		egns-ctl publish -t t01 --wrap --type demo --source /wrap \
		--subject '.who?'
	egns-pull peek -t t01 -s s01 -n 9 | jq -s -e 'map(.event) |
		map(.data) == [{who:"ann",n:1},[1,2],"s",null] and
		map(.subject) == ["ann",null,null,null] and
		(map(.id) | unique | length) == 4 and
		all(.[]; .type == "demo" and .source == "/wrap" and
			.datacontenttype == "application/json" and
			(.time | endswith("Z")))'
}

@test "publish --wrap takes the id from an expression, too" {
	ns t01/s01
	start egns-topicd
	printf '{"n":%d}\n' 4 5 | egns-ctl publish -t t01 --wrap --type t \
		--source / --id .n
	[ "$(ids)" = "4 5" ]
	run egns-ctl publish -t t01 --wrap --type t --source / --id .n <<<'{}'
	[ "$status" -eq 65 ]
	[ "$output" = "egns-ctl: standard input: line 1: --id: no result; 0 events stored" ]
	run egns-ctl publish -t t01 --wrap --type t --source / --id '.n |' <<<'{}'
	[ "$status" -eq 64 ]
}

@test "a wrapped line cannot add to the event around it" {
	ns t01/s01
	start egns-topicd
	run egns-ctl publish -t t01 --wrap --type t --source / <<<'1,"subject":"x"'
	[ "$status" -eq 65 ]
	[[ $output == "egns-ctl: standard input: line 1: invalid JSON "* ]]
}

@test "JSON over several lines is refused with a word about jq -c" {
	ns t01/s01
	start egns-topicd
	run egns-ctl publish -t t01 < <(events 1 1 | jq .)
	[ "$status" -eq 65 ]
	[[ $output == *"line 1: a lone '{'"*"jq -c"* ]]
	run egns-ctl publish -t t01 --wrap --type t --source / < <(jq -n '[1, 2]')
	[ "$status" -eq 65 ]
	[[ $output == *"line 1: a lone '['"* ]]
	events 1 2 | jq -s . | egns-ctl publish -t t01
	[ "$(ids)" = "1 2" ]
}

@test "a producer's batches are stored once, however often they are sent" {
	ns t01/s01
	start egns-topicd
	events 1 10 >in
	egns-ctl publish -t t01 --producer p --sequence 1 --batch 4 in
	egns-ctl publish -t t01 --producer p --sequence 1 --batch 4 in
	[ "$(ids)" = "$(seq -s' ' 10)" ]
	[ "$(cat spool/topics/t01/log/*.ndjson | jq .sequence | uniq | paste -sd' ')" = "1 2 3" ]
}

@test "a topic that is not there, or a daemon, has its own status" {
	ns t01/s01
	event 1 >in
	run egns-ctl publish -t t01 in
	[ "$status" -eq 69 ]
	[[ $output == *"egns-ctl up"* ]]
	start egns-topicd
	run egns-ctl publish -t nope in
	[ "$status" -eq 66 ]
	[[ $output == "egns-ctl: "*nope*"; 0 events stored" ]]
	run egns-ctl publish -t t01 in nofile
	[ "$status" -eq 66 ]
	[ "$output" = "egns-ctl: nofile: No such file or directory; 1 event stored" ]
	run egns-ctl publish -t t01 .
	[ "$status" -eq 66 ]
	run egns-ctl publish in
	[ "$status" -eq 64 ]
	run egns-ctl publish -t t01 --producer p in
	[ "$status" -eq 64 ]
	run egns-ctl publish -t t01 --wrap --type t in
	[ "$status" -eq 64 ]
	run egns-ctl publish -t t01 --batch 1001 in
	[ "$status" -eq 64 ]
}

# Has this process heard of all that it sent, so that it waits for more input?
all_answered() {
	[[ $(<"/proc/$1/wchan") == *pipe_read* ]]
}

@test "publish says how many events are stored when topicd goes" {
	ns t01/s01
	start egns-topicd
	mkfifo pipe
	egns-ctl publish -t t01 <pipe 2>said 3>&- &
	local pid=$! status=0
	exec 7>pipe
	events 1 5 >&7
	wait_for logged "1 2 3 4 5"
	wait_for all_answered "$pid"
	crash egns-topicd
	event 6 >&7
	exec 7>&-
	wait "$pid" || status=$?
	[ "$status" -eq 69 ]
	[[ $(<said) == "egns-ctl: topicd: the connection was lost; 5 events stored"* ]]
}

@test "publish -s gives a dropped event back to its subscription alone" {
	ns t01/s01 t01/s02
	subscription t01 s03 '' --no-dead-letter
	start egns-topicd
	events 1 2 | egns-ctl publish -t t01
	egns-pull receive -t t01 -s s03 -n 2 |
		egns-pull reject -t t01 -s s03 - >/dev/null
	jq -c .event spool/dropped/*.ndjson | egns-ctl publish -t t01 -s s03 -
	[ "$(pending)" = "s01:2 s02:2 s03:2" ]
	run -0 egns-pull receive -t t01 -s s03 -n 9 -w 0
	[ "$(jq -r .event.id <<<"$output" | paste -sd' ')" = "1 2" ]
	egns-ctl audit -o none
}

@test "publish -s gives dead letters back, whatever the filters say" {
	ns t01/s01 t01/s02
	start egns-topicd
	events 1 3 | egns-ctl publish -t t01
	local sub
	for sub in s01 s02; do
		egns-pull receive -t t01 -s $sub -n 3 |
			egns-pull reject -t t01 -s $sub - >/dev/null
	done
	egns-ctl namespace topic event-subscription update -o none \
		--topic-name t01 -n s02 --filters-configuration \
		'{includedEventTypes:[another]}'
	jq -c 'select(.subscription == "s02") | .event' spool/deadletter/new/* |
		egns-ctl publish --topic-name t01 --event-subscription-name s02
	[ "$(pending)" = "s01:0 s02:3" ]
	egns-ctl audit -o none
}

@test "publish -s to a subscription that is not there stores nothing" {
	ns t01/s01
	start egns-topicd
	run -66 egns-ctl publish -t t01 -s 'no"pe' < <(events 1 1)
	[[ $output == "egns-ctl: "*no*"; 0 events stored" ]]
	run -64 egns-ctl publish -t t01 -s
	[ -z "$(ids)" ]
}
