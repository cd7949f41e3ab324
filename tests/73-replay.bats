# egns-replay: dead letters go back.

load lib

sub=orders/worker

# letter ID REASON [MEMBERS [PROPERTIES]] - a line of a blob; ID is a number, and
# stands for the offset, too.
letter() {
	printf '{"specversion":"1.0","id":"%s","source":"/test","type":"t"%s,%s}\n' \
		"$1" "${3:-}" "\"deadletterProperties\":{\"deadletterreason\":\"$2\",\
\"deliveryattempts\":3,\"deliveryresult\":\"Forbidden\",\
\"lastDeliveryAttemptTime\":\"2026-01-31T12:01:00.000000Z\",\
\"publishTime\":\"2026-01-31T12:00:00.000000Z\",\
\"deadLetterTime\":\"${4:-2026-01-31T12:02:00.000000Z}\",\"offset\":$1}"
}

# letters FIRST LAST REASON
letters() {
	local i
	for ((i = $1; i <= $2; i++)); do
		letter "$i" "$3"
	done
}

# blob [NAME [TOPIC/SUBSCRIPTION]] - standard input becomes one.
blob() {
	local dir=$box/testns/${2:-$sub}/2026/01/31/12
	mkdir -p "$dir" && cat >"$dir/${1:-a}.json"
}

box=spool/containers/local/deadletter

# A namespace with two subscriptions, and egns-topicd.
replay_ns() {
	ns orders/worker orders/other && start egns-topicd
}

# replay ARG... - as run; its words are in $stderr.
replay() {
	run --separate-stderr egns-replay "$@"
	echo "status $status: $stderr"
}

# back [SUBSCRIPTION] - ids of what it has, in order.
back() {
	egns-pull peek -t orders -s "${1:-worker}" -n 1000 | jq -r .event.id |
		xargs
}

# left - what is in blobs, in order; of a part of the container: left _replayed.
left() {
	find "$box/${1:-testns}" -name '*.json' 2>/dev/null | sort |
		xargs -r cat | jq -r '.event // . | .id' | xargs
}

# ledger [JQ] - its lines.
ledger() {
	cat spool/replay/*-*.ndjson 2>/dev/null | jq -rc "${1:-.}"
}

@test "what --reason names goes back where it failed, to the byte, and leaves its blob" {
	replay_ns
	text='{"specversion":"1.0", "id":"7\u0041","source":"/test","type":"t","data":{"a":1.50, "a":2}'
	{
		printf '%s,"deadletterProperties":{"deadletterreason":"Rejected","deliveryattempts":1,"publishTime":"2026-01-31T12:00:00Z","deadLetterTime":"2026-01-31T12:02:00Z","offset":7}}\n' "$text"
		letter 8 SchemaRejected
	} | blob
	letter 9 rejected | blob b
	replay --reason Rejected
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$stderr" = "egns-replay: 2 replayed, 0 held, 0 quarantined, 0 to be tried later" ]
	[ "$(back)" = '7A 9' ]
	[ -z "$(back other)" ]
	grep -qF "\"event\":$text}}" spool/topics/orders/log/*
	[ "$(left)" = 8 ]
	[ "$(egns-pull peek -t orders -s worker |
		jq .brokerProperties.deliveryCount)" -le 1 ]
	[ "$(ledger '"\(.id) \(.topic) \(.subscription) \(.reason) \(.offset) \(.result)"')" = \
"7A orders worker Rejected 7 replayed
9 orders worker rejected 9 replayed" ]
	# what was named is, whatever the policy says of it
	replay --reason schemarejected
	[ "$status" -eq 0 ]
	[ "$(back)" = '7A 9 8' ]
	[ -z "$(left)" ]
	[ ! -e "$box/testns" ]
	# and nothing is left to be said
	replay --reason Rejected
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
}

@test "a reason that no dead letter has is told, with the one that it may be" {
	local words="egns-replay: no dead letter was found with the reason 'Unautorized'; did you mean 'Unauthorized'?"
	replay_ns
	letter 1 Unauthorized | tee in | blob
	replay --reason Unautorized
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$stderr" = "$words" ]
	replay --reason Unautorized,unauthorized --dry-run
	[ "$status" -eq 1 ]
	[[ $stderr == "$words"$'\n'* ]]
	run -0 --separate-stderr egns-replay --reason Unautorized - <in
	[ -z "$output" ]
	[ "$stderr" = "$words" ]
	replay --reason TimeToLiveExceeded
	[ -z "$stderr" ]
	[ "$(left)" = 1 ]
}

@test "--to topic gives it to all subscriptions that want it" {
	replay_ns
	letter 1 Unauthorized | blob
	replay --to topic
	[ "$status" -eq 0 ]
	[ "$(back)" = 1 ]
	[ "$(back other)" = 1 ]
}

every_reason() {
	letter 1 Unauthorized
	letter 2 TimeToLiveExceeded
	letter 3 MaxDeliveryCountExceeded
	letter 4 EndpointNotFound
	letter 5 Rejected
	letter 6 PayloadTooLarge
	letter 7 SchemaRejected
	letter 8 'A comet'
	letter 9 ''
}

@test "without --reason the policy decides" {
	replay_ns
	every_reason | blob
	replay
	[ "$status" -eq 0 ]
	[ "$stderr" = "egns-replay: 2 replayed, 7 held (MaxDeliveryCountExceeded, \
EndpointNotFound, Rejected, PayloadTooLarge, SchemaRejected, A comet, no reason), \
0 quarantined, 0 to be tried later" ]
	[ "$(back)" = '1 2' ]
	[ "$(left)" = '3 4 5 6 7 8 9' ]
	replay
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
}

@test "a policy of one's own" {
	replay_ns
	every_reason | blob
	cat >policy <<-'END'
		# reason  action
		endpointnotfound	rehydrate # has moved
		"a comet" rehydrate
		Unauthorized hold
		* rehydrate
	END
	# what is not named by a line does not go back by *
	replay --policy policy --dry-run
	[ "$status" -eq 1 ]
	[ "$(jq -r '"\(.id) \(.action)"' <<<"$output" | xargs -L1)" = \
"1 hold
2 rehydrate
3 rehydrate
4 rehydrate
5 rehydrate
6 rehydrate
7 quarantine
8 rehydrate
9 hold" ]
	[ "$(jq -r 'select(.id == "4").why' <<<"$output")" = \
		"policy: line 2 of policy" ]
	[ "$(jq -r 'select(.id == "7").why' <<<"$output")" = \
		"built-in policy: SchemaRejected quarantine" ]
	echo 'SchemaRejected rehydrate' | replay --policy - --dry-run
	run -0 egns-replay --policy - <<-'END'
		SchemaRejected rehydrate
		* hold
	END
	[ "$(back)" = 7 ]
}

@test "a policy that is none is told by its line" {
	replay_ns
	letter 1 Unauthorized | blob
	bad_policy 'Unauthorized' 'REASON and one of rehydrate, hold, quarantine'
	bad_policy 'Unauthorized replay' 'REASON and one of'
	bad_policy 'Unauthorized hold now' 'REASON and one of'
	bad_policy '"Unauthorized hold' 'the quotes do not end'
	bad_policy $'* hold\nUnauthorised hold' "line 2: there is no reason 'Unauthorised'; did you mean 'Unauthorized'?"
	bad_policy $'Unauthorized hold\nUNAUTHORIZED hold' \
		"line 2: 'UNAUTHORIZED' stands in line 1 already"
	bad_policy $'* hold\n\n* hold' "line 3: '*' stands in line 1 already"
	replay --policy nowhere
	[ "$status" -eq 66 ]
	[ "$(left)" = 1 ]
}

bad_policy() {
	printf '%s\n' "$1" >policy
	run -65 --separate-stderr egns-replay --policy policy
	[[ $stderr == "egns-replay: policy: "*"$2"* ]]
}

@test "--dry-run prints a plan, and changes nothing, without egns-topicd" {
	ns orders/worker
	{
		letter 1 Unauthorized ',"subject":"s"'
		letter 2 Rejected
	} | blob
	before=$(find spool/containers spool/topics -type f -print0 | sort -z |
		xargs -0 cksum)
	replay --dry-run
	[ "$status" -eq 1 ]
	[ "$stderr" = "egns-replay: 1 to replay, 1 to hold (Rejected), 0 to quarantine" ]
	[ "$(head -n 1 <<<"$output" | jq -c 'del(.key)')" = \
		'{"action":"rehydrate","why":"built-in policy: Unauthorized rehydrate","container":"local/deadletter","blob":"testns/orders/worker/2026/01/31/12/a.json","line":1,"topic":"orders","subscription":"worker","to":"subscription","id":"1","reason":"Unauthorized","result":"Forbidden","attempts":3,"publishTime":"2026-01-31T12:00:00.000000Z","deadLetterTime":"2026-01-31T12:02:00.000000Z","type":"t","subject":"s"}' ]
	[ "$(jq -r '.key | length' <<<"$output" | uniq)" = 32 ]
	[ "$before" = "$(find spool/containers spool/topics -type f -print0 |
		sort -z | xargs -0 cksum)" ]
	[ -z "$(ledger)" ]
	replay --dry-run --reason Rejected --to topic
	[ "$status" -eq 1 ]
	[ "$(jq -r '"\(.action) \(.to) \(.why)"' <<<"$output")" = \
		"rehydrate topic reason Rejected: named by --reason" ]
	replay --dry-run --reason EndpointNotFound
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$stderr" = "egns-replay: 0 to replay, 0 to hold, 0 to quarantine" ]
}

@test "what another namespace has in the same container is left to it" {
	replay_ns
	letter 1 Unauthorized | blob
	mkdir -p "$box/away/$sub/2026/01/31/12"
	letter 2 Unauthorized >"$box/away/$sub/2026/01/31/12/b.json"
	replay
	[ "$status" -eq 0 ]
	[ "$(back)" = 1 ]
	egns-dlq prune --older-than 1s
	letter 2 Unauthorized | diff - "$box/away/$sub/2026/01/31/12/b.json"
}

@test "--plan does what a person has made of a plan" {
	replay_ns
	letters 1 6 Unauthorized | blob
	letters 7 8 Rejected | blob b
	run -1 --separate-stderr egns-replay --dry-run
	jq -c 'select(.id != "1") | if .id == "2" then .action = "hold"
		elif .id == "3" then .action = "quarantine"
		elif .id == "4" then .action = "skip"
		elif .id == "7" then .action = "rehydrate" | .to = "topic"
		else . end | del(.why, .topic, .reason)' <<<"$output" >plan
	# in any order
	sort -r -o plan plan
	replay --plan plan
	[ "$status" -eq 65 ]
	[ "$stderr" = "egns-replay: 3 replayed, 2 held (Rejected, Unauthorized), 1 quarantined, 0 to be tried later" ] ||
	[ "$stderr" = "egns-replay: 3 replayed, 2 held (Unauthorized, Rejected), 1 quarantined, 0 to be tried later" ]
	[ "$(back | tr ' ' '\n' | sort | xargs)" = '5 6 7' ]
	[ "$(back other)" = 7 ]
	[ "$(left)" = '1 2 4 8' ]
	[ "$(left _quarantine)" = 3 ]
	# again: what went is told of, and nothing goes twice
	replay --plan - <plan
	[ "$status" -eq 0 ]
	[[ $stderr == *"standard input: line "*": the letter is not there any more"* ]]
	[ "$(back | wc -w)" -eq 3 ]
	[ "$(left)" = '1 2 4 8' ]
}

@test "what stands before a bad line of a plan is done, and no more" {
	replay_ns
	letters 1 3 Unauthorized | blob
	run -1 --separate-stderr egns-replay --dry-run
	cat <<<"$output" >good
	while read -r from to words; do
		sed "2s/$from/$to/" good >plan
		replay --plan plan
		[ "$status" -eq 65 ]
		[[ $stderr == *"egns-replay: plan: line 2: $words"* ]]
		[ "$(back)" = 1 ]
		[ "$(left)" = '2 3' ]
	done <<-'END'
		rehydrate destroy "action" must be rehydrate, hold, quarantine or skip
		"key":"..... "key":" "key" must be 32 hexadecimal digits
		"blob": "blab": "blob" must be the name of one
		"line":2 "line":"2" "line" must be a number
		"container" "contained" "container" must be the name of one
		subscription"," queue"," "to" must be subscription or topic
		{ [{ invalid JSON
	END
}

@test "a plan does not lead out of the containers" {
	replay_ns
	letter 1 Unauthorized | blob
	mkdir out && cp -r "$box/testns" out
	run -1 --separate-stderr egns-replay --dry-run
	cat <<<"$output" >good
	ln -s ../../../../out "$box/link"
	for name in ../../../../out/testns link/testns; do
		sed "s|\"testns/|\"$name/|" good >plan
		replay --plan plan
		[[ $stderr == *"egns-replay: "* ]]
		[ "$(grep -c . <<<"$stderr")" -eq 1 ]
		[ -e out/testns/orders/worker/2026/01/31/12/a.json ]
	done
	[ -z "$(back)" ]
}

@test "--quarantine puts aside what the policy says, and it is not looked at again" {
	replay_ns
	every_reason | blob
	letter 10 SchemaRejected | blob b
	replay --quarantine
	[ "$status" -eq 65 ]
	[ "$stderr" = "egns-replay: 2 replayed, 5 held (MaxDeliveryCountExceeded, \
EndpointNotFound, Rejected, A comet, no reason), 3 quarantined, 0 to be tried later" ]
	[ "$(left)" = '3 4 5 8 9' ]
	[ "$(left _quarantine)" = '6 7 10' ]
	letter 6 PayloadTooLarge | diff - <(head -n 1 \
		"$box/_quarantine/testns/$sub/2026/01/31/12/a.json")
	[ "$(ledger 'select(.result == "quarantined").id' | sort -n | xargs)" = '6 7 10' ]
	replay --quarantine
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	# more of the same name go beside it
	letters 11 12 SchemaRejected | blob b
	replay --quarantine
	[ "$status" -eq 65 ]
	[ "$(left _quarantine | tr ' ' '\n' | sort -n | xargs)" = '6 7 10 11 12' ]
	[ ! -e "$box/testns/$sub/2026/01/31/12/b.json" ]
}

@test "what an interrupted run has put aside already is put aside once" {
	replay_ns
	letters 1 2 SchemaRejected | blob
	mkdir -p "$box/_quarantine"
	cp -r "$box/testns" "$box/_quarantine/testns"
	replay --quarantine
	[ "$status" -eq 65 ]
	[ "$(left _quarantine)" = '1 2' ]
	[ -z "$(left)" ]
}

@test "what was put aside may be put back, and goes back" {
	replay_ns
	letters 1 2 SchemaRejected | blob
	run -65 egns-replay --quarantine
	mv "$box/_quarantine/testns" "$box/testns"
	replay
	[ "$status" -eq 0 ]
	[ "$(left)" = '1 2' ]
	replay --reason SchemaRejected
	[ "$status" -eq 0 ]
	[ "$(back)" = '1 2' ]
	[ -z "$(left)" ]
	# and is known then
	letters 1 2 SchemaRejected | blob
	replay --reason SchemaRejected
	[ "$(back)" = '1 2' ]
	[ -z "$(left)" ]
}

@test "--keep leaves a copy of what went back" {
	replay_ns
	letters 1 2 Unauthorized | blob
	cp "$box/testns/$sub/2026/01/31/12/a.json" was
	letter 3 Rejected >>"$box/testns/$sub/2026/01/31/12/a.json"
	replay --keep
	[ "$status" -eq 0 ]
	[ "$(left)" = 3 ]
	cmp was "$box/_replayed/testns/$sub/2026/01/31/12/a.json"
	# nothing looks there
	replay --reason Unauthorized,Rejected
	[ "$(back)" = '1 2 3' ]
	replay
	[ -z "$stderr" ]
}

@test "--again brings back what the ledger has" {
	replay_ns
	letter 1 Unauthorized | blob
	run -0 egns-replay
	letter 1 Unauthorized | blob c
	replay --dry-run
	[ "$status" -eq 1 ]
	[[ $(jq -r .why <<<"$output") == "was replayed 20"*": the ledger has it" ]]
	[ "$(jq -r .action <<<"$output")" = skip ]
	replay
	[ "$status" -eq 0 ]
	[[ $stderr == *"1 replayed before"* ]]
	[ "$(back)" = 1 ]
	[ -z "$(left)" ]
	letter 1 Unauthorized | blob d
	replay --again
	[ "$status" -eq 0 ]
	[ "$(back)" = '1 1' ]
	[ -z "$(left)" ]
}

@test "which ones: topic, subscription, time, subject, expression, number" {
	replay_ns
	topic others && subscription others worker
	letter 1 Unauthorized ',"subject":"a/1","data":{"n":1}' | blob
	letter 2 Unauthorized ',"subject":"b/1","data":{"n":2}' \
		2026-02-01T12:00:00Z | blob b
	letter 3 Unauthorized '' 2026-02-02T12:00:00Z | blob c
	letter 4 Unauthorized | blob a orders/other
	letter 5 Unauthorized | blob a others/worker
	plan() {
		replay --dry-run "$@"
		echo "$output" | jq -r .id | sort | xargs
	}
	[ "$(plan | tail -n 1)" = '1 2 3 4 5' ]
	[ "$(plan -t orders | tail -n 1)" = '1 2 3 4' ]
	[ "$(plan -t orders --subscription worker | tail -n 1)" = '1 2 3' ]
	[ "$(plan --since 2026-02-01 --until 2026-02-02 | tail -n 1)" = 2 ]
	[ "$(plan --subject b/ | tail -n 1)" = 2 ]
	[ "$(plan --select '.data.n > 1' | tail -n 1)" = 2 ]
	[ "$(plan --select '.deadletterProperties.offset == 3' |
		tail -n 1)" = 3 ]
	[ "$(plan --limit 2 | tail -n 1 | wc -w)" -eq 2 ]
	[ "$(plan --container local/deadletter -s other | tail -n 1)" = 4 ]
	replay -t orders -s worker --limit 1
	[ "$status" -eq 0 ]
	[ "$(back)" = 1 ]
	replay -t orders -s worker --limit 1
	[ "$(back)" = '1 2' ]
	[ "$(left | tr ' ' '\n' | sort | xargs)" = '3 4 5' ]
}

@test "a limit in the middle of a blob leaves the rest of it" {
	replay_ns
	letters 1 5 Unauthorized | blob
	replay --limit 2
	[ "$status" -eq 0 ]
	[ "$(back)" = '1 2' ]
	[ "$(left)" = '3 4 5' ]
}

@test "blobs of every documented shape go back" {
	replay_ns
	{
		cat <<-'END'
			{
			  "event": {"specversion":"1.0","id":"1","source":"/demo",
			    "type":"demo.reading","data":{"c":91.4}},
			  "customDeliveryProperties": {"x-team":"ops"},
			  "deadletterProperties": {
			    "deadletterreason":"Undeliverable due to client error",
			    "deliveryattempts":1, "deliveryresult":"Unauthorized",
			    "publishutc":"2026-01-31T12:00:00.0000000Z",
			    "deliveryattemptutc":"2026-01-31T12:30:00.0000000Z"}
			}
		END
	} | blob one
	blob two <<-'END'
		{"specversion":"1.0","id":"2","source":"/demo","type":"t","customDeliveryProperties":{"x":"y"},"deadLetterProperties":{"deadletterreason":"Unauthorized"},"data_base64":"AAE="}
	END
	blob three <<-'END'
		[{"event":{"specversion":"1.0","id":"3","source":"/demo","type":"t"},
		  "brokerProperties":{"deadletterreason":"TIMETOLIVEEXCEEDED"}},
		 {"event":{"specversion":"1.0","id":"4","source":"/demo","type":"t"},
		  "deadletterProperties":{"deadletterreason":"Maximum delivery attempts was exceeded."}},
		 {"event":{"specversion":"1.0","id":"5","source":"/demo","type":"t"},
		  "deadletterProperties":{"deadletterreason":"Unauthorized"}}]
	END
	replay
	[ "$status" -eq 0 ]
	[[ $stderr == *" 4 replayed, 1 held (Maximum delivery attempts was exceeded.), "* ]]
	[ "$(back | tr ' ' '\n' | sort | xargs)" = '1 2 3 5' ]
	egns-pull peek -t orders -s worker -n 10 | jq -es 'any(
		.event == {"specversion":"1.0","id":"1","source":"/demo",
			"type":"demo.reading","data":{"c":91.4}})'
	egns-pull peek -t orders -s worker -n 10 | jq -es 'any(
		.event == {"specversion":"1.0","id":"2","source":"/demo",
			"type":"t","data_base64":"AAE="})'
	# one stays, and is one still
	replay --reason MaxDeliveryCountExceeded
	[ "$status" -eq 0 ]
	[ "$(back | tr ' ' '\n' | sort | xargs)" = '1 2 3 4 5' ]
	[ ! -e "$box/testns" ]
	replay
	[ -z "$stderr" ]
}

@test "what is no dead letter stays, to the byte, and is told of" {
	replay_ns
	{
		letter 1 Unauthorized
		printf 'scribble \xff\n'
		letter 2 Rejected | sed 's/$/  /'
		printf '{"an":"event"}\n'
		letter 3 Unauthorized
		letter 4 Rejected | head -c 40
	} | blob
	{
		printf 'scribble \xff\n'
		letter 2 Rejected | sed 's/$/  /'
		printf '{"an":"event"}\n'
		letter 4 Rejected | head -c 40
	} >rest
	replay
	[ "$status" -eq 0 ]
	[ "$(back)" = '1 3' ]
	[[ $stderr == *"local/deadletter/testns/$sub/2026/01/31/12/a.json: line 2: "* ]]
	[[ $stderr != *$'\xff'* ]]
	cmp rest "$box/testns/$sub/2026/01/31/12/a.json"
}

@test "what has nowhere to go is held, with words" {
	replay_ns
	letter 1 Unauthorized | blob a orders/gone
	letter 2 Unauthorized | blob a gone/worker
	letter 3 Unauthorized >"$box/loose.json"
	mkdir -p "$box/testns/orders" && letter 4 Unauthorized | blob a ORDERS/WORKER
	replay --dry-run
	[ "$status" -eq 1 ]
	why() {
		jq -r "select(.id == \"$1\") | \"\\(.action): \\(.why)\"" \
			<<<"$output"
	}
	[ "$(why 1)" = "hold: there is no subscription 'gone' any more: make it again, or --to topic" ]
	[ "$(why 2)" = "hold: there is no topic 'gone' any more: make it again, or egns-dlq cat --events -t 'gone' | egns-ctl publish -t OTHER" ]
	[[ $(why 3) == "hold: the blob's name does not say its topic: "* ]]
	# the service has its own mind about the case of names
	[[ $(why 4) == "rehydrate: "* ]]
	replay
	[ "$status" -eq 65 ]
	[[ $stderr == *" 1 replayed, 3 held (Unauthorized), "* ]]
	# what is in the way, once for each subscription
	grep -qx "egns-replay: orders/gone: there is no subscription 'gone' any more: .*--to topic" <<<"$stderr"
	grep -qx "egns-replay: gone/worker: there is no topic 'gone' any more: .*" <<<"$stderr"
	grep -qx "egns-replay: local/deadletter/loose.json: line 1: the blob's name .*" <<<"$stderr"
	[ "$(wc -l <<<"$stderr")" -eq 4 ]
	replay --reason Unauthorized -s gone
	[ "$status" -eq 65 ] && [[ $stderr == *"orders/gone: there is no subscription"* ]]
	# a policy that holds them has no wish that could fail
	echo 'Unauthorized hold' >policy
	replay --policy policy
	[ "$status" -eq 0 ] && [ -z "$stderr" ]
	[ "$(back)" = 4 ]
	replay --to topic
	[ "$(back)" = '4 1' ]
	[ "$(back other)" = 1 ]
}

@test "what was never published is held" {
	replay_ns
	{
		letter 1 Unauthorized ',"Bad-Name":1'
		letter 2 Unauthorized | sed 's/"id":"2",//'
		letter 3 Unauthorized
	} | blob
	replay --dry-run
	jq -r .why <<<"$output" | grep -qxF \
		'not an event: "Bad-Name" is no attribute name: 1 to 20 characters of a-z and 0-9'
	jq -r .why <<<"$output" | grep -qxF 'not an event: "id" is missing'
	replay --reason Unauthorized
	[ "$status" -eq 65 ]
	[[ $stderr == *"/12/a.json: line 2: not an event: \"id\" is missing"* ]]
	[ "$(back)" = 3 ]
	[ "$(wc -l <"$box/testns/$sub/2026/01/31/12/a.json")" -eq 2 ]
}

@test "without egns-topicd all must be tried later" {
	ns orders/worker
	letters 1 3 Unauthorized | blob
	replay
	[ "$status" -eq 75 ]
	[[ $stderr == *"topicd"* ]]
	[[ $stderr == *"3 to be tried later"* ]]
	[ "$(left)" = '1 2 3' ]
	start egns-topicd
	replay
	[ "$status" -eq 0 ]
	[ "$(back)" = '1 2 3' ]
}

@test "a container that cannot be written is another time's, and nothing goes twice" {
	replay_ns
	letters 1 3 Unauthorized | blob
	letter 4 Rejected >>"$box/testns/$sub/2026/01/31/12/a.json"
	shim SHIM_EIO=1,1000 SHIM_PATH=a.json SHIM_CALLS=open,write,rename,unlink
	run --separate-stderr env LD_PRELOAD="$PRELOAD" egns-replay
	unshim
	echo "status $status: $stderr"
	[ "$status" -eq 75 ]
	[[ $stderr == *"local/deadletter/testns/"* ]]
	[[ $stderr == *"3 still to be taken out of their blobs"* ]]
	[ "$(left)" = '1 2 3 4' ]
	[ "$(back)" = '1 2 3' ]
	replay
	[ "$status" -eq 0 ]
	[ "$(back)" = '1 2 3' ]
	[ "$(left)" = 4 ]
}

@test "what egns-topicd refuses stays, and is told of" {
	replay_ns
	letters 1 8 Unauthorized | blob
	egns-replay --rate 1/s 2>words &
	pid=$!
	wait_for has_back 1
	egns-ctl namespace topic event-subscription delete --topic-name orders \
		-n worker --yes
	rc=0
	wait "$pid" || rc=$?
	cat words
	[ "$rc" -eq 65 ]
	grep 'refused' words
	grep -q "worker" words
	[ -n "$(left)" ]
	[ "$(cat spool/topics/orders/log/* | jq -r .event.id; left | xargs -n1)" = \
		"$(seq 8)" ]
	# and is held from now on, with words
	replay
	[ "$status" -eq 65 ]
	[[ $stderr == *"orders/worker: there is no subscription"* ]]
}

# has_back N [SUBSCRIPTION] - it has N at least.
has_back() {
	[ "$(back "${2:-worker}" | wc -w)" -ge "$1" ]
}

@test "what others write into a blob meanwhile stays there" {
	replay_ns
	letters 1 6 Unauthorized | blob
	egns-replay --rate 1/s &
	wait_for has_back 1
	letter 7 Unauthorized >>"$box/testns/$sub/2026/01/31/12/a.json"
	wait $!
	[ "$(back)" = '1 2 3 4 5 6' ]
	[ "$(left)" = 7 ]
}

@test "what others take away meanwhile is nobody's trouble" {
	replay_ns
	letters 1 6 Unauthorized | blob
	letters 7 8 Unauthorized | blob b
	egns-replay --rate 1/s 2>words &
	wait_for has_back 1
	rm "$box/testns/$sub/2026/01/31/12/"[ab].json
	wait $!
	[ "$(wc -l <words)" -eq 1 ]
	run -0 --separate-stderr egns-replay
	[ -z "$stderr" ]
}

@test "a thousand blobs of one letter are no thousand rounds" {
	replay_ns
	for i in {1..1000}; do
		letter "$i" Unauthorized | blob "b$i"
	done
	run -0 egns-replay
	[ "$(back | wc -w)" -eq 1000 ]
	[ ! -e "$box/testns" ]
	# it publishes under one sequence for each request
	[ "$(ask '{"op":"producer","topic":"orders","producer":"replay"}' |
		jq .sequence)" -le 2 ]
}

@test "rejected, written by egns-dlq, and brought back" {
	replay_ns
	start egns-dlq
	event 1 '{"a":1}' | egns-ctl publish -t orders
	egns-pull receive -t orders -s worker | egns-pull reject -t orders -s worker -
	wait_for blobs_are 1
	replay
	[ "$status" -eq 0 ]
	[[ $stderr != *"1 replayed"* ]]
	replay --reason Rejected
	[ "$status" -eq 0 ]
	[ "$(back)" = 1 ]
	[ "$(back other)" = 1 ]
	[ -z "$(left)" ]
	[ "$(cat spool/topics/orders/log/* | grep -cF "\"event\":$(event 1 '{"a":1}')}")" -eq 2 ]
	# fails again, and is another dead letter
	egns-pull receive -t orders -s worker | egns-pull reject -t orders -s worker -
	wait_for blobs_are 1
	replay --reason Rejected
	[ "$(back)" = 1 ]
	[ "$(ledger .key | sort -u | wc -l)" -eq 2 ]
}

blobs_are() {
	[ "$(find "$box" -name '*.json' | wc -l)" -eq "$1" ]
}

@test "two at once bring each back once" {
	replay_ns
	for i in {0..39}; do
		letters $((i * 25)) $((i * 25 + 24)) Unauthorized | blob "b$i"
	done
	for i in 1 2 3; do
		egns-replay 2>"$i.err" &
		pids[i]=$!
	done
	for i in 1 2 3; do
		wait "${pids[i]}" || { cat "$i.err"; false; }
	done
	[ -z "$(left)" ]
	[ "$(egns-pull peek -t orders -s worker -n 1000 | jq -r .event.id |
		sort -n | uniq | wc -l)" -eq 1000 ]
	[ "$(cat spool/topics/orders/log/* | wc -l)" -eq 1000 ]
	[ "$(ledger .key | sort -u | wc -l)" -eq 1000 ]
}

@test "killed at random, each dead letter is in one place, and goes back once" {
	replay_ns
	for i in {0..29}; do
		letters $((i * 100)) $((i * 100 + 99)) Unauthorized |
			blob "b$i"
	done
	for i in {1..40}; do
		egns-replay --quarantine --rate $((2000 * i)) 2>/dev/null &
		pid=$!
		sleep "0.0$((RANDOM % 80 + 10))"
		kill -KILL "$pid" 2>/dev/null || :
		wait "$pid" || :
	done
	run -0 egns-replay
	[ -z "$(left)" ]
	[ "$(cat spool/topics/orders/log/* | wc -l)" -eq 3000 ]
	[ "$(cat spool/topics/orders/log/* | jq -r .event.id | sort -u |
		wc -l)" -eq 3000 ]
	[ "$(ledger .key | sort -u | wc -l)" -eq 3000 ]
}

@test "killed at each step on disk, each dead letter is in one place" {
	replay_ns
	n=0
	killed=137
	while [ "$killed" -eq 137 ]; do
		n=$((n + 1))
		id=$((n * 10))
		{
			letter "$id" Unauthorized
			letter $((id + 1)) SchemaRejected
			letter $((id + 2)) Rejected
		} | blob "a$n"
		letters $((id + 3)) $((id + 4)) Unauthorized | blob "b$n"
		shim SHIM_KILL=$n
		run env LD_PRELOAD="$PRELOAD" egns-replay --quarantine --keep
		unshim
		killed=$status
		run egns-replay --quarantine --keep
		echo "$n: $killed $status $output"
		[ "$status" -eq 0 ] || [ "$status" -eq 65 ]
		[ "$(ids_of spool/topics/orders/log/* | sort -n | tail -n 3 |
			xargs)" = "$id $((id + 3)) $((id + 4))" ]
		rm "$box/testns/$sub/2026/01/31/12/a$n.json"
		[ -z "$(left)" ]
	done
	[ "$n" -gt 20 ]
	[ "$(ids_of spool/topics/orders/log/* | wc -l)" -eq $((3 * n)) ]
	[ "$(left _replayed | xargs -n1 | sort | uniq -d)" = '' ]
	[ "$(left _quarantine | wc -w)" -eq "$n" ]
	[ "$(ledger 'select(.result == "replayed").key' | sort -u | wc -l)" -eq \
		$((3 * n)) ]
}

ids_of() {
	cat "$@" | jq -r .event.id
}

@test "stored and in the ledger, but still in its blob: it is only taken out" {
	replay_ns
	letters 1 3 Unauthorized | blob
	letter 4 Rejected >>"$box/testns/$sub/2026/01/31/12/a.json"
	shim SHIM_KILL=1 SHIM_PATH=a.json SHIM_CALLS=open,write,rename,unlink
	run -137 env LD_PRELOAD="$PRELOAD" egns-replay
	unshim
	[ "$(left)" = '1 2 3 4' ]
	[ "$(back)" = '1 2 3' ]
	stop egns-topicd
	replay
	[ "$status" -eq 0 ]
	[[ $stderr == *"3 replayed before"* ]]
	[ "$(left)" = 4 ]
	start egns-topicd
	[ "$(back)" = '1 2 3' ]
}

@test "a copy of a dead letter is the same one" {
	replay_ns
	{
		letters 1 2 Unauthorized
		letter 1 Unauthorized
	} | blob
	letter 2 Unauthorized | blob copy
	replay
	[ "$status" -eq 0 ]
	[ "$(back)" = '1 2' ]
	[ -z "$(left)" ]
}

@test "--rate holds it back" {
	replay_ns
	letters 1 20 Unauthorized | blob
	local begin=${EPOCHREALTIME/./}
	replay --rate 20/s
	[ "$status" -eq 0 ]
	[ $((${EPOCHREALTIME/./} - begin)) -ge 700000 ]
	[ "$(back | wc -w)" -eq 20 ]
}

@test "--rate does not wait for a time that was undone" {
	replay_ns
	advance 0
	letters 1 5 Unauthorized | blob
	egns-replay --rate 1 2>err &
	wait_for test -s spool/replay/index.tch
	advance -7200
	wait $!
	[ "$(back | wc -w)" -eq 5 ]
}

@test "- takes records from a pipe, and prints the events of those that go back" {
	ns orders/worker
	every_reason >in
	run -0 --separate-stderr egns-replay - <in
	[ -z "$stderr" ]
	[ "$output" = "$(event 1; event 2)" ]
	run -0 --separate-stderr egns-replay --reason Rejected,'a comet' - <in
	[ "$output" = "$(event 5; event 8)" ]
	run -0 --separate-stderr egns-replay --limit 1 - <in
	[ "$output" = "$(event 1)" ]
	run -0 --separate-stderr egns-replay --select '.id == "2"' - <in
	[ "$output" = "$(event 2)" ]
	printf 'Rejected rehydrate\n' >policy
	run -0 --separate-stderr egns-replay --policy policy - <in
	[ "$output" = "$(event 1; event 2; event 5)" ]
	# arrays and objects in many lines, and what is none
	run -65 --separate-stderr egns-replay - < <(jq -s . in; echo scribble)
	[ "$(jq -c . <<<"$output")" = "$(event 1; event 2)" ]
	[[ $stderr == "egns-replay: standard input: line "* ]]
	[ -z "$(ls spool/replay)" ]
	# into a topic by hand
	start egns-topicd
	egns-replay --reason Rejected - <in | egns-ctl publish -t orders
	[ "$(back)" = 5 ]
}

@test "a pipe of more than a window" {
	data=$(head -c 3000 /dev/zero | tr '\0' x)
	seq 5000 | sed "s|.*|{\"specversion\":\"1.0\",\"id\":\"&\",\"source\":\"/t\",\"type\":\"t\",\"data\":\"$data\",\"deadletterProperties\":{\"deadletterreason\":\"Unauthorized\"}}|" >in
	egns-replay - <in | jq -r .id | diff - <(seq 5000)
	{ echo '['; sed '$!s/$/,/' in; echo ']'; } | egns-replay - |
		jq -r .id | diff - <(seq 5000)
}

@test "options that make no sense are refused" {
	ns orders/worker
	: >plan
	for args in '--to nowhere' '--rate 0' '--rate 5/h' '--rate 30/m' \
		'--limit x' '--since yesterday' '--plan plan --dry-run' \
		'--plan plan --reason Rejected' '--plan plan -' '-C spool -' \
		'-t orders -' '--dry-run -' 'word' '--nothing' \
		'--select .[' '--policy - -'; do
		# shellcheck disable=SC2086
		replay $args
		[ "$status" -eq 64 ] || { echo "$args"; false; }
		[ -z "$output" ]
	done
	replay --rate 5/h
	[ "$stderr" = "egns-replay: --rate '5/h': not N, N/s or N/m" ]
	for help in -h --help; do
		replay $help
		[ "$status" -eq 0 ] && [ -z "$stderr" ]
		[[ $output == "usage: egns-replay "*SELECTION* ]]
	done
	replay -C nowhere
	[ "$status" -eq 66 ]
	replay --reason Rejected -s wroker
	[ "$status" -eq 66 ]
	[[ $stderr == "egns-replay: there is no subscription 'wroker', "* ]]
	replay --plan nowhere
	[ "$status" -eq 66 ]
	replay --plan plan
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
}

@test "on a terminal there is a last line, and a bar" {
	replay_ns
	letters 1 30 Unauthorized | blob
	run -0 script -qec 'egns-replay --rate 15/s' /dev/null
	[[ $output == *"events replayed"* ]]
	[[ $output == *"30 replayed, 0 held, 0 quarantined, 0 to be tried later"* ]]
	run -0 script -qec 'egns-replay' /dev/null
	[[ $output == *"egns-replay: 0 replayed, 0 held, 0 quarantined, 0 to be tried later"* ]]
}
