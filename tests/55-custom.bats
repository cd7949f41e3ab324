# egns-route with a custom topic over HTTPS: tests/webhook/server is that topic.

load lib

PATH=$top/tests/webhook:$top/tests/custom:$PATH
id=/subscriptions/s/resourceGroups/rg/providers/Microsoft.EventGrid/topics/far

# custom [CREDENTIAL [MEMBERS]] - a namespace that routes to the server, which
# its namespace trusts, and egns-route. CREDENTIAL is JSON; MEMBERS go into
# topicSpacesConfiguration.
custom() {
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -n testns -o none \
		--routing-schedule '[0]' \
		--topic-spaces-configuration "{\"state\":\"Enabled\"${2:-}}"
	certificate server localhost
	start server server.pem server.key
	endpoint "${1:-}"
	egns-ctl namespace update -o none --trusted-certificates @server.pem \
		--set "topicSpacesConfiguration.routeTopicResourceId=$id"
	advance 0
	start egns-route
}

# certificate NAME HOST - NAME.pem and NAME.key, signed by itself.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-days 2 -keyout "$1.key" -out "$1.pem" -subj "/CN=$2" \
		-addext "subjectAltName=DNS:$2" 2>/dev/null
}

# endpoint [CREDENTIAL] - where the topic is, and what it is told.
endpoint() {
	local port
	read -r port <server.port
	egns-ctl namespace update -o none --endpoints "[{\"resourceId\":\"$id\",\
\"url\":\"https://localhost:$port/api/events\"${1:+,\"credential\":$1}}]"
}

# then_do ORDER... - what the server does with the next requests.
then_do() {
	printf '%s\n' "$@" >server.script
}

always() {
	echo "$1" >always.new && mv always.new server.always
}

# arrived PAYLOAD... - wait until the server has answered 2xx to events with
# these payloads, in this order and no others.
arrived() {
	wait_for arrived_now "$@" || { cat server.requests; return 1; }
}

arrived_now() {
	[ "$(jq -r 'select(.status >= 200 and .status < 300) | .events[].data' \
		server.requests 2>/dev/null)" = "$(printf '%s\n' "$@")" ]
}

# header NAME - of each request.
header() {
	jq -r ".headers[\"$1\"] // \"none\"" server.requests
}

# nothing_left - route/ is empty, and nothing was dropped.
nothing_left() {
	wait_for no_files
	[ ! -e spool/dropped ] || [ -z "$(ls spool/dropped)" ]
}

no_files() {
	[ -z "$(find spool/route -type f)" ]
}

said() {
	wait_for grep -qF "$1" egns-route.log
}

@test "messages arrive as batches, in order, with ids and the key" {
	printf 's3cret-k3y\n' >key
	custom "{\"file\":\"$PWD/key\",\"type\":\"key\"}"
	put a/b 1 2 3 >put.log
	arrived 1 2 3
	put a/b 4 >>put.log
	arrived 1 2 3 4
	nothing_left
	jq -es '.[0].events | length == 3' server.requests
	[ "$(jq -r '.events[].id' server.requests | sed 's,[0-9a-f]*/,,' |
		paste -sd' ')" = "1 2 3 4" ]
	[ "$(jq -r '.events[].id' server.requests | sed 's,/.*,,' |
		sort -u | grep -cEx '[0-9a-f]{16}')" -eq 1 ]
	jq -es 'all(.path == "/api/events" and .connection == 1)' \
		server.requests
	[ "$(header aeg-sas-key | uniq)" = s3cret-k3y ]
	[ "$(header authorization | uniq)" = none ]
	[ "$(header content-type | uniq)" = \
		'application/cloudevents-batch+json; charset=utf-8' ]
	stop server
	stop egns-route
	nowhere s3cret-k3y egns-route.log spool
}

@test "a topic that is busy, breaks off or is away gets everything later, in order" {
	custom
	then_do '{"status":503}' '{"status":429,"headers":{"Retry-After":"1"}}' \
		'{"status":500,"do":"close"}' '{"do":"reset"}' \
		'{"status":302,"headers":{"Location":"/"}}'
	put a 1 2 >put.log
	arrived 1 2
	said 'status 503'
	stop server
	put a 3 >put.log
	put a 4 >put.log
	said 'Failed to connect'
	start server server.pem server.key
	arrived 1 2 3 4
	nothing_left
	said 'events arrive again'
}

@test "success is the status alone, whatever comes behind it" {
	custom
	then_do '{"do":"close"}' '{"do":"huge"}' '{"do":"slow"}'
	for n in 1 2 3 4; do
		put a "$n" >put.log
		arrived $(seq "$n")
	done
	nothing_left
	[ "$(wc -l <server.requests)" -eq 4 ]
	# each of these ended its connection
	[ "$(jq .connection server.requests | sort -u | wc -l)" -eq 4 ]
}

@test "a topic that hangs holds up neither the end nor what comes after it" {
	custom
	then_do '{"do":"hang"}'
	put a 1 2 >put.log
	wait_for [ -s server.requests ]
	put a 3 >put.log
	stop egns-route
	start egns-route
	arrived 1 2 3
	nothing_left
}

@test "Retry-After is waited for" {
	custom
	egns-ctl namespace update -o none --routing-schedule '[1]'
	then_do '{"status":503,"headers":{"Retry-After":"600"}}'
	put a 1 >put.log
	said 'next attempt in 600 s'
	advance 590
	lines_of 1 server.requests
	advance 11
	arrived 1
	# but not when the schedule is the later one
	egns-ctl namespace update -o none --routing-schedule '[100]'
	then_do '{"status":429,"headers":{"Retry-After":"5"}}'
	put a 2 >put.log
	said 'next attempt in 100 s'
	advance 101
	arrived 1 2
}

@test "a topic that is not there is TopicNotFoundError, and its messages are kept" {
	local status
	for status in 404 410; do
		always "{\"status\":$status}"
		[ "$status" -ne 404 ] || custom
		put a/b "x$status" >put.log
		wait_for no_files
	done
	jq -es --arg id "$id" 'map(.record.payload) == ["x404","x410"] and
		all(.reason == "TopicNotFoundError" and .target == $id)' \
		spool/dropped/*
	rm server.always
	put a/b 1 >put.log
	arrived 1
	grep -F 'status 404' egns-route.log
}

@test "a token that is refused is fetched anew, once; then it is AuthenticationError" {
	custom "{\"command\":\"echo x >>$PWD/runs; wc -l <$PWD/runs | sed s/^/s3cret-/\"}"
	then_do '{"status":401}'
	put a 1 >put.log
	arrived 1
	[ "$(header authorization | paste -sd' ')" = \
		'Bearer s3cret-1 Bearer s3cret-2' ]
	then_do '{"status":403}' \
		'{"status":401,"body":"{\"error\":{\"message\":\"s3cret-3?\"}}"}'
	put a 2 >put.log
	wait_for no_files
	jq -es 'length == 1 and (.[0] | .reason == "AuthenticationError" and
		.record.payload == "2")' spool/dropped/*
	put a 3 >put.log
	arrived 1 3
	nowhere s3cret- egns-route.log spool/dropped
}

@test "events that are refused are found, and the others arrive" {
	custom
	always '{"refuse":"\"data\":3"}'
	put a 1 2 3 4 5 >put.log
	arrived 1 2 4 5
	wait_for no_files
	jq -es 'length == 1 and (.[0] | .reason == "BadRequest" and
		.record.payload == "3")' spool/dropped/*
}

@test "what the topic shows must be a certificate for it that we trust" {
	custom
	stop server
	certificate other localhost
	start server other.pem other.key
	put a 1 >put.log
	said 'SSL certificate problem'
	stop server
	certificate server elsewhere.example.org
	egns-ctl namespace update -o none --trusted-certificates @server.pem
	start server server.pem server.key
	said 'no alternative certificate subject name matches'
	stop server
	egns-ctl namespace update -o none --trusted-certificates @other.pem
	start server other.pem other.key
	arrived 1
	nothing_left
}

@test "the token of the machine's identity is asked for, kept and renewed" {
	local port
	custom '' ',"routingIdentityInfo":{"type":"SystemAssigned"}'
	stop egns-route
	read -r port <server.port
	export IDENTITY_HEADER=s3cret-header
	export IDENTITY_ENDPOINT=https://localhost:$port/token
	echo s3cret-1 >server.token
	start egns-route
	put a 1 >put.log
	arrived 1
	put a 2 >put.log
	arrived 1 2
	jq -es '.[0].path == "/token?api-version=2019-08-01&resource=" +
		"https%3A%2F%2Feventgrid.azure.net" and length == 1 and
		.[0].headers["x-identity-header"] == "s3cret-header"' \
		server.tokens
	# it is renewed before its end, and at once when it is refused
	echo s3cret-2 >server.token
	advance 3400
	put a 3 >put.log
	arrived 1 2 3
	wait_for lines_of 2 server.tokens
	put a 4 >put.log
	arrived 1 2 3 4
	echo s3cret-3 >server.token
	then_do '{"status":401}'
	put a 5 >put.log
	arrived 1 2 3 4 5
	# the second may have been on its way still
	[[ $(header authorization | sed 's/Bearer s3cret-//' | xargs) == \
		"1 1 1 "[12]" 2 3" ]]
	stop egns-route
	nowhere s3cret- egns-route.log spool
}

lines_of() {
	[ "$(wc -l <"$2")" -eq "$1" ]
}

# nginx_topic LIMIT - nginx in the server's place, which takes bodies of up to
# LIMIT bytes and reads them to the end, as it has somebody behind it. What it
# was asked: nginx.requests and nginx.bodies.
nginx_topic() {
	local port
	stop server
	read -r port <server.port
	cat >nginx.conf <<-EOF
		daemon off;
		master_process off;
		pid nginx.pid;
		events {}
		http {
			log_format told '\$server_protocol \$status';
			log_format body escape=none '\$request_body';
			client_body_temp_path body;
			client_body_buffer_size 1m;
			server {
				listen 127.0.0.1:$port ssl http2;
				keepalive_requests 3;
				client_max_body_size $1;
				ssl_certificate $PWD/server.pem;
				ssl_certificate_key $PWD/server.key;
				access_log nginx.requests told;
				access_log nginx.bodies body;
				location / { proxy_pass http://unix:nginx.sock; }
			}
			server {
				listen unix:nginx.sock;
				access_log off;
				location / { return 204; }
			}
		}
	EOF
	PATH=$PATH:/usr/sbin nginx -p "$PWD" -c nginx.conf -e nginx.log 2>nginx.err 3>&- &
	# shellcheck disable=SC2034 # lib.bash's
	pid_of[nginx]=$!
	wait_for [ -s nginx.pid ]
}

@test "nginx is a topic, too: HTTP/2, and what it does not take in one piece" {
	local large
	custom
	nginx_topic 100k
	put a 1 2 3 >put.log
	wait_for no_files
	put a 4 >put.log
	wait_for no_files
	wait_for nginx_told 2 HTTP/2.0 204
	mapfile -t large < <(seq -f '"%01000.0f"' 200)
	put a "${large[@]}" >put.log
	wait_for no_files
	wait_for nginx_told 202 HTTP/2.0 204 1 HTTP/2.0 413
	nothing_left
	wait_for lines_of 203 nginx.bodies
	[ "$(grep '^\[' nginx.bodies | jq '.[].data')" = \
		"$(printf '%s\n' 1 2 3 4 "${large[@]}")" ]
}

nginx_told() {
	[ "$(sort nginx.requests | uniq -c | xargs)" = "$*" ]
}

@test "credentials and URLs are checked when they are set" {
	ns
	refused 65 'endpoints[0].credential: "key" is no member of it' \
		namespace update --endpoints \
		"[{resourceId:$id,url:\"https://h/\",credential:{key:s3cret}}]"
	[[ $stderr == *'never the secret itself'* && $stderr != *s3cret* ]]
	refused 65 'endpoints[0].credential: must be' namespace update \
		--endpoints "[{resourceId:$id,url:\"https://h/\",credential:s3cret}]"
	[[ $stderr != *s3cret* ]]
	refused 65 'endpoints[0].url: must be https://HOST' namespace update \
		--endpoints "[{resourceId:$id,url:\"http://example.org/\"}]"
	refused 65 'endpoints[0].url: has a user or a password' \
		namespace update --endpoints \
		"[{resourceId:$id,url:\"https://me:s3cret@h/\"}]"
	[[ $stderr != *s3cret* ]]
	refused 65 'endpoints[0].url: must be kafkas://HOST' namespace update \
		--endpoints "[{resourceId:$id,url:\"kafka://h:9092/t\"}]"
	refused 65 'endpoints[1]: must have a url, a credential or both' \
		namespace update --endpoints \
		"[{resourceId:$id,url:\"https://h/\"},{resourceId:/b}]"
	egns-ctl namespace update -o none --endpoints \
		"[{resourceId:$id,url:\"http://127.0.0.1:1/\",
		credential:{file:\"/x\",type:key}},{resourceId:/b,
		url:\"https://h/\",credential:{identity:SystemAssigned}},
		{resourceId:/c,credential:{file:\"/y\"}},{resourceId:/d,
		url:\"kafkas://h:9093/t\",
		credential:{file:\"/z\",type:connectionString}}]"
}

@test "messages that are dropped are said once a minute, and status tells why" {
	custom
	always '{"status":401}'
	put a 1 2 3 >put.log
	wait_for no_files
	put a 4 >put.log
	wait_for no_files
	wait_for problems 'any(.where == "route" and
		(.problem | contains("dropped/") and contains("credential")))'
	[ "$(grep -c AuthenticationError egns-route.log)" -eq 1 ]
	advance 61
	wait_for said ' more dropped, which dropped/ has now: AuthenticationError'
	rm server.always
	put a 5 >put.log
	arrived 5
	wait_for said 'far: events arrive again'
	wait_for problems 'all(.where != "route")'
}

problems() {
	egns-ctl status --jq .problems | jq -e "$1"
}

@test "on HUP what waits for its next attempt is tried" {
	custom "{\"file\":\"$PWD/key\",\"type\":\"key\"}"
	egns-ctl namespace update -o none --routing-schedule '[3600]'
	put a 1 >put.log
	wait_for said "$PWD/key"
	echo secret >key
	kill -HUP "$(cat spool/run/route.lock)"
	arrived 1
}
