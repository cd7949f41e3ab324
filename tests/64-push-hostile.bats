# egns-push among peers that mean harm: webhook/hostile and webhook/nonsense.

load lib
load push

off='"abuseProtection":"Off"'

@test "answers that are none do no harm, and what comes after them counts" {
	local settings="$off,\"timeoutInSeconds\":1"
	push_ns
	start hostile 7
	hook one "$settings" "\"endpointUrl\":\"$(url '' hostile)\""
	hook many "$settings" \
		"\"endpointUrl\":\"$(url '' hostile)\",\"maxEventsPerBatch\":7"
	push_up
	for id in {1..40}; do
		event "$id"
	done | egns-ctl publish -t orders
	status one '.attempts > 60 or .pending + .inFlight == 0'
	touch hostile.good
	# some have said when to try again
	advance 7200
	settled one
	settled many
	for name in one many; do
		status "$name" \
			'.acknowledged + (.deadLettered | add // 0) == 40'
	done
	publish more
	settled one
}

@test "a connection of HTTP/2 that has gone silent is not used again" {
	push_ns
	certificate hostile localhost
	start hostile hostile.pem hostile.key
	egns-ctl namespace update -o none \
		--set 'trustedCertificates=@hostile.pem'
	hook one "$off,\"timeoutInSeconds\":5" \
		"\"endpointUrl\":\"https://localhost:$(cat hostile.port)/\""
	push_up
	publish 1
	wait_for grep -qx 1 hostile.answers
	publish 2 3 4
	settled one
	[ -z "$(dead)" ]
	[ "$(uniq -c hostile.answers | xargs)" = '1 1 3 2' ]
}

@test "what an endpoint was sent is not shown when it says that again" {
	push_ns
	always '{"method":"OPTIONS","headers":{"WebHook-Allowed-Origin":
		"t0p-hidden, Bearer s3cret-token"}}'
	echo s3cret-token >spool/token
	egns-ctl namespace update -o none --set \
		'endpoints=[{resourceId:"api://a",credential:{file:token}}]'
	hook one '' '"azureActiveDirectoryApplicationIdOrUri":"api://a",
		"deliveryAttributeMappings":[{"name":"X-Key","type":"Static",
			"properties":{"value":"t0p-hidden","isSecret":true}}]'
	push_up
	publish 1
	status one '.handshake.state == "Refused" and .handshake.origin == "***"'
	[ "$(asked '[.headers.authorization,.headers["x-key"]]' | sort -u)" = \
		'["Bearer s3cret-token","t0p-hidden"]' ]
	stop egns-push
	run grep -rl -e s3cret -e t0p-hidden egns-push.log spool/push \
		spool/metrics
	[ "$status" -eq 1 ]
}

@test "a credential's pipe holds up nobody, and its command has no connections" {
	push_ns
	mkfifo spool/pipe
	egns-ctl namespace update -o none --set \
		'endpoints=[{resourceId:"api://p",credential:{file:pipe}},
		{resourceId:"api://c",credential:{command:"ls -l /proc/self/fd >&2; exit 1"}}]'
	hook live "$off"
	push_up
	publish 1
	posted 1
	hook pipe "$off" '"azureActiveDirectoryApplicationIdOrUri":"api://p"'
	hook command "$off" '"azureActiveDirectoryApplicationIdOrUri":"api://c"'
	publish 2
	posted 2
	status pipe '.state == "OnHold" and (.reason | test("Invalid argument"))'
	status command '.state == "OnHold" and (.reason | test("status 1"))'
	connections egns-push >ours
	[ -s ours ]
	grep -oE 'socket:\[[0-9]+\]' egns-push.log >theirs
	run grep -xFf ours theirs
	[ "$status" -eq 1 ]
}

# connections NAME - sockets of TCP that a daemon has.
connections() {
	local fd
	for fd in "/proc/${pid_of[$1]}/fd"/*; do
		readlink "$fd" || :
	done | grep -oE '[0-9]+\]$' | tr -d ']' | while read -r fd; do
		awk -v fd="$fd" '$10 == fd { printf "socket:[%s]\n", fd }' \
			/proc/net/tcp
	done
}

@test "an event whose head is too long holds up no other" {
	push_ns
	hook one "$off,\"contentMode\":\"binary\",\"maxDeliveryCount\":2"
	push_up
	event long | jq -c --arg a "$(printf '%070000d' 0)" '.a = $a' |
		egns-ctl publish -t orders
	publish 1
	ended "long MaxDeliveryCountExceeded PayloadTooLarge 2"
	settled one
	posted_just 1
	status one '.lastError | test("61440 bytes of headers")'
	[ "$(grep -c 'on hold' egns-push.log)" -eq 0 ]
}

@test "a topicd that talks nonsense costs no memory, and is asked again" {
	local how
	push_ns
	hook one "$off"
	hook two '"orderBySubject":true'
	for how in flood more seven half odd; do
		start nonsense "$how"
		start egns-push
		wait_for heard "$how"
		[ "$(awk '/VmHWM/ { print $2 }' \
			"/proc/${pid_of[egns-push]}/status")" -lt 600000 ]
		stop egns-push
		stop nonsense
		rm egns-push.log nonsense.asked
	done
	push_up
	publish 1
	settled one
}

# What HOW makes egns-push say.
heard() {
	case $1 in
	flood) grep -q 'answer cannot be read' egns-push.log ;;
	more) grep -q 'answers what was not asked' egns-push.log ;;
	seven) grep -q 'locks had run out' egns-push.log ;;
	half) [ "$(wc -l <nonsense.asked)" -ge 3 ] ;;
	odd) grep -q 'has no end' egns-push.log ;;
	esac
}
