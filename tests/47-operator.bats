# shellcheck shell=bash
# The broker as its operator sees it: how it starts and says why it does not,
# what a change of the registry does to those who are connected, what the log
# and the metrics tell.
load lib
load broker

# ---- helpers ----

# converse - begin a conversation with the broker, for `say`; one at a time.
converse() {
	rm -f talk.in && mkfifo talk.in
	/usr/bin/python3 -u "$top/tests/mqtt/raw.py" "$(mport mqtts)" <talk.in \
		>talk.out 2>&1 3>&- &
	# shellcheck disable=SC2034,SC2004 # lib.bash's
	pid_of[talk]=$!
	exec {talk}>talk.in
	spoken=0
}

# say LINE... - go on with it: lines for mqtt/raw.py, the last of which waits for
# something; returns when that has come.
say() {
	printf '%s\n' "$@" >&"$talk"
	spoken=$((spoken + $#))
	wait_for said || { cat talk.out; return 1; }
}

said() {
	[ "$(grep -c '^[^ ]' talk.out)" -eq "$spoken" ] &&
		[[ $(tail -n 1 talk.out) == "  "* ]]
}

# over - all of it was as expected.
over() {
	exec {talk}>&-
	gone talk || return
	[ "$status" -eq 0 ] || { cat talk.out; return 1; }
}

logged() {
	wait_for grep -qF -- "$1" egns-brokerd.log
}

# does_not_start STATUS WORDS [ARG...] - it says so on one line, and ends.
does_not_start() {
	local want=$1 words=$2
	run --separate-stderr "-$want" timeout "$PATIENCE" egns-brokerd "${@:3}"
	echo "$stderr"
	[[ $stderr == "egns-brokerd: fatal: "*"$words"* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
}

# shown PORT - the certificate that the broker shows there.
shown() {
	openssl s_client -connect "127.0.0.1:$1" </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint -sha256
}

shows_another_than() {
	[ "$(shown "$1")" != "$2" ]
}

# metric SAMPLE VALUE - the file says so.
metric() {
	grep -qxF -- "$1 $2" spool/metrics/brokerd.prom ||
		{ cat spool/metrics/brokerd.prom; return 1; }
}

# plant - screens may see everything and presses publish their own.
plant() {
	bare_ns && topic_space own "plant/\${client.authenticationName}/#" &&
		topic_space plant 'plant/#' &&
		egns-ctl namespace client-group create -o none -n screens \
			--query "attributes.role = 'screen'" &&
		allow own "\$all" Publisher && allow plant screens Subscriber &&
		device press && device screen '{role:screen}'
}

# ---- it starts, or says why not ----

@test "up starts the broker once the namespace has one, and status tells where" {
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -n testns -o none \
		--listeners '{"mqtts":"127.0.0.1:0","wss":"127.0.0.1:0"}'
	egns-ctl up -d
	egns-ctl status -o json | jq -e '[.daemons[].name] == ["topicd"]'
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.state=Enabled
	wait_for egns-ctl status -o none
	topic_space all '#' && allow all "\$all" && device dev
	egns-ctl status -o json | jq -e '.healthy and
		(.listeners | map_values(test("^127.0.0.1:[1-9][0-9]*$")) |
		.mqtts and .wss) and (.daemons[1] | .name == "brokerd" and
		.ready and .connections == 0 and .sessions == 0)'
	listen sub dev -t x
	egns-ctl status --jq '.daemons[1] | [.connections, .subscriptions]' \
		-o json | jq -ce '. == [1, 1]'
	egns-ctl status -o table >table
	grep -q '^brokerd .*127.0.0.1:' table
	stop sub
	egns-ctl down
}

@test "what keeps the broker from starting is one line, and a status" {
	ns
	does_not_start 66 \
		'egns-ctl namespace update --set topicSpacesConfiguration.state=Enabled'
	rm -r spool
	bare_ns
	mv spool/namespace/tls tls
	does_not_start 66 'egns-ctl cert renew-server'
	mv tls spool/namespace/tls
	start_broker
	does_not_start 73 "runs already on this spool, pid ${pid_of[egns-brokerd]}"
	port=$(mport wss)
	egns-ctl namespace create -C two -n two -o none \
		--topic-spaces-configuration '{state:Enabled}' --listeners \
		"{\"mqtts\":\"127.0.0.1:0\",\"wss\":\"127.0.0.1:$port\"}"
	does_not_start 69 "listen on '127.0.0.1:$port': Address already in use" \
		-C two
	does_not_start 66 'egns-ctl namespace create' -C nowhere
}

@test "status says where to look when up cannot start the broker" {
	local port
	port=$(free_ports 1)
	bare_ns
	egns-ctl namespace update -o none --set "listeners.wss=127.0.0.1:$port"
	start_broker
	egns-ctl namespace create -C two -n two -o none --listeners \
		"{\"mqtts\":\"127.0.0.1:0\",\"wss\":\"127.0.0.1:$port\"}"
	egns-ctl up -C two -d
	egns-ctl namespace update -C two -o none \
		--set topicSpacesConfiguration.state=Enabled
	wait_for grep -q 'Address already in use' two/run/brokerd.log
	run -69 --separate-stderr egns-ctl status -C two -o table
	[[ $stderr == *"brokerd: not ready, and up starts it again; see run/brokerd.log"* ]]
	touch x.pem x.key
	run -69 egns-ctl mqtt pub -C two -c x -t t -m m
	[[ $output == *"brokerd: not ready, and up starts it again; see run/brokerd.log" ]]
	stop egns-brokerd
	wait_for egns-ctl status -C two -o none
	egns-ctl down -C two
}

# ---- a change of the registry ----

@test "a binding that is deleted ends what it allowed, of offline sessions too" {
	plant
	topic_space news 'news/#' && allow news "\$all"
	start_broker
	converse
	say 's: screen' 's> connect' 's< connack 00' \
		's> subscribe plant/#,q1' 's< suback 01' \
		'p: press' 'p> connect' 'p< connack 00' \
		'p> publish plant/press/t q1 id=1 payload=1' \
		's< publish plant/press/t payload=1' 's> puback' 'p< puback 00'
	egns-ctl namespace permission-binding delete -y -n all-own-Publisher
	say 'p> publish plant/press/t q1 id=2 payload=2' 'p< puback 87' \
		'p> publish news/x q1 id=3 payload=3' 'p< puback 00' 's< nothing'
	egns-ctl namespace permission-binding delete -y -n screens-plant-Subscriber
	say 's< disconnect 87' 's< closed' 'p< nothing'
	# what was granted once is not granted again by what a session remembers
	allow own "\$all" Publisher && allow plant screens Subscriber
	say 's: screen' 's> connect id=screen session-expiry=600' \
		's< connack 00' 's> subscribe plant/#,q1 news/#,q1' \
		's< suback 01 01' 's> disconnect' 's< closed'
	egns-ctl namespace permission-binding delete -y -n screens-plant-Subscriber
	allow plant screens Subscriber
	say 'p> publish plant/press/t q1 id=4 payload=4' 'p< puback 00' \
		'p> publish news/x q1 id=5 payload=5' 'p< puback 00' \
		's: screen' 's> connect id=screen session-expiry=600' \
		's< connack 00 present=1' 's< publish news/x payload=5' \
		's> puback' 's< nothing'
	over
	[ "$(egns-ctl status --jq '.daemons[] | select(.name == "brokerd").subscriptions')" = 1 ]
}

@test "a client that is disabled goes, and comes back when it is enabled" {
	plant
	start_broker
	converse
	say 'p: press' 'p> connect' 'p< connack 00' \
		's: screen' 's> connect' 's< connack 00'
	egns-ctl namespace client update -o none -n press --state Disabled
	say 'p< disconnect 87' 'p< closed' 'p: press' 'p> connect' \
		'p< connack 87' 'p< closed' 's< nothing'
	logged "client 'press': disconnected: client 'press' is disabled"
	egns-ctl namespace client update -o none -n press --state Enabled
	say 'p: press' 'p> connect' 'p< connack 00'
	over
}

# thumbprints CERTIFICATE... - what `press` may show from now on.
thumbprints() {
	local name list
	for name; do
		openssl x509 -in "$name.pem" -noout -fingerprint -sha256 |
			sed 's/.*=//'
	done >prints
	list=$(jq -nRc '{validationScheme: "ThumbprintMatch",
		allowedThumbprints: [inputs]}' prints)
	egns-ctl namespace client update -o none -n press \
		--client-certificate-authentication "$list"
}

@test "a device changes its certificate over without a gap" {
	plant
	egns-ctl cert issue next -o .
	thumbprints press
	start_broker
	converse
	say 'p: press' 'p> connect id=1' 'p< connack 00' \
		'n: next' 'n> connect id=2 name=press' 'n< connack 87'
	thumbprints press next
	say 'p> publish plant/press/t q1 id=1' 'p< puback 00' 'p> disconnect' \
		'p< closed' 'n: next' 'n> connect id=2 name=press' \
		'n< connack 00'
	thumbprints next
	say 'n> publish plant/press/t q1 id=1' 'n< puback 00' \
		'p: press' 'p> connect id=1' 'p< connack 87'
	over
}

@test "an authority that is removed takes its clients along, and no others" {
	plant
	egns-ctl namespace create -C other -n other -o none
	egns-ctl namespace ca-certificate create -o none -n other \
		--encoded-certificate @other/namespace/tls/ca.pem
	egns-ctl namespace client create -o none -n guest
	egns-ctl cert issue -C other guest -o guest && mv guest/guest.* .
	start_broker
	converse
	say 'p: press' 'p> connect' 'p< connack 00' \
		'g: guest' 'g> connect' 'g< connack 00'
	egns-ctl namespace ca-certificate delete -y -n other
	say 'g< disconnect 87' 'g< closed' 'p< nothing' \
		'g: guest' 'g> connect' 'g< connack 87' 'g< closed'
	over
}

@test "a new server certificate is for new connections, and drops nobody" {
	plant
	start_broker
	port=$(mport mqtts)
	converse
	say 'p: press' 'p> connect' 'p< connack 00'
	before=$(shown "$port")
	egns-ctl cert renew-server
	after=$(shown "$port")
	[ -n "$after" ] && [ "$before" != "$after" ]
	say 'p> publish plant/press/t q1 id=1' 'p< puback 00' \
		's: screen' 's> connect' 's< connack 00'
	over
}

@test "HUP reads certificates again; what cannot be used leaves all as it was" {
	plant
	start_broker
	port=$(mport mqtts)
	before=$(shown "$port")
	cp spool/namespace/tls/server.pem good.pem
	echo none >spool/namespace/tls/server.pem
	kill -HUP "${pid_of[egns-brokerd]}"
	logged 'is no certificate in PEM; all is as it was'
	[ "$(shown "$port")" = "$before" ]
	openssl req -x509 -key spool/namespace/tls/server.key -days 2 \
		-subj /CN=renewed -out spool/namespace/tls/server.pem 2>/dev/null
	kill -HUP "${pid_of[egns-brokerd]}"
	wait_for shows_another_than "$port" "$before"
	cp good.pem spool/namespace/tls/server.pem
}

@test "a broker that is switched off says so, and serves on until it is stopped" {
	plant
	start_broker
	converse
	say 'p: press' 'p> connect' 'p< connack 00'
	run -66 --separate-stderr egns-ctl namespace update \
		--set topicSpacesConfiguration.state=Disabled
	[[ $stderr == *"brokerd serves on as it did until it is stopped"* ]]
	say 'p> publish plant/press/t q1 id=1' 'p< puback 00'
	run -69 --separate-stderr egns-ctl status
	jq -e '.daemons[] | select(.name == "brokerd").running' <<<"$output"
	over
	stop egns-brokerd
	run -69 egns-ctl status --jq '[.daemons[].name]'
	[[ $output != *brokerd* ]]
}

@test "a certificate that is not there is named, with what makes one" {
	plant
	rm spool/namespace/tls/server.pem
	run -66 egns-brokerd
	[[ $output == *"server.key: No such file or directory; egns-ctl cert renew-server makes them" ]]
}

@test "other listeners are in force when update returns; connections stay" {
	plant
	start_broker
	converse
	say 'p: press' 'p> connect' 'p< connack 00'
	old=$(mport mqtts) wss=$(mport wss) new=$(free_ports 1)
	egns-ctl namespace update -o none \
		--set "listeners.mqtts=127.0.0.1:$new"
	[ "$(mport mqtts)" = "$new" ]
	[ "$(mport wss)" = "$wss" ]
	[ -n "$(shown "$new")" ]
	run ! shown "$old"
	# the same port of another host is no conflict with ourselves
	egns-ctl namespace update -o none --set "listeners.mqtts=0.0.0.0:$new"
	[ "$(egns-ctl status --jq .listeners.mqtts)" = "\"0.0.0.0:$new\"" ]
	# a port that somebody has leaves all as it was
	run -69 --separate-stderr egns-ctl namespace update -o none \
		--set "listeners.mqtts=127.0.0.1:$wss"
	[[ $stderr == *"listen on '127.0.0.1:$wss': Address already in use"* ]]
	[ -n "$(shown "$new")" ]
	say 'p> publish plant/press/t q1 id=1' 'p< puback 00'
	over
}

# ---- why ----

# agrees CLIENT OPERATION TOPIC ALLOWED - explain and the broker say the same.
# OPERATION is publish, subscribe or will; ALLOWED 0 or 1.
agrees() {
	local client=$1 operation=$2 topic=$3 code=00 rc=0 why
	why=$(egns-ctl explain --client "$client" "--$operation" "$topic") ||
		rc=$?
	[ "$rc" -eq "$4" ]
	[ "$rc" -eq 0 ] || code=87
	case $operation in
	publish) say "c: $client" 'c> connect' 'c< connack 00' \
		"c> publish $topic q1 id=1" "c< puback $code" \
		'c> disconnect' 'c< closed' ;;
	subscribe) say "c: $client" 'c> connect' 'c< connack 00' \
		"c> subscribe $topic" "c< suback $code" \
		'c> disconnect' 'c< closed' ;;
	will) say "c: $client" "c> connect will=$topic" \
		"c< connack $code" ;;
	esac
	[ "$4" -eq 0 ] || [ "$operation" = will ] ||
		logged "client '$client': $operation to '$topic' refused: ${why#DENIED: }"
}

@test "explain and the broker agree, in the same words" {
	plant
	topic_space halls "halls/\${client.attributes.hall}/+"
	allow halls "\$all"
	device hall '{hall:3}'
	start_broker
	converse
	agrees press publish plant/press/t 0
	agrees press publish plant/press 0
	agrees press publish plant/pres/t 1
	agrees press publish plant/PRESS/t 1
	agrees press publish other 1
	agrees press subscribe plant/press/t 1
	agrees press publish halls/3/a 1
	agrees screen publish plant/press/t 1
	agrees screen subscribe 'plant/#' 0
	agrees screen subscribe 'plant/+/t' 0
	agrees screen subscribe '#' 1
	agrees screen subscribe '+/press/t' 1
	agrees hall publish halls/3/a 0
	agrees hall publish halls/3/a/b 1
	agrees hall subscribe 'halls/3/+' 0
	agrees hall subscribe 'halls/3/#' 1
	agrees hall subscribe 'halls/+/a' 1
	agrees press will plant/press/gone 0
	agrees press will plant/other/gone 1
	over
	logged "refused: will to 'plant/other/gone': "
}

@test "a refusal names client, operation, topic and reason; few say how many" {
	plant
	advance 0
	start_broker
	for i in {1..60}; do
		echo "p> publish plant/other/$i q1 id=$i"
		echo 'p< puback 87'
	done >many
	converse
	say 'p: press' 'p> connect' 'p< connack 00'
	mapfile -t many <many
	say "${many[@]}"
	logged "client 'press': publish to 'plant/other/1' refused: no template"
	[ "$(grep -c 'publish to .* refused' egns-brokerd.log)" -eq 50 ]
	# one client's noise does not hold another's lines back
	say 's: screen' 's> connect' 's< connack 00' \
		's> publish plant/other/x q1 id=1' 's< puback 87' \
		's> subscribe x' 's< suback 87' \
		'n: press' 'n> connect name=nobody' 'n< connack 87'
	logged "client 'screen': publish to 'plant/other/x' refused: "
	logged "client 'screen': subscribe to 'x' refused: "
	logged "client 'nobody': connect from 127.0.0.1:"
	printf 'GET / HTTP/1.0\r\n\r\n' | socat -u - "TCP:127.0.0.1:$(mport mqtts)"
	logged ": dropped: TLS: "
	advance 61
	logged "'press': publish refused, 10 more times in 60 s"
	over
	stop egns-brokerd
	metric 'egns_MQTT_FailedPublishedMessages{Protocol="MQTT5",QoS="1",Error="AuthorizationError"}' 61
	metric 'egns_MQTT_FailedSubscriptionOperations{OperationType="Subscribe",Protocol="MQTT5",Error="AuthorizationError"}' 1
	metric 'egns_MQTT_RequestCount{OperationType="Connect",Protocol="MQTT5",Result="ClientError",Error="AuthenticationError"}' 1
}

@test "metrics are Prometheus text, and count what happened" {
	plant
	start_broker
	converse
	say 's: screen' 's> connect id=s session-expiry=600' 's< connack 00' \
		's> subscribe plant/#,q1' 's< suback 01' \
		'p: press' 'p> connect' 'p< connack 00' \
		'p> publish plant/press/t q1 id=1 retain payload=1' \
		's< publish plant/press/t payload=1' 's> puback' 's< nothing' \
		'p> publish plant/press/t payload=2' \
		's< publish plant/press/t q0 payload=2' 's! ' 'p> disconnect' \
		'p< puback 00' 'p< closed'
	over
	stop egns-brokerd
	local label='[a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\["\\n])*"'
	local sample="^[a-zA-Z_:][a-zA-Z0-9_:]*(\{$label(,$label)*\})? [0-9.e+-]+\$"
	run ! grep -vE -e "$sample" \
		-e '^# HELP egns_[a-zA-Z0-9_]+ .+$' \
		-e '^# TYPE egns_[a-zA-Z0-9_]+ (counter|gauge|summary)$' \
		spool/metrics/brokerd.prom
	# a family stands together, and once
	[ -z "$(grep '^# TYPE' spool/metrics/brokerd.prom | sort | uniq -d)" ]
	metric 'egns_MQTT_SuccessfulPublishedMessages{Protocol="MQTT5",QoS="1"}' 1
	metric 'egns_MQTT_SuccessfulPublishedMessages{Protocol="MQTT5",QoS="0"}' 1
	metric 'egns_MQTT_SuccessfulDeliveredMessages{Protocol="MQTT5",QoS="1"}' 1
	metric 'egns_MQTT_SuccessfulDeliveredMessages{Protocol="MQTT5",QoS="0"}' 1
	metric 'egns_MQTT_Connections{Protocol="MQTT5"}' 0
	metric egns_Mqtt_Sessions 1
	metric egns_Mqtt_Subscriptions 1
	metric egns_Mqtt_RetainedMessages 1
}

@test "route/ that fills is a problem before publishes are refused" {
	plant
	topic ingest
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=topics/ingest \
		--set topicSpacesConfiguration.routingSpool.maximumBytes=1024
	start_broker
	converse
	say 'p: press' 'p> connect' 'p< connack 00' \
		'p> publish plant/press/t q1 id=1 payload=1' 'p< puback 00'
	egns-ctl status --jq .problems | jq -e 'map(select(.where == "route")) == []'
	say 'p> publish plant/press/t q1 id=2 payload=x*500' 'p< puback 00'
	egns-ctl status --jq .problems | jq -e 'map(select(.where == "route")) |
		length == 1 and .[0].count == 2'
	say 'p> publish plant/press/t q1 id=3 payload=x*500' 'p< puback 00' \
		'p> publish plant/press/t q1 id=4 payload=4' 'p< puback 97'
	logged "refused: route/ is full: routingSpool.maximumBytes is reached"
	over
}

@test "a message that is routed tells when the broker took it" {
	plant
	topic ingest
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=topics/ingest
	start_broker
	converse
	say 'p: press' 'p> connect' 'p< connack 00'
	for i in 1 2 3; do
		before=$(date -u +%FT%T.%6NZ)
		say "p> publish plant/press/t q1 id=$i payload=$i" 'p< puback 00'
		jq -e --arg before "$before" --arg i "$i" '.payload != $i or
			.tst >= $before' spool/route/new/*
	done
	over
}

# problems - what status names, a line each.
problems() {
	egns-ctl status --jq '.problems[] | "\(.where): \(.problem)"' | jq -r .
}

@test "status says that messages go nowhere, and how they would" {
	bare_ns
	local route=topicSpacesConfiguration.routeTopicResourceId
	start egns-topicd
	start_broker
	run -0 --separate-stderr egns-ctl status -o table
	[[ $stderr == "egns-ctl: namespace: MQTT messages go nowhere but"*"egns-ctl namespace update --set $route=TOPIC" ]]
	topic ingest
	egns-ctl namespace update -o none --set $route=ingest
	run -0 problems
	[[ $output != *nowhere* ]]
	run -69 --separate-stderr egns-ctl status -o table
	[[ $stderr == "egns-ctl: run/route.sock: route: not running; 'egns-ctl up' starts it" ]]
	egns-ctl namespace topic delete -n ingest --yes
	run -0 problems
	[[ $output == *"topics/ingest: there is no such topic, and MQTT messages are dropped"* ]]
}

# lane NAME JQ - what status says of a lane of egns-route.
lane() {
	egns-ctl status --jq ".daemons[] | select(.name == \"route\").lanes[] |
		select(.lane == \"$1\") | $2"
}

lane_is() {
	[ "$(lane "$1" "$2")" = "$3" ]
}

names_problem() {
	problems | grep -q "$1"
}

@test "up starts egns-route once there is a route, and status tells how far it is" {
	bare_ns
	topic_space all '#' && allow all "\$all" Publisher && device dev
	topic ingest
	egns-ctl up -d
	egns-ctl status | jq -e '[.daemons[].name] == ["topicd", "brokerd"]'
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=ingest
	wait_for egns-ctl status -o none
	egns-ctl mqtt pub --client dev -t x -m 1
	wait_for lane_is route .routed 1
	egns-ctl status -o table >table
	grep -q '^route .*  route: up, routed 1' table
	egns-ctl down
}

@test "status says why messages wait, and until when" {
	bare_ns
	topic ingest
	egns-ctl namespace update -o none --set \
		topicSpacesConfiguration.routeTopicResourceId=ingest
	start egns-topicd
	start_broker
	start egns-route
	wait_for lane_is route .state '"up"'
	stop egns-topicd
	wait_for names_problem '^route: topicd: .*; next attempt 20.*Z$'
	egns-ctl status -o table >table 2>/dev/null || :
	grep -q '^route .*  route: waiting' table
}

@test "status names what waits for its topic for long, and what is corrupt" {
	plant
	topic ingest
	egns-ctl namespace update -o none --set lifecycleTopicResourceId=ingest \
		topicSpacesConfiguration.routeTopicResourceId=ingest
	advance 0
	start_broker
	converse
	say 'p: press' 'p> connect' 'p< connack 00' \
		'p> publish plant/press/t q1 id=1 payload=1' 'p< puback 00'
	run -0 problems
	[[ $output != *waits* ]]
	advance 301
	run -0 problems
	[[ $output == *"route: waits for its topic since 20"* ]]
	touch spool/route/corrupt/x spool/lifecycle/corrupt/x
	run -0 problems
	[[ $output == *"route/corrupt: corrupt files"* ]]
	[[ $output == *"lifecycle/corrupt: corrupt files"* ]]
	over
}

@test "scrub looks at sessions, too, and finds what is broken" {
	plant
	start_broker
	converse
	say 's: screen' 's> connect id=s session-expiry=600' 's< connack 00' \
		's> subscribe plant/#,q1' 's< suback 01' 's> disconnect' \
		's< closed' 'p: press' 'p> connect' 'p< connack 00' \
		'p> publish plant/press/t q1 id=1 payload=first' 'p< puback 00' \
		'p> publish plant/press/t q1 id=2 payload=second' 'p< puback 00'
	over
	egns-ctl scrub --jq '[.whole, .files, .lines]' | jq -ce \
		'.[0] and .[1] >= 3 and .[2] >= 4'
	stop egns-brokerd
	sed -i 's/first/thief/' spool/sessions/0000000001.ndjson
	run -1 egns-ctl scrub --jq '.broken[]'
	jq -e '.file == "sessions/0000000001.ndjson" and .offset == 0' <<<"$output"
	# the broker says so, keeps it for people, and goes on with the rest
	start_broker
	logged 'line at 0 is broken; it is kept in dropped/'
	jq -re 'select(.reason == "Corrupt").line_base64' spool/dropped/* |
		base64 -d | grep -q thief
	converse
	say 's: screen' 's> connect id=s session-expiry=600' \
		's< connack 00 present=1' 's< publish payload=second' 's> puback' \
		's< nothing'
	over
}

# ---- the end ----

@test "TERM tells the clients, loses nothing and ends with 0" {
	plant
	start_broker
	converse
	say 's: screen' 's> connect id=s session-expiry=600' 's< connack 00' \
		's> subscribe plant/#,q1' 's< suback 01' 's> disconnect' \
		's< closed' 'p: press' 'p> connect' 'p< connack 00' \
		'p> publish plant/press/t q1 id=1 payload=1' 'p< puback 00'
	stop egns-brokerd
	say 'p< disconnect 8b' 'p< closed'
	over
	restart egns-brokerd
	converse
	say 's: screen' 's> connect id=s session-expiry=600' \
		's< connack 00 present=1' 's< publish plant/press/t payload=1'
	over
}
