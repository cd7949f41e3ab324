# shellcheck shell=bash
# up, down and status: the daemons of a namespace under the small supervisor.
load lib

# fake TEXT [NAME] - a directory with egns-ctl and an egns-NAME, topicd by
# default, that is this script.
fake() {
	mkdir -p fake
	cp "$B/egns-ctl" fake/
	printf '#!/bin/sh\n%s\n' "$1" >"fake/egns-${2:-topicd}"
	chmod +x "fake/egns-${2:-topicd}"
}

pid() {
	cat "spool/run/$1.lock"
}

substatus() {
	egns-ctl namespace topic event-subscription status --topic-name t01 "$@"
}

topicd_ready() {
	egns-ctl status -o none
}

not_running() {
	[ "$(egns-ctl status --jq ".daemons[] | select(.name == \"$1\").running")" = false ]
}

# names - of the daemons that should run, or do.
names() {
	egns-ctl status --jq '[.daemons[].name] | join(" ")' | jq -r .
}

problems() {
	egns-ctl status --jq '.problems[] | "\(.where): \(.count): \(.problem)"' |
		jq -r .
}

# letter TOPIC SUBSCRIPTION - topicd has handed a dead letter over.
letter() {
	start egns-topicd
	event 1 | egns-ctl publish -t "$1"
	egns-pull receive -t "$1" -s "$2" |
		egns-pull reject -t "$1" -s "$2" - >/dev/null
	stop egns-topicd
}

# another_than PID - topicd answers, and is another process.
another_than() {
	[ "$(pid topicd)" != "$1" ] && topicd_ready
}

@test "up -d returns when all daemons are ready, down when all are gone" {
	ns topic/sub-one
	egns-ctl up -d
	ask '{"op":"stats"}' | jq -se '.[0].ok'
	topicd=$(pid topicd) up=$(pid up)
	egns-ctl down
	process_ended "$topicd"
	process_ended "$up"
}

@test "up -d keeps nothing of its caller's open" {
	ns
	out=$(egns-ctl up -d 2>&1 | cat)
	[ -z "$out" ]
	egns-ctl down
}

@test "up in the foreground tells -r when it is ready and ends on TERM with 0" {
	ns
	mkfifo ready
	egns-ctl up -r 4 4>ready 2>up.log 3>&- &
	read -r -t "$PATIENCE" _ <ready
	topicd_ready
	topicd=$(pid topicd)
	kill "$!"
	wait "$!"
	process_ended "$topicd"
}

@test "status tells pid, since when, and counts; its exit code is the health" {
	ns topic/sub-one
	run -69 --separate-stderr egns-ctl status
	jq -e '.healthy == false and .daemons[0].running == false' <<<"$output"
	egns-ctl up -d
	event 1 | egns-ctl publish -t topic
	run -0 egns-ctl status -o json
	jq -e --argjson pid "$(pid topicd)" --argjson up "$(pid up)" '
		.healthy and .problems == [] and .supervisor.pid == $up and
		(.daemons[0] | .name == "topicd" and .pid == $pid and .ready and
		.topics == 1 and .subscriptions == 1 and .events == 1 and
		.pending == 1 and (.since | test("^20..-.*Z$")))' <<<"$output"
	run -0 egns-ctl status -o table
	[[ ${lines[0]} == Name*Running*Pid* ]]
	egns-ctl down
}

@test "status names what waits for a person" {
	ns topic
	mkdir -p spool/deadletter/corrupt spool/dropped
	touch spool/deadletter/corrupt/x
	echo '{}' >"spool/dropped/$(date -u +%F).ndjson"
	egns-ctl up -d
	run -0 egns-ctl status --jq '.problems[] | "\(.problem) \(.count)"'
	[[ $output == *"corrupt files 1"* ]]
	[[ $output == *"events dropped today 1"* ]]
	egns-ctl down
}

@test "a daemon that was killed is started again and has lost nothing" {
	ns topic/sub-one
	egns-ctl up -d
	event 1 | egns-ctl publish -t topic
	topicd=$(pid topicd)
	kill -KILL "$topicd"
	wait_for another_than "$topicd"
	egns-pull receive -t topic -s sub-one -w 0 | jq -e '.event.id == "1"'
	grep -q 'topicd: ended by signal 9' spool/run/up.log
	egns-ctl down
	egns-ctl audit -o none
}

@test "the delay between starts grows" {
	ns topic
	fake 'if [ -e ran ]; then exit 3; fi
touch ran; echo >&3; exec 3>&-; exit 3'
	fake/egns-ctl up -d
	fourth() { grep -q 'again in 0.8 s' spool/run/up.log; }
	wait_for fourth
	run -0 grep -o 'again in .*' spool/run/up.log
	[ "${lines[0]}" = "again in 0.1 s" ]
	[ "${lines[1]}" = "again in 0.2 s" ]
	[ "${lines[2]}" = "again in 0.4 s" ]
	egns-ctl down
}

@test "a second instance is refused and the first named" {
	ns topic
	egns-ctl up -d
	run -73 egns-ctl up
	[[ $output == *"runs already"*"$(pid up)"* ]]
	run -73 egns-ctl up -d
	[[ $output == *"runs already"*"$(pid up)"* ]]
	egns-ctl down
}

@test "up -d fails when topicd runs on its own, which down leaves alone" {
	ns topic
	start egns-topicd
	run -73 egns-ctl up -d
	[[ $output == *"egns-topicd: "*"runs already"* ]]
	run -69 egns-ctl down
	[[ $output == *"topicd: runs on its own"* ]]
	topicd_ready
}

@test "up -d gives the last words of a daemon that cannot start, and its status" {
	ns topic
	fake 'echo egns-topicd: fatal: no such moon >&2; exit 78'
	run -78 fake/egns-ctl up -d
	[[ $output == *"no such moon"*"topicd: did not start: ended with status 78"* ]]
	run -78 fake/egns-ctl up
	[[ $output == *"no such moon"* ]]
	grep -Eq '^20[0-9T:.-]+Z egns-topicd: fatal: no such moon$' spool/run/topicd.log
}

@test "up says so when there is no such daemon" {
	ns topic
	mkdir fake
	cp "$B/egns-ctl" fake/
	PATH=/usr/bin:/bin run -69 fake/egns-ctl up -d
	[[ $output == *"egns-topicd: No such file or directory"* ]]
}

@test "up -d that is interrupted before readiness leaves nothing" {
	ns topic
	fake 'echo started >started; exec sleep 1000'
	fake/egns-ctl up -d 3>&- &
	up=$!
	wait_for test -s started
	supervisor=$(pid up)
	kill -KILL "$up"
	wait "$up" || :
	wait_for process_ended "$supervisor"
}

@test "a daemon that does not stop is killed after --timeout" {
	ns topic
	fake 'trap "" TERM; echo >&3; exec sleep 1000 3>&-'
	fake/egns-ctl up -d --timeout 0
	egns-ctl down
	grep -q 'topicd: did not stop within 0 s: killed' spool/run/up.log
}

@test "down --timeout gives up waiting" {
	ns topic
	fake 'trap "" TERM; echo $$ >daemon; echo >&3; exec sleep 1000 3>&-'
	fake/egns-ctl up -d
	run -75 egns-ctl down --timeout 0
	[[ $output == *"still stopping"* ]]
	kill -KILL "$(cat daemon)"
	egns-ctl down
}

@test "down with nothing to stop says so and is content" {
	ns topic
	run -0 egns-ctl down
	[[ $output == *"nothing runs"* ]]
}

@test "HUP goes on to the daemons" {
	ns topic
	fake 'trap "echo reread >&2" HUP
trap "kill \$!; exit 0" TERM
sleep 1000 3>&- &
echo >&3; exec 3>&-
while :; do wait; done'
	fake/egns-ctl up -d
	kill -HUP "$(pid up)"
	reread() { grep -q 'Z reread$' spool/run/topicd.log; }
	wait_for reread
	egns-ctl down
}

@test "a daemon that a change makes necessary is started while up runs" {
	ns topic
	fake 'trap "echo again >hup" HUP; trap "kill \$!; exit 0" TERM
sleep 1000 3>&- &
echo >&3; exec 3>&-
while :; do wait; done'
	fake 'trap : HUP; trap "kill \$!; exit 0" TERM
echo "$@" >broker; mv broker started
sleep 1000 3>&- &
echo >&3; exec 3>&-
while :; do wait; done' brokerd
	fake/egns-ctl up -d
	fake/egns-ctl namespace update --set sku.capacity=2 -o none
	kill -HUP "$(pid up)"
	wait_for test -s hup
	[ ! -e started ]
	fake/egns-ctl namespace update -o none \
		--set topicSpacesConfiguration.state=Enabled
	wait_for test -s started
	grep -q -- "-C .*spool -r 3" started
	egns-ctl down
}

@test "egns-dlq runs when there is a dead-letter destination, or letters wait" {
	ns topic
	subscription topic sub-one '' --no-dead-letter
	egns-ctl up -d
	[ "$(names)" = topicd ]
	subscription topic sub-two
	dlq_ready() { [ -e spool/run/dlq.sock ] && egns-ctl status -o none; }
	wait_for dlq_ready
	[ "$(names)" = 'topicd dlq' ]
	egns-ctl down
	letter topic sub-two
	egns-ctl namespace topic event-subscription delete --yes -o none \
		--topic-name topic -n sub-two
	[ "$(names)" = 'topicd dlq' ]
	[[ $(problems) == *"deadletter: 1: dead letters wait, and egns-dlq does not run" ]]
	egns-ctl up -d
	written() { [ "$(cat spool/deadletter/written/* 2>/dev/null | wc -l)" -eq 1 ]; }
	wait_for written
	egns-ctl down
	[ "$(names)" = topicd ]
}

@test "status says why dead letters wait for their destination, and how many" {
	ns topic/sub-one
	mv spool/containers/local/deadletter away
	letter topic sub-one
	egns-ctl up -d
	waits() { problems | grep '^local/deadletter: 1: dead letters wait since 20'; }
	wait_for waits
	[[ $(problems) == *"; next attempt 20"* ]]
	egns-ctl status -o none
	egns-ctl status --jq '.daemons[1] | [.name, .destinations, .failing,
		.waiting, .written] == ["dlq", 1, 1, 1, 0]' | grep true
	run --separate-stderr egns-ctl status -o table
	[[ $stderr == "egns-ctl: local/deadletter: dead letters wait since 20"*"; count: 1" ]]
	mv away spool/containers/local/deadletter
	# a change makes it look again, whatever the change is
	egns-ctl namespace update --set sku.capacity=2 -o none
	none() { [ -z "$(problems)" ]; }
	wait_for none
	counted() { egns-ctl status --jq '.daemons[1] | [.failing, .waiting,
		.written, .blobs] == [0, 0, 1, 1]' | grep true; }
	wait_for counted
	egns-ctl down
}

@test "status shows where the broker really listens, and what it counts" {
	ns topic
	# shellcheck disable=SC2016 # it is the script's own name
	fake 'exec python3 "$0.py" 3>&3' brokerd
	cat >fake/egns-brokerd.py <<-'EOF'
	import fcntl, os, socket
	lock = os.open("spool/run/brokerd.lock", os.O_RDWR | os.O_CREAT, 0o600)
	fcntl.lockf(lock, fcntl.LOCK_EX)
	os.write(lock, b"%d\n" % os.getpid())
	s = socket.socket(socket.AF_UNIX)
	s.bind("spool/run/brokerd.sock")
	s.listen()
	os.write(3, b"\n")
	os.close(3)
	while True:
	    c, _ = s.accept()
	    f = c.makefile("rw")
	    f.write('{"egns":"brokerd","version":1}\n')
	    f.flush()
	    for line in f:
	        if "stats" in line:
	            f.write('{"ok":true,"count":1}\n{"listeners":{"mqtts":'
	                '"127.0.0.1:12345"},"connections":7}\n')
	        else:
	            f.write('{"ok":true}\n')
	        f.flush()
	EOF
	cp "$B/egns-topicd" fake/
	fake/egns-ctl namespace update -o none \
		--set topicSpacesConfiguration.state=Enabled
	fake/egns-ctl up -d
	run -0 egns-ctl status -o json
	jq -e '.healthy and .listeners == {mqtts: "127.0.0.1:12345"} and
		(.daemons[1] | .name == "brokerd" and .ready and .connections == 7 and
		(has("listeners") | not))' <<<"$output"
	run -0 egns-ctl status -o table
	[[ $output == *"mqtts 127.0.0.1:12345"* ]]
	# it hears of changes, too
	egns-ctl namespace update --set sku.capacity=2 -o none
	egns-ctl down
}

@test "daemons do not outlive a supervisor that was killed" {
	ns topic
	egns-ctl up -d
	topicd=$(pid topicd)
	kill -KILL "$(pid up)"
	wait_for process_ended "$topicd"
	not_running topicd
	egns-ctl up -d
	egns-ctl down
}

@test "a log that is full becomes NAME.log.old" {
	ns topic
	mkdir -p spool/run
	truncate -s 10M spool/run/topicd.log
	fake 'echo first >&2; exit 1'
	run -1 fake/egns-ctl up -d
	[ "$(stat -c %s spool/run/topicd.log.old)" -eq 10485760 ]
	grep -q 'Z first$' spool/run/topicd.log
}

@test "a change is in force in a running topicd when egns-ctl returns" {
	ns topic
	egns-ctl up -d
	topic late
	subscription late sub-one
	event 1 | egns-ctl publish -t late
	egns-pull receive -t late -s sub-one -w 0 | jq -e '.event.id == "1"'
	egns-ctl down
}

@test "wrong flags are answered with the usage" {
	run -64 egns-ctl up -x
	[[ $output == *"usage: egns-ctl up"* ]]
	run -64 egns-ctl down now
	run -64 egns-ctl up -r
}

@test "every program says how it is used" {
	for program in topicd brokerd route push pull dlq replay; do
		for help in -h --help; do
			run -0 --separate-stderr "egns-$program" $help
			[[ $output == "usage: egns-$program "* && -z $stderr ]]
		done
		run -64 --separate-stderr "egns-$program" --frob
		[[ -z $output && $stderr == *"usage: egns-$program "* ]]
	done
	run -0 --separate-stderr egns-pull release -h
	[[ $output == "usage: egns-pull release "* && -z $stderr ]]
	[ "${#lines[@]}" -eq 1 ]
	run -64 egns-topicd now
	run -64 egns-pull
	run -64 egns-pull -t t01 receive
	[[ $output == "egns-pull: '-t': a command comes first"* ]]
	run -64 egns-ctl --hlep
	[[ $output == "egns-ctl: '--hlep': a command comes first"* ]]
	run -64 egns-pull recieve -h
	[[ $output == "egns-pull: 'recieve': no such command"* ]]
}

@test "event-subscription status counts each subscription of a topic, or one" {
	ns t01/s01 t02/s01
	subscription t01 s02 '' --no-dead-letter
	start egns-topicd
	for id in {1..9}; do event "$id"; done | egns-ctl publish -t t01
	egns-pull receive -t t01 -s s01 -n 4 >received
	head -n 1 received | egns-pull acknowledge -t t01 -s s01 - >/dev/null
	tail -n 1 received | egns-pull reject -t t01 -s s01 - >/dev/null
	egns-pull receive -t t01 -s s02 -n 3 |
		egns-pull reject -t t01 -s s02 - >/dev/null
	run -0 --separate-stderr substatus -n s01
	jq -e '.topic == "t01" and .subscription == "s01" and
		.state == "Active" and .deliveryMode == "Queue" and
		.matched == 9 and .pending == 5 and .inFlight == 2 and
		.acknowledged == 1 and .deadLettered == {Rejected: 1} and
		.dropped == {} and (.oldest | endswith("Z"))' <<<"$output"
	run -0 substatus --query '[].[subscription, dropped.Rejected]' -o tsv
	[ "$output" = $'s01\t\ns02\t3' ]
	run -0 substatus -o table
	[[ ${lines[0]} == Topic*Subscription*DeadLettered*Oldest* ]]
	[[ ${lines[3]} =~ ^t01\ +s02\ .*\ 0\ +Rejected:3\  ]]
	[ "${#lines[@]}" -eq 4 ]
}

@test "event-subscription status says what is not there" {
	ns t01/s01
	run -69 substatus
	[[ $output == *"egns-ctl up"* ]]
	start egns-topicd
	run -66 egns-ctl namespace topic event-subscription status --topic-name t02
	[ "$output" = "egns-ctl: topics/t02: not found" ]
	run -66 substatus --event-subscription-name s02
	[ "$output" = \
		"egns-ctl: topics/t01/eventSubscriptions/s02: not found" ]
	run -64 egns-ctl namespace topic event-subscription status -n s01
	run -0 egns-ctl namespace topic event-subscription status -h
	[[ $output == *"--topic-name"* ]]
}

@test "event-subscription status says that one has expired" {
	advance 0
	ns t01/s01
	subscription t01 s02 '' \
		--expiration-time-utc "$(date -u -d '+1 hour' +%FT%TZ)"
	start egns-topicd
	run -0 substatus --query '[].state' -o tsv
	[ "$output" = $'Active\nActive' ]
	advance 3700
	run -0 substatus --query '[].[subscription, state]' -o tsv
	[ "$output" = $'s01\tActive\ns02\tExpired' ]
	no_counts() { substatus -n s02 | jq -e '.matched == null'; }
	wait_for no_counts
	run -0 substatus -n s02 -o tsv
	[[ $output == $'t01\ts02\tExpired\t\t\t\t\t\t\t\t\t2'*Z ]]
}
