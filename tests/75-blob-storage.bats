# shellcheck shell=bash
# egns-dlq and egns-replay on Blob Storage as its vendor's emulator has it, seen by
# the vendor's client.
load lib
load dlq
load storage
load azurite

# As dlq_ns; the dead letters of worker go to the emulator's container deadletter,
# which is there unless NO_CONTAINER is set.
azurite_ns() {
	azurite_up && dlq_ns || return
	[ -n "$NO_CONTAINER" ] || sdk create deadletter || return
	egns-ctl namespace update -o none \
		--set "endpoints=[$(azurite_endpoint)]" &&
		to "{\"endpointType\":\"StorageBlob\",\"properties\":{
			\"resourceId\":\"$azurite_id\",
			\"blobContainerName\":\"deadletter\"}}" worker
}

# seen ID... - wait until the vendor's client sees just these letters.
seen() {
	wait_for seen_now "$@" || { sdk dump deadletter; dlq stats; return 1; }
}

seen_now() {
	[ "$(sdk dump deadletter | jq -r .text | jq -r .id | sort | xargs)" = \
		"$(printf '%s\n' "$@" | sort | xargs)" ]
}

# The ids of what worker has got back.
back() {
	egns-pull peek -t orders -s worker -n 1000 |
		jq -r .event.id | sort -n | xargs
}

@test "what egns-dlq writes is there for the vendor's client, byte for byte" {
	local credential name text ids=(7A)
	azurite_ns
	start egns-dlq
	text='{"specversion":"1.0", "id":"7\u0041","source":"/t","type":"t","data":{"a":1.50, "ä":"€"}}'
	echo "$text" | egns-ctl publish -t orders
	egns-pull receive -t orders -s worker -w 5 |
		egns-pull reject -t orders -s worker - >/dev/null
	seen 7A
	empty
	name=$(sdk list deadletter | jq -r .name)
	[[ $name =~ ^testns/orders/worker/20[0-9]{2}/[01][0-9]/[0-3][0-9]/[0-2][0-9]/[0-9a-f-]{36}\.json$ ]]
	[ "$(sdk list deadletter | jq -r .type)" = application/json ]
	sdk get deadletter "$name" >got
	[ "$(sed 's/\(.*\),"deadletterProperties":.*/\1}/' got)" = "$text" ]
	[ "$(wc -l <got)" -eq 1 ]
	jq -e --arg n "$name" --arg c "$AZURITE/deadletter" '.blob == $n and
		.container == $c' spool/deadletter/written/*.ndjson
	# the other ways to say who we are
	sdk sas deadletter c >sas
	echo "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=$(
		<azurite.key);BlobEndpoint=$AZURITE;" >string
	for credential in "{\"file\":\"$PWD/sas\",\"type\":\"sas\"}" \
		"{\"file\":\"$PWD/string\",\"type\":\"connectionString\"}" \
		"{\"command\":\"cat '$PWD/azurite.key'\",\"type\":\"key\"}"; do
		egns-ctl namespace update -o none --set \
			"endpoints=[$(azurite_endpoint "$credential")]"
		reject worker "id${#ids[@]}"
		ids+=("id${#ids[@]}")
		seen "${ids[@]}"
	done
	[ "$(egns-dlq cat | jq -r .id | wc -l)" -eq 4 ]
	egns-replay --reason Rejected
	[ -z "$(sdk list deadletter)" ]
	grep -qF "\"event\":$text}" spool/topics/orders/log/*
	egns-ctl audit
}

# attributes ID; properties REASON RESULT - what blobs of all shapes have.
attributes() {
	printf '"specversion":"1.0","id":"%s","source":"/s","type":"t","data":{"n":1.10}' \
		"$1"
}

properties() {
	printf '{"deadletterreason":"%s","deliveryattempts":3,"deliveryresult":"%s","publishutc":"2026-01-31T12:00:00.0000000Z","deliveryattemptutc":"2026-01-31T12:30:00.1234567Z"}' \
		"$1" "$2"
}

# Every shape that is documented, a blob each, for sdk.mjs.
shapes() {
	local custom='"customDeliveryProperties":{"x-team":"ops"}'
	shape 2026/01/31/12/wrapped "{\"event\":{$(attributes 1)},$custom,
		\"deadletterProperties\":$(properties Unauthorized Forbidden)}"
	shape 2026/1/31/2/unpadded "{$(attributes 2),$custom,
		\"deadLetterProperties\":$(properties \
			'Undeliverable due to client error' Unauthorized)}"
	shape 2026/01/31/12/array "[{\"event\":{$(attributes 3)},
		\"brokerProperties\":$(properties TimeToLiveExceeded x)},
		{\"event\":{$(attributes 4)},$custom,
		\"deadletterProperties\":$(properties timetoliveexceeded x)}]"
	shape 2026/01/31/12/first "{\"deadletterProperties\":$(properties \
		Unauthorized Forbidden),$(attributes 5)}"
	shape 2026/01/31/12/many "{$(attributes 6),\"deadletterProperties\":$(
		properties Unauthorized Forbidden)}
{$(attributes 7),\"deadletterProperties\":$(properties \
			'Maximum delivery attempts was exceeded.' TimedOut)}"
	shape 2026/01/31/12/pretty "$(jq . <<<"{$(attributes 8),
		\"deadletterProperties\":$(properties SchemaRejected x)}")"
	shape 2026/01/31/12/unknown "{$(attributes 9),
		\"deadletterProperties\":$(properties 'A comet' x)}"
	shape 2026/01/31/12/none '{"what":"ever"}'
}

shape() {
	jq -cn --arg n "testns/orders/worker/$1.json" --arg t "$2" \
		'{name: $n, text: $t}'
}

@test "what the vendor's client has put, in every shape, is shown, counted, replayed" {
	azurite_ns
	shapes | sdk load deadletter
	run --separate-stderr egns-dlq cat
	[ "$status" -eq 74 ]
	[[ $stderr == *none.json* ]]
	[ "$(jq -r '.event // . | .id' <<<"$output" | sort | xargs)" = \
		'1 2 3 4 5 6 7 8 9' ]
	run --separate-stderr egns-dlq stat -o json
	jq -e '.' <<<"$output"
	[ "$(egns-dlq list -o json --by reason 2>/dev/null |
		jq -r '"\(.reason) \(.count)"' | sort | xargs -d '\n')" = \
		'A comet 1 MaxDeliveryCountExceeded 1 SchemaRejected 1 TimeToLiveExceeded 2 Unauthorized 4' ]
	egns-dlq show 2>/dev/null | grep -F "$AZURITE/deadletter/testns/orders/worker/2026/1/31/2/unpadded.json"
	[ "$(egns-dlq cat --events --reason timetoliveexceeded 2>/dev/null |
		grep -cF '"data":{"n":1.10}')" -eq 2 ]
	run --separate-stderr egns-replay --keep --quarantine
	echo "$stderr"
	[ "$status" -eq 75 ] || [ "$status" -eq 65 ] || [ "$status" -eq 74 ]
	[ "$(back)" = '1 2 3 4 5 6' ]
	[ "$(egns-pull peek -t orders -s worker -n 9 |
		grep -cF '"data":{"n":1.10}')" -eq 6 ]
	sdk dump deadletter >dumped
	[ "$(jq -r 'select(.name | startswith("testns/")) | .name' dumped |
		sed 's|.*/||' | sort | xargs)" = 'many.json none.json unknown.json' ]
	[ "$(jq -r 'select(.name | test("^testns/.*/many.json")).text' dumped |
		jq -r .id)" = 7 ]
	[ "$(jq -r 'select(.name | startswith("_quarantine/")).text' dumped |
		jq -r '.event // . | .id')" = 8 ]
	[ "$(jq -r 'select(.name | startswith("_replayed/")).text' dumped |
		jq -r '.event // . | .id' | sort | xargs)" = '1 2 3 4 5 6' ]
	[ "$(egns-dlq cat --quarantine | jq -r '.event // . | .id')" = 8 ]
	# and what is too old goes, and leaves the rest of its blob
	egns-dlq prune --older-than 30d || :
	[ "$(sdk list deadletter testns/ | jq -r .name | sed 's|.*/||')" = none.json ]
	egns-dlq prune --quarantine --older-than 30d
	[ -z "$(sdk list deadletter _quarantine/)" ]
	egns-ctl audit
}

# many FIRST LAST BLOB - letters that go back.
many() {
	seq "$1" "$2" | jq -cn --arg b "testns/orders/worker/2026/01/31/12/$3.json" \
		'{name: $b, text: [inputs | {specversion: "1.0", id: "\(.)",
		source: "/s", type: "t", deadletterProperties: {
		deadletterreason: "Unauthorized", deliveryattempts: 1,
		publishTime: "2026-01-31T12:00:00Z", deadLetterTime:
		"2026-01-31T12:02:00Z"}} | tojson + "\n"] | add}'
}

@test "two at once, and one of them killed: each letter goes back once" {
	local i first second
	azurite_ns
	for i in {0..19}; do
		many $((i * 10 + 1)) $((i * 10 + 10)) "$i"
	done | sdk load deadletter
	egns-replay 2>one 3>&- &
	first=$!
	egns-replay --rate 500/s 2>two 3>&- &
	second=$!
	wait_for test -s spool/replay/index.tch
	egns-replay --limit 20 2>three
	kill -KILL "$first" || :
	wait "$first" || :
	wait "$second"
	cat one two three
	egns-replay
	[ "$(back)" = "$(seq 1 200 | xargs)" ]
	[ -z "$(sdk list deadletter)" ]
	egns-ctl audit
}

@test "a container that is made, and an account that comes back" {
	NO_CONTAINER=1 azurite_ns
	start egns-dlq
	reject worker one
	remotely .state failing
	[[ $(remote .lastError) == *"there is no container 'deadletter'; make it: az storage container create --name deadletter --account-name devstoreaccount1 --blob-endpoint $AZURITE" ]]
	reject worker two
	remotely .waiting 2
	sdk create deadletter
	# the schedule, the second of its times, too
	advance 60
	seen one two
	remotely '"\(.state) \(.waiting)"' 'ready 0'
	stop azurite
	reject worker three
	remotely .state failing
	[[ $(remote .lastError) == *127.0.0.1* ]]
	run --separate-stderr egns-dlq list
	[ "$status" -eq 74 ]
	[[ $stderr == *"$AZURITE/deadletter: "*"connect"* ]]
	run --separate-stderr egns-replay --reason Rejected
	[ "$status" -eq 75 ]
	reject worker four
	azurite_up
	dlq retry
	seen one two three four
	empty
	[ "$(egns-dlq cat | jq -r .id | sort | xargs)" = 'four one three two' ]
	egns-ctl audit
}

@test "a blob that its owner changes between reading and replacing it" {
	local name=testns/orders/worker/2026/01/31/12/a.json
	azurite_ns
	many 1 3 a | sdk load deadletter
	# what is published waits for the topic, and the blob has been read then
	stop egns-topicd
	{
		many 1 3 a | jq -r .text
		many 4 4 a | jq -r .text
	} >changed
	cat >owner <<-END
		#!/bin/bash
		B=$B node "$top/tests/blob/sdk.mjs" "$AZURITE" put deadletter $name <changed
	END
	chmod +x owner
	start egns-topicd
	start meddler "$PWD/owner"
	egns-ctl namespace update -o none --set "endpoints=[$(AZURITE=http://127.0.0.1:$(<meddler.port)/devstoreaccount1 azurite_endpoint)]"
	egns-replay --select '(.id | tonumber) < 4'
	[ -e meddled ]
	[ "$(back)" = '1 2 3' ]
	[ "$(sdk get deadletter "$name" | jq -r .id)" = 4 ]
	# prune sees that it is another one
	many 5 7 a | jq -r .text >changed
	rm -f meddled
	run --separate-stderr egns-dlq prune --older-than 1h
	echo "$stderr"
	[ "$(sdk get deadletter "$name" | jq -r .id | xargs)" = '5 6 7' ]
	[ "$status" -eq 74 ]
	egns-dlq prune --older-than 1h
	[ -z "$(sdk list deadletter)" ]
}
