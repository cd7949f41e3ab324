# shellcheck shell=bash
# The section `mqtt` of bench: egns-brokerd and Debian's mosquitto on the same
# work, both over TLS 1.3 with client certificates. A run of one follows a run of
# the other. egns-brokerd checks permissions, has a PUBACK wait for the disk and
# writes what is to be routed; mosquitto keeps nothing and allows everything.
#
#	LENGTH         seconds of a run (5)
#	IDLE           connections that are held (2000)
#	CONNECTS       handshakes of a storm (10000)
#	SUBSCRIPTIONS  in the row that has many (100000)
#	BROKERS        which to measure ("egns mosquitto")

LENGTH=${LENGTH:-5}
IDLE=${IDLE:-2000}
CONNECTS=${CONNECTS:-10000}
SUBSCRIPTIONS=${SUBSCRIPTIONS:-100000}
BROKERS=${BROKERS:-egns mosquitto}

# certificate NAME - for NAME, signed by ca.pem, on P-256.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$1.key" -out "$1.csr" -subj "/CN=$1" &&
		openssl x509 -req -in "$1.csr" -out "$1.pem" -days 3 \
			-CA authority.pem -CAkey authority.key -CAcreateserial \
			-extfile <(echo subjectAltName=IP:127.0.0.1)
} 2>openssl.log

mqtt_certificates() {
	{
		openssl req -x509 -newkey ec -pkeyopt \
			ec_paramgen_curve:P-256 -nodes -keyout authority.key \
			-out authority.pem -days 3 -subj /CN=authority \
			2>openssl.log &&
			certificate server && certificate device
	} || { cat openssl.log >&2; exit 1; }
}

# Clients b0, b1... with one certificate, which may do everything below bench/.
egns_broker_make() {
	local ctl=("$B/egns-ctl" -C broker) n=$((SUBSCRIPTIONS / 50 + 100))
	((n > IDLE)) || n=$IDLE
	"${ctl[@]}" namespace create -n bench -o none
	"${ctl[@]}" namespace topic create -n routed -o none
	"${ctl[@]}" namespace update -o none \
		--topic-spaces-configuration "{state:Enabled,routeTopicResourceId:$(
			"${ctl[@]}" namespace topic show -n routed \
				--query id -o tsv)}" \
		--listeners "{mqtts:'127.0.0.1:0',wss:'127.0.0.1:0',\
https:'127.0.0.1:0'}"
	"${ctl[@]}" namespace topic-space create -n bench -o none \
		--topic-templates 'bench/#'
	for permission in Publisher Subscriber; do
		# shellcheck disable=SC2016 # the name of a group
		"${ctl[@]}" namespace permission-binding create -o none \
			-n "$permission" --permission "$permission" \
			--client-group-name '$all' --topic-space-name bench
	done
	awk -v n="$n" -v thumbprint="$(openssl x509 -in device.pem -noout \
		-fingerprint -sha256 | sed 's/.*=//; s/://g')" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "{\"path\":\"clients/b%d\",\"properties\":{" \
			    "\"clientCertificateAuthentication\":{" \
			    "\"validationScheme\":\"ThumbprintMatch\"," \
			    "\"allowedThumbprints\":[\"%s\"]}}}\n", i, thumbprint
	}' </dev/null | "${ctl[@]}" apply -o none -
	"${ctl[@]}" cert issue b0 -o issued
}

egns_broker_start() {
	find broker/route broker/sessions -type f -delete
	rm -f ready && mkfifo ready
	"$B/egns-brokerd" -C broker -r 4 4>ready >>egns-brokerd.log 2>&1 &
	pid=$!
	read -r _ <ready || { cat egns-brokerd.log >&2; exit 1; }
	port=$("$B/egns-ctl" -C broker status --jq .listeners.mqtts |
		tr -d '"') || :
	port=${port##*:}
	ca=issued/ca.pem
}

mosquitto_broker_make() {
	cat >mosquitto.conf <<-END
		user $(id -un)
		cafile $dir/authority.pem
		certfile $dir/server.pem
		keyfile $dir/server.key
		tls_version tlsv1.3
		require_certificate true
		use_identity_as_username false
		allow_anonymous true
		persistence false
		set_tcp_nodelay true
		max_connections -1
		max_keepalive 65535
		max_inflight_messages 1000
		max_queued_messages 1000000
		log_dest none
	END
}

answers() {
	(: <"/dev/tcp/127.0.0.1/$1")
}

mosquitto_broker_start() {
	port=$((20000 + RANDOM % 12000))
	while answers "$port" 2>/dev/null; do
		port=$((port + 1))
	done
	{ echo "listener $port 127.0.0.1" && cat mosquitto.conf; } >now.conf
	mosquitto -c now.conf >mosquitto.log 2>&1 &
	pid=$!
	ready answers "$port"
	ca=authority.pem
}

# once ROW WORK... - a run of one broker, from its start to its end.
once() {
	local name=$1
	shift
	"${server}_broker_start"
	"$B/tests/bench/mqtt" -p "$pid" -a "$ca" -c device.pem -k device.key \
		"$port" "$@" >>"mqtt.$server.$name" ||
		{ cat ./*.log >&2; exit 1; }
	stop_server
}

# in_turn ROW WORK... - RUNS runs of each broker.
in_turn() {
	local i
	for ((i = 0; i < RUNS; i++)); do
		for server in $BROKERS; do
			say "$server: $1, run $((i + 1))"
			once "$@"
		done
	done
}

# middle SYSTEM ROW COLUMN - the median of a figure.
middle() {
	[ -e "mqtt.$1.$2" ] || { echo -; return; }
	awk -v c="$3" '{ print $c }' "mqtt.$1.$2" | sort -g |
		sed -n "$(((RUNS + 1) / 2))p"
}

# mqtt_line TEXT ROW COLUMN TO-REACH
mqtt_line() {
	local ours theirs
	ours=$(middle egns "$2" "$3")
	theirs=$(middle mosquitto "$2" "$3")
	echo "| $1 | $4 | $ours | $theirs | $(awk -v a="$ours" -v b="$theirs" \
		'BEGIN { if (b > 0 && a > 0) printf "%.2f", a / b; else printf "-" }'
	) |"
}

# growth SYSTEM - the rate with many subscriptions, of that with few.
growth() {
	awk -v a="$(middle "$1" many 1)" -v b="$(middle "$1" few 1)" \
		'BEGIN { if (b > 0) printf "%.0f%%", 100 * a / b; else printf "-" }'
}

mqtt_section() {
	mqtt_certificates
	for server in $BROKERS; do
		"${server}_broker_make"
	done
	in_turn publish publish 50 16 "$LENGTH"
	in_turn latency publish 50 1 "$LENGTH"
	in_turn fan0 fanout 100 0 100 "$LENGTH"
	in_turn fan1 fanout 100 1 100 "$LENGTH"
	in_turn idle idle "$IDLE"
	in_turn connect connect "$CONNECTS" 32
	in_turn few subscriptions 1000 50 16 "$LENGTH"
	in_turn many subscriptions "$SUBSCRIPTIONS" 50 16 "$LENGTH"
	rm -rf broker
	say
	mqtt_table
}

mqtt_table() {
	cat <<END
mosquitto $(mosquitto -h | sed -n '1s/.*version //p'); the median of $RUNS \
runs in turn.

| MQTT over TLS 1.3 with client certificates | to reach | egns | mosquitto | \
ratio |
|---|---|---|---|---|
$(mqtt_line 'QoS 1 publish, 50 connections, window 16, 200 bytes, messages/s' \
	publish 1 '1 × mosquitto')
$(mqtt_line 'its CPU a message, µs' publish 2 '')
$(mqtt_line 'QoS 1 publish, 50 connections, window 1, p99 of PUBACK, ms' \
	latency 4 10)
$(mqtt_line 'its p50, ms' latency 3 '')
$(mqtt_line 'fan-out 1 to 100, QoS 0, deliveries/s' fan0 1 '2 × mosquitto')
$(mqtt_line 'its CPU a delivery, µs' fan0 2 '')
$(mqtt_line 'fan-out 1 to 100, QoS 1, deliveries/s' fan1 1 '2 × mosquitto')
$(mqtt_line 'its CPU a delivery, µs' fan1 2 '')
$(mqtt_line "memory of an idle connection of $IDLE, KiB" idle 1 40)
$(mqtt_line 'connects, 32 at a time, connects/s' connect 1 '1.2 × mosquitto')
$(mqtt_line 'its CPU a connect, ms' connect 2 '')
$(mqtt_line "memory before $CONNECTS connects, KiB" connect 3 '')
$(mqtt_line 'memory behind them, KiB' connect 5 'as before')
$(mqtt_line 'publish to 1 of 1000 subscriptions, messages/s' few 1 '')
$(mqtt_line "publish to 1 of $SUBSCRIPTIONS subscriptions, messages/s" many 1 \
	'as with 1000')

With $SUBSCRIPTIONS subscriptions a publish runs at $(growth egns) of the rate \
with 1000 (mosquitto: $(growth mosquitto)).
END
}
