# Clients that tests of the broker use, against a broker that others wrote: what
# fails here is not the broker's fault.

load lib
load mosquitto
load clients

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

@test "mqttjs.js and paho_client.py send and receive, raw and over WebSocket" {
	certificates server press
	start_mosquitto
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

@test "mqttjs.js and paho_client.py send and show properties of MQTT 5" {
	certificates server press
	start_mosquitto
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

@test "mqttjs.js and paho_client.py come back to a session" {
	certificates server press
	start_mosquitto
	each sessions
}

refusals() {
	[ "$version" = 5 ] || return 0
	run -1 third "$client" press --url "$url" --publish no=1
	jq -es 'map(select(.event == "puback"))[0].code == 135' out
}

@test "mqttjs.js and paho_client.py show what is refused, and fail" {
	certificates server press
	printf '%s\n' 'user press' 'topic readwrite ok/#' >acl
	start_mosquitto "acl_file $PWD/acl"
	each refusals
}
