# shellcheck shell=bash
# Who may connect to the broker, who stays, and what everybody else is told.
load lib
load broker

# Two authorities, one of them with another below it, and one that nobody knows.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return
	authority root && authority lower root && authority other &&
		authority stranger &&
		openssl req -x509 -newkey rsa:2048 -nodes -days 30 \
			-keyout issuer.key -out issuer.pem -subj /CN=issuer \
			2>/dev/null &&
		openssl req -x509 -newkey rsa:2048 -nodes -days 30 \
			-keyout forger.key -out forger.pem -subj /CN=issuer \
			2>/dev/null
}

made=$BATS_FILE_TMPDIR
PATH=$top/tests/auth:$PATH

# certify NAME ISSUER SUBJECT EXTENSION... - NAME.pem and NAME.key, signed by an
# authority of setup_file, or by itself (""), valid for $days (2) from now.
certify() {
	local name=$1 issuer=$2 subject=$3 extension
	local flags=()
	shift 3
	[ -z "$issuer" ] ||
		flags=(-CA "$made/$issuer.pem" -CAkey "$made/$issuer.key")
	for extension; do
		flags+=(-addext "$extension")
	done
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		-config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') \
		-nodes -days "${days:-2}" -keyout "$name.key" -out "$name.pem" \
		-subj "$subject" "${flags[@]}" 2>/dev/null
}

# authority NAME [ISSUER]
authority() {
	days=30 certify "$1" "${2:-}" "/CN=$1" basicConstraints=critical,CA:TRUE \
		keyUsage=critical,keyCertSign
}

# leaf NAME ISSUER SUBJECT [EXTENSION...]
leaf() {
	certify "$@" basicConstraints=CA:FALSE
}

# trust NAME... - register authorities of setup_file.
trust() {
	local name
	for name; do
		egns-ctl namespace ca-certificate create -o none -n "ca-$name" \
			--encoded-certificate "@$made/$name.pem" || return
	done
}

# client NAME SCHEME [FLAG...] - a registered client.
client() {
	egns-ctl namespace client create -o none -n "$1" \
		--client-certificate-authentication "{validationScheme:$2}" \
		"${@:3}"
}

# prints create|update NAME THUMBPRINT... - a client with these thumbprints.
prints() {
	local list
	list=$(jq -nc '{validationScheme: "ThumbprintMatch",
		allowedThumbprints: $ARGS.positional}' --args "${@:3}") || return
	egns-ctl namespace client "$1" -o none -n "$2" \
		--client-certificate-authentication "$list"
}

# thumbprint sha1|sha256 CERTIFICATE - as openssl writes it, with colons.
thumbprint() {
	openssl x509 -in "$2.pem" -noout -fingerprint "-$1" | sed 's/.*=//'
}

# authentication JSON - of the namespace, from now on.
authentication() {
	egns-ctl namespace update -o none \
		--set "topicSpacesConfiguration.clientAuthentication=$1"
}

# broker [AUTHENTICATION] - a namespace where all is allowed, which trusts root,
# and its broker. ca.pem is who signed the broker's own certificate.
broker() {
	broker_ns && trust root && device someone || return
	[ $# -eq 0 ] || authentication "$1" || return
	advance 0
	start_broker
}

# tries CERTIFICATE ARG... - the reason code of a CONNECT with that certificate
# ("": with none); it is in $reason then, and what was said in $output.
tries() {
	local flags=()
	[ -z "$1" ] || flags=(--cert "$1.pem" --key "$1.key")
	run -0 login "$(mport mqtts)" "${flags[@]}" \
		"${@:2}" </dev/null
	reason=${lines[0]#connack }
}

# accepts CERTIFICATE ARG...
accepts() {
	tries "$@"
	[ "$reason" = 0x00 ] || { echo "$output"; return 1; }
}

# refuses REASON WORDS CERTIFICATE ARG... - and the log says why.
refuses() {
	local want=$1 words=$2
	shift 2
	tries "$@"
	[ "$reason" = "$want" ] || { echo "$output"; return 1; }
	logged "$words"
}

logged() {
	wait_for grep -qF -- "$1" egns-brokerd.log ||
		{ cat egns-brokerd.log; return 1; }
	cat egns-brokerd.log >>all.log
	: >egns-brokerd.log
}

# stays CERTIFICATE ARG... - log in, and stay until `leaves` or the broker ends
# it; what comes is in login.out, what is written to descriptor $stay is sent.
stays() {
	local flags=()
	[ -z "$1" ] || flags=(--cert "$1.pem" --key "$1.key")
	rm -f login.in
	mkfifo login.in
	login "$(mport mqtts)" "${flags[@]}" "${@:2}" <login.in \
		>login.out 2>&1 3>&- &
	# shellcheck disable=SC2034,SC2004 # lib.bash's
	pid_of[login]=$!
	exec {stay}>login.in
	said connack 0x00
}

# said WORDS - it has come, as the last of all.
said() {
	wait_for said_now "$*" || { cat login.out; return 1; }
}

said_now() {
	[ "$(tail -n 1 login.out)" = "$1" ]
}

# ended REASON - the broker has ended it, for this reason.
ended() {
	said closed
	exec {stay}>&-
	gone login
	grep -qx "disconnect $1" login.out
}

# leaves - it is still connected, and ends it itself.
leaves() {
	exec {stay}>&-
	gone login
	! grep disconnect login.out
}

# ---- certificates of authorities ----

@test "a certificate that names the client in the field of its scheme is accepted" {
	broker
	client sub-1 SubjectMatchesAuthenticationName
	client dns.example DnsMatchesAuthenticationName
	client uri-1 UriMatchesAuthenticationName \
		--authentication-name urn:press:7
	client ip-1 IpMatchesAuthenticationName \
		--authentication-name 192.0.2.7
	client mail-1 EmailMatchesAuthenticationName \
		--authentication-name press@example.org
	leaf sub root /O=Plant/CN=sub-1
	leaf dns root /CN=x subjectAltName=DNS:a.example,DNS:dns.example
	leaf uri root /CN=x subjectAltName=URI:urn:press:7
	leaf ip root /CN=x subjectAltName=IP:192.0.2.7
	leaf mail root /CN=x subjectAltName=email:press@example.org
	accepts sub --user sub-1
	accepts dns --user dns.example
	accepts uri --user urn:press:7
	accepts ip --user 192.0.2.7
	accepts mail --user press@example.org
	# and of each client, the certificate of another is refused
	refuses 0x87 "client 'sub-1': certificate's subject" dns --user sub-1
	refuses 0x87 "'dns.example' is wanted" uri --user dns.example
	refuses 0x87 "has no URI" ip --user urn:press:7
	refuses 0x87 "has no IP address" mail --user 192.0.2.7
	refuses 0x87 "has no e-mail address" sub --user press@example.org
}

@test "the whole distinguished name may be a client's authentication name" {
	broker
	client whole SubjectMatchesAuthenticationName \
		--authentication-name CN=press-07,O=Plant
	leaf whole root /O=Plant/CN=press-07
	accepts whole --user CN=press-07,O=Plant
}

@test "a chain through an intermediate is followed, and one that has a gap is not" {
	broker
	client dev SubjectMatchesAuthenticationName
	leaf dev lower /CN=dev
	refuses 0x87 "client 'dev': certificate is not trusted" dev --user dev
	cat dev.pem "$made/lower.pem" >chain.pem
	cp dev.key chain.key
	accepts chain --user dev
	# who signed it directly is enough, without what is above
	egns-ctl namespace ca-certificate delete -n ca-root -y
	refuses 0x87 "certificate is not trusted" chain --user dev
	trust lower
	accepts dev --user dev
}

@test "each of several authorities will do, and one that is not registered will not" {
	broker
	trust other
	client dev SubjectMatchesAuthenticationName
	for ca in root other stranger; do
		leaf "$ca" "$ca" /CN=dev
	done
	leaf alone "" /CN=dev
	accepts root --user dev
	accepts other --user dev
	refuses 0x87 "certificate is not trusted" stranger --user dev
	refuses 0x87 "certificate is not trusted" alone --user dev
}

@test "a certificate for another use, or by one that may not sign, is refused" {
	broker
	client dev SubjectMatchesAuthenticationName
	leaf server root /CN=dev extendedKeyUsage=serverAuth
	leaf both root /CN=dev extendedKeyUsage=serverAuth,clientAuth
	leaf sign root /CN=dev keyUsage=critical,keyCertSign
	refuses 0x87 "certificate is not trusted" server --user dev
	accepts both --user dev
	refuses 0x87 "certificate is not trusted" sign --user dev
	leaf middle root /CN=middle
	cp middle.pem middle.key "$made/"
	leaf dev middle /CN=dev
	cat dev.pem middle.pem >chain.pem
	cp dev.key chain.key
	refuses 0x87 "certificate is not trusted" chain --user dev
}

@test "a certificate counts from its first to its last day" {
	broker
	client dev SubjectMatchesAuthenticationName
	leaf dev root /CN=dev
	prints create print "$(thumbprint sha256 dev)"
	accepts dev --user dev
	advance $((3 * 86400))
	refuses 0x87 "certificate has expired" dev --user dev
	refuses 0x87 "certificate has expired" dev --user print
	advance $((-4 * 86400))
	refuses 0x87 "certificate is not valid before" dev --user dev
}

# ---- thumbprints ----

@test "a thumbprint needs no authority; two of them let a client change over" {
	broker
	for i in 1 2 3; do
		leaf "dev-$i" "" "/CN=whatever-$i"
	done
	prints create dev "$(thumbprint sha1 dev-1)"
	accepts dev-1 --user dev
	refuses 0x87 "client 'dev': certificate's thumbprint is" dev-2 --user dev
	prints update dev "$(thumbprint sha1 dev-1)" \
		"$(thumbprint sha256 dev-2 | tr -d : | tr A-F a-f)"
	accepts dev-1 --user dev
	accepts dev-2 --user dev
	refuses 0x87 "thumbprint" dev-3 --user dev
	prints update dev "$(thumbprint sha256 dev-2)"
	refuses 0x87 "thumbprint" dev-1 --user dev
	accepts dev-2 --user dev
}

# ---- names ----

@test "an unknown client, a disabled one and one without a certificate are refused" {
	broker
	client dev SubjectMatchesAuthenticationName
	leaf dev root /CN=dev
	refuses 0x87 "there is no client 'dev-2'" dev --user dev-2
	refuses 0x87 "client 'dev': no certificate was shown" "" --user dev
	refuses 0x87 "neither a User Name nor a certificate" ""
	accepts dev --user dev
	egns-ctl namespace client update -o none -n dev --state Disabled
	refuses 0x87 "client 'dev' is disabled" dev --user dev
	refuses 0x87 "there is no client 'a\\x0Ab'" dev --user $'a\nb'
}

@test "names are compared without regard to case" {
	broker
	client Dev-1 SubjectMatchesAuthenticationName
	leaf dev root /CN=Dev-1
	accepts dev --user dev-1
	accepts dev --user DEV-1
}

@test "without User Name the first source that the certificate has is the name" {
	broker
	client dev-cn SubjectMatchesAuthenticationName
	client dev-dns DnsMatchesAuthenticationName
	leaf both root /CN=dev-cn subjectAltName=DNS:dev-dns
	leaf one root /CN=dev-cn
	leaf none root /O=Plant subjectAltName=URI:urn:x
	refuses 0x87 "has no alternativeAuthenticationNameSources" both
	authentication '{"alternativeAuthenticationNameSources":[
		"ClientCertificateDns","ClientCertificateSubject"]}'
	accepts both
	accepts one
	# an empty User Name is none
	accepts both --user ''
	egns-ctl namespace client delete -n dev-dns -y
	refuses 0x87 "there is no client 'dev-dns'" both
	accepts one
	authentication \
		'{"alternativeAuthenticationNameSources":["ClientCertificateDns"]}'
	refuses 0x87 "the certificate has none of" none
}

@test "a client of several sessions sends its name as User Name" {
	broker '{"alternativeAuthenticationNameSources":[
		"ClientCertificateSubject"]}'
	client dev SubjectMatchesAuthenticationName
	leaf dev root /CN=dev
	egns-ctl namespace update -o none --set topicSpacesConfiguration.\
maximumClientSessionsPerAuthenticationName=3
	stays dev --id one
	refuses 0x97 "as User Name" dev --id two
	accepts dev --id two --user dev
	leaves
}

@test "MQTT 3.1.1 clients are refused with code 5" {
	broker_ns
	device dev
	start_broker
	mpub dev -V mqttv311 -q 1 -t t -m x
	run mpub dev -V mqttv311 -u nobody -q 1 -t t -m x
	[[ $output == *"not authorised"* ]]
}

# ---- who may do nothing, and from where ----

@test "who has no grant at all is refused, except in the profile of the service" {
	bare_ns
	trust root
	device someone
	client dev SubjectMatchesAuthenticationName
	leaf dev root /CN=dev
	start_broker
	refuses 0x87 "client 'dev' may neither publish (" dev --user dev
	egns-ctl namespace update -o none --profile Azure
	accepts dev --user dev
	egns-ctl namespace update -o none --profile Default
	topic_space some 'a/#'
	egns-ctl namespace client-group create -o none -n presses \
		--query "attributes.kind = 'press'"
	allow some presses Subscriber
	refuses 0x87 "attributes.kind is absent" dev --user dev
	egns-ctl namespace client update -o none -n dev \
		--attributes '{kind:press}'
	accepts dev --user dev
}

@test "addresses outside of inboundIpRules are refused" {
	broker
	client dev SubjectMatchesAuthenticationName
	leaf dev root /CN=dev
	egns-ctl namespace update -o none \
		--inbound-ip-rules '[{"ipMask":"192.0.2.0/24"}]'
	refuses 0x87 IpForbidden dev --user dev
	egns-ctl namespace update -o none --inbound-ip-rules \
		'[{"ipMask":"192.0.2.0/24"},{"ipMask":"127.0.0.1"}]'
	accepts dev --user dev
	# rules are for public access; without it this machine is what remains
	egns-ctl namespace update -o none \
		--inbound-ip-rules '[{"ipMask":"192.0.2.0/24"}]' \
		--public-network-access Disabled
	accepts dev --user dev
}

# ---- who stays ----

@test "a client that is disabled or deleted is disconnected" {
	broker
	leaf dev root /CN=dev
	client dev SubjectMatchesAuthenticationName
	stays dev --user dev
	egns-ctl namespace client update -o none -n dev --state Disabled
	ended 0x87
	logged "client 'dev' is disabled"
	egns-ctl namespace client update -o none -n dev --state Enabled
	stays dev --user dev
	egns-ctl namespace client delete -n dev -y
	ended 0x87
	logged "client 'dev': was deleted"
}

@test "changes of other clients and of what is not its own leave a client alone" {
	broker
	leaf dev root /CN=dev
	client dev SubjectMatchesAuthenticationName
	client dev-2 SubjectMatchesAuthenticationName
	stays dev --user dev
	egns-ctl namespace client update -o none -n dev-2 --state Disabled
	egns-ctl namespace client update -o none -n dev --description new
	trust other
	egns-ctl namespace ca-certificate delete -n ca-other -y
	leaves
}

@test "an authority that is removed takes along who was trusted by it" {
	broker
	trust other
	leaf dev root /CN=dev
	client dev SubjectMatchesAuthenticationName
	stays dev --user dev
	egns-ctl namespace ca-certificate delete -n ca-root -y
	ended 0x87
	logged "the authority of its certificate was removed"
}

@test "another scheme, and a thumbprint that is removed, end a connection" {
	broker
	leaf dev root /CN=dev
	client dev SubjectMatchesAuthenticationName
	stays dev --user dev
	prints update dev "$(thumbprint sha1 dev)"
	ended 0x87
	logged "has another validation scheme now"
	stays dev --user dev
	leaf next "" /CN=next
	prints update dev "$(thumbprint sha256 dev)" \
		"$(thumbprint sha256 next)"
	said connack 0x00
	prints update dev "$(thumbprint sha256 next)"
	ended 0x87
	logged "its certificate's thumbprint was removed"
}

# ends_with_certificate - of the client and certificate `dev`. All of it within
# the keep alive that the broker gives who asks for none, 1160 s.
ends_with_certificate() {
	advance $((2 * 86400 - 900))
	stays dev --user dev
	advance 600
	refuses 0x87 "there is no client 'dev-2'" dev --user dev-2
	said connack 0x00
	advance 300
	ended 0x87
}

@test "a connection ends with its certificate" {
	broker
	leaf dev root /CN=dev
	client dev SubjectMatchesAuthenticationName
	ends_with_certificate
}

@test "a connection by thumbprint ends with its certificate" {
	broker
	leaf dev "" /CN=dev
	prints create dev "$(thumbprint sha1 dev)"
	ends_with_certificate
}

# ---- tokens ----

base64url() {
	openssl base64 -A | tr '+/' '-_' | tr -d '='
}

# token CLAIMS [KEY [ALG]] - a token of the issuer. CLAIMS are JSON members; iss,
# aud, nbf and exp (in an hour) are there unless they are given.
token() {
	local now head body
	now=$(($(date +%s) + $([ -e clock ] && cat clock || echo 0)))
	head=$(printf '{"alg":"%s","typ":"JWT"}' "${3:-RS256}" | base64url)
	body=$(jq -nc --argjson now "$now" '{iss: "issuer.example",
		aud: ["testns.local-1.ts.eventgrid.azure.net"],
		nbf: ($now - 60), exp: ($now + 3600)} + '"$1" | base64url)
	printf '%s.%s.%s\n' "$head" "$body" "$(printf '%s.%s' "$head" "$body" |
		openssl dgst -sha256 -sign "$made/${2:-issuer}.key" |
		base64url)"
}

# jwt_settings - customJwtAuthentication of setup_file's issuer.
jwt_settings() {
	jq -nc --rawfile pem "$made/issuer.pem" '{customJwtAuthentication: {
		tokenIssuer: "issuer.example", encodedIssuerCertificates:
		[{kid: "one", encodedCertificate: $pem}]}}'
}

# by_token - arguments of tries for the token in the file `token`.
by_token=("" --method CUSTOM-JWT --data token)

@test "a token is a login; its claims are the client's attributes" {
	broker "$(jwt_settings)"
	egns-ctl namespace permission-binding delete -n all-all-Publisher -y
	egns-ctl namespace permission-binding delete -n all-all-Subscriber -y
	egns-ctl namespace client-group create -o none -n hall-3 \
		--query 'attributes.hall = 3'
	allow all hall-3
	token '{sub: "press-07", hall: 3, ok: true}' >token
	accepts "${by_token[@]}"
	token '{sub: "press-07", hall: 4}' >token
	refuses 0x87 "attributes.hall is" "${by_token[@]}"
}

@test "a token that is not right in every part is refused" {
	broker "$(jwt_settings)"
	token '{sub: "a", aud: "elsewhere"}' >token
	refuses 0x87 aud "${by_token[@]}"
	token '{sub: "a", iss: "other.example"}' >token
	refuses 0x87 iss "${by_token[@]}"
	token '{iss: "issuer.example"}' >token
	refuses 0x87 sub "${by_token[@]}"
	# shellcheck disable=SC2016 # of jq
	token '{sub: "a", exp: ($now - 1)}' >token
	refuses 0x87 exp "${by_token[@]}"
	# shellcheck disable=SC2016 # of jq
	token '{sub: "a", nbf: ($now + 1000)}' >token
	refuses 0x87 nbf "${by_token[@]}"
	token '{sub: "a"}' forger >token
	refuses 0x87 signature "${by_token[@]}"
	token '{sub: "a"}' issuer HS256 >token
	refuses 0x87 alg "${by_token[@]}"
	echo x >token
	refuses 0x87 token "${by_token[@]}"
	token '{sub: "a\u0000b"}' >token
	refuses 0x87 "" "${by_token[@]}"
	token "{sub: \"$(printf '%0129d' 0)\"}" >token
	refuses 0x87 128 "${by_token[@]}"
	token "{sub: \"a\", x: \"$(printf '%09000d' 0)\"}" >token
	refuses 0x87 8192 "${by_token[@]}"
	: >token
	refuses 0x87 "a token of 1 to 8192 bytes is wanted, there are 0" \
		"${by_token[@]}"
	token '{sub: "a"}' >token
	accepts "${by_token[@]}"
}

@test "a disabled client of the registry cannot come by a token" {
	broker "$(jwt_settings)"
	client Press-07 SubjectMatchesAuthenticationName
	token '{sub: "press-07"}' >token
	accepts "${by_token[@]}"
	stays "${by_token[@]}"
	egns-ctl namespace client update -o none -n Press-07 --state Disabled
	ended 0x87
	logged "client 'Press-07' is disabled"
	refuses 0x87 "client 'Press-07' is disabled" "${by_token[@]}"
}

@test "a connection ends with its token unless it logs in again" {
	broker "$(jwt_settings)"
	# shellcheck disable=SC2016 # of jq
	soon='exp: ($now + 1000)'
	token "{sub: \"a\", $soon}" >token
	stays "${by_token[@]}"
	advance 900
	token "{sub: \"a\", $soon}" >next
	echo "CUSTOM-JWT next" >&"$stay"
	said auth 0x00
	advance 900
	token '{sub: "b"}' >token
	accepts "${by_token[@]}"
	said auth 0x00
	advance 200
	ended 0x87
}

@test "a new login with a bad token, or of somebody else, ends the connection" {
	broker "$(jwt_settings)"
	token '{sub: "a"}' >token
	token '{sub: "b"}' >other
	token '{sub: "a"}' forger >forged
	stays "${by_token[@]}"
	echo "CUSTOM-JWT other" >&"$stay"
	ended 0x87
	logged "client 'a' is logged in; the new login is of 'b'"
	stays "${by_token[@]}"
	echo "CUSTOM-JWT forged" >&"$stay"
	ended 0x87
}

@test "a new login is by the method of the first, and AUTH is for nothing else" {
	broker "$(jwt_settings)"
	token '{sub: "a"}' >token
	local again login="connect clean id=a name= method=CUSTOM-JWT"
	login+=" data=$(<token)"
	for again in "19 method=OAUTH2-JWT data=x;82" \
		"18 method=CUSTOM-JWT data=$(<token);82" \
		"00 method=CUSTOM-JWT;82" "19 data=x;82" \
		"19 method=CUSTOM-JWT data=x user=k:v;83" \
		"19 method=CUSTOM-JWT data=x;87"; do
		cat <<-EOF
			a: someone
			a> $login
			a< connack 00 method=CUSTOM-JWT -data
			a> auth 19 method=CUSTOM-JWT data=$(<token)
			a< auth 00 method=CUSTOM-JWT -data -reason
			a> auth ${again%;*}
			a< disconnect ${again#*;}
			a< closed
		EOF
	done >script
	cat >>script <<-EOF
		a: someone
		a> connect clean
		a< connack 00 -method
		a> auth 19 method=CUSTOM-JWT data=$(<token)
		a< disconnect 82
		a< closed
	EOF
	/usr/bin/python3 "$top/tests/mqtt/raw.py" "$(mport mqtts)" <script
}

@test "a method that is not known is refused with 0x8c" {
	broker
	token '{sub: "a"}' >token
	refuses 0x8c "no customJwtAuthentication" "${by_token[@]}"
	refuses 0x8c "Entra tokens cannot be checked here" "" \
		--method OAUTH2-JWT --data token
	refuses 0x8c "method 'X-\\x1B' is not known" "" \
		--method $'X-\e' --data token
}

# ---- the webhook ----

# hook [MEMBERS] - a webhook, and a broker that asks it. MEMBERS go into its
# settings.
hook() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		-nodes -days 2 -keyout hook.key -out hook.pem \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost \
		2>/dev/null
	start webhook hook.pem hook.key
	broker "$(hook_settings "$@")"
	egns-ctl namespace update -o none --trusted-certificates @hook.pem
}

hook_settings() {
	local port
	read -r port <webhook.port
	printf '{"webhookAuthentication":{"endpointUrl":"%s"%s}}' \
		"https://localhost:$port/login?code=s3cr3t" "${1:+,$1}"
}

# answers STATUS BODY - of the webhook, from now on.
answers() {
	echo "$1 $2" >webhook.new && mv webhook.new webhook.answer
}

allowed='{"decision":"allow","clientAuthenticationName":"press-07"}'

@test "the webhook is told all that a client has shown, and decides" {
	hook
	leaf dev lower /CN=dev
	cat dev.pem "$made/lower.pem" >chain.pem
	cp dev.key chain.key
	printf '\001\002\003' >data
	answers 200 "$allowed"
	accepts chain --id press-a --user press --password s3cr3t \
		--method X-LOCAL --data data
	tail -n 1 webhook.questions | jq -e '.type == "application/json" and
		.authorization == null and .path == "/login?code=s3cr3t"'
	tail -n 1 webhook.questions | jq -e '.question | .clientId == "press-a"
		and .userName == "press" and .password == "czNjcjN0"
		and .authenticationMethod == "X-LOCAL"
		and .authenticationData == "AQID"'
	tail -n 1 webhook.questions |
		jq -r .question.clientCertificate >shown.pem
	tail -n 1 webhook.questions |
		jq -r .question.clientCertificateChain >above.pem
	[ "$(thumbprint sha256 shown)" = "$(thumbprint sha256 dev)" ]
	cp "$made/lower.pem" .
	[ "$(thumbprint sha256 above)" = "$(thumbprint sha256 lower)" ]
	answers 200 '{"decision":"deny","errorReason":"not on \u001b Sundays"}'
	refuses 0x87 "the webhook denied it: 'not on \\x1B Sundays'" "" \
		--user press --password s3cr3t
	tail -n 1 webhook.questions | jq -e '.question |
		keys == ["clientId", "password", "userName"]'
	run ! grep -F s3cr3t all.log egns-brokerd.log
	stop webhook
}

@test "the webhook's attributes are the client's" {
	hook
	egns-ctl namespace permission-binding delete -n all-all-Publisher -y
	egns-ctl namespace permission-binding delete -n all-all-Subscriber -y
	egns-ctl namespace client-group create -o none -n hall-3 --query \
		"attributes.hall = 3 and attributes.tags IN ['b']"
	allow all hall-3
	answers 200 "${allowed%\}},\"attributes\":{\"hall\":3,\"tags\":[\"a\",\
\"b\"],\"on\":true,\"x\":1.5,\"y\":{},\"z\":3000000000}}"
	accepts ""
	answers 200 "$allowed"
	refuses 0x87 "attributes.hall is absent" ""
	stop webhook
}

@test "an answer that makes no sense is as good as none: 0x88" {
	local long
	hook
	long=$(printf '%04096d' 0)
	refused_answer() {
		answers "$1" "$2"
		refuses 0x88 "$3" "" --user press
	}
	refused_answer 500 "$allowed" "the webhook's answer: status 500"
	refused_answer 403 "$allowed" "status 403"
	refused_answer 200 'no JSON' "the webhook's answer: "
	refused_answer 200 '[]' "not a JSON object"
	refused_answer 200 '{"decision":"maybe"}' 'neither "allow" nor "deny"'
	refused_answer 200 '{"decision":"allow"}' clientAuthenticationName
	refused_answer 200 '{"decision":"allow",
		"clientAuthenticationName":7}' clientAuthenticationName
	refused_answer 200 '{"decision":"allow",
		"clientAuthenticationName":"a\u0000b"}' NUL
	refused_answer 200 "${allowed%\}},\"expiration\":\"soon\"}" expiration
	refused_answer 200 "${allowed%\}},\"attributes\":{\"a\":\"$long\"}}" \
		"4 KB"
	refused_answer 200 "${allowed%\}},\"x\":\"$long$long$long$long\"}" 16384
	answers 200 "$allowed"
	accepts "" --user press
	stop webhook
}

@test "a webhook that is not there, not trusted or slow is 0x88" {
	hook
	refuses 0x88 "no answer of the webhook" "" --user press
	answers 200 "$allowed"
	accepts "" --user press
	egns-ctl namespace update -o none --trusted-certificates \
		"@$made/stranger.pem"
	refuses 0x88 "no answer of the webhook" "" --user press
	stop webhook
	refuses 0x88 "no answer of the webhook" "" --user press
}

# waits - a client for which the webhook is asked; what it is told goes to
# waits.out.
waits() {
	rm -f webhook.questions webhook.answer
	login "$(mport mqtts)" --user press </dev/null >waits.out 2>&1 3>&- &
	# shellcheck disable=SC2034,SC2004 # lib.bash's
	pid_of[waits]=$!
	wait_for [ -s webhook.questions ]
}

@test "other clients do not wait for the webhook, nor does the broker's end" {
	hook
	client dev SubjectMatchesAuthenticationName
	leaf dev root /CN=dev
	waits
	accepts dev --user dev
	[ ! -s waits.out ]
	crash waits
	waits
	stop egns-brokerd
	gone waits
	stop webhook
}

@test "a login that waits for the webhook outlives a change of its settings" {
	hook
	waits
	egns-ctl namespace update -o none --trusted-certificates \
		"@$made/stranger.pem"
	answers 200 "$allowed"
	gone waits
	grep -qx 'connack 0x00' waits.out
	refuses 0x88 "no answer of the webhook" "" --user press
	stop webhook
}

@test "the webhook's decision ends when it says, and may be renewed" {
	hook
	printf x >data
	local now
	now=$(date +%s)
	answers 200 "${allowed%\}},\"expiration\":$((now - 5))}"
	refuses 0x87 "the webhook's decision has expired already" ""
	answers 200 "${allowed%\}},\"expiration\":$((now + 500))}"
	stays "" --method X-LOCAL --data data
	answers 200 "${allowed%\}},\"expiration\":$((now + 1000))}"
	echo "X-LOCAL data" >&"$stay"
	said auth 0x00
	advance 700
	answers 200 "${allowed/press-07/another}"
	accepts ""
	said auth 0x00
	advance 400
	ended 0x87
	stop webhook
}

@test "a registered client whose certificate fits needs no webhook; others do" {
	hook
	client dev SubjectMatchesAuthenticationName
	leaf dev root /CN=dev
	leaf bad other /CN=dev
	answers 200 '{"decision":"deny","errorReason":"no"}'
	accepts dev --user dev
	[ ! -e webhook.questions ]
	refuses 0x87 "the webhook denied it: 'no'" bad --user dev
	egns-ctl namespace client update -o none -n dev --state Disabled
	answers 200 "${allowed/press-07/DEV}"
	refuses 0x87 "client 'dev' is disabled" dev --user dev
	# and tokens that the namespace can check itself do not go there
	authentication "$(jq -c ". + $(hook_settings)" <<<"$(jwt_settings)")"
	rm webhook.questions
	token '{sub: "a"}' >token
	accepts "${by_token[@]}"
	[ ! -e webhook.questions ]
	stop webhook
}

@test "the webhook's bearer token comes from a file or a command" {
	local port
	hook '"azureActiveDirectoryApplicationIdOrUri":"api://hook"'
	answers 200 "$allowed"
	read -r port <webhook.port
	printf ' t0k3n-1\n' >secret
	credential() {
		egns-ctl namespace update -o none --endpoints "[{\
\"resourceId\":\"api://hook\",\"url\":\"https://localhost:$port/\",\
\"credential\":$1}]"
	}
	credential "{\"file\":\"$PWD/secret\"}"
	accepts ""
	tail -n 1 webhook.questions |
		jq -e '.authorization == "Bearer t0k3n-1"'
	rm secret
	refuses 0x88 "the credential's file" ""
	# a command is run when it is needed, and again when its token is refused
	credential "{\"command\":\"echo x >>$PWD/runs; wc -l <$PWD/runs\"}"
	accepts ""
	accepts ""
	tail -n 1 webhook.questions | jq -e '.authorization == "Bearer 1"'
	answers 401 '{}'
	refuses 0x88 "status 401" ""
	answers 200 "$allowed"
	accepts ""
	tail -n 1 webhook.questions | jq -e '.authorization == "Bearer 2"'
	advance 301
	accepts ""
	tail -n 1 webhook.questions | jq -e '.authorization == "Bearer 3"'
	credential '{"command":"echo t0k3n-2; exit 3"}'
	refuses 0x88 "command ended with status 3" ""
	run ! grep -F t0k3n all.log egns-brokerd.log
	stop webhook
}

@test "a rule that is no range of addresses is refused, naming it" {
	ns
	refused=$(egns-ctl namespace update -o none \
		--inbound-ip-rules '[{"ipMask":"300.0.0.0/8"}]' 2>&1) && false
	[[ $refused == *"inboundIpRules[0].ipMask"*"'300.0.0.0/8' is no range"* ]]
}
