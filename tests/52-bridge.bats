# egns-route --from: a bridge from a broker that others wrote.

load lib
load mosquitto

# setup_bridge [LINE...] - a broker with these lines in its configuration, a
# namespace with the topic `ingest`, and topicd.
setup_bridge() {
	certificates server press || return
	start_mosquitto 'max_queued_messages 0' "$@" || return
	ns ingest/sub || return
	start egns-topicd || return
	client=(-h localhost -p "$mqtts" --cafile ca.pem --cert press.pem
		--key press.key)
	from=(--from "mqtts://localhost:$mqtts" --cafile ca.pem
		--cert press.pem --key press.key)
}

bridge() {
	start egns-route "${from[@]}" --to ingest "$@"
}

# pub ARG... - mosquitto_pub, as a device of that broker.
pub() {
	mosquitto_pub -V 5 "${client[@]}" -q 1 "$@"
}

# A message for each line; returns when the broker has them all.
lines() {
	egns-ctl mqtt pub --client press --host localhost --port "$mqtts" \
		--cafile ca.pem -t t -l
}

events() {
	cat spool/topics/ingest/log/*.ndjson 2>/dev/null | jq -c .event
}

# have N - are there N events?
have() {
	[ "$(cat spool/topics/ingest/log/*.ndjson 2>/dev/null | wc -l)" -eq "$1" ]
}

more_than() {
	[ "$(cat spool/topics/ingest/log/*.ndjson 2>/dev/null | wc -l)" -gt "$1" ]
}

# all_of N - do the events have 1 to N, however often?
all_of() {
	[ "$(events | jq .data | sort -nu | cksum)" = "$(seq "$@" | cksum)" ]
}

# once N - the events have 1 to N, each once and in order.
once() {
	events | jq .data | cmp - <(seq "$1")
}

# said WORDS - has the bridge said so?
said() {
	grep -qF -- "$1" egns-route.log
}

# fails STATUS WORDS ARG... - the bridge ends so, and says so on one line.
fails() {
	local want=$1 words=$2
	shift 2
	run --separate-stderr timeout "$PATIENCE" egns-route "$@"
	echo "status $status: $stderr"
	[ "$status" -eq "$want" ]
	[[ $stderr == *"$words"* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ -z "$output" ]
}

@test "messages of both QoS become events of the topic, with their properties" {
	setup_bridge
	pub -t plant/kept -r -m '{"kept":true}'
	bridge -t 'plant/#'
	pub -t plant/1 -m '{"t":20}' -D publish user-property k 1 \
		-D publish content-type application/json
	pub -t plant/2 -q 0 -m 'größer'
	printf '\xff\0' | pub -t plant/3 -s
	pub -t other -m no
	pub -t plant/4 -n
	wait_for have 5
	events | jq -es 'map(.subject) ==
		["plant/kept", "plant/1", "plant/2", "plant/3", "plant/4"] and
		.[0].data == {kept: true} and .[1].data == {t: 20} and
		.[1].datacontenttype == "application/json" and
		.[3].data_base64 == "/wA=" and
		all(.source == "testns") and (map(.id) | unique | length) == 5'
	stop egns-route
	[ ! -s egns-route.log ]
}

@test "user properties of the message are there for enrichments" {
	setup_bridge
	cat >enrichments <<-'END'
		{"dynamic": [{"key": "line",
		"value": "${mqtt.message.userProperties['line']}"}]}
	END
	egns-ctl namespace update -o none --set \
		"topicSpacesConfiguration.routingEnrichments=$(cat enrichments)"
	bridge -t '#'
	pub -t t -m 1 -D publish user-property line 7
	wait_for have 1
	events | jq -e '.line == "7"'
}

@test "without --to it is the topic of the route, without -t all messages" {
	setup_bridge
	fails 64 '--to TOPIC is missing' "${from[@]}"
	egns-ctl namespace update -o none --set \
		"topicSpacesConfiguration.routeTopicResourceId=$(egns-ctl \
		namespace topic show -n ingest --query id -o tsv)"
	start egns-route "${from[@]}"
	pub -t a/b/c -m 1
	wait_for have 1
}

@test "what comes while the bridge is away waits at the broker" {
	setup_bridge
	bridge -t '#'
	stop egns-route
	seq 3000 | lines
	restart egns-route
	wait_for have 3000
	once 3000
	stop egns-route
	[ ! -s egns-route.log ]
}

@test "MQTT 3.1.1 and plain TCP do, too" {
	read -r plain < <(free_ports 1)
	certificates server press
	setup_bridge "listener $plain 127.0.0.1"
	start egns-route --from "mqtt://127.0.0.1:$plain" --mqtt-version 311 \
		--id old --to ingest
	stop egns-route
	seq 100 | lines
	restart egns-route
	wait_for have 100
	once 100
}

# Does topicd have something to read?
asked() {
	ss -xpH state connected |
		awk -v pid="pid=${pid_of[egns-topicd]}," \
		'index($0, pid) && $3 > 0 { n++ } END { exit n == 0 }'
}

# Has mosquitto read all that the bridge sent?
seen_its_end() {
	grep -Eq 'Client egns-route[^ ]* (closed its connection|disconnected)' \
		mosquitto.log
}

@test "a message is acknowledged when topicd has answered, and not before" {
	setup_bridge 'log_type all'
	bridge -t '#'
	kill -STOP "${pid_of[egns-topicd]}"
	seq 10 | lines
	wait_for asked
	crash egns-route
	kill -CONT "${pid_of[egns-topicd]}"
	wait_for seen_its_end
	run ! grep 'Received PUBACK from egns-route' mosquitto.log
	bridge -t '#'
	wait_for all_of 10
	wait_for grep -q 'Received PUBACK from egns-route' mosquitto.log
}

@test "nothing is lost when the bridge is killed under load" {
	setup_bridge
	bridge -t '#'
	for round in 1 2 3 4 5; do
		seq $((round * 2000 - 1999)) $((round * 2000)) | lines &
		pub=$!
		wait_for more_than $((round * 1500))
		crash egns-route
		wait "$pub"
		start egns-route "${from[@]}" --to ingest -t '#'
	done
	wait_for all_of 10000
}

@test "while topicd is stopped nothing is acknowledged, and nothing is lost" {
	setup_bridge
	bridge -t '#'
	pub -t t -m 1
	wait_for have 1
	stop egns-topicd
	seq 2 1500 | lines
	wait_for said "topicd: "
	crash egns-route
	start egns-topicd
	restart egns-route
	wait_for have 1500
	once 1500
}

@test "topicd that is killed under load gets nothing twice" {
	setup_bridge
	bridge -t '#'
	seq 20000 | lines &
	pub=$!
	for round in 1 2 3; do
		wait_for more_than $((round * 3000))
		crash egns-topicd
		start egns-topicd
	done
	wait "$pub"
	wait_for have 20000
	once 20000
}

@test "the bridge leaves the broker when topicd stays away, and comes back" {
	setup_bridge
	advance 0
	bridge -t '#'
	stop egns-topicd
	pub -t t -m 1
	wait_for said 'messages wait there'
	advance 40
	wait_for grep -q 'disconnected\|closed its connection\|Socket error' \
		mosquitto.log
	start egns-topicd
	wait_for have 1
	wait_for said "messages go on to topic 'ingest'"
	[ "$(wc -l <egns-route.log)" -le 3 ]
}

@test "a broker that is started again finds the bridge, and no message is lost" {
	setup_bridge 'persistence true' "persistence_location $PWD/"
	bridge -t '#'
	seq 100 | lines
	wait_for have 100
	stop egns-topicd
	seq 101 200 | lines
	wait_for said "messages wait"
	stop mosquitto
	start egns-topicd
	mosquitto -c mosquitto.conf >mosquitto.log 2>&1 3>&- &
	pid_of[mosquitto]=$!
	wait_for said 'messages go on'
	seq 201 300 | lines
	wait_for all_of 300
}

@test "TERM has what was read stored and acknowledged" {
	setup_bridge
	bridge -t '#'
	seq 20000 | lines &
	pub=$!
	wait_for more_than 0
	stop egns-route
	restart egns-route
	wait "$pub"
	wait_for have 20000
	once 20000
}

@test "who the broker does not let in is told what to check, and ends" {
	: >passwords
	chmod 600 passwords
	mosquitto_passwd -b passwords bridge secret
	setup_bridge 'allow_anonymous false' "password_file $PWD/passwords"
	fails 77 'connect: not authorized (0x87); check --user' \
		"${from[@]}" --to ingest
	echo wrong >pw
	fails 77 'not authorized' "${from[@]}" --to ingest --user bridge \
		--password-file pw
	fails 77 'not authorized' "${from[@]}" --to ingest --user bridge \
		--password-file pw --mqtt-version 311
	echo secret >pw
	bridge --user bridge --password-file pw
}

@test "a broker that is not trusted, or is another, is not connected to" {
	setup_bridge
	cp ca.pem own.pem && certificates stranger
	fails 69 'TLS: certificate verify failed; --cafile FILE' \
		"${from[@]}" --to ingest
	fails 69 'certificate verify failed' --from "mqtts://localhost:$mqtts" \
		--cert press.pem --key press.key --to ingest
	openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key \
		-out server.pem -days 2 -subj '/CN=elsewhere' \
		-addext 'subjectAltName=DNS:elsewhere' 2>>openssl.log
	stop mosquitto
	cp own.pem ca.pem
	mosquitto -c mosquitto.conf >mosquitto.log 2>&1 3>&- &
	pid_of[mosquitto]=$!
	wait_for mosquitto_settled
	fails 69 'its certificate is for another host' \
		--from "mqtts://localhost:$mqtts" --cafile server.pem \
		--cert press.pem --key press.key --to ingest
}

# A broker that has reset the connection before the bridge wrote its CONNECT is not
# heard, though it has said why: the bridge says what it thinks, and tries again.
@test "a broker that does not trust the bridge is named" {
	setup_bridge
	mv ca.pem own.pem && certificates stranger
	egns-route --from "mqtts://localhost:$mqtts" --cafile own.pem \
		--to ingest --cert stranger.pem --key stranger.key \
		2>egns-route.log 3>&- &
	local bridge=$! status=0
	wait_for grep -E 'may not accept the certificate|check --cert and --key' \
		egns-route.log
	if said 'check --cert and --key'; then
		wait "$bridge" || status=$?
		[ "$status" -eq 69 ]
		said 'alert unknown ca; check --cert and --key'
	else
		kill "$bridge"
		wait "$bridge"
	fi
}

@test "a filter that the broker refuses is named" {
	printf '%s\n' 'user nobody' >acl
	setup_bridge
	stub='import socket, sys
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
c = s.accept()[0]
c.recv(4096)
c.sendall(bytes([0x20, 3, 0, 0, 0]))
mid = c.recv(4096)[2:4]
c.sendall(bytes([0x90, 4]) + mid + bytes([0, 0x87]))
c.recv(4096)'
	python3 -c "$stub" >port &
	pid_of[stub]=$!
	wait_for test -s port
	fails 77 "subscribe to 'secret/#': not authorized (0x87); check -t" \
		--from "mqtt://127.0.0.1:$(cat port)" --to ingest -t 'secret/#'
	gone stub
}

@test "a broker that is not there is waited for" {
	setup_bridge
	stop mosquitto
	advance 0
	mkfifo ready
	egns-route "${from[@]}" --to ingest -r 4 4>ready 2>egns-route.log 3>&- &
	pid_of[egns-route]=$!
	exec 5<ready
	wait_for said 'Connection refused'
	mosquitto -c mosquitto.conf >mosquitto.log 2>&1 3>&- &
	pid_of[mosquitto]=$!
	read -r -t "$PATIENCE" _ <&5
	wait_for said "messages go on to topic 'ingest'"
	[ "$(wc -l <egns-route.log)" -eq 2 ]
	exec 5<&-
}

@test "a message that no event can be made of is recorded, and the rest goes on" {
	setup_bridge
	bridge
	head -c 1200000 /dev/zero | tr '\0' x | pub -t big -s
	pub -t small -m 1
	wait_for have 1
	recorded() { jq -e '.reason == "PayloadTooLarge" and
		.record.topic == "big" and
		(.record.payload | length) == 1200000 and
		(.target | endswith("/topics/ingest"))' spool/dropped/*.ndjson; }
	wait_for recorded
	said 'dropped/ has now'
}

@test "a topic that is deleted keeps messages waiting" {
	setup_bridge
	advance 0
	bridge
	egns-ctl namespace topic delete -n ingest --yes
	pub -t t -m 1
	wait_for said "not found"
	topic ingest
	wait_for have 1
}

@test "one bridge of an id runs on a spool, and another of another id" {
	setup_bridge
	bridge --id one
	fails 73 'bridge-one: runs already on this spool' "${from[@]}" --to ingest \
		--id one
	start egns-route "${from[@]}" --to ingest --id two
	[[ $(egns-ctl status) != *bridge* ]]
	kill "$(cat spool/run/bridge-one.lock)"
}

@test "options of the bridge that make no sense are refused" {
	ns ingest
	fails 64 "mqtts://HOST" --from localhost --to ingest
	fails 64 "only HOST:PORT" --from mqtt://me:pw@localhost --to ingest
	fails 64 'port' --from mqtt://localhost:0 --to ingest
	fails 64 'not a topic filter' --from mqtt://localhost --to ingest -t 'a/#/b'
	fails 64 '--cert and --key' --from mqtts://localhost --to ingest --cert x
	fails 64 'are for mqtts' --from mqtt://localhost --to ingest --cafile x
	fails 64 'needs --user' --from mqtt://localhost --to ingest \
		--password-file x
	fails 66 '--cafile x: No such file' --from mqtts://localhost --to ingest \
		--cafile x
	fails 66 "topic 'out': not found" --from mqtts://localhost --to out
}
