# Endpoints that others have written: nginx, and a receiver by the official
# package of CloudEvents for Node.

load lib
load push

# nginx [LINE...] - two more endpoints, ./plain over HTTP/1.1 and ./tls over
# HTTP/2, which say yes to everything; with these lines in their configuration.
# Each delivery is a line of nginx.told: "PROTOCOL CONNECTION STATUS TYPE".
nginx_up() {
	local plain tls
	certificate nginx localhost
	egns-ctl namespace update -o none --trusted-certificates @nginx.pem
	read -r plain tls < <(free_ports 2)
	echo "$plain" >plain.port
	echo "$tls" >tls.port
	cat >nginx.conf <<-END
		daemon off;
		master_process off;
		pid nginx.pid;
		events {}
		http {
			map \$request_method \$told { POST 1; default 0; }
			log_format told '\$server_protocol\$http2 \$connection '
				'\$status \$content_type';
			client_body_temp_path body;
			server {
				listen 127.0.0.1:$plain;
				listen 127.0.0.1:$tls ssl http2;
				ssl_certificate $PWD/nginx.pem;
				ssl_certificate_key $PWD/nginx.key;
				access_log nginx.told told if=\$told;
				$*
				add_header WebHook-Allowed-Origin *;
				# has somebody behind it, so bodies are read
				location / { proxy_pass http://unix:nginx.sock; }
				location /early { return 204; }
			}
			server {
				listen unix:nginx.sock;
				access_log off;
				location / { return 204; }
			}
		}
	END
	PATH=$PATH:/usr/sbin nginx -p "$PWD" -c nginx.conf -e nginx.log \
		2>nginx.err 3>&- &
	# shellcheck disable=SC2034 # lib.bash's
	pid_of[nginx]=$!
	wait_for [ -s nginx.pid ]
}

# told N - wait for that many deliveries, never for more.
told() {
	wait_for [ -e nginx.told ]
	wait_for told_now "$1"
	[ "$(wc -l <nginx.told)" -eq "$1" ]
}

told_now() {
	[ "$(wc -l <nginx.told)" -ge "$1" ]
}

# connections - of nginx that deliveries came on.
connections() {
	cut -d ' ' -f 2 nginx.told | sort -u | wc -l
}

@test "nginx over HTTP/1.1: connections are kept" {
	local n
	push_ns
	nginx_up
	hook one '"maxInFlight":4' "\"endpointUrl\":\"$(url one plain)\""
	push_up
	mapfile -t n < <(seq 300)
	publish "${n[@]}"
	settled one
	told 300
	[ "$(connections)" -le 4 ]
	[ "$(cut -d ' ' -f 1,3- nginx.told | sort -u)" = \
		'HTTP/1.1 204 application/cloudevents+json; charset=utf-8' ]
}

@test "nginx over HTTP/2: one connection has all of it" {
	local n
	push_ns
	nginx_up
	hook one '' "\"endpointUrl\":\"https://localhost:$(<tls.port)/one\""
	push_up
	mapfile -t n < <(seq 300)
	publish "${n[@]}"
	settled one
	told 300
	[ "$(connections)" -eq 1 ]
	[ "$(cut -d ' ' -f 1,3- nginx.told | sort -u)" = \
		'HTTP/2.0h2 204 application/cloudevents+json; charset=utf-8' ]
}

@test "nginx ends connections that are old, and no event is sent twice" {
	local n
	push_ns
	nginx_up 'keepalive_requests 20;'
	hook plain '"maxInFlight":4' "\"endpointUrl\":\"$(url one plain)\""
	hook tls '"maxInFlight":4' \
		"\"endpointUrl\":\"https://localhost:$(<tls.port)/one\""
	push_up
	mapfile -t n < <(seq 200)
	publish "${n[@]}"
	settled plain
	settled tls
	told 400
	[ "$(connections)" -ge 20 ]
	[ -z "$(dead)" ]
}

@test "nginx answers before it has read the body, and that is an answer" {
	local n
	push_ns
	nginx_up
	hook plain '' "\"endpointUrl\":\"$(url early plain)\""
	hook tls '' "\"endpointUrl\":\"https://localhost:$(<tls.port)/early\""
	push_up
	event large "\"$(printf '%0200000d' 0)\"" >event
	for n in 1 2 3; do
		egns-ctl publish -t orders event
		settled plain
		settled tls
	done
	told 6
	[ -z "$(dead)" ]
}

@test "nginx takes every mode, and says what is too large for it" {
	local n
	push_ns
	nginx_up 'client_max_body_size 100k;'
	for n in plain tls; do
		[ "$n" = plain ] && url=$(url one plain) ||
			url=https://localhost:$(<tls.port)/one
		hook "$n-structured" '' "\"endpointUrl\":\"$url\""
		hook "$n-binary" '"contentMode":"binary"' \
			"\"endpointUrl\":\"$url\""
		hook "$n-batch" '' "\"endpointUrl\":\"$url\",
			\"maxEventsPerBatch\":50"
	done
	push_up
	publish 1
	for n in plain tls; do
		for mode in structured binary batch; do
			settled "$n-$mode"
		done
	done
	told 6
	[ "$(cut -d ' ' -f 3- nginx.told | sort | uniq -c | xargs -n 4 |
		sort)" = "$(printf '%s\n' \
		'2 204 application/cloudevents+json; charset=utf-8' \
		'2 204 application/cloudevents-batch+json; charset=utf-8' \
		'2 204 -' | sort)" ] || [ "$(wc -l <nginx.told)" -eq 6 ]
	event large "\"$(printf '%0200000d' 0)\"" | egns-ctl publish -t orders
	n='large PayloadTooLarge PayloadTooLarge 1'
	ended "$n" "$n" "$n" "$n" "$n" "$n"
}

# zoo - events of all kinds.
zoo() {
	cat <<-'END'
	{"id":"1","time":"2026-01-31T12:00:00.123Z","type":"com.example.t","source":"/test","specversion":"1.0","subject":"a/b","n":5,"flag":true,"data":{"a":[1.5,null,"é€😀"],"b":{"c":true}}}
	{"id":"2","time":"2026-01-31T12:00:00.123Z","type":"com.example.t","source":"urn:x:y","specversion":"1.0","datacontenttype":"application/json","dataschema":"https://example.org/s","data":[1,2,3]}
	{"id":"3","time":"2026-01-31T12:00:00.123Z","type":"com.example.t","source":"/test","specversion":"1.0","datacontenttype":"text/plain","data":"grüße"}
	{"id":"4","time":"2026-01-31T12:00:00.123Z","type":"com.example.t","source":"/test","specversion":"1.0","datacontenttype":"application/octet-stream","data_base64":"AP/+"}
	END
}

# received MODE - wait for all that the zoo has in this mode; that is ./got then.
received() {
	wait_for received_now "$1" ||
		{ cat receiver.mjs.requests; return 1; }
}

received_now() {
	[ -e receiver.mjs.requests ] || return
	jq -Sc "select(.mode == \"$1\") | .events[]" receiver.mjs.requests |
		sort -u >got
	[ "$(wc -l <got)" -eq 4 ]
}

# receiver_up [CERT KEY]
receiver_up() {
	B=$B start receiver.mjs "$@"
}

@test "the package of CloudEvents takes every mode and finds the events as they were" {
	push_ns
	receiver_up
	to=\"endpointUrl\":\"$(url x receiver.mjs)\"
	hook structured '' "$to"
	hook batch '' "$to,\"maxEventsPerBatch\":10"
	hook binary '"contentMode":"binary"' "$to"
	advance 0
	start egns-topicd
	zoo >events
	egns-ctl publish -t orders <events
	start egns-push
	received structured
	diff got <(jq -Sc . events | sort)
	received batch
	diff got <(jq -Sc . events | sort)
	jq -es 'any(.mode == "batch" and (.events | length) == 4)' \
		receiver.mjs.requests
	received binary
	# attributes are strings there, and JSON has got its name
	diff got <(jq -Sc 'with_entries(if .key | IN("n", "flag")
		then .value |= tojson else . end) | if has("datacontenttype")
		then . else .datacontenttype = "application/json" end' events |
		sort)
	settled structured
	settled batch
	settled binary
	run ! grep -F '"error"' receiver.mjs.requests
	[ -z "$(dead)" ]
	# which it would not do with everything
	for type in application/cloudevents+json text/plain; do
		[ "$(event 1 | jq -c 'del(.source)' | curl -s -o answer \
			-w '%{http_code}' -H "Content-Type: $type" -d @- \
			"$(url x receiver.mjs)")" = 400 ]
	done
}

@test "the package takes them over TLS, too" {
	push_ns
	certificate node localhost
	egns-ctl namespace update -o none --trusted-certificates @node.pem
	receiver_up node.pem node.key
	hook structured '' \
		"\"endpointUrl\":\"https://localhost:$(<receiver.mjs.port)/\""
	push_up
	zoo | egns-ctl publish -t orders
	received structured
	settled structured
}
