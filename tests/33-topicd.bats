# shellcheck shell=bash
# What topicd says to those who speak to its socket, and to those who misspeak.
load lib

# publish COUNT LINE... - the answer to a publish on topic t01.
publish() {
	ask "{\"op\":\"publish\",\"topic\":\"t01\",\"count\":$1}" "${@:2}"
}

# refused CODE PATTERN LINE... - the first answer is this error.
refused() {
	local code=$1 pattern=$2 answer
	shift 2
	answer=$(ask "$@" | head -n 1)
	jq -e --arg code "$code" --arg pattern "$pattern" '.ok == false and
		.error.code == $code and (.error.message | test($pattern))' \
		<<<"$answer" >/dev/null || { echo "$answer"; return 1; }
}

# bad_event PATTERN EVENT - refused with BadRequest, and nothing is stored.
bad_event() {
	refused BadRequest "$1" \
		'{"op":"publish","topic":"t01","count":2}' "$(event ok)" "$2" &&
		[ ! -s "$(log_file)" ]
}

log_file() {
	echo spool/topics/t01/log/00000000000000000000.ndjson
}

receive() {
	ask "{\"op\":\"receive\",\"topic\":\"t01\",\"subscription\":\"s01\",\
\"maxEvents\":$1,\"maxWaitTime\":${2:-0}}"
}

# connect - open the socket on descriptor pair of coproc PEER.
connect() {
	coproc PEER { exec socat - UNIX-CONNECT:spool/run/topicd.sock 3>&-; }
	read -r -t "$PATIENCE" -u "${PEER[0]}" _
}

hang_up() {
	local pid=$PEER_PID
	kill "$pid" && { wait "$pid" || :; }
}

@test "topicd greets with its name and version" {
	ns t01/s01
	start egns-topicd
	run socat -t1 - UNIX-CONNECT:spool/run/topicd.sock </dev/null
	[ "$output" = '{"egns":"topicd","version":1}' ]
}

@test "what is published is in the log, byte for byte, before the answer" {
	ns t01/s01
	start egns-topicd
	local odd='{ "id" : "1","source":"/s", "subject" : "ä", "type":"t","specversion":"1.0","data":{"n": 1.0e2, "s":"\u00e4/\/"} }'
	[ "$(publish 1 "$odd")" = '{"ok":true,"count":1}' ]
	grep -qF "\"event\":$odd}" "$(log_file)"
	receive 1 | tail -n 1 | grep -qF "\"event\":$odd}"
}

@test "an empty publish is a publish" {
	ns t01/s01
	start egns-topicd
	[ "$(publish 0)" = '{"ok":true,"count":0}' ]
}

@test "a publish is all or nothing" {
	ns t01/s01
	start egns-topicd
	refused BadRequest '^event 3: ' \
		'{"op":"publish","topic":"t01","count":3}' \
		"$(event 1)" "$(event 2)" '{}'
	[ "$(receive 10)" = '{"ok":true,"count":0}' ]
}

@test "malformed events are refused by name" {
	ns t01/s01
	start egns-topicd
	local e='{"specversion":"1.0","id":"1","source":"/s","type":"t"'
	bad_event '"id"' '{"specversion":"1.0","source":"/s","type":"t"}'
	bad_event '"id"' '{"specversion":"1.0","id":"","source":"/s","type":"t"}'
	bad_event '"source"' '{"specversion":"1.0","id":"1","type":"t"}'
	bad_event '"source"' '{"specversion":"1.0","id":"1","source":"","type":"t"}'
	bad_event '"type"' '{"specversion":"1.0","id":"1","source":"/s"}'
	bad_event '"type"' '{"specversion":"1.0","id":"1","source":"/s","type":""}'
	bad_event 'specversion' '{"specversion":"0.3","id":"1","source":"/s","type":"t"}'
	bad_event 'specversion' '{"id":"1","source":"/s","type":"t"}'
	bad_event 'Abc' "$e,\"Abc\":1}"
	bad_event 'a-b' "$e,\"a-b\":1}"
	bad_event 'abcdefghijklmnopqrstu' "$e,\"abcdefghijklmnopqrstu\":1}"
	bad_event '"id"' '{"specversion":"1.0","id":null,"source":"/s","type":"t"}'
	bad_event '"id"' '{"specversion":"1.0","id":7,"source":"/s","type":"t"}'
	bad_event 'ext' "$e,\"ext\":1.5}"
	bad_event 'ext' "$e,\"ext\":{}}"
	bad_event 'data_base64' "$e,\"data\":1,\"data_base64\":\"AA==\"}"
	bad_event 'data_base64' "$e,\"data_base64\":\"A*==\"}"
	bad_event '"time"' "$e,\"time\":\"yesterday\"}"
	bad_event 'EventGrid' '{"id":"1","eventType":"t","subject":"s","eventTime":"2026-01-01T00:00:00Z","data":{},"dataVersion":"1"}'
	bad_event 'UTF-8' "$e,\"data\":\"$(printf '\xc3(')\"}"
	bad_event '"id"' "$e,\"id\":\"2\"}"
	bad_event '"id"' "$e,\"\\u0069d\":\"2\"}"
	bad_event 'deep' "$e,\"data\":$(printf '[%.0s' {1..10000})$(printf ']%.0s' {1..10000})}"
	bad_event . '[]'
	bad_event . ''
	bad_event . "$e"
	[ "$(publish 1 "$(event fine)")" = '{"ok":true,"count":1}' ]
}

@test "a NUL in an event is refused, and the next request answered" {
	ns t01/s01
	start egns-topicd
	run socat -t "$PATIENCE" - UNIX-CONNECT:spool/run/topicd.sock < <(
		echo '{"op":"publish","topic":"t01","count":1}'
		printf '{"specversion":"1.0","id":"a\0","source":"/s","type":"t"}\n'
		echo '{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":0}')
	[[ ${lines[1]} == *BadRequest* ]]
	[ "${lines[2]}" = '{"ok":true,"count":0}' ]
}

@test "an event over 1 MB, a batch over 1 MB and one of 1,001 are too large" {
	ns t01/s01
	start egns-topicd
	local big
	big=$(head -c 1048577 /dev/zero | tr '\0' x)
	printf '%s\n' '{"op":"publish","topic":"t01","count":1}' \
		"$(event 1 "\"$big\"")" '{"op":"stats"}' >in
	run socat -t "$PATIENCE" - UNIX-CONNECT:spool/run/topicd.sock <in
	[[ ${lines[1]} == *'"PayloadTooLarge"'*'event 1:'* ]]
	[[ ${lines[2]} == '{"ok":true,"count":2}' ]]
	{
		echo '{"op":"publish","topic":"t01","count":3}'
		for id in 1 2 3; do event $id "\"${big:0:400000}\""; done
		echo '{"op":"stats"}'
	} >in
	run socat -t "$PATIENCE" - UNIX-CONNECT:spool/run/topicd.sock <in
	[[ ${lines[1]} == *'"PayloadTooLarge"'* ]]
	[[ ${lines[2]} == '{"ok":true,"count":2}' ]]
	{
		echo '{"op":"publish","topic":"t01","count":1001}'
		for ((i = 0; i < 1001; i++)); do event $i; done
		echo '{"op":"stats"}'
	} >in
	run socat -t "$PATIENCE" - UNIX-CONNECT:spool/run/topicd.sock <in
	[[ ${lines[1]} == *'"PayloadTooLarge"'*1000* ]]
	[[ ${lines[2]} == '{"ok":true,"count":2}' ]]
}

@test "an endless line ends its connection, and no other" {
	ns t01/s01
	start egns-topicd
	run python3 - spool/run/topicd.sock <<-'END'
	import socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	sent = 0
	try:
	    while sent < 100000000:
	        sent += s.send(b"x" * 65536)
	except OSError:
	    pass
	print(s.makefile().read(), sent < 100000000)
	END
	[[ $output == *True ]]
	[[ $output == *PayloadTooLarge* ]]
	[ "$(publish 1 "$(event 1)")" = '{"ok":true,"count":1}' ]
}

@test "what is no request ends the connection after an error" {
	ns t01/s01
	start egns-topicd
	local line
	for line in 'hello' '[]' '{}' '{"op":7}' '' \
		'{"op":"publish","topic":"t01","count":-1}' \
		'{"op":"publish","topic":"t01","count":"2"}'; do
		run ask "$line" '{"op":"stats"}'
		[ "${#lines[@]}" -eq 1 ]
		[[ ${lines[0]} == *'"BadRequest"'* ]]
	done
}

@test "a wrong request is answered, and the next one served" {
	ns t01/s01
	start egns-topicd
	local line
	while IFS=$'\t' read -r code pattern line; do
		run ask "$line" '{"op":"reload"}'
		jq -e --arg c "$code" --arg p "$pattern" \
			'.error.code == $c and (.error.message | test($p))' \
			<<<"${lines[0]}"
		[ "${lines[1]}" = '{"ok":true}' ]
	done <<-'END'
	BadRequest	unknown operation	{"op":"destroy"}
	NotFound	t99	{"op":"receive","topic":"t99","subscription":"s01"}
	NotFound	s99	{"op":"receive","topic":"t01","subscription":"s99"}
	NotFound	t99	{"op":"publish","topic":"t99","count":0}
	BadRequest	needs "topic"	{"op":"publish","count":0}
	BadRequest	maxEvents	{"op":"receive","topic":"t01","subscription":"s01","maxEvents":0}
	BadRequest	maxEvents	{"op":"receive","topic":"t01","subscription":"s01","maxEvents":1001}
	BadRequest	maxWaitTime	{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":3601}
	BadRequest	maxevents	{"op":"receive","topic":"t01","subscription":"s01","maxevents":1}
	BadRequest	twice	{"op":"peek","topic":"t01","topic":"t01","subscription":"s01"}
	BadRequest	lockTokens	{"op":"acknowledge","topic":"t01","subscription":"s01","lockTokens":[]}
	BadRequest	lockTokens.1	{"op":"acknowledge","topic":"t01","subscription":"s01","lockTokens":["a",1]}
	BadRequest	releaseDelay	{"op":"release","topic":"t01","subscription":"s01","lockTokens":["a"],"releaseDelayInSeconds":604801}
	BadRequest	none of the names	{"op":"reject","topic":"t01","subscription":"s01","lockTokens":["a"],"reason":"Corrupt"}
	BadRequest	go together	{"op":"publish","topic":"t01","count":0,"producer":"p"}
	BadRequest	higher "sequence"	{"op":"publish","topic":"t01","count":0,"after":0}
	BadRequest	higher "sequence"	{"op":"publish","topic":"t01","count":0,"producer":"p","sequence":4,"after":4}
	BadRequest	"after"	{"op":"publish","topic":"t01","count":0,"producer":"p","sequence":4,"after":-1}
	BadRequest	"after"	{"op":"publish","topic":"t01","count":0,"producer":"p","sequence":4,"after":9007199254740992}
	BadRequest	needs "topic"	{"op":"producer","producer":"p"}
	BadRequest	needs "producer"	{"op":"producer","topic":"t01"}
	BadRequest	no member	{"op":"producer","topic":"t01","producer":"p","subscription":"s01"}
	BadRequest	no quotes	{"op":"producer","topic":"t01","producer":"p\"q"}
	NotFound	t99	{"op":"producer","topic":"t99","producer":"p"}
	END
}

@test "the events of a refused publish are passed over, as many as were announced" {
	ns t01/s01
	start egns-topicd
	run ask '{"op":"publish","topic":"t99","count":2}' "$(event 1)" \
		"$(event 2)" '{"op":"reload"}'
	[[ ${lines[0]} == *'"NotFound"'* ]]
	[ "${lines[1]}" = '{"ok":true}' ]
}

@test "a count that lies is found out" {
	ns t01/s01
	start egns-topicd
	# more lines than announced: the next is no request
	run publish 1 "$(event 1)" "$(event 2)"
	[ "${lines[0]}" = '{"ok":true,"count":1}' ]
	[[ ${lines[1]} == *'"BadRequest"'* ]]
	# fewer: the next request is no event
	refused BadRequest '^event 2' '{"op":"publish","topic":"t01","count":2}' \
		"$(event 3)" '{"op":"stats"}'
}

@test "a peer that stops in the middle is told so and let go" {
	advance 0
	ns t01/s01
	start egns-topicd
	connect
	# at once, so that topicd has both lines or none
	printf '%s\n' '{"op":"publish","topic":"t01","count":2}' \
		"$(event 1)" >&"${PEER[1]}"
	wait_for told_later
	[[ $answer == *'1 of 2 event lines did not come'* ]]
	run ! read -r -t "$PATIENCE" -u "${PEER[0]}" answer
	wait "$PEER_PID" || :
}

# The time of the peer begins when topicd has read its lines.
told_later() {
	advance 61
	read -r -t 1 -u "${PEER[0]}" answer
}

@test "a peer that never reads its answers stops nobody" {
	ns t01/s01
	start egns-topicd
	local i
	for ((i = 0; i < 50; i++)); do
		event "$i" "\"$(printf 'x%.0s' {1..20000})\""
	done >in
	egns-ctl publish -t t01 in
	/usr/bin/python3 - spool/run/topicd.sock >out 3>&- <<-'END' &
	import array, fcntl, socket, sys, termios, time
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	s.sendall(b'{"op":"peek","topic":"t01","subscription":"s01",'
	          b'"maxEvents":50}\n' * 2000)
	# an answer is 1 MB
	unread = array.array("i", [0])
	while unread[0] < 100000:
	    fcntl.ioctl(s, termios.FIONREAD, unread)
	    time.sleep(0.02)
	print("deaf", flush=True)
	time.sleep(600)
	END
	local deaf=$!
	wait_for grep -q deaf out
	[ "$(publish 1 "$(event 1)")" = '{"ok":true,"count":1}' ]
	kill "$deaf" && { wait "$deaf" || :; }
	# shellcheck disable=SC2154 # of lib.bash
	awk '/VmRSS/ { exit $2 >= 65536 }' "/proc/${pid_of[egns-topicd]}/status"
}

@test "requests may be pipelined: answers come in order" {
	ns t01/s01
	start egns-topicd
	run ask '{"op":"publish","topic":"t01","count":1}' "$(event 1)" \
		'{"op":"publish","topic":"t01","count":1}' '{}' \
		'{"op":"publish","topic":"t01","count":2}' "$(event 2)" \
		"$(event 3)" \
		'{"op":"receive","topic":"t01","subscription":"s01","maxEvents":5}' \
		'{"op":"destroy"}'
	[ "${lines[0]}" = '{"ok":true,"count":1}' ]
	[[ ${lines[1]} == *BadRequest* ]]
	[ "${lines[2]}" = '{"ok":true,"count":2}' ]
	[ "${lines[3]}" = '{"ok":true,"count":3}' ]
	[[ ${lines[7]} == *'unknown operation'* ]]
}

@test "pipelined requests go on however large their answers are" {
	ns t01/s01
	start egns-topicd
	local i
	for ((i = 0; i < 1000; i++)); do event "$i"; done | egns-ctl publish -t t01
	for ((i = 0; i < 20; i++)); do
		echo '{"op":"peek","topic":"t01","subscription":"s01","maxEvents":1000}'
	done >in
	[ "$(ask "$(<in)" | wc -l)" -eq 20020 ]
}

@test "a producer's batch that was stored before is not stored again" {
	ns t01/s01
	start egns-topicd
	local head='{"op":"publish","topic":"t01","count":1,"producer":"p","sequence":'
	[ "$(ask "${head}7}" "$(event 1)")" = '{"ok":true,"count":1}' ]
	[ "$(ask "${head}7}" "$(event 1)")" = '{"ok":true,"count":1,"duplicate":true}' ]
	crash egns-topicd
	start egns-topicd
	[ "$(ask "${head}7}" "$(event 1)")" = '{"ok":true,"count":1,"duplicate":true}' ]
	[ "$(ask "${head}8}" "$(event 2)")" = '{"ok":true,"count":1}' ]
	restart egns-topicd
	[ "$(ask "${head}8}" "$(event 2)")" = '{"ok":true,"count":1,"duplicate":true}' ]
	[ "$(wc -l <"$(log_file)")" -eq 2 ]
}

@test "a publish for one subscription reaches only that one" {
	ns t01/s01 t01/s02
	start egns-topicd
	ask '{"op":"publish","topic":"t01","count":1,"subscription":"s02"}' \
		"$(event 1)"
	[ "$(receive 5)" = '{"ok":true,"count":0}' ]
	run ask '{"op":"receive","topic":"t01","subscription":"s02","maxWaitTime":0}'
	[ "${lines[0]}" = '{"ok":true,"count":1}' ]
}

@test "1,000 connections that say nothing keep nobody out" {
	ns t01/s01
	start egns-topicd
	python3 - spool/run/topicd.sock <<-'END'
	import socket, sys
	peers = []
	for i in range(1000):
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    peers.append(s)
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	f = s.makefile("rw")
	assert "egns" in f.readline()
	f.write('{"op":"stats"}\n')
	f.flush()
	assert '"ok":true' in f.readline()
	END
}

@test "unfinished requests that fill the memory cost no other its request" {
	ns t01/s01
	start egns-topicd
	python3 - spool/run/topicd.sock <<-'END'
	import json, socket, sys
	def connect():
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    f = s.makefile("rb")
	    f.readline()
	    return s, f
	event = json.dumps({"specversion": "1.0", "id": "1", "source": "/t",
	    "type": "t", "data": "x" * 1000000})
	publish = ('{"op":"publish","topic":"t01","count":1}\n%s\n' %
	    event).encode()
	peers = []
	for i in range(100):
	    s, f = connect()
	    s.sendall(publish[:-100])
	    peers.append((s, f))
	s, f = connect()
	s.sendall(publish)
	assert f.readline() == b'{"ok":true,"count":1}\n'
	assert b"TooManyRequests" in peers[0][1].readline()
	END
}

@test "users without a role are told what is missing" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to become another user"
	ns t01/s01
	chmod 755 . "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || :
	start egns-topicd
	as_nobody() {
		printf '%s\n' "$@" | setpriv --reuid 65534 --regid 65534 \
			--clear-groups socat -t "$PATIENCE" - \
			"UNIX-CONNECT:spool/run/topicd.sock" | tail -n +2
	}
	run as_nobody '{"op":"publish","topic":"t01","count":1}' "$(event 1)" \
		'{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":0}' \
		'{"op":"stats"}' '{"op":"reload"}'
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[0]} == *'"Forbidden"'*'EventGrid Data Sender'* ]]
	[[ ${lines[1]} == *'"Forbidden"'*'EventGrid Data Receiver'* ]]
	[[ ${lines[2]} == *'"Forbidden"'* ]]
	[[ ${lines[3]} == *'"Forbidden"'* ]]
	egns-ctl role assignment create --assignee uid:65534 \
		--role 'EventGrid Data Sender' --scope topics/t01 -o none
	run as_nobody '{"op":"publish","topic":"t01","count":1}' "$(event 1)" \
		'{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":0}'
	[ "${lines[0]}" = '{"ok":true,"count":1}' ]
	[[ ${lines[1]} == *'"Forbidden"'* ]]
}

@test "filters decide who gets a copy; a changed filter is in force at once" {
	ns t01/all
	subscription t01 hot '' --filters-configuration '{"filters":[{"operatorType":"NumberGreaterThan","key":"data.c","value":90}]}'
	start egns-topicd
	publish 2 "$(event 1 '{"c":91.4}')" "$(event 2 '{"c":20}')"
	count() {
		ask "{\"op\":\"stats\",\"topic\":\"t01\",\"subscription\":\"$1\"}" |
			tail -n 1 | jq .matched
	}
	[ "$(count all)" -eq 2 ]
	[ "$(count hot)" -eq 1 ]
	egns-ctl namespace topic event-subscription update --topic-name t01 \
		-n hot -o none --filters-configuration '{"filters":[{"operatorType":"NumberGreaterThan","key":"data.c","value":10}]}'
	publish 2 "$(event 3 '{"c":11}')" "$(event 4 '{"c":9}')"
	[ "$(count hot)" -eq 2 ]
	# what was matched by the old filter stays matched by it after a crash
	crash egns-topicd
	start egns-topicd
	[ "$(count hot)" -eq 2 ]
	egns-ctl audit
}

@test "a reload waits for no pause of the load" {
	ns t01/s01
	start egns-topicd
	cat >hammer.py <<-'END'
	import json, os, socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect("spool/run/topicd.sock")
	f = s.makefile("rw")
	f.readline()
	def ask(head, lines=()):
	    f.write(json.dumps({"topic": "t01", **head}) + "\n" + "".join(lines))
	    f.flush()
	    return json.loads(f.readline())
	event = '{"specversion":"1.0","id":"1","source":"/s","type":"t"}\n'
	while not os.path.exists("enough"):
	    if sys.argv[1] == "publish":
	        ask({"op": "publish", "count": 1}, [event])
	        continue
	    n = ask({"op": "receive", "subscription": "s01", "maxWaitTime": 1})["count"]
	    tokens = [json.loads(f.readline())["brokerProperties"]["lockToken"]
	              for i in range(n)]
	    if tokens:
	        ask({"op": "acknowledge", "subscription": "s01", "lockTokens": tokens})
	END
	local i hammers=()
	for i in publish publish consume consume; do
		python3 hammer.py "$i" 3>&- &
		hammers+=($!)
	done
	wait_for test -s "$(log_file)"
	for i in {1..5}; do
		subscription t01 "new$i"
	done
	touch enough
	wait "${hammers[@]}"
	egns-ctl audit
}

@test "nobody else can take the locks that daemons and egns-ctl need" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to become another user"
	ns t01/s01
	chmod 755 . "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || :
	start egns-topicd
	event 1 | egns-ctl publish -t t01
	local path
	while read -r path; do
		run ! setpriv --reuid 65534 --regid 65534 --clear-groups \
			flock -s -n "$path" true
	done < <(find spool/namespace spool/run spool/dropped -type f \
		! -path '*/tls/*.pem'; echo spool/namespace)
	egns-pull peek -t t01 -s s01
}

@test "nobody else can take all connections" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to become another user"
	ns t01/s01
	chmod 755 . "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || :
	ulimit -n 400
	start egns-topicd
	setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/python3 - \
		spool/run/topicd.sock >out 3>&- <<-'END' &
	import socket, sys, time
	peers = []
	for i in range(250):
	    s = socket.socket(socket.AF_UNIX)
	    s.setblocking(False)
	    try:
	        s.connect(sys.argv[1])
	        s.send(b"x")
	    except BlockingIOError:
	        break
	    except BrokenPipeError:
	        pass
	    peers.append(s)
	print("all", flush=True)
	time.sleep(600)
	END
	local flood=$!
	wait_for grep -q all out
	event 1 | timeout "$PATIENCE" egns-ctl publish -t t01
	kill "$flood" && { wait "$flood" || :; }
}
