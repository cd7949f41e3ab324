# A mosquitto of the test's own, over TLS with client certificates, for what
# must work with any broker: `load lib; load mosquitto`.
# shellcheck shell=bash

# An authority in ca.pem and ca.key, and certificates by it: NAME.pem, NAME.key.
certificates() {
	local name
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout ca.key -out ca.pem -days 2 -subj '/CN=test CA' \
		2>>openssl.log || return
	for name; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
			-nodes -keyout "$name.key" -subj "/CN=$name" \
			-out "$name.csr" 2>>openssl.log &&
			openssl x509 -req -in "$name.csr" -out "$name.pem" \
				-CA ca.pem -CAkey ca.key -CAcreateserial \
				-days 2 -extfile <(echo \
				'subjectAltName=IP:127.0.0.1,DNS:localhost') \
				2>>openssl.log || return
	done
}


# start_mosquitto [LINE...] - with these lines in its configuration; sets mqtts
# and wss, its ports. Another process may take a port first, so try again.
start_mosquitto() {
	local try
	for try in 1 2 3 4 5; do
		read -r mqtts wss < <(free_ports 2)
		mosquitto_conf "$@" >mosquitto.conf
		rm -f mosquitto.log
		mosquitto -c mosquitto.conf >mosquitto.log 2>&1 3>&- &
		pid_of[mosquitto]=$!
		wait_for mosquitto_settled || return
		! grep -q ' running$' mosquitto.log || return 0
		gone mosquitto || return
	done
	echo "mosquitto: not ready after $try attempts" >&2
	return 1
}

mosquitto_settled() {
	grep -q ' running$' mosquitto.log 2>/dev/null ||
		process_ended "${pid_of[mosquitto]}"
}

mosquitto_conf() {
	local port
	echo "per_listener_settings false"
	echo "user $(id -un)"
	echo "persistence false"
	echo "log_dest stderr"
	printf '%s\n' "$@"
	[[ "$*" == *allow_anonymous* ]] || echo "allow_anonymous true"
	for port in "$mqtts" "$wss"; do
		cat <<-END
			listener $port 127.0.0.1
			cafile $PWD/ca.pem
			certfile $PWD/server.pem
			keyfile $PWD/server.key
			require_certificate true
		END
	done
	echo "protocol websockets"
}
