#!/usr/bin/env bats
# the operator's side of push: what egns-ctl takes, keeps, shows and holds

load lib

PATH=$top/tests/push:$PATH
url='https://hook.test/in?code=s3cret#f'

# pushed NAME [PROPERTIES [PUSH [FLAG...]]] - a webhook's subscription of t01.
pushed() {
	egns-ctl namespace topic event-subscription create -o none \
		--topic-name t01 -n "$1" --delivery-configuration "{
		deliveryMode:Push,push:{${3:+$3,}destination:{endpointType:WebHook,
		properties:{endpointUrl:'$url'${2:+,$2}}}}}" "${@:4}"
}

# sub VERB NAME [FLAG...] - of a subscription of t01.
sub() {
	egns-ctl namespace topic event-subscription "$1" --topic-name t01 \
		-n "${@:2}"
}

# is VERB NAME JQ - what the verb prints of it is so.
is() {
	sub "$1" "$2" | jq -e "$3" >/dev/null || { sub "$1" "$2"; return 1; }
}

url_is() {
	[ "$(sub get-full-url "$1" | jq -r .endpointUrl)" = "$2" ]
}

destination=deliveryConfiguration.push.destination

@test "the URL of a webhook is a secret, but for who asks for it" {
	ns t01/queue
	pushed hook 'deliveryAttributeMappings:[
		{name:one,type:Static,properties:{value:"v s3cret",isSecret:true}},
		{name:two,type:Dynamic,properties:{sourceField:subject}}]'
	is show hook ".$destination.properties |
		.endpointBaseUrl == \"https://hook.test/in\" and
		(has(\"endpointUrl\") | not)"
	run egns-ctl namespace topic event-subscription list --topic-name t01
	[[ $output == *hook.test* && $output != *s3cret* ]]
	url_is hook "$url"
	is get-delivery-attributes hook '.value | length == 2 and
		.[0].properties.value == "v s3cret" and
		.[1].properties.sourceField == "subject"'
	refused 65 'eventSubscriptions/queue: its destination is no webhook' \
		namespace topic event-subscription get-full-url \
		--topic-name t01 -n queue
	refused 65 'deliveryMode is not Push' namespace topic \
		event-subscription get-delivery-attributes --topic-name t01 -n queue
	refused 66 'eventSubscriptions/none: not found' namespace topic \
		event-subscription get-full-url --topic-name t01 -n none
	pushed plain
	is get-delivery-attributes plain '.value == []'
}

@test "secrets that a change does not mention stay as they are" {
	local before
	ns t01
	pushed hook 'deliveryAttributeMappings:[
		{name:one,type:Static,properties:{value:s3cret,isSecret:true}}]'
	before=$(egns-ctl export)
	# shown, applied
	sub show hook | jq -c . >shown
	egns-ctl apply shown
	[ "$(egns-ctl export)" = "$before" ]
	# shown, edited, applied
	jq -c ".$destination.properties.maxEventsPerBatch = 9" shown >edited
	egns-ctl apply edited
	is show hook ".$destination.properties.maxEventsPerBatch == 9"
	url_is hook "$url"
	# by a flag, whole and in part
	sub update hook -o none --delivery-configuration \
		'{deliveryMode:Push,push:{maxDeliveryCount:3,destination:{
		endpointType:WebHook,properties:{deliveryAttributeMappings:
		[{name:one,type:Static,properties:{isSecret:true}}]}}}}'
	sub update hook -o none --set "$destination.properties.maxEventsPerBatch=2"
	url_is hook "$url"
	is get-delivery-attributes hook '.value[0].properties.value == "s3cret"'
	# what is mentioned is changed
	sub update hook -o none --set "$destination.properties.endpointUrl=https://other/"
	url_is hook https://other/
	is show hook ".$destination.properties.endpointBaseUrl == \"https://other/\""
	# and nobody else gets it
	jq -c '.id |= sub("hook$"; "copy")' edited >copy
	refused 65 'endpointUrl: is required' apply copy
	# a move to another spool is by export
	egns-ctl namespace create -C other -n testns -o none
	egns-ctl export >all
	egns-ctl apply -C other all
	[ "$(egns-ctl -C other namespace topic event-subscription get-full-url \
		--topic-name t01 -n hook | jq -r .endpointUrl)" = https://other/ ]
}

@test "destinations that cannot be are refused by the field" {
	ns t01
	while IFS='|' read -r push words; do
		refused 65 "$words" namespace topic event-subscription create \
			--topic-name t01 -n one --delivery-configuration \
			"{deliveryMode:Push,push:{$push}}"
	done <<-'EOT'
	maxDeliveryCount:2|needs either destination or
	destination:{endpointType:StorageQueue,properties:{}}|none of WebHook, EventHub, Kafka
	destination:{endpointType:EventHub,properties:{resourceId:/x}}|resourceId: must be the id of an event hub
	destination:{endpointType:Kafka,properties:{bootstrapServers:h,topic:t}}|bootstrapServers: must be HOST:PORT
	destination:{endpointType:Kafka,properties:{bootstrapServers:"h:1",topic:t,properties:{acks:"1"}}}|properties: 'acks' is always all
	destination:{endpointType:Kafka,properties:{bootstrapServers:"h:1",topic:t,properties:{"sasl.password":s3cret}}}|use credential
	destination:{endpointType:Kafka,properties:{bootstrapServers:"h:1",topic:t,properties:{"plugin.library.paths":x}}}|can be set here
	contentMode:binary,destination:{endpointType:WebHook,properties:{endpointUrl:"https://h/",maxEventsPerBatch:2}}|maxEventsPerBatch: contentMode is binary
	destination:{endpointType:WebHook,properties:{endpointUrl:"http://h/"}}|endpointUrl: must be https://
	destination:{endpointType:WebHook,properties:{endpointUrl:"https://h/",azureActiveDirectoryApplicationIdOrUri:a,deliveryAttributeMappings:[{name:Authorization,type:Static,properties:{value:v}}]}}|deliveryAttributeMappings: delivery attribute 'Authorization'
	destination:{endpointType:WebHook,properties:{endpointUrl:"https://h/",deliveryAttributeMappings:[{name:Origin,type:Static,properties:{value:v}}]}}|deliveryAttributeMappings: delivery attribute 'Origin'
	EOT
}

@test "trustedCertificates are certificates, and no key" {
	ns t01
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout one.key -out one.pem -subj /CN=one -days 9 2>/dev/null
	openssl x509 -in one.pem -text >said.pem
	cat one.pem one.key >both.pem
	echo pem >none.pem
	for bad in one.key both.pem none.pem; do
		refused 65 'trustedCertificates: must be X.509 certificates' \
			namespace update --trusted-certificates "@$bad"
	done
	cat one.pem said.pem >two.pem
	for good in @one.pem @two.pem ''; do
		egns-ctl namespace update -o none --trusted-certificates "$good"
	done
}

@test "a hold is kept while egns-push does not run" {
	ns t01/queue
	pushed hook
	start egns-topicd
	is status hook '.state == "NotRunning" and .endpointType == "WebHook" and
		.reason == "egns-push does not run"'
	sub hold hook --reason 'a "role" is wrong'
	is status hook '.state == "OnHold" and (.by | startswith("user:")) and
		.reason == "a \"role\" is wrong; egns-push does not run" and
		(.since | type) == "string" and .matched == 0'
	jq -e '.hold.reason == "a \"role\" is wrong"' spool/push/t01/hook.json
	sub hold hook
	is status hook '.state == "OnHold"'
	sub unhold hook
	[ ! -e spool/push/t01/hook.json ]
	sub unhold hook
	is status hook '.state == "NotRunning" and .since == null'
	# nobody has the lock now
	start told
}

@test "a hold ends with its subscription" {
	ns t01
	pushed hook
	sub hold hook
	sub delete hook --yes
	pushed hook
	start egns-topicd
	is status hook '.state == "NotRunning"'
	stop egns-topicd
	egns-ctl namespace delete --yes
	[ ! -e spool ]
}

@test "only what is pushed can be held" {
	local event_subscription=(namespace topic event-subscription)
	ns t01/queue
	pushed hook
	for verb in hold unhold; do
		refused 65 'deliveryMode is Queue' "${event_subscription[@]}" $verb \
			--topic-name t01 -n queue
		refused 66 'topics/t01/eventSubscriptions/none: not found' \
			"${event_subscription[@]}" $verb --topic-name t01 -n none
		refused 64 '--topic-name is missing' "${event_subscription[@]}" $verb \
			-n hook
		refused 64 '--name is missing' "${event_subscription[@]}" $verb \
			--topic-name t01
	done
	refused 64 '--reason is one line' "${event_subscription[@]}" hold \
		--topic-name t01 -n hook --reason $'two\nlines'
	refused 64 '--reason is one line' "${event_subscription[@]}" hold \
		--topic-name t01 -n hook --reason "$(printf %200s x)"
	refused 64 'unknown flag --reason' "${event_subscription[@]}" unhold \
		--topic-name t01 -n hook --reason x
	[ ! -e spool/push ]
}

@test "a standing file that cannot be read, or written, is said" {
	ns t01
	pushed hook
	mkdir -p spool/push/t01
	echo '{"uid":' >spool/push/t01/hook.json
	refused 71 'push/t01/hook.json: is not what egns-push writes' namespace \
		topic event-subscription hold --topic-name t01 -n hook
	start egns-topicd
	is status hook '.lastError | test("is not what egns-push writes")'
	rm -r spool/push
	touch spool/push
	refused 71 'push/t01/hook.json: Not a directory' namespace \
		topic event-subscription hold --topic-name t01 -n hook
}

@test "a running egns-push is asked, and says no in its words" {
	ns t01
	pushed hook
	start told
	sub hold hook --reason why
	sub unhold hook
	[ ! -e spool/push ]
	[ "$(jq -c 'del(.by)' requests)" = "$(printf '%s\n' \
		'{"op":"hold","topic":"t01","subscription":"hook","reason":"why"}' \
		'{"op":"unhold","topic":"t01","subscription":"hook"}')" ]
	[ "$(jq -r .by requests | uniq)" = "user:$(id -un)" ]
	echo '{"ok":false,"error":{"code":"NotFound","message":"no such one"}}' \
		>answer
	refused 66 'no such one' namespace topic event-subscription hold \
		--topic-name t01 -n hook
}

@test "one that is about to listen is waited for" {
	ns t01
	pushed hook
	start told -s
	sub hold hook
	[ "$(jq -r .op requests)" = hold ]
	[ ! -e spool/push ]
}

# line NAME STATE [MEMBERS] - what egns-push tells of one of t01.
line() {
	printf '{"topic":"t01","subscription":"%s","endpointType":"WebHook",%s}\n' \
		"$1" "\"state\":\"$2\",\"inFlight\":1,\"held\":2,\"attempts\":7,\
\"delivered\":4,\"failures\":{\"Busy\":3}${3:+,$3}"
}

on_hold='"reason":"HTTP 503","by":"probation","since":"2026-01-31T12:00:00.000000Z",
"nextAttempt":"2026-01-31T12:00:10.000000Z","lastError":"HTTP 503"'
on_hold=${on_hold//$'\n'/}

@test "event-subscription status has what egns-push tells" {
	ns t01/queue
	pushed active
	pushed held
	pushed new
	topic t02
	start egns-topicd
	{
		line active active '"handshake":{"state":"granted",
			"origin":"*","rate":60,"status":200}' | tr -d '\n\t'
		echo
		line held onHold "$on_hold"
		echo '{"topic":"t02","subscription":"new","state":"active","attempts":1}'
	} >lines
	start told
	is status active '.state == "Active" and .attempts == 7 and
		.delivered == 4 and .failures == {Busy: 3} and .held == 2 and
		.inFlight == 0 and .handshake.state == "Granted" and
		.handshake.rate == 60 and .reason == null and .pending == 0'
	is status held '.state == "OnHold" and .reason == "HTTP 503" and
		.by == "probation" and .lastError == "HTTP 503" and
		.since == "2026-01-31T12:00:00.000000Z" and
		.nextAttempt == "2026-01-31T12:00:10.000000Z"'
	is status new '.state == "Unknown" and
		.reason == "egns-push has not taken it up"'
	is status queue '.state == "Active" and (has("attempts") | not)'
	run egns-ctl namespace topic event-subscription status --topic-name t01 \
		-o table
	echo "$output"
	[[ ${lines[0]} == *Reason*Delivery* ]]
	[[ $output == *"HTTP 503; by probation; since 2026-01-31T12:00:00.000000Z; next attempt 2026-01-31T12:00:10.000000Z"* ]]
	[[ $output == *"WebHook, handshake Granted, attempts 7, delivered 4, Busy 3"* ]]
	[ "${#lines[@]}" -eq 6 ]
}

@test "status has a row of egns-push where something is pushed" {
	local name
	ns t01
	subscription t01 queue '' --no-dead-letter
	start egns-topicd
	[ "$(egns-ctl status | jq -r '.daemons[].name' | xargs)" = topicd ]
	pushed active '' '' --no-dead-letter
	run egns-ctl status
	[ "$status" -eq 69 ]
	jq -e '(.healthy | not) and
		(.daemons[] | select(.name == "push").ready | not)' <<<"$output"
	line active active >lines
	for name in one two three four five six seven; do
		line "$name" onHold "$on_hold" >>lines
	done
	start told
	egns-ctl status >status
	jq -e '.healthy and (.daemons[] | select(.name == "push") |
		.subscriptions == 8 and .onHold == 7 and .attempts == 56 and
		.delivered == 32 and .failures == 24 and .inFlight == 8)' status
	jq -e '.problems | map(select(.problem | test("hold"))) | length == 6 and
		.[0].where == "topics/t01/eventSubscriptions/one" and
		(.[0].problem | test("HTTP 503.*next attempt 2026")) and
		.[5].count == 2' status
	run --separate-stderr egns-ctl status -o table
	[[ $output == *"onHold 7"* && $stderr == *"on hold: HTTP 503"* ]]
}

@test "egns-push is told of changes" {
	ns t01
	start told
	pushed hook
	[ "$(jq -r .op requests)" = reload ]
}

@test "up starts egns-push when the first subscription needs it" {
	ns t01
	egns-ctl up -d
	[ "$(egns-ctl status | jq -r '.daemons[].name' | xargs)" = topicd ]
	pushed hook
	wait_for egns-ctl status -o none
	[ "$(egns-ctl status | jq -r '.daemons[].name' | xargs)" = 'topicd push dlq' ]
	sub hold hook --reason 'by hand'
	wait_for is status hook '.state == "OnHold" and .reason == "by hand"'
	egns-ctl status | jq -e '.problems[] | select(.where ==
		"topics/t01/eventSubscriptions/hook").problem | test("by hand")'
	egns-ctl down
	is_held() { jq -e .hold.reason spool/push/t01/hook.json; }
	is_held
	egns-ctl up -d
	sub unhold hook
	wait_for is status hook '.state != "OnHold" or .reason != "by hand"'
	egns-ctl down
}
