# egns-push with webhooks: tests/webhook/server is each of them.

load lib
load push

# Members of push.
off='"abuseProtection":"Off"'
once='"maxDeliveryCount":1'

@test "an endpoint is asked before the first delivery, and its answer is kept" {
	push_ns
	hook one
	push_up
	publish 1 2
	delivered 1 2
	asked_just 1
	[ "$(asked '[.path,.headers["webhook-request-origin"],
		.headers["webhook-request-callback"]]')" = \
		'["/one","eventgrid.azure.net",null]' ]
	[ "$(requests_in_order | head -n 1)" = OPTIONS ]
	[ "$(posts '.headers["webhook-request-origin"]' | uniq)" = \
		eventgrid.azure.net ]
	status one '.state == "Active" and .handshake.state == "Granted" and
		.handshake.origin == "*"'
	restart egns-push
	publish 3
	delivered 1 2 3
	asked_just 1
	# another URL has not been asked
	sub update one -o none --set "deliveryConfiguration.push.destination.\
properties.endpointUrl=$(url two)"
	publish 4
	delivered 1 2 3 4
	[ "$(asked .path | paste -sd' ')" = '/one /two' ]
	# nor has this one for another origin
	always '{"method":"OPTIONS","headers":{"webhook-allowed-origin":"Lab.example.ORG"}}'
	egns-ctl namespace update -o none --set webhookOrigin=lab.example.org
	publish 5
	delivered 1 2 3 4 5
	[ "$(asked '.headers["webhook-request-origin"]' | tail -n 1)" = \
		lab.example.org ]
	settled one
	[ -z "$(dead)" ]
}

requests_in_order() {
	jq -r .method server.requests
}

@test "an endpoint that does not allow it gets nothing, until it does" {
	push_ns
	hook none
	hook other
	always '{"method":"OPTIONS","path":"/none","headers":{"Allow":"POST"}}' \
		'{"method":"OPTIONS","path":"/other",
			"headers":{"WebHook-Allowed-Origin":"example.org"}}'
	egns-ctl namespace update -o none --set 'deliverySchedule=[600]'
	push_up
	publish 1
	status none '.state == "OnHold" and .by == "handshake" and
		.handshake.state == "Refused" and .nextAttempt > .since'
	status other '.state == "OnHold" and (.reason | test("example.org"))'
	said "WebHook-Allowed-Origin: 'example.org'"
	posted_just 0
	always
	advance 700
	wait_for both_posted
	settled none
	settled other
	# the daemons see the clock jump one after the other, so that an event may
	# come twice; but nothing was counted before
	jq -es 'map(select(.method == "POST")) | group_by(.path) |
		all(.[0] | .status == 200 and
			.headers["aeg-delivery-count"] == "1")' server.requests
	[ -z "$(dead)" ]
}

both_posted() {
	[ "$(posts .path | sort -u | xargs)" = '/none /other' ]
}

@test "a subscription that says so asks nobody" {
	push_ns
	hook one "$off"
	push_up
	publish 1
	delivered 1
	asked_just 0
}

@test "the rate that is granted is kept" {
	local begin last
	push_ns
	always '{"method":"OPTIONS","headers":{"WebHook-Allowed-Origin":"*",
		"WebHook-Allowed-Rate":"600"}}'
	hook one
	push_up
	begin=$EPOCHREALTIME
	publish 1 2 3 4 5 6
	delivered 1 2 3 4 5 6
	last=$(posts .time | tail -n 1)
	jq -en "$last - $begin > 0.45"
	status one '.handshake.rate == 600'
}

@test "deliveries go on without a callback that cannot be, and status says so" {
	local port
	push_ns
	port=$(url) && port=${port##*:}
	hook one
	push_up
	egns-ctl status --jq .listeners.callback | grep -x null
	run egns-ctl namespace update -o none \
		--set "listeners.callback=127.0.0.1:${port%/}"
	[ "$status" -ne 0 ]
	[[ $output == *"not in force"*listeners.callback*"in use"* ]]
	publish 1
	delivered 1
	restart egns-push
	publish 2
	delivered 1 2
	egns-ctl status --jq '.problems[].problem' | grep listeners.callback
	egns-ctl namespace update -o none --set listeners.callback=127.0.0.1:0
	egns-ctl status --jq .listeners.callback | grep -E '^"127.0.0.1:[1-9]'
	publish 3
	delivered 1 2 3
}

@test "run/push.sock takes what it knows, and nothing else" {
	told() {
		printf '%s\n' "$1" | socat -t "$PATIENCE" - \
			UNIX-CONNECT:spool/run/push.sock | tail -n +2 |
			jq -r '.error.code // "ok"'
	}
	push_ns
	hook one
	push_up
	[ "$(told '{"op":"hold"}')" = BadRequest ]
	[ "$(told '{"op":"hold","topic":"orders"}')" = BadRequest ]
	[ "$(told '{"op":"hold","topic":"orders","subscription":"two"}')" = NotFound ]
	for member in '"why":"x"' '"reason":"a\nb"' '"reason":1' '"by":""'; do
		[ "$(told "{\"op\":\"hold\",\"topic\":\"orders\",\"subscription\":\"one\",$member}")" = \
			BadRequest ]
	done
	[ "$(told '{"op":"hold","topic":"orders","subscription":"one"}')" = ok ]
	[ "$(told '{"op":"holdall"}')" = BadRequest ]
	status one '.state == "OnHold"'
}

@test "an endpoint may grant it later, by the callback" {
	local callback
	push_ns
	egns-ctl namespace update -o none --set 'deliverySchedule=[600]' \
		--set listeners.callback=127.0.0.1:0
	always '{"method":"OPTIONS","status":202,"headers":{}}'
	hook one
	push_up
	publish 1
	wait_for asked_just 1
	callback=$(asked '.headers["webhook-request-callback"]')
	[[ $callback =~ ^https://127\.0\.0\.1:[0-9]+/callback/[0-9a-f]{32}$ ]]
	status one '.handshake.state == "Pending"'
	# neither a wrong key nor a restart changes that
	[ "$(curl -sk -o /dev/null -w '%{http_code}' "${callback%/*}/$(
		printf '%032d' 0)")" = 404 ]
	posted_just 0
	curl -skf -o /dev/null -X POST -H 'WebHook-Allowed-Rate: 6000' "$callback"
	delivered 1
	status one '.handshake.state == "Granted" and .handshake.rate == 6000'
	restart egns-push
	publish 2
	delivered 1 2
	asked_just 1
}

@test "structured: the event as it was published, with the headers of the service" {
	push_ns
	hook one
	push_up
	printf '%s\n' '{"specversion":"1.0","id":"1","source":"/test","type":"t",' \
		'"subject":"é \"x\"","n":5,"flag":true,"data":{"a":[1.50,1e3]}}' |
		tr -d '\n' >event
	egns-ctl publish -t orders <event
	delivered 1
	[ "$(posts '[.headers["content-type"],.path,.connection >= 1]')" = \
		'["application/cloudevents+json; charset=utf-8","/one",true]' ]
	[ "$(posts '.events[0]' | jq -S .)" = "$(jq -S . event)" ]
	[ "$(posts '.headers | .["content-length"]')" -eq "$(wc -c <event)" ]
	[ "$(posts '.headers | [.["aeg-subscription-name"],
		.["aeg-delivery-count"],.["aeg-event-type"],
		.["aeg-metadata-version"]]')" = \
		'["one","1","Notification","1.0"]' ]
	# these are the deliveries' own
	publish 2
	delivered 1 2
	[ "$(posts '.headers["aeg-output-event-id"]' | sort -u |
		grep -cEx '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')" -eq 2 ]
}

@test "batches: as many as are there, up to the two limits" {
	local all
	push_ns
	hook count '' '"maxEventsPerBatch":10'
	hook size '' '"maxEventsPerBatch":5000,"preferredBatchSizeInKilobytes":1'
	advance 0
	start egns-topicd
	mapfile -t all < <(seq 35)
	publish "${all[@]}"
	event large "\"$(printf '%01500d' 0)\"" | egns-ctl publish -t orders
	publish last
	start egns-push
	settled count
	settled size
	[ "$(posts '.headers["content-type"]' | sort -u)" = \
		'application/cloudevents-batch+json; charset=utf-8' ]
	for path in count size; do
		[ "$(posts "select(.path == \"/$path\") | .events[].id" |
			sort)" = "$(printf '%s\n' "${all[@]}" large last |
			sort)" ]
	done
	jq -es 'map(select(.path == "/count") | .events | length) |
		max == 10 and length <= 8' server.requests
	# a kilobyte, or one event that has more
	jq -es 'map(select(.path == "/size" and .method == "POST") |
		[(.events | length), (.headers["content-length"] | tonumber)]) |
		all(.[0] == 1 or .[1] <= 1100) and any(.[0] > 5)' \
		server.requests
}

@test "a batch has one answer for all of its events" {
	push_ns
	hook one '"maxDeliveryCount":2' '"maxEventsPerBatch":10'
	always '{"status":503}'
	advance 0
	start egns-topicd
	publish 1 2 3
	then_do '{"status":413}'
	start egns-push
	ended "1 PayloadTooLarge PayloadTooLarge 1" \
		"2 PayloadTooLarge PayloadTooLarge 1" \
		"3 PayloadTooLarge PayloadTooLarge 1"
	then_do '{"status":500}'
	publish 4 5
	ended "1 PayloadTooLarge PayloadTooLarge 1" \
		"2 PayloadTooLarge PayloadTooLarge 1" \
		"3 PayloadTooLarge PayloadTooLarge 1" \
		"4 MaxDeliveryCountExceeded Busy 2" \
		"5 MaxDeliveryCountExceeded Busy 2"
}

@test "binary: attributes in headers, the data as it is" {
	push_ns
	hook one '"contentMode":"binary","maxInFlight":1'
	push_up
	egns-ctl publish -t orders <<-'END'
	{"specversion":"1.0","id":"1","source":"/test","type":"t","subject":"Euro € \"%","n":-5,"flag":true,"time":"2026-01-31T12:00:00Z","data":{"a":[1.50]}}
	{"specversion":"1.0","id":"2","source":"/test","type":"t","datacontenttype":"text/plain","data":"grüße\n"}
	{"specversion":"1.0","id":"3","source":"/test","type":"t","datacontenttype":"image/png","data_base64":"AP/+"}
	{"specversion":"1.0","id":"4","source":"/test","type":"t"}
	{"specversion":"1.0","id":"5","source":"/test","type":"t","data":"text"}
	END
	wait_for posted_just 5
	posts '.headers | with_entries(select(.key | startswith("ce-"))) +
		{"content-type"} | del(.["ce-source"],.["ce-type"],
		.["ce-specversion"])' | jq -Sc . | sort >got
	diff got - <<-'END'
	{"ce-flag":"true","ce-id":"1","ce-n":"-5","ce-subject":"Euro%20%E2%82%AC%20%22%25","ce-time":"2026-01-31T12:00:00Z","content-type":"application/json"}
	{"ce-id":"2","content-type":"text/plain"}
	{"ce-id":"3","content-type":"image/png"}
	{"ce-id":"4","content-type":null}
	{"ce-id":"5","content-type":"application/json"}
	END
	jq -es 'map(select(.method == "POST")) | all(.headers |
		.["ce-source"] == "/test" and .["ce-type"] == "t" and
		.["ce-specversion"] == "1.0")' server.requests
	# bodies are bytes, written as latin-1
	posts '"\(.headers["ce-id"]): \(.body | explode | map(tojson) |
		join(" "))"' | sort >got
	diff got - <<-END
	1: $(codes '{"a":[1.50]}')
	2: $(codes $'grüße\n')
	3: 0 255 254
	4: 
	5: $(codes '"text"')
	END
}

# codes TEXT - of its bytes.
codes() {
	printf %s "$1" | od -An -v -t u1 -w1000 | xargs
}

# lettered ID - it is a letter in a blob.
lettered() {
	[ "$(egns-dlq cat | jq -r .id)" = "$1" ]
}

@test "mappings are headers: static, secret and dynamic" {
	push_ns
	hook one '' '"deliveryAttributeMappings":[
		{"name":"X-Team","type":"Static","properties":{"value":"ops & co"}},
		{"name":"X-Key","type":"Static","properties":{"value":"s3cret-1","isSecret":true}},
		{"name":"X-System","type":"Dynamic","properties":{"sourceField":"data.system"}},
		{"name":"X-Subject","type":"Dynamic","properties":{"sourceField":"subject"}},
		{"name":"X-Deep","type":"Dynamic","properties":{"sourceField":"data.a"}}]'
	push_up
	egns-ctl publish -t orders <<-'END'
	{"specversion":"1.0","id":"1","source":"/test","type":"t","subject":"s1","data":{"system":7.5,"a":{}}}
	END
	delivered 1
	[ "$(posts '.headers | [.["x-team"],.["x-key"],.["x-system"],
		.["x-subject"],has("x-deep")]')" = \
		'["ops & co","s3cret-1","7.5","s1",false]' ]
	# a value that would break out of its header is left out
	egns-ctl publish -t orders <<-'END'
	{"specversion":"1.0","id":"2","source":"/test","type":"t","data":{"system":"a\r\nX-Evil: 1"}}
	END
	delivered 1 2
	[ "$(posts 'select(.events[0].id == "2") | .headers |
		[has("x-system"),has("x-evil"),.["x-team"]]')" = \
		'[false,false,"ops & co"]' ]
	# who has no token may have a header of this name
	hook two '' '"deliveryAttributeMappings":[{"name":"Authorization",
		"type":"Static","properties":{"value":"Basic s3cret-2"}}]'
	publish 0
	wait_for posted_just 4
	[ "$(posts '[.path,.headers.authorization]' | sort -u |
		paste -sd' ')" = '["/one",null] ["/two","Basic s3cret-2"]' ]
	sub delete two --yes
	# secrets are told to the endpoint alone
	always '{"status":403}'
	publish 3
	ended "3 Unauthorized Forbidden 1"
	stop egns-push
	# what is none, and the same for each, dead letters tell as well
	start egns-dlq
	wait_for lettered 3
	stop egns-dlq
	[ "$(egns-dlq cat | jq -c .customDeliveryProperties)" = \
		'{"X-Team":"ops & co"}' ]
	[ "$(egns-dlq cat | sed 's/\(.*\),"deadletterProperties":.*/\1}/')" = \
		"$(event 3)" ]
	[ "$(egns-dlq cat --events)" = "$(event 3)" ]
	nowhere s3cret- egns-push.log spool/deadletter spool/dropped \
		spool/metrics spool/containers
	run -0 sub show one
	[[ $output != *s3cret-1* ]]
}

@test "a bearer token comes from endpoints, and one that is refused is renewed once" {
	push_ns
	hook one '' '"azureActiveDirectoryApplicationIdOrUri":"api://hooks",
		"azureActiveDirectoryTenantId":"t"'
	echo s3cret-1 >token
	egns-ctl namespace update -o none --endpoints "[{\"resourceId\":\
\"api://hooks\",\"credential\":{\"file\":\"$PWD/token\"}}]"
	push_up
	publish 1
	delivered 1
	echo s3cret-2 >token
	then_do '{"status":401}'
	publish 2
	delivered 1 2
	[ "$(posts .headers.authorization | paste -sd' ')" = \
		'Bearer s3cret-1 Bearer s3cret-1 Bearer s3cret-2' ] ||
	[ "$(posts .headers.authorization | paste -sd' ')" = \
		'Bearer s3cret-1 Bearer s3cret-2 Bearer s3cret-2' ]
	always '{"status":401}'
	publish 3
	ended "3 Unauthorized Unauthorized 1"
	wait_for posted_just 5
	stop egns-push
	nowhere s3cret- egns-push.log spool
}

@test "while there is no token nothing is attempted, and nothing counted" {
	push_ns
	another tokens
	echo s3cret-1 >tokens.token
	# shellcheck disable=SC2155
	export IDENTITY_HEADER=h IDENTITY_ENDPOINT=$(url token tokens)
	stop tokens
	egns-ctl namespace topic event-subscription create -o none \
		--topic-name orders -n one --delivery-configuration \
		"{\"deliveryMode\":\"Push\",\"push\":{$once,
		\"deliveryWithResourceIdentity\":{
		\"identity\":{\"type\":\"SystemAssigned\"},
		\"destination\":{\"endpointType\":\"WebHook\",\"properties\":{
		\"endpointUrl\":\"$(url one)\",
		\"azureActiveDirectoryApplicationIdOrUri\":\"api://x y\"}}}}}"
	push_up
	publish 1 2
	status one '.state == "OnHold" and (.reason | test("token"))'
	posted_just 0
	PATH=$PWD:$PATH start tokens
	advance 40
	delivered 1 2
	settled one
	[ "$(posts '.headers | [.["aeg-delivery-count"],.authorization]' |
		uniq)" = '["1","Bearer s3cret-1"]' ]
	[ "$(jq -r .path tokens.tokens | uniq)" = \
		"/token?api-version=2019-08-01&resource=api%3A%2F%2Fx%20y" ]
	[ -z "$(dead)" ]
}

@test "HTTPS: what the endpoint shows must be a certificate for it that we trust" {
	local bad
	push_ns
	certificate good localhost
	certificate expired localhost
	expired expired
	certificate unknown localhost
	certificate elsewhere elsewhere.example.org
	cat good.pem expired.pem elsewhere.pem >trusted.pem
	egns-ctl namespace update -o none --trusted-certificates @trusted.pem
	for bad in good expired unknown elsewhere; do
		another "$bad" "$bad.pem" "$bad.key"
		hook "$bad" "$off,\"maxDeliveryCount\":2" \
			"\"endpointUrl\":\"https://localhost:$(<"$bad.port")/x\""
	done
	push_up
	publish 1
	posted 1 good
	ended "1 MaxDeliveryCountExceeded SocketError 2" \
		"1 MaxDeliveryCountExceeded SocketError 2" \
		"1 MaxDeliveryCountExceeded SocketError 2"
	[ "$(dead .subscription | sort | paste -sd' ')" = \
		'elsewhere expired unknown' ]
	[ ! -e expired.requests ]
	[ ! -e unknown.requests ]
	[ ! -e elsewhere.requests ]
	said 'elsewhere'
	said 'expired'
}

@test "HTTPS: an older version of TLS than the subscription wants is none" {
	local url
	push_ns
	certificate old localhost
	egns-ctl namespace update -o none --trusted-certificates @old.pem
	TLS_MAXIMUM=1.2 another old old.pem old.key
	url="\"endpointUrl\":\"https://localhost:$(<old.port)/x\""
	hook new "$off,$once" "$url,\"minimumTlsVersionAllowed\":\"1.3\""
	hook old "$off,$once" "$url,\"minimumTlsVersionAllowed\":\"1.2\""
	push_up
	publish 1
	posted 1 old
	settled old
	ended "1 MaxDeliveryCountExceeded SocketError 1"
	[ "$(dead .subscription)" = new ]
}

@test "what an endpoint says for good ends the event, with the reason on record" {
	local row want=()
	push_ns
	hook one
	push_up
	while read -r -a row; do
		then_do "{\"status\":${row[0]}}"
		publish "${row[0]}"
		want+=("${row[*]} 1")
		ended "${want[@]}"
	done <<-END
		400 SchemaRejected BadRequest
		401 Unauthorized Unauthorized
		403 Unauthorized Forbidden
		404 EndpointNotFound NotFound
		410 EndpointNotFound NotFound
		413 PayloadTooLarge PayloadTooLarge
		414 PayloadTooLarge PayloadTooLarge
		415 SchemaRejected BadRequest
	END
	publish ok
	wait_for sh -c 'grep -q "\"id\": \"ok\"" server.requests'
	settled one
	# each was attempted once
	posted_just 9
	jq -es 'all(.deadletterProperties | (.lastDeliveryAttemptTime |
		type) == "string" and .publishTime < .lastDeliveryAttemptTime)' \
		spool/deadletter/new/*
}

@test "whatever else it says is tried again, and has its result" {
	local row want=()
	push_ns
	hook one '"maxDeliveryCount":2'
	push_up
	while read -r -a row; do
		then_do "{\"status\":${row[0]},\"headers\":{\"Location\":\"/loop\"}}" \
			"{\"status\":${row[0]}}"
		publish "${row[0]}"
		want+=("${row[0]} MaxDeliveryCountExceeded ${row[1]} 2")
		ended "${want[@]}"
	done <<-END
		301 Aborted
		302 Aborted
		307 Aborted
		402 Aborted
		405 Aborted
		408 TimedOut
		418 Aborted
		429 Busy
		500 Aborted
		502 Aborted
		503 Busy
		504 TimedOut
		599 Aborted
	END
	# redirects were not followed
	[ "$(posts .path | sort -u)" = /one ]
	posted_just $((2 * ${#want[@]}))
	[ "$(posts '.headers["aeg-delivery-count"]' | sort | uniq -c | xargs)" = \
		"${#want[@]} 1 ${#want[@]} 2" ]
}

@test "every 2xx that the service knows is success, whatever the body is" {
	local status
	push_ns
	hook one
	push_up
	for status in 200 201 202 203 204; do
		then_do "{\"status\":$status,\"body\":\"{\\\"error\\\":1}\"}"
		publish "$status"
		posted "$((status - 199))"
	done
	then_do '{"do":"close"}' '{"do":"slow"}' '{"do":"huge"}' \
		'{"do":"endless"}' '{"body":"no JSON"}'
	publish a b c d
	settled one
	publish e
	settled one
	[ "$(ids | sort | paste -sd' ')" = '200 201 202 203 204 a b c d e' ]
	[ -z "$(dead)" ]
}

@test "an endpoint that refuses, breaks off or speaks no HTTP gets the event later" {
	local what want=()
	push_ns
	hook one '"maxDeliveryCount":2'
	push_up
	for what in reset cut garbage; do
		always "{\"do\":\"$what\"}"
		publish "$what"
		want+=("$what MaxDeliveryCountExceeded SocketError 2")
		ended "${want[@]}"
	done
	stop server
	publish refused
	want+=("refused MaxDeliveryCountExceeded SocketError 2")
	ended "${want[@]}"
	always
	start server
	publish ok
	delivered ok
}

@test "an endpoint that says nothing in time is TimedOut" {
	push_ns
	hook hang "$once,\"timeoutInSeconds\":1"
	hook drip "$once,\"timeoutInSeconds\":1"
	hook good "$once"
	then_do '{"path":"/hang","do":"hang"}' '{"path":"/drip","do":"drip"}'
	push_up
	publish 1
	delivered 1
	ended "1 MaxDeliveryCountExceeded TimedOut 1" \
		"1 MaxDeliveryCountExceeded TimedOut 1"
}

@test "a host that has no address is a ResolutionError" {
	push_ns
	hook one "$off,$once" '"endpointUrl":"https://nothing.invalid/x"'
	push_up
	publish 1
	ended "1 MaxDeliveryCountExceeded ResolutionError 1"
}

@test "what cannot even be asked cannot be reached, and that is an attempt" {
	push_ns
	egns-ctl namespace update -o none --set 'deliverySchedule=[1]'
	another gone
	hook gone '"maxDeliveryCount":2' "\"endpointUrl\":\"$(url x gone)\""
	stop gone
	hook busy '"maxDeliveryCount":2'
	hook lost "$once" '"endpointUrl":"https://nothing.invalid/x"'
	hook good
	always '{"method":"OPTIONS","path":"/busy","status":503,"headers":{}}'
	push_up
	publish 1
	delivered 1
	ended "1 MaxDeliveryCountExceeded SocketError 2" \
		"1 MaxDeliveryCountExceeded Busy 2" \
		"1 MaxDeliveryCountExceeded ResolutionError 1"
	[ "$(posts .path)" = /good ]
	# and it is not asked all the time
	[ "$(asked 'select(.path == "/busy") | 1' | wc -l)" -le 6 ]
}

@test "who lets the question hang has failed the event that waits for it" {
	push_ns
	hook hang "$once,\"timeoutInSeconds\":3"
	always '{"method":"OPTIONS","do":"hang"}'
	push_up
	publish 1
	wait_for asked_just 2
	# as long as an event may wait for an attempt, and longer
	advance 20
	ended "1 MaxDeliveryCountExceeded TimedOut 1"
	asked_just 2
}

@test "attempts are made at the times of the schedule" {
	local gap n=1
	push_ns
	egns-ctl namespace update -o none --remove deliverySchedule
	hook one '"maxDeliveryCount":7'
	always '{"status":500}'
	push_up
	publish 1
	for gap in 10 20 30 240 300 300; do
		status one ".attempts == $n"
		advance $((gap / 2))
		posted_just "$n"
		# and some jitter
		advance $((gap / 2 + gap / 5 + 4))
		n=$((n + 1))
	done
	posted "$n"
	ended "1 MaxDeliveryCountExceeded Aborted 7"
	[ "$(posts '.headers["aeg-delivery-count"]' | paste -sd' ')" = \
		'1 2 3 4 5 6 7' ]
}

@test "Retry-After counts when it is later than the schedule" {
	push_ns
	hook one
	push_up
	then_do '{"status":429,"headers":{"Retry-After":"600"}}'
	publish 1
	status one '.attempts == 1'
	advance 590
	posted_just 1
	advance 100
	delivered 1
	# a date is as good; libcurl compares it with the machine's clock
	then_do "{\"status\":503,\"headers\":{\"Retry-After\":\"$(
		LC_ALL=C date -u -d '+300 sec' \
		'+%a, %d %b %Y %H:%M:%S GMT')\"}}"
	publish 2
	status one '.attempts == 3'
	advance 280
	posted_just 3
	advance 60
	delivered 1 2
	# an endpoint that is not busy has spoken of the one event
	then_do '{"status":500,"headers":{"Retry-After":"600"}}'
	publish 3
	status one '.attempts == 5'
	publish 4
	delivered 1 2 4
	advance 590
	posted_just 6
	advance 70
	delivered 1 2 3 4
	egns-ctl namespace update -o none --set 'deliverySchedule=[100]'
	then_do '{"status":429,"headers":{"Retry-After":"5"}}'
	publish 5
	status one '.attempts == 8'
	advance 80
	posted_just 8
	advance 50
	delivered 1 2 3 4 5
	settled one
}

@test "an event that is too old when its next attempt is due ends" {
	push_ns
	egns-ctl namespace update -o none --set 'deliverySchedule=[500,500]'
	hook one '"eventTimeToLive":"PT10M"'
	always '{"status":500}'
	push_up
	publish 1
	status one '.attempts == 1'
	advance 555
	status one '.attempts == 2'
	advance 600
	ended "1 TimeToLiveExceeded Aborted 2"
	posted_just 2
}

@test "no event ends by age alone: each has an attempt" {
	push_ns
	hook one '"eventTimeToLive":"PT1M"'
	push_up
	sub hold one -o none
	publish 1 2
	advance 300
	status one '.pending + .inFlight == 2 and .deadLettered == {}'
	sub unhold one -o none
	delivered 1 2
	settled one
	[ -z "$(dead)" ]
}

@test "an endpoint in trouble is left alone, visibly, and then gets everything" {
	local n
	push_ns
	egns-ctl namespace update -o none --set 'deliverySchedule=[3600]'
	hook one
	push_up
	then_do '{"status":503}'
	publish 1
	status one '.state == "OnHold" and .by == "probation" and
		(.reason | test("503")) and .nextAttempt > .since'
	mapfile -t n < <(seq 2 20)
	publish "${n[@]}"
	status one '.pending + .inFlight == 20'
	posted_just 1
	# the table says 10 s of Busy
	advance 12
	delivered "${n[@]}"
	status one '.state == "Active" and .inFlight == 1'
	advance 4500
	delivered 1 "${n[@]}"
	settled one
	[ "$(posts '.headers["aeg-delivery-count"]' | sort | uniq -c | xargs)" = \
		'20 1 1 2' ]
}

@test "hold and unhold by hand are in force at once, and kept" {
	push_ns
	hook one
	push_up
	publish 1
	delivered 1
	sub hold one -o none
	status one '.state == "OnHold" and .by == "user:'"$(id -un)"'"'
	publish 2 3
	status one '.pending + .inFlight == 2'
	restart egns-push
	status one '.state == "OnHold" and .pending + .inFlight == 2'
	posted_just 1
	# also while nobody delivers
	stop egns-push
	sub unhold one -o none
	sub hold one -o none
	start egns-push
	status one '.state == "OnHold"'
	sub unhold one -o none
	delivered 1 2 3
	settled one
	[ "$(posts '.headers["aeg-delivery-count"]' | uniq)" = 1 ]
	asked_just 1
	grep -q 'orders/one: unhold was said' egns-push.log
}

@test "hold takes nothing back that is under way, and begins nothing new" {
	push_ns
	hook one '"maxInFlight":1'
	push_up
	publish 0
	delivered 0
	then_do '{"until":"go","status":503}'
	publish 1 2 3 4
	posted 2
	status one '.held > 0'
	sub hold one -o none
	status one '.held == 0'
	touch go
	status one '.attempts == 2 and .failures.Busy == 1'
	restart egns-push
	status one '.state == "OnHold" and .pending + .inFlight == 4'
	posted_just 2
	sub unhold one -o none
	delivered 0 1 2 3 4
	[ "$(posts '.events[0].id + .headers["aeg-delivery-count"]' | sort |
		paste -sd' ')" = '01 11 12 21 31 41' ]
}

@test "the circuit breaker keeps a topic out of the dead letters" {
	local n
	push_ns
	hook one '"maxInFlight":1,"circuitBreaker":{"failures":3}'
	always '{"status":401}'
	advance 0
	start egns-topicd
	then_do '{"status":401}' '{"status":401}' '{}'
	mapfile -t n < <(seq 20)
	publish "${n[@]}"
	start egns-push
	status one '.state == "OnHold" and .by == "circuitBreaker" and
		.deadLettered == {"Unauthorized":5} and
		.pending + .inFlight == 14'
	posted_just 6
	restart egns-push
	advance 7200
	status one '.state == "OnHold" and .pending + .inFlight == 14'
	posted_just 6
	always
	sub unhold one -o none
	settled one
	posted_just 20
	[ "$(dead 1 | wc -l)" -eq 5 ]
}

# of SUBJECT ID... - publish these.
of() {
	local id
	for id in "${@:2}"; do
		event "$id"
	done | jq -c --arg s "$1" '.subject = $s' | egns-ctl publish -t orders
}

@test "in order by subject: one waits for the other, and for nothing else" {
	push_ns
	egns-ctl namespace update -o none --set 'deliverySchedule=[20]'
	hook one '"orderBySubject":true'
	push_up
	publish first
	delivered first
	then_do '{"until":"go","status":503}'
	of a a1 a2 a3
	posted 2
	of b b1 b2
	publish none
	delivered first b1 b2 none
	posted_just 5
	touch go
	status one '.attempts == 5'
	# what came behind the failed one still does
	of b b3
	delivered first b1 b2 b3 none
	advance 23
	delivered first b1 b2 b3 none a1 a2 a3
	[ "$(ids | grep a | paste -sd' ')" = 'a1 a1 a2 a3' ]
	[ "$(ids | grep b | paste -sd' ')" = 'b1 b2 b3' ]
	settled one
}

@test "in order by subject: who comes after a crash knows what comes first" {
	push_ns
	egns-ctl namespace update -o none --set 'deliverySchedule=[3600]'
	hook one '"orderBySubject":true'
	push_up
	then_do '{"status":500}'
	of a a1 a2
	status one '.attempts == 1'
	crash egns-push
	start egns-push
	delivered a1 a2
	[ "$(ids | paste -sd' ')" = 'a1 a1 a2' ]
	settled one
}

@test "no more is under way than maxInFlight says, and the rest waits in topicd" {
	local n
	push_ns
	hook one '"maxInFlight":4'
	always '{"until":"go"}'
	push_up
	mapfile -t n < <(seq 30)
	publish "${n[@]}"
	posted 1
	touch go
	delivered "${n[@]}"
	settled one
	rm go
	publish "${n[@]/#/x}"
	posted 34
	status one '.inFlight <= 8 and .pending + .inFlight == 30'
	posted_just 34
	touch go
	delivered "${n[@]}" "${n[@]/#/x}"
}

@test "an endpoint that hangs delays nobody else" {
	local n
	push_ns
	another far
	for n in 1 2 3; do
		hook "hang$n" '' "\"endpointUrl\":\"$(url "$n" far)\""
	done
	hook same
	hook good
	echo '{"do":"hang"}' >far.always
	always '{"path":"/same","do":"hang"}'
	push_up
	mapfile -t n < <(seq 100)
	publish "${n[@]}"
	delivered "${n[@]}"
	[ "$(posts 'select(.status == 200) | .path' | uniq)" = /good ]
	settled good
	crash egns-push # which would wait for the others for a while
}

@test "a subscription that is deleted, or made anew, while events wait" {
	push_ns
	hook one '"maxInFlight":1'
	hook two
	then_do '{"path":"/one","until":"go"}'
	push_up
	publish 1 2 3
	wait_for ids_just 4
	sub delete one --yes
	hook one '' "\"endpointUrl\":\"$(url anew)\""
	publish 4
	wait_for ids_just 6
	touch go
	settled one
	settled two
	[ "$(posts 'select(.path == "/anew") | .events[].id')" = 4 ]
	[ "$(posts 'select(.path == "/one") | .events[].id')" = 1 ]
	sub delete two --yes
	publish 5
	settled one
	[ "$(posts 'select(.path == "/two") | .events[].id' | sort | xargs)" = \
		'1 2 3 4' ]
	[ ! -e spool/push/orders/two.json ]
	stop egns-push
}

@test "a subscription that becomes a queue takes no events of it" {
	push_ns
	hook one
	always '{"do":"hang"}'
	push_up
	publish 1
	posted 1
	sub update one -o none --delivery-configuration '{deliveryMode: Queue}'
	publish 2
	[ "$(egns-pull receive -t orders -s one | jq -r .event.id)" = 2 ]
}

@test "another URL takes over what waits for the old one" {
	push_ns
	egns-ctl namespace update -o none --set 'deliverySchedule=[60]'
	hook one
	push_up
	always '{"status":503,"path":"/one"}'
	publish 1
	status one '.state == "OnHold"'
	sub update one -o none --set "deliveryConfiguration.push.destination.\
properties.endpointUrl=$(url new)"
	publish 2
	delivered 2
	advance 70
	delivered 1 2
	[ "$(posts 'select(.status == 200) | .path' | uniq)" = /new ]
}

@test "TERM: what is under way is waited for, and the rest is given back" {
	push_ns
	hook one '"maxInFlight":1'
	push_up
	then_do '{"until":"go"}'
	publish 1 2 3 4 5
	posted 1
	wait_for second_is locked
	kill "${pid_of[egns-push]}"
	wait_for second_is available
	touch go
	gone egns-push
	[ "$status" -eq 0 ]
	posted_just 1
	start egns-push
	delivered 1 2 3 4 5
	settled one
	posted_just 5
	[ "$(posts '.headers["aeg-delivery-count"]' | uniq)" = 1 ]
}

# second_is STATE - of the second event that the subscription one has.
second_is() {
	[ "$(ask '{"op":"peek","topic":"orders","subscription":"one","maxEvents":2}' |
		jq -r 'select(.event.id == "2").brokerProperties.state')" = "$1" ]
}

@test "killed in the middle: what was under way is tried again, at once" {
	push_ns
	hook one '"maxInFlight":2'
	push_up
	publish 0
	delivered 0
	always '{"until":"go"}'
	publish 1 2 3 4 5
	posted 3
	crash egns-push
	always
	start egns-push
	settled one
	[ "$(ids | sort -u | paste -sd' ')" = '0 1 2 3 4 5' ]
	posted_just 8
	[ -z "$(dead)" ]
	touch go
}

# moved_on CMD... - true, or the clock goes on for a while.
moved_on() {
	"$@" || { advance 30 && false; }
}

@test "topicd may end and come back while deliveries go on" {
	push_ns
	hook one
	push_up
	publish 1
	delivered 1
	then_do '{"until":"go"}'
	publish 2
	posted 2
	crash egns-topicd
	touch go
	start egns-topicd
	publish 3
	wait_for moved_on settled_now one
	[ "$(ids | sort -u | paste -sd' ')" = '1 2 3' ]
	[ "$(ids | wc -l)" -le 4 ]
}

@test "egns-push may be there first, and topics and subscriptions come and go" {
	push_ns
	hook one
	advance 0
	start egns-push
	start egns-topicd
	publish 1
	delivered 1
	hook two
	publish 2
	delivered 1 2 2
	egns-ctl namespace topic delete -n orders --yes
	topic orders
	hook one
	publish 3
	delivered 1 2 2 3
	kill -HUP "${pid_of[egns-push]}"
	publish 4
	delivered 1 2 2 3 4
}

@test "endpoints that fail and daemons that are killed lose nothing, and keep order" {
	local round n trouble=()
	push_ns
	hook one
	hook batch '' '"maxEventsPerBatch":7'
	hook order '"orderBySubject":true'
	push_up
	for n in 1 2 3 4 5; do
		trouble+=('{"do":"reset"}' '{}' '{"status":503}' '{}'
			'{"do":"cut"}' '{}' '{"status":429}' '{}')
	done
	for round in 1 2 3 4; do
		then_do "${trouble[@]}" \
			'{"run":"xargs kill -9 <spool/run/push.lock","do":"hang"}'
		of "s$((round % 2))" $(seq $((100 * round)) \
			$((100 * round + 49)))
		gone egns-push
		[ "$round" -ne 2 ] || crash egns-topicd
		[ "$round" -ne 2 ] || start egns-topicd
		start egns-push
	done
	for n in one batch order; do
		settled "$n"
		posts "select(.path == \"/$n\" and .status == 200) |
			.events[] | .subject + \" \" + .id" >"$n"
		[ "$(sort -u "$n" | wc -l)" -eq 200 ]
	done
	[ -z "$(dead)" ]
	# some come again, but none before its turn
	for n in s0 s1; do
		grep "^$n" order | awk '!seen[$0]++' >got
		sort -n -k 2 got | diff got -
	done
	egns-ctl audit
}

@test "one attempt by hand, or only what it would be" {
	push_ns
	hook one '' '"deliveryAttributeMappings":[
		{"name":"X-Key","type":"Static","properties":{"value":"s3cret-1","isSecret":true}}]'
	advance 0
	start egns-topicd
	event 1 '{"a":1}' >event
	egns-push --once --dry-run -t orders -s one event >request
	grep -qF '/one' request
	grep -qiF 'content-type: application/cloudevents+json; charset=utf-8' \
		request
	grep -qiF 'x-key: ***' request
	grep -qF '"id":"1"' request
	run ! grep -F s3cret request
	egns-push --once --dry-run -t orders -s one - <event >again
	# but for an id that is new each time
	diff <(grep -v output-event-id request) <(grep -v output-event-id again)
	[ ! -e server.requests ]
	sub hold one -o none
	cp spool/push/orders/one.json held
	egns-push --once -t orders -s one event 2>words
	[ ! -s words ]
	egns-push --once -t orders -s one - </dev/null 2>words
	grep -qx 'egns-push: the input has no event' words
	delivered 1
	cmp spool/push/orders/one.json held
	always '{"status":503}'
	run egns-push --once -t orders -s one "$(event 2)"
	[ "$status" -eq 75 ]
	[[ $output == *503* ]]
	always '{"status":403}'
	run egns-push --once -t orders -s one event
	[ "$status" -ne 0 ]
	[ "$status" -ne 75 ]
	# topicd has nothing to do with it
	settled one
	[ -z "$(dead)" ]
}

@test "at its expiration time a subscription is delivered no more" {
	push_ns
	hook one '' '' --expiration-time-utc "$(date -u -d '+1 hour' +%FT%TZ)"
	hook two
	push_up
	sub hold one -o none
	publish 1
	delivered 1
	advance 3700
	expired_one() { status_now one '.state == "Expired"'; }
	wait_for expired_one
	sub unhold one -o none || :
	publish 2
	delivered 1 2
	[ "$(posts .path | sort -u)" = /two ]
	[ "$(jq -c '[.subscription,.reason,.count]' spool/dropped/*)" = \
		'["one","SubscriptionExpired",1]' ]
	egns-ctl audit
}

@test "what was done is counted" {
	push_ns
	hook one '"maxInFlight":1'
	push_up
	then_do '{"status":503}' '{"status":500}' '{"status":400}'
	publish 1 2 3 4
	settled one
	stop egns-push
	grep -v '^#' spool/metrics/push.prom | tee counts
	grep -E '^egns_DeliveryAttemptCount' counts | grep -q ' 6$'
	grep -E '^egns_DeliverySuccessCount' counts | grep -q ' 3$'
	grep 'egns_DeliveryAttemptFailCount' counts | sed 's/.*Outcome=//' |
		sort >got
	diff got - <<-'END'
	"Aborted"} 1
	"BadRequest"} 1
	"Busy"} 1
	END
	grep -E '^egns_DestinationProcessingDurationMs_count' counts |
		grep -q ' 6$'
	# the books balance, too
	egns-ctl audit
}

@test "destinations that cannot be are refused when they are made" {
	push_ns
	refused 65 'endpointUrl' namespace topic event-subscription create \
		--topic-name orders -n one --delivery-configuration \
		'{deliveryMode:Push,push:{destination:{endpointType:WebHook,
		properties:{endpointUrl:"http://example.org/?code=s3cret"}}}}'
	[[ $stderr != *s3cret* ]]
	refused 65 'endpointType' namespace topic event-subscription create \
		--topic-name orders -n one --delivery-configuration \
		'{deliveryMode:Push,push:{destination:{endpointType:StorageQueue,
		properties:{resourceId:/x}}}}'
	refused 65 'destination' namespace topic event-subscription create \
		--topic-name orders -n one --delivery-configuration \
		'{deliveryMode:Push,push:{maxDeliveryCount:2}}'
	refused 65 'aeg-' namespace topic event-subscription create \
		--topic-name orders -n one --delivery-configuration \
		'{deliveryMode:Push,push:{destination:{endpointType:WebHook,
		properties:{endpointUrl:"https://h/",deliveryAttributeMappings:
		[{name:aeg-x,type:Static,properties:{value:v}}]}}}}'
}
