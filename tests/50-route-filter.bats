# egns-route -: messages on standard input become events on standard output.

load lib
load mosquitto

# record TOPIC PAYLOAD [MEMBER...] - a message as the broker writes it; PAYLOAD
# is JSON.
record() {
	local topic=$1 payload=$2
	shift 2
	printf '{"tst":"2026-01-31T12:00:00.123456Z",%s"topic":"%s","payload":%s}\n' \
		"$(printf '%s,' "$@" | grep -v '^,$')" "$topic" "$payload"
}

# route ARG... - what the filter makes of standard input; status, output, stderr.
route() {
	run --separate-stderr egns-route "$@" -
	echo "status $status: $stderr"
}

@test "a message becomes an event, one line each, with an id of its own" {
	{ record a/b '{"t":20}' && record c '"on"'; } >in
	route <in
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "$(jq -c 'del(.id)' <<<"$output")" = \
'{"specversion":"1.0","source":"mqtt","type":"MQTT.EventPublished","subject":"a/b","time":"2026-01-31T12:00:00.123456Z","datacontenttype":"application/json","data":{"t":20}}
{"specversion":"1.0","source":"mqtt","type":"MQTT.EventPublished","subject":"c","time":"2026-01-31T12:00:00.123456Z","datacontenttype":"application/octet-stream","data_base64":"b24="}' ]
	uuid='[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
	jq -r .id <<<"$output" >ids
	[ "$(grep -cEx "$uuid/1" ids)" -eq 1 ]
	[ "$(grep -cEx "$uuid/2" ids)" -eq 1 ]
	# another run has other ids
	route <in
	[ "$(jq -r .id <<<"$output" | grep -cFxf ids)" -eq 0 ]
}

@test "bad lines are named, the rest goes on, and the status tells" {
	{
		record a 1
		echo '{"topic":"a"}'
		echo
		echo nonsense
		head -c 5000000 /dev/zero | tr '\0' x
		echo
		record b 2
		printf '%s' "$(record c 3)"
	} | {
		route
		[ "$status" -eq 65 ]
		[ "$(jq -r '[.subject,.data,(.id|sub(".*/";""))]|join(" ")' \
			<<<"$output" | paste -sd,)" = "a 1 1,b 2 6,c 3 7" ]
		[ "$stderr" = 'egns-route: line 2: "payload" is missing
egns-route: line 4: invalid JSON at byte 1: a value was expected
egns-route: line 5: more than 4194304 bytes' ]
	}
}

@test "a message of 512 KiB is no line too long, whatever its bytes" {
	record a "\"$(head -c 500000 /dev/zero | sed 's/\x00/\\u0001/g')\"" >in
	[ "$(wc -c <in)" -gt 3000000 ]
	route <in
	[ "$status" -eq 0 ]
	[ "$(jq -r .data_base64 <<<"$output" | base64 -d | tr -d '\001' |
		wc -c)" -eq 0 ]
}

@test "an empty input is no error" {
	route </dev/null
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
}

@test "the source is that of --source, else the namespace, else mqtt" {
	record a 1 >in
	route <in
	[ "$(jq -r .source <<<"$output")" = mqtt ]
	route --source urn:x <in
	[ "$(jq -r .source <<<"$output")" = urn:x ]
	ns
	route <in
	[ "$(jq -r .source <<<"$output")" = testns ]
	route --source urn:x <in
	[ "$(jq -r .source <<<"$output")" = urn:x ]
	unset EGNS_SPOOL
	mv spool elsewhere
	route -C elsewhere <in
	[ "$(jq -r .source <<<"$output")" = testns ]
	route -C nowhere <in
	[ "$status" -eq 66 ]
	[[ $stderr == *nowhere* ]]
	route --source 'a b' <in
	[ "$status" -eq 65 ]
	[[ $stderr == *'"source" must be'* ]]
}

@test "enrichments and the profile are the namespace's" {
	ns
	# shellcheck disable=SC2016 # an expression of its own
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routingEnrichments='{static:[{key:plant,value:west}],dynamic:[{key:who,value:"${client.authenticationName}"}]}'
	record a '{"t":1}' '"client":{"authenticationName":"d7"}' >in
	route <in
	[ "$(jq -c '[.plant,.who,.data]' <<<"$output")" = '["west","d7",{"t":1}]' ]
	egns-ctl namespace update -o none --set profile=Azure
	route <in
	[ "$(jq -r .data_base64 <<<"$output" | base64 -d)" = '{"t":1}' ]
}

@test "what stands in a pipe is passed on before more comes" {
	mkfifo in out
	egns-route - <in >out 3>&- &
	pid_of[filter]=$!
	exec 8>in 9<out
	for n in 1 2 3; do
		record a "$n" >&8
		read -r -t "$PATIENCE" -u 9 line
		[ "$(jq .data <<<"$line")" = "$n" ]
	done
	exec 8>&- 9<&-
	gone filter
	[ "$status" -eq 0 ]
}

@test "a reader that has enough ends the filter quietly" {
	for n in {1..2000}; do record a "$n"; done >in
	for n in {1..10}; do cat in; done |
		{ egns-route - 2>err; echo $? >status; } | head -n 1 >out
	[ "$(jq .data out)" = 1 ]
	[ ! -s err ]
	[ "$(cat status)" = 0 ]
}

@test "a usage that makes no sense is refused" {
	for words in 'x' '- -' '-v -' '-r 3 -' '--from x -' '--source x' '-t a'; do
		# shellcheck disable=SC2086 # words
		run egns-route $words </dev/null
		[ "$status" -eq 64 ]
		[[ $output == usage:* ]]
	done
}

# listen FORMAT VERSION - mosquitto_sub into the filter, into FORMAT.VERSION.
listen() {
	mkfifo "fifo.$1.$2"
	mosquitto_sub -V "$2" "${client[@]}" -t 't/#' -q 1 \
		-F "%$1" >"fifo.$1.$2" 2>"sub.$1.$2" 3>&- &
	pid_of[sub.$1.$2]=$!
	egns-route - <"fifo.$1.$2" >"$1.$2" 2>"filter.$1.$2" 3>&- &
	# shellcheck disable=SC2034 # for gone
	pid_of[filter.$1.$2]=$!
}

# Everybody has subscribed, and has got all.
subscribed() {
	[ "$(grep -c 'Sending SUBACK' mosquitto.log)" -eq "$1" ]
}
all_have_the_last() {
	for file; do grep -q '"subject":"t/last"' "$file" || return; done
}

# One line per event: topic, form, payload.
summary() {
	jq -r '[(.subject // "-"), (.datacontenttype // "-"),
		(if has("data") then "data " + (.data | tojson)
		elif has("data_base64") then "base64 " + .data_base64
		else "empty" end)] | join(" ")' "$1"
}

@test "what mosquitto_sub prints for %j and %J, of both versions, is taken" {
	certificates server press
	start_mosquitto 'log_type all'
	client=(-h localhost -p "$mqtts" --cafile ca.pem --cert press.pem
		--key press.key)
	for version in 311 5; do listen j "$version" && listen J "$version"; done
	wait_for subscribed 4
	pub() { mosquitto_pub "${client[@]}" -q 1 "$@"; }
	pub -V 311 -t t/object -m '{"t": 20}'
	pub -V 311 -t t/text -m 'on "air"'
	pub -V 311 -t t/empty -n
	pub -V 5 -t t/lines -m $'{"a":1,\r\n"b":[]}'
	pub -V 5 -t t/string -m '"str"'
	pub -V 5 -t t/number -m 12
	printf '\xff\x01"\134' | pub -V 5 -t t/bytes -s
	printf '\xff\x00abc' | pub -V 5 -t t/nul -s
	pub -V 5 -t t/typed -m 'a,b' -D publish content-type text/csv
	pub -V 5 -t t/properties -m '1' -D publish payload-format-indicator 1 \
		-D publish message-expiry-interval 100 \
		-D publish response-topic r/t -D publish content-type a/b \
		-D publish correlation-data 'co"r' \
		-D publish user-property a b -D publish user-property a c
	pub -V 5 -t t/event -m 42 -D publish user-property specversion 1.0 \
		-D publish user-property id own \
		-D publish user-property source /d \
		-D publish user-property type x \
		-D publish user-property ext 7
	pub -V 5 -t t/whole -D publish content-type application/cloudevents+json \
		-m '{"specversion":"1.0","id":"own","source":"/d","type":"x"}'
	pub -V 5 -t t/last -m '{}'
	wait_for all_have_the_last {j,J}.{311,5}
	for one in {j,J}.{311,5}; do
		stop "sub.$one" || :
		gone "filter.$one"
		echo "$one: $status: $(cat "filter.$one")"
		[ "$status" -eq "$([[ $one == j* ]] && echo 65 || echo 0)" ]
	done
	stop mosquitto

	summary j.5 >got
	diff - got <<-'END'
		t/object application/json data {"t":20}
		t/text application/octet-stream base64 b24gImFpciI=
		t/empty - empty
		t/lines application/json data {"a":1,"b":[]}
		t/string application/json data "str"
		t/number application/json data 12
		t/bytes application/octet-stream base64 /wEiXA==
		t/typed text/csv data "a,b"
		t/properties a/b data 1
		- application/json data 42
		- - empty
		t/last application/json data {}
	END
	[ "$(cat filter.j.5)" = 'egns-route: line 8: "payload" is not all there' ]
	jq -es 'any(.id == "own" and .ext == "7" and .type == "x" and
		.source == "/d" and .data == 42)' j.5
	jq -es 'map(select(.subject)) | all(.time | test(
		"^20..-..-..T..:..:..\\.......Z$"))' j.5

	# %J prints what is JSON only, and an empty line for the rest
	summary J.5 >got
	diff - got <<-'END'
		t/object application/json data {"t":20}
		t/empty - empty
		t/lines application/json data {"a":1,"b":[]}
		t/string application/json data "str"
		t/number application/json data 12
		t/properties a/b data 1
		- application/json data 42
		- - empty
		t/last application/json data {}
	END
	# a subscriber of 3.1.1 sees no properties
	for one in j J; do
		[ "$(wc -l <"$one.311")" -eq "$(wc -l <"$one.5")" ]
		jq -es 'all(.id != "own")' "$one.311"
	done
}

@test "mosquitto_sub, egns-route and egns-ctl make a pipe into a topic" {
	certificates server press
	start_mosquitto
	client=(-h localhost -p "$mqtts" --cafile ca.pem --cert press.pem
		--key press.key)
	ns ingest/sub
	start egns-topicd
	mosquitto_pub "${client[@]}" -r -t t/1 -m '{"n":1}'
	mosquitto_pub "${client[@]}" -r -t t/2 -m 'two'
	mosquitto_sub "${client[@]}" -t 't/#' -C 2 -F '%j' | egns-route - |
		egns-ctl publish -t ingest
	[ "$(cat spool/topics/ingest/log/*.ndjson | jq -r .event.subject |
		sort | paste -sd' ')" = "t/1 t/2" ]
}
