# shellcheck shell=bash
# Exactly once: a producer that says what came before each of its batches may have
# many under way; none is stored twice, in another order, or without those before.
load lib

# batch SEQUENCE AFTER [EVENT] - the lines of a publish of one event, by p.
batch() {
	echo "{\"op\":\"publish\",\"topic\":\"t01\",\"count\":1,\"producer\":\"p\",\
\"sequence\":$1,\"after\":$2}"
	echo "${3:-$(event "$1")}"
}

# sequence [PRODUCER] - how far it has come.
sequence() {
	ask "{\"op\":\"producer\",\"topic\":\"t01\",\"producer\":\"${1:-p}\"}" |
		jq .sequence
}

# codes - of the answers on standard input, "ok" and "duplicate" among them.
codes() {
	jq -r 'if .duplicate then "duplicate" elif .ok then "ok"
		else .error.code end' | paste -sd' '
}

# Sequences in the log.
stored() {
	cat spool/topics/t01/log/*.ndjson | jq .sequence | paste -sd' '
}

@test "batches that follow each other are stored, and their producer is known" {
	ns t01
	start egns-topicd
	[ "$(sequence)" -eq 0 ]
	[ "$(ask "$(batch 3 0)" "$(batch 4 3)" "$(batch 9 4)" | codes)" = "ok ok ok" ]
	[ "$(sequence)" -eq 9 ]
	[ "$(sequence q)" -eq 0 ]
}

@test "a batch whose predecessor is not stored is a conflict that tells why" {
	ns t01
	start egns-topicd
	ask "$(batch 3 2)" | jq -e '.error.code == "Conflict" and
		(.error.message | test("is at 0, not at 2"))'
	[ "$(ask "$(batch 2 0)" "$(batch 9 5)" "$(batch 5 1)" | codes)" = \
		"ok Conflict Conflict" ]
	ask "$(batch 9 5)" | jq -e '.error.message | test("is at 2, not at 5")'
	[ "$(sequence)" -eq 2 ]
	[ "$(stored)" = 2 ]
}

@test "a batch that was stored is a duplicate, whatever it comes after" {
	ns t01
	start egns-topicd
	[ "$(ask "$(batch 5 0)" "$(batch 5 0)" "$(batch 3 7-5)" |
		codes)" = "ok duplicate BadRequest" ]
	[ "$(ask "$(batch 5 4)" "$(batch 2 0)" "$(batch 6 5)" "$(batch 6 5)" |
		codes)" = "duplicate duplicate ok duplicate" ]
	[ "$(stored)" = "5 6" ]
}

@test "behind a batch with a bad event nothing is stored" {
	ns t01
	start egns-topicd
	[ "$(ask "$(batch 1 0)" "$(batch 2 1 '{}')" "$(batch 3 2)" "$(batch 4 3)" |
		codes)" = "ok BadRequest Conflict Conflict" ]
	[ "$(sequence)" -eq 1 ]
	[ "$(ask "$(batch 2 1)" "$(batch 3 2)" | codes)" = "ok ok" ]
	[ "$(stored)" = "1 2 3" ]
}

@test "a batch without events moves nothing" {
	ns t01
	start egns-topicd
	ask '{"op":"publish","topic":"t01","count":0,"producer":"p","sequence":4,"after":0}' |
		jq -e .ok
	[ "$(sequence)" -eq 0 ]
	[ "$(ask "$(batch 4 0)" "$(batch 5 4)" | codes)" = "ok ok" ]
}

@test "when the disk is full nothing behind the batch that failed is stored" {
	ns t01
	shim
	SHIM_PATH=/log/ SHIM_CALLS=write,pwrite,writev,pwritev SHIM_ENOSPC=2,2 \
		SHIM_TORN=1 start egns-topicd
	[ "$(ask "$(batch 1 0)" | codes)" = ok ]
	# in one window or in several
	run ask "$(batch 2 1)" "$(batch 3 2)" "$(batch 4 3)" "$(batch 4 3)"
	[[ ${lines[0]} == *TooManyRequests* ]]
	[[ $output != *'"ok":true'* ]]
	[ "$(ask "$(batch 5 4)" | codes)" = Conflict ]
	[ "$(sequence)" -eq 1 ]
	[ "$(ask "$(batch 2 1)" "$(batch 3 2)" "$(batch 4 3)" | codes)" = "ok ok ok" ]
	crash egns-topicd
	unshim
	start egns-topicd
	[ "$(sequence)" -eq 4 ]
	[ "$(stored)" = "1 2 3 4" ]
}

@test "a topic that cannot be written refuses its own publishes only" {
	ns t01 t02
	shim
	SHIM_PATH=/t02/log/ SHIM_CALLS=write,pwrite,writev,pwritev SHIM_ENOSPC=1 \
		start egns-topicd
	[ "$(ask "$(batch 1 0)" "$(batch 1 0 | sed s/t01/t02/)" "$(batch 2 1)" |
		codes)" = "ok TooManyRequests ok" ]
	[ "$(ask "$(batch 2 1)" "$(batch 1 0 | sed s/t01/t02/)" | codes)" = \
		"duplicate ok" ]
	[ "$(stored)" = "1 2" ]
}

@test "who may publish may ask for a producer, others may not" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to be somebody else"
	ns t01
	chmod 755 "$BATS_TEST_TMPDIR" spool spool/run
	start egns-topicd
	as_nobody() {
		echo '{"op":"producer","topic":"t01","producer":"p"}' |
			setpriv --reuid 65534 --regid 65534 --clear-groups \
				socat -t "$PATIENCE" - \
				UNIX-CONNECT:spool/run/topicd.sock | tail -n 1
	}
	as_nobody | jq -e '.error.code == "Forbidden" and
		(.error.message | test("EventGrid Data Sender"))'
	egns-ctl role assignment create -o none --assignee uid:65534 \
		--role 'EventGrid Data Sender' --scope topics/t01
	[ "$(as_nobody)" = '{"ok":true,"sequence":0}' ]
}

@test "a killed topicd knows its producers, and a stopped one, without a subscription" {
	ns t01
	start egns-topicd
	local i after=0
	for i in {1..200}; do
		batch "$i" "$after"
		after=$i
	done >in
	[ "$(ask "$(<in)" | codes | tr ' ' '\n' | sort | uniq -c | xargs)" = "200 ok" ]
	crash egns-topicd
	start egns-topicd
	[ "$(sequence)" -eq 200 ]
	[ "$(ask "$(<in)" | codes | tr ' ' '\n' | sort | uniq -c | xargs)" = \
		"200 duplicate" ]
	restart egns-topicd
	[ "$(ask "$(batch 201 200)" | codes)" = ok ]
}

@test "of 1,025 producers the one not heard of longest is forgotten, also by a restart" {
	ns t01
	start egns-topicd
	local i head='{"op":"publish","topic":"t01","count":1,"producer":'
	for i in {1..1024}; do
		echo "$head\"p$i\",\"sequence\":7}"
		event "$i"
	done >in
	ask "$(<in)" "$head\"p1\",\"sequence\":8}" "$(event again)" \
		"$head\"new\",\"sequence\":1}" "$(event new)" | jq -es 'length == 1026 and all(.ok)'
	[ "$(sequence p1)-$(sequence p2)-$(sequence p3)-$(sequence new)" = 8-0-7-1 ]
	crash egns-topicd
	start egns-topicd
	[ "$(sequence p1)-$(sequence p2)-$(sequence p3)-$(sequence new)" = 8-0-7-1 ]
	restart egns-topicd
	[ "$(sequence p1)-$(sequence p2)-$(sequence p3)-$(sequence new)" = 8-0-7-1 ]
}

@test "a producer is known when retention has removed all that it published" {
	advance 0
	ns t01
	start egns-topicd
	[ "$(ask "$(batch 5 0)" | codes)" = ok ]
	local first=spool/topics/t01/log/00000000000000000000.ndjson
	advance 4000 # another segment begins
	egns-ctl publish -t t01 <<<"$(event other)"
	advance 90000
	wait_for test ! -e "$first"
	crash egns-topicd
	start egns-topicd
	[ "$(sequence)" -eq 5 ]
	[ "$(ask "$(batch 5 0)" "$(batch 6 5)" | codes)" = "duplicate ok" ]
}

@test "behind a line that the power failure broke, batches count for no producer" {
	ns t01
	start egns-topicd
	[ "$(ask "$(batch 1 0)" "$(batch 2 1)" "$(batch 3 2)" | codes)" = \
		"ok ok ok" ]
	crash egns-topicd
	# as a page that did not reach the disk, in front of one that did
	sed -i '2s/"sequence":2/"sequence":7/' spool/topics/t01/log/*.ndjson
	start egns-topicd
	[ "$(sequence)" -eq 1 ]
	[ "$(ask "$(batch 2 1)" "$(batch 3 2)" | codes)" = "ok ok" ]
}
