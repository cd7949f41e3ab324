# shellcheck shell=bash disable=SC2016,SC2154
# egns-pull exec: a command for each event, settled by its exit status.
load lib

publish() {
	local id
	for id; do event "$id" "{\"n\":$id}"; done | egns-ctl publish -t t01
}

worker() {
	egns-pull exec -t t01 -s s01 "$@"
}

# start_worker ARG... - in the background; its pid is in $worker.
start_worker() {
	egns-pull exec -v -t t01 -s s01 "$@" >out 2>said 3>&- &
	worker=$!
}

# ended STATUS - wait for that worker.
ended() {
	local status=0
	wait "$worker" || status=$?
	[ "$status" -eq "$1" ] || { cat said && return 1; }
}

states() {
	egns-pull peek -t t01 -s s01 -n 100 |
		jq -r '"\(.event.id):\(.brokerProperties.state)"' | paste -sd' '
}

states_are() {
	[ "$(states)" = "$1" ]
}

has_line() {
	grep -qxF -- "$1" "$2"
}

@test "a command has the event on its standard input, and is acknowledged by 0" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3
	run --separate-stderr worker --until-empty -- jq -c .data
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "$output" = $'{"n":1}\n{"n":2}\n{"n":3}' ]
	[ -z "$(states)" ]
}

@test "a command has the facts in its environment" {
	ns t01/s01
	start egns-topicd
	echo '{"specversion":"1.0","id":"i","source":"/s","type":"t","subject":"q"}' |
		egns-ctl publish -t t01
	EGNS_EVENT_SUBJECT=old worker --until-empty sh -c 'env | grep ^EGNS_' >out
	local fact
	for fact in TOPIC=t01 SUBSCRIPTION=s01 EVENT_ID=i EVENT_TYPE=t \
		EVENT_SOURCE=/s EVENT_SUBJECT=q DELIVERY_COUNT=1 COUNT=1; do
		has_line "EGNS_$fact" out
	done
	grep -q '^EGNS_LOCK_TOKEN=.' out
	publish 2
	EGNS_EVENT_SUBJECT=old worker --until-empty sh -c 'env' >out
	run grep ^EGNS_EVENT_SUBJECT out
	[ "$status" -eq 1 ]
}

@test "a command is told of a file that is too large as without us" {
	ns t01/s01
	start egns-topicd
	publish 1
	run -153 bash -c 'ulimit -c 0 -f 1; head -c 4096 /dev/zero >large'
	worker --until-empty -- bash -c 'ulimit -c 0 -f 1
		head -c 4096 /dev/zero >large; echo $? >status'
	[ "$(cat status)" -eq 153 ]
}

@test "65 rejects, 75 and others release, a signal releases" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3 4 5
	run --separate-stderr worker -v --until-empty sh -c '
		case $EGNS_EVENT_ID:$EGNS_DELIVERY_COUNT in
		1:1) exit 65;;
		2:1) exit 75;;
		3:1) exit 3;;
		4:1) kill -9 $$;;
		esac
		echo $EGNS_EVENT_ID:$EGNS_DELIVERY_COUNT'
	[ "$status" -eq 0 ]
	[ "$(sort <<<"$output" | paste -sd' ')" = "2:2 3:2 4:2 5:1" ]
	[ "${stderr_lines[0]}" = "egns-pull: event '1': sh: status 65: reject" ]
	[ "${stderr_lines[3]}" = "egns-pull: event '4': sh: signal 9: release" ]
	[ "${stderr_lines[4]}" = "egns-pull: 4 of 8 commands failed" ]
	[ -z "$(states)" ]
	grep -h '"id":"1"' spool/deadletter/new/* | grep -q '"Rejected"'
}

@test "failures are not told without a terminal or -v" {
	ns t01/s01
	start egns-topicd
	publish 1
	run worker --until-empty --delay 60 false
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(states)" = 1:delayed ]
}

@test "--delay keeps a released event away for that long" {
	ns t01/s01
	advance 0
	start egns-topicd
	publish 1
	worker --until-empty --delay 100 false
	worker --until-empty echo too early
	advance 101
	run worker --until-empty sh -c 'echo $EGNS_DELIVERY_COUNT'
	[ "$output" = 2 ]
}

@test "a command that cannot be found is told before anything is taken" {
	ns t01/s01
	start egns-topicd
	publish 1
	run worker --until-empty -- nosuchcommand
	[ "$status" -eq 64 ]
	[[ $output == "egns-pull: nosuchcommand: "* ]]
	[ "$(states)" = 1:available ]
}

@test "a command that cannot be run releases its event" {
	ns t01/s01
	start egns-topicd
	publish 1
	echo '#!/nonexistent' >script
	chmod +x script
	run worker --until-empty --delay 60 ./script
	[ "$status" -eq 0 ]
	[[ $output == "egns-pull: ./script: "* ]]
	[ "$(states)" = 1:delayed ]
}

@test "a command need not read its input" {
	ns t01/s01
	start egns-topicd
	event 1 "\"$(head -c 900000 /dev/zero | tr '\0' x)\"" |
		egns-ctl publish -t t01
	publish 2
	worker --until-empty true
	[ -z "$(states)" ]
}

@test "a fact too long for an environment is left out" {
	ns t01/s01
	start egns-topicd
	printf '{"specversion":"1.0","id":"1","source":"/","type":"t","subject":"%s"}\n' \
		"$(head -c 200000 /dev/zero | tr '\0' x)" | egns-ctl publish -t t01
	run worker --until-empty sh -c 'echo "${EGNS_EVENT_SUBJECT-none}"; wc -c'
	[ "${lines[0]}" = none ]
	[ "${lines[1]}" -gt 200000 ]
	[ -z "$(states)" ]
}

@test "--batch gives a command several events, and settles them together" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3 4 5
	run worker --until-empty --batch 3 sh -c '
		echo "$EGNS_COUNT ${EGNS_EVENT_ID-none} $(jq -r .id | paste -sd,)"'
	[ "$output" = $'3 none 1,2,3\n2 none 4,5' ]
	[ -z "$(states)" ]
}

@test "-j runs commands side by side, and takes no more events than that" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3
	start_worker -j 2 --until-empty -- sh -c '
		touch "started.$EGNS_EVENT_ID"
		until [ -e go ]; do sleep 0.02; done'
	wait_for test -e started.1 -a -e started.2
	[ "$(states)" = "1:locked 2:locked 3:available" ]
	touch go
	ended 0
	[ -e started.3 ]
	[ -z "$(states)" ]
}

@test "locks are renewed while a command runs" {
	ns t01
	subscription t01 s01 receiveLockDurationInSeconds:60
	advance 0
	start egns-topicd
	publish 1
	start_worker --until-empty -- sh -c 'touch started; until [ -e go ]; do
		sleep 0.02; done'
	wait_for test -e started
	local before
	for _ in 1 2 3 4 5 6; do
		before=$(lock_on_disk)
		advance 21
		wait_for renewed "$before"
		[ "$(states)" = 1:locked ]
	done
	touch go
	ended 0
	[ ! -s said ]
	[ -z "$(states)" ]
}

lock_on_disk() {
	cksum <spool/topics/t01/subscriptions/s01/state.ndjson
}

renewed() {
	[ "$(lock_on_disk)" != "$1" ]
}

@test "TERM lets running commands finish, and settles them" {
	ns t01/s01
	start egns-topicd
	publish 1 2 3
	start_worker --batch 1 -j 1 -- sh -c 'touch started; until [ -e go ]; do
		sleep 0.02; done; cat'
	wait_for test -e started
	kill -TERM "$worker"
	wait_for signal_taken "$worker"
	touch go
	ended 0
	[ "$(jq -r .id out)" = 1 ]
	[ "$(states)" = "2:available 3:available" ]
}

signal_taken() {
	grep -q '^ShdPnd:[[:space:]]*0*$' "/proc/$1/status"
}

@test "TERM gives back what no command has begun with" {
	ns t01/s01
	start egns-topicd
	publish 1
	start_worker --batch 2 -- sh -c 'touch started; until [ -e go ]; do
		sleep 0.02; done'
	wait_for test -e started
	publish 2
	wait_for states_are "1:locked 2:locked"
	kill -TERM "$worker"
	wait_for states_are "1:locked 2:available"
	touch go
	ended 0
	[ "$(states)" = 2:available ]
}

@test "TERM ends a worker that waits" {
	ns t01/s01
	start egns-topicd
	publish 1
	start_worker cat
	wait_for test -s out
	kill -TERM "$worker"
	ended 0
}

@test "a second TERM ends at once, commands too" {
	ns t01/s01
	start egns-topicd
	publish 1
	start_worker -- sh -c 'touch started; exec sleep 1000'
	wait_for test -e started
	kill -TERM "$worker"
	wait_for signal_taken "$worker"
	kill -TERM "$worker"
	ended 75
	[ "$(states)" = 1:locked ]
}

# gone_and_back HOW - topicd ends by HOW while command 1 of 3 runs, which
# ends before topicd is back.
gone_and_back() {
	ns t01/s01
	start egns-topicd
	publish 1 2 3
	start_worker --until-empty -- sh -c 'touch started; until [ -e go ]; do
		sleep 0.02; done; echo $EGNS_EVENT_ID'
	wait_for test -e started
	"$1" egns-topicd
	wait_for grep -q 'the connection was lost' said
	touch go
	wait_for has_line 1 out
	start egns-topicd
	ended 0
	[ -z "$(states)" ]
}

@test "topicd may be restarted under a worker, which then settles what it did" {
	gone_and_back stop
	[ "$(paste -sd' ' out)" = "1 2 3" ]
	[ "$(wc -l <said)" -eq 1 ]
}

@test "topicd may be killed under a worker" {
	gone_and_back crash
	# A lock need not outlive a crash; then its event comes again.
	[ "$(sort -u out | paste -sd' ')" = "1 2 3" ]
}

@test "a worker that is stopped while topicd is away says what is not settled" {
	ns t01/s01
	start egns-topicd
	publish 1
	start_worker -- sh -c 'touch started; until [ -e go ]; do
		sleep 0.02; done; echo done'
	wait_for test -e started
	crash egns-topicd
	touch go
	wait_for test -s out
	kill -TERM "$worker"
	ended 75
	grep -q '1 event.* not settled' said
}

@test "a worker on a topic that is not there, or without a daemon, says so" {
	ns t01/s01
	run worker --until-empty cat
	[ "$status" -eq 69 ]
	start egns-topicd
	run egns-pull exec -t nope -s s01 --until-empty -- cat
	[ "$status" -eq 66 ]
	[[ $output == "egns-pull: "*nope* ]]
	run egns-pull exec -t t01 -s s01
	[ "$status" -eq 64 ]
	run egns-pull exec -t t01 -s s01 -j 0 cat
	[ "$status" -eq 64 ]
}
