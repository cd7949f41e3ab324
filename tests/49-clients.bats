# Clients that others wrote, against our broker; and, so that what fails here is
# known to be the broker's fault, against a broker that others wrote.

load lib
load broker
load mosquitto
load clients

with_mosquitto() {
	certificates server press
	start_mosquitto "$@"
}

with_egns() {
	bare_ns --topic-spaces-configuration '{state:Enabled,
		maximumClientSessionsPerAuthenticationName:100}'
	topic_space all "${1:-#}"
	allow all "\$all"
	device press
	start_broker
	mqtts=$(mport mqtts) wss=$(mport wss)
}

# Each client over each transport in each version.
each() {
	local client scheme version url
	for client in mqttjs paho_client; do
		for scheme in mqtts wss; do
			for version in 4 5; do
				url=mqtts://localhost:$mqtts
				[ "$scheme" = mqtts ] ||
					url=wss://localhost:$wss/mqtt
				echo "# $client $url version $version"
				"$@"
			done
		done
	done
}

messages() {
	third "$client" press --url "$url" --version "$version" --id "s$version" \
		--subscribe 'a/+' --publish a/1=one --publish a/2=two --count 2
	[ "$(jq -r 'select(.event == "message") | "\(.topic) \(.payload) " +
		"\(.qos) \(.retain) \(.dup)"' out)" = \
		$'a/1 one 1 false false\na/2 two 1 false false' ]
	[ "$(jq -rc 'select(.event != "message") | .event' out | sort |
			uniq -c | tr -s ' \n' ' ')" = ' 1 connack 2 puback 1 suback ' ]
}

@test "MQTT.js and paho send and receive, raw and over WebSocket" {
	with_egns
	each messages
}

@test "the same with mosquitto: MQTT.js and paho send and receive, raw and over WebSocket" {
	with_mosquitto
	each messages
}

properties() {
	[ "$version" = 5 ] || return 0
	third "$client" press --url "$url" --subscribe p --count 1 \
		--publish p=1 --property content-type=text/plain \
		--property response-topic=r/1 --property correlation-data=c7 \
		--property payload-format-indicator=1 \
		--property message-expiry-interval=60 \
		--user-property a=1 --user-property b=2
	jq -es 'map(select(.event == "message"))[0].properties == {
		"content-type": "text/plain", "response-topic": "r/1",
		"correlation-data": "c7", "payload-format-indicator": 1,
		"message-expiry-interval": 60,
		"user-properties": [["a", "1"], ["b", "2"]]}' out
}

@test "MQTT.js and paho send and show properties of MQTT 5" {
	with_egns
	each properties
}

@test "the same with mosquitto: MQTT.js and paho send and show properties of MQTT 5" {
	with_mosquitto
	each properties
}

sessions() {
	local here=(press --url "$url" --version "$version"
		--id "$client-$scheme-$version" --resume 600)
	third "$client" "${here[@]}" --subscribe kept
	jq -es '.[0].sessionPresent == false' out
	third "$client" press --url "$url" --publish kept=later
	third "$client" "${here[@]}" --count 1
	jq -es '.[0].sessionPresent and .[1].payload == "later"' out
	third "$client" press --url "$url" --version "$version" \
		--id "$client-$scheme-$version"
}

@test "MQTT.js and paho come back to a session" {
	with_egns
	each sessions
}

@test "the same with mosquitto: MQTT.js and paho come back to a session" {
	with_mosquitto
	each sessions
}

refusals() {
	[ "$version" = 5 ] || return 0
	run -1 third "$client" press --url "$url" --publish no=1
	jq -es 'map(select(.event == "puback"))[0].code == 135' out
}

@test "MQTT.js and paho show what is refused, and fail" {
	with_egns 'ok/#'
	each refusals
}

@test "the same with mosquitto: MQTT.js and paho show what is refused" {
	printf '%s\n' 'user press' 'topic readwrite ok/#' >acl
	with_mosquitto "acl_file $PWD/acl"
	each refusals
}
