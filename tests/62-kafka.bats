# egns-push with Kafka: librdkafka's mock cluster (tests/kafka/cluster) is the
# cluster, and tests/kafka/records reads what has come.

load lib
load push

PATH=$B/tests/kafka:$PATH

# kafka_ns [ARG...] - a namespace with the topic orders, and a cluster.
kafka_ns() {
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -C spool -n testns -o none \
		--delivery-schedule '[0]' && topic orders && start cluster "$@"
	read -r servers <cluster.servers
}

# cluster_does ORDER... - and return when it has been done.
cluster_does() {
	local had=0
	[ ! -e cluster.done ] || had=$(wc -l <cluster.done)
	printf '%s\n' "$@" >cluster.orders
	wait_for cluster_did $((had + $#))
}

cluster_did() {
	[ -e cluster.done ] && [ "$(wc -l <cluster.done)" -eq "$1" ]
}

# kafka NAME [PUSH [PROPERTIES]] - a subscription of orders to the topic of its
# name; both are members, as JSON.
kafka() {
	destination "$1" "${2:-}" "{\"endpointType\":\"Kafka\",\"properties\":{
		\"bootstrapServers\":\"$servers\",\"topic\":\"$1\"${3:+,$3}}}"
}

# stored TOPIC [JQ] - its records.
stored() {
	records "$servers" "$1" 2>/dev/null | jq -rc "${2:-.}"
}

# arrived TOPIC ID... - wait until just the events with these ids are in it.
arrived() {
	wait_for arrived_now "$@" || { stored "$1"; return 1; }
}

arrived_now() {
	[ "$(stored "$1" '.headers.ce_id // (.value | fromjson).id' | sort)" = \
		"$(printf '%s\n' "${@:2}" | sort)" ]
}

# unsaid SECRET - no log has it.
unsaid() {
	run ! grep -E "$1" egns-push.log
}

@test "an event is a record, and its text is the value" {
	kafka_ns
	kafka out
	push_up
	event 1 '{ "a": [1.0, "\u00fc"] }' >one
	egns-ctl publish -t orders one
	arrived out 1
	[ "$(stored out .value)" = "$(cat one)" ]
	stored out '.headers' | jq -e '."content-type" ==
		"application/cloudevents+json; charset=utf-8" and
		."aeg-subscription-name" == "out" and
		."aeg-delivery-count" == "1" and
		."aeg-compatibility-mode-enabled" == "false" and
		(."aeg-output-event-id" | length) == 36'
	[ "$(stored out .key)" = null ]
	settled out
	[ -z "$(dead)" ]
}

@test "in binary mode attributes are headers, and data is the value" {
	kafka_ns
	kafka out '"contentMode":"binary"'
	push_up
	event 1 '{ "a": 1 }' | egns-ctl publish -t orders
	event 2 | egns-ctl publish -t orders
	echo '{"specversion":"1.0","id":"3","source":"/s","type":"t","subject":"ü",
		"datacontenttype":"text/plain","data_base64":"eHl6","ext":7}' |
		tr -d '\n\t' | egns-ctl publish -t orders
	arrived out 1 2 3
	[ "$(stored out 'select(.headers.ce_id == "1") |
		[.value,.headers["content-type"],.headers.ce_source]')" = \
		'["{ \"a\": 1 }","application/json","/test"]' ]
	[ "$(stored out 'select(.headers.ce_id == "2") | .value')" = null ]
	[ "$(stored out 'select(.headers.ce_id == "3") |
		[.value,.headers["content-type"],.headers.ce_subject,
		.headers.ce_ext,.headers.ce_specversion]')" = \
		'["xyz","text/plain","ü","7","1.0"]' ]
}

@test "the key is that of the mapping, else of the event" {
	kafka_ns
	cluster_does 'create out 4' 'create plain 4'
	kafka plain
	kafka out '' '"deliveryAttributeMappings":[
		{"name":"PartitionKey","type":"Dynamic",
			"properties":{"sourceField":"data.room"}},
		{"name":"x-team","type":"Static","properties":{"value":"ops"}},
		{"name":"x-key","type":"Static",
			"properties":{"value":"s3cret","isSecret":true}},
		{"name":"x-type","type":"Dynamic",
			"properties":{"sourceField":"type"}}]'
	push_up
	for id in 1 2 3 4 5 6; do
		event "$id" '{"room":"r'$((id % 2))'"}'
	done | egns-ctl publish -t orders
	echo '{"specversion":"1.0","id":"7","source":"/s","type":"t",
		"partitionkey":"k"}' | tr -d '\n\t' | egns-ctl publish -t orders
	arrived out 1 2 3 4 5 6 7
	arrived plain 1 2 3 4 5 6 7
	# of one key, one partition, in order
	[ "$(stored out 'select(.key == "r1") | .partition' | sort -u | wc -l)" \
		-eq 1 ]
	[ "$(stored out 'select(.key == "r1") | .value | fromjson.id' |
		paste -sd' ')" = '1 3 5' ]
	[ "$(stored out 'select(.key == "k") | .value | fromjson.id')" = 7 ]
	[ "$(stored out '[.headers["x-team","x-key","x-type"]]' | sort -u)" = \
		'["ops","s3cret","t"]' ]
	[ "$(stored out '.headers.PartitionKey' | sort -u)" = null ]
	[ "$(stored plain .key | sort | uniq -c | awk '{ print $1, $2 }' |
		paste -sd,)" = '1 k,6 null' ]
	unsaid s3cret
}

@test "what a broker refuses for good ends, with its reason" {
	kafka_ns
	kafka out
	push_up
	publish 0
	arrived out 0
	cluster_does 'fail Produce MSG_SIZE_TOO_LARGE'
	publish 1
	ended '1 PayloadTooLarge PayloadTooLarge 1'
	cluster_does 'fail Produce TOPIC_AUTHORIZATION_FAILED'
	publish 2
	ended '1 PayloadTooLarge PayloadTooLarge 1' \
		'2 Unauthorized Forbidden 1'
	cluster_does 'fail Produce INVALID_RECORD'
	publish 3
	ended '1 PayloadTooLarge PayloadTooLarge 1' \
		'2 Unauthorized Forbidden 1' '3 SchemaRejected BadRequest 1'
	publish 4
	arrived out 0 4
	settled out
	said "topic 'out': Broker: Message size too large"
}

@test "a topic that may not be seen is not allowed, which the breaker counts" {
	kafka_ns
	cluster_does 'create nau 0' 'topic nau TOPIC_AUTHORIZATION_FAILED'
	kafka nau '"circuitBreaker":{"failures":2}'
	push_up
	publish 1
	ended '1 Unauthorized Forbidden 1'
	publish 2
	status nau '.by == "circuitBreaker" and (.lastError |
		contains("Topic authorization failed"))'
}

@test "a topic that is missing ends events, until it is made" {
	kafka_ns
	cluster_does 'topic out UNKNOWN_TOPIC_OR_PART'
	kafka out '"timeoutInSeconds":6'
	push_up
	publish 1
	ended '1 EndpointNotFound NotFound 1'
	cluster_does 'topic out NO_ERROR'
	publish 2
	arrived out 2
}

@test "what passes is ridden out, and a fatal error is not the end" {
	kafka_ns
	kafka out
	push_up
	publish 1
	arrived out 1
	cluster_does 'fail Produce NOT_ENOUGH_REPLICAS' \
		'fail Produce KAFKA_STORAGE_ERROR' \
		'fail Produce NOT_LEADER_FOR_PARTITION' \
		'fail Produce REQUEST_TIMED_OUT'
	publish 2
	arrived out 1 2
	cluster_does 'fail Produce OUT_OF_ORDER_SEQUENCE_NUMBER'
	publish 3
	wait_for in_topic out 3
	status out '.pending == 0 and .inFlight == 0'
	[ -z "$(dead)" ]
}

in_topic() {
	stored "$1" '.value | fromjson.id' | grep -qx "$2"
}

@test "events wait for brokers that are down" {
	kafka_ns -n 3
	kafka out '"timeoutInSeconds":2'
	push_up
	publish 1
	wait_for in_topic out 1
	cluster_does down
	publish 2 3 4
	status out '.failures.SocketError >= 3 and .by == "probation" and
		(.reason | contains("refused"))'
	cluster_does up
	advance 60
	wait_for in_topic out 2
	wait_for in_topic out 3
	wait_for in_topic out 4
	settled out
	[ -z "$(dead)" ]
}

@test "nobody there delays nobody else, nor the end" {
	kafka_ns
	kafka good
	servers=127.0.0.1:1 kafka refused
	servers=no-such-host.invalid:9092 kafka unknown
	push_up
	publish 1 2 3
	arrived good 1 2 3
	since=$SECONDS
	stop egns-push
	[ $((SECONDS - since)) -lt 60 ] # an attempt may take half of that
	start egns-push
	publish 4
	arrived good 1 2 3 4
}

@test "killed at any moment, egns-push loses nothing" {
	kafka_ns
	kafka out
	push_up
	ids=$(seq 1 2000)
	for id in $ids; do
		event "$id"
	done >events
	split -l 500 events part.
	for part in part.*; do
		egns-ctl publish -t orders "$part"
		crash egns-push
		start egns-push
	done
	wait_for all_there out 2000
	settled out
}

all_there() {
	[ "$(stored "$1" '.value | fromjson.id' | sort -u | wc -l)" -eq "$2" ]
}

@test "an event hub of a lab is a topic" {
	kafka_ns
	id=/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub
	id+=/namespaces/n/eventhubs/h
	egns-ctl namespace update -o none --endpoints "[{\"resourceId\":\"$id\",
		\"url\":\"kafka://$servers/hub\"}]"
	destination out '' "{\"endpointType\":\"EventHub\",
		\"properties\":{\"resourceId\":\"$id\"}}"
	push_up
	publish 1 2
	arrived hub 1 2
}

@test "settings that librdkafka does not take hold the subscription, in words" {
	kafka_ns
	kafka odd '' '"properties":{"compression.type":"rar"}'
	kafka good '' '"properties":{"compression.type":"lz4","linger.ms":"1"}'
	push_up
	publish 1
	arrived good 1
	status odd '.reason | contains("property \"compression.type\"")'
}

@test "a property that is not known is refused, and a file that is not there named" {
	kafka_ns
	run ! kafka odd '' '"properties":{"lingr.ms":"1"}'
	[[ $output == *"'lingr.ms': no such property of a producer"* ]]
	kafka file '' '"properties":{"ssl.certificate.location":"/none/c"}'
	push_up
	publish 1
	status file '.attempts == 0 and (.reason |
		contains("'\''/none/c'\'': No such file"))'
}

@test "a dry run shows the record" {
	kafka_ns
	kafka out '"contentMode":"binary"' '"deliveryAttributeMappings":[
		{"name":"PartitionKey","type":"Static",
			"properties":{"value":"k"}},
		{"name":"x-key","type":"Static",
			"properties":{"value":"s3cret","isSecret":true}}]'
	event 1 '{"a":1}' >one
	run egns-push --once --dry-run -t orders -s out one
	[ "$status" -eq 0 ]
	[[ $output == *"PRODUCE out to $servers"$'\n'* ]]
	[[ $output == *$'\nkey: k\n'*$'\nce_id: 1\n'*$'\nx-key: ***'* ]]
	[[ $output == *$'\n\n{"a":1}'* ]]
	[[ $output != *s3cret* ]]
}

# guarded_ns WHOM - a namespace that trusts a broker which takes only WHOM.
guarded_ns() {
	export EGNS_SPOOL=$PWD/spool
	PATH=$top/tests/kafka:$PATH
	egns-ctl namespace create -C spool -n testns -o none \
		--delivery-schedule '[0]' && topic orders
	certificate broker localhost
	echo "$1" >broker.accepts
	start broker broker.pem broker.key
	read -r port <broker.port
	servers=localhost:$port
	[ -n "${2:-}" ] || egns-ctl namespace update -o none \
		--trusted-certificates @broker.pem
}

# records_are N - wait until the broker has stored so many.
records_are() {
	wait_for records_are_now "$1" || { cat broker.*; return 1; }
}

records_are_now() {
	[ "$(awk '{ n += $2 } END { print n }' broker.stored 2>/dev/null)" = "$1" ]
}

user='"properties":{"sasl.username":"me"}'

@test "a password is of a credential, and a new one is looked for when it is refused" {
	guarded_ns me:first
	echo first >spool/secret
	kafka out '' "$user,\"credential\":{\"file\":\"secret\"}"
	push_up
	publish 1
	records_are 1
	[ "$(sort -u broker.logins)" = 'PLAIN me:first' ]
	# another one is in force when connections have ended
	stop broker
	echo me:second >broker.accepts
	echo second >spool/secret
	restart broker
	publish 2
	records_are 2
	settled out
	[ "$(tail -n 1 broker.logins)" = 'PLAIN me:second' ]
	status out '.failures == {}'
	[ -z "$(dead)" ]
	unsaid 'first|second'
}

@test "who is not let in is Unauthorized" {
	guarded_ns me:right
	echo wr0ng >spool/secret
	kafka out '' "$user,\"credential\":{\"file\":\"secret\"}"
	push_up
	publish 1
	ended '1 Unauthorized Unauthorized 1'
	[ "$(sort broker.logins | uniq -c | awk '{ print $1 }')" -ge 2 ]
	echo right >spool/secret
	publish 2
	records_are 1
	unsaid wr0ng
}

@test "a token is for OAUTHBEARER" {
	guarded_ns t0ken
	kafka out '' '"credential":{"command":"echo t0ken","type":"bearer"}'
	kafka none '' '"credential":{"file":"missing","type":"bearer"}'
	push_up
	publish 1
	records_are 1
	[ "$(sort -u broker.logins)" = 'OAUTHBEARER t0ken' ]
	# nothing was sent, so it was no attempt
	status none '.attempts == 0 and (.reason | contains("missing"))'
	unsaid t0ken
}

@test "an event hub takes the whole connection string" {
	line='Endpoint=sb://localhost/;SharedAccessKeyName=r;SharedAccessKey=s3cret='
	guarded_ns "\$ConnectionString:$line"
	echo "$line" >spool/secret
	id=/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub
	id+=/namespaces/n/eventhubs/h
	egns-ctl namespace update -o none --endpoints "[{\"resourceId\":\"$id\",
		\"url\":\"kafkas://$servers/hub\",\"credential\":{
		\"file\":\"secret\",\"type\":\"connectionString\"}}]"
	destination out '' "{\"endpointType\":\"EventHub\",
		\"properties\":{\"resourceId\":\"$id\"}}"
	push_up
	publish 1 2
	records_are 2
	[ "$(sort -u broker.logins)" = "PLAIN \$ConnectionString:$line" ]
	[ "$(cut -d' ' -f1 broker.stored | sort -u)" = hub ]
	unsaid s3cret
}

@test "a broker that nobody vouches for gets nothing" {
	guarded_ns me:secret untrusted
	echo secret >spool/secret
	kafka out '"timeoutInSeconds":2' \
		"$user,\"credential\":{\"file\":\"secret\"}"
	push_up
	publish 1
	status out '.failures.SocketError >= 1 and
		(.lastError | contains("certificate"))'
	[ ! -e broker.logins ]
}
