# shellcheck shell=bash
# egns-dlq and egns-replay, and destinations that misbehave: a Blob Storage that
# is told to (blob/storage), and local containers in which somebody else works.
load lib
load dlq
load storage

@test "what may pass is waited for, in words, and nothing else waits or is lost" {
	local row status code words n=0 sent=() local=()
	storage_ns
	start egns-dlq
	for row in \
		"401||status 401" \
		"403|AuthenticationFailed|the shared access signature is not this account's, or has ended" \
		"403|AuthorizationPermissionMismatch|sp=rcwdl" \
		"403|AuthorizationFailure|network rules" \
		"403|KeyBasedAuthenticationNotPermitted|the account takes no keys" \
		"403|AccountIsDisabled|status 403 AccountIsDisabled: What it says" \
		"403||status 403: What it says" \
		"404|ContainerNotFound|there is no container 'deadletter'; make it: az storage container create" \
		"404||status 404: What it says" \
		"408|OperationTimedOut|status 408" \
		"409|ContainerBeingDeleted|status 409 ContainerBeingDeleted: What it says" \
		"409|AccountBeingCreated|status 409 AccountBeingCreated" \
		"412|LeaseIdMissing|status 412 LeaseIdMissing" \
		"412||status 412" \
		"429|TooManyRequests|status 429" \
		"500|InternalError|status 500 InternalError: What it says" \
		"502||status 502" \
		"503|ServerBusy|status 503 ServerBusy: What it says" \
		"504||status 504" \
		"200||status 200: Blob Storage does not answer so; is it the right URL?" \
		"204||status 204: Blob Storage does not answer so" \
		"307||status 307: Blob Storage does not answer so" \
		"304||status 304"; do
		IFS='|' read -r status code words <<<"$row"
		echo "$row"
		sent+=("r$((++n))")
		local+=("l$n")
		always "$(jq -cn --argjson s "$status" --arg c "$code" '{status: $s,
			message: "What it says", headers: {"Retry-After": "3600",
			Location: "http://127.0.0.1:1/"}} +
			if $c != "" then {code: $c} else {} end')"
		reject worker "r$n"
		remotely .state failing
		[[ $(remote .lastError) == *"$words"* ]]
		[ "$(remote .waiting)" -eq 1 ]
		said "$words"
		reject other "l$n"
		written "${local[@]}"
		[ "$(remote .state)" = failing ]
		always
		dlq retry
		kept "${sent[@]}"
		remotely '"\(.state) \(.waiting)"' 'ready 0'
	done
	empty
	[ ! -e spool/dropped/"$(date -u +%F)".ndjson ]
	# one for all that wait for it, and no storm of them
	[ "$(asked | wc -l)" -lt 120 ]
	egns-ctl audit
}

# order STATUS CODE [MEMBERS]
order() {
	echo "{\"status\":$1,\"code\":\"$2\",\"message\":\"What it says\"${3:+,$3}}"
}

@test "what it will never have waits alone, also when it was away before" {
	local row status code ids=() n=0
	storage_ns
	subscription orders third
	to "$(account_container acct)" third
	start egns-dlq
	for row in "400 InvalidHeaderValue" "405 UnsupportedHttpVerb" \
		"409 LeaseNotPresent" "411 MissingContentLengthHeader" \
		"413 RequestBodyTooLarge" "404 BlobNotFound" "418 Teapot"; do
		read -r status code <<<"$row"
		echo "$row"
		n=$((n + 1))
		always "$(order "$status" "$code" '"name":"/worker/"')"
		reject worker "w$n"
		said "orders/worker: a blob is refused: status $status $code: What it says"
		reject third "t$n"
		kept "${ids[@]}" "t$n"
		remotely '"\(.state) \(.waiting)"' 'ready 1'
		always
		dlq retry
		ids+=("w$n" "t$n")
		kept "${ids[@]}"
	done
	always "$(order 503 ServerBusy)"
	reject worker last
	remotely .state failing
	always "$(order 413 RequestBodyTooLarge '"name":"/worker/"')"
	n=$(grep -c 'is refused' egns-dlq.log)
	dlq retry
	remotely .state ready
	reject third more
	kept "${ids[@]}" more
	[ "$(grep -c 'is refused' egns-dlq.log)" -le $((n + 2)) ]
	# it has its days, and no more
	advance $((3 * 86400))
	remotely .dropped 1
	jq -e '.event.id == "last" and .reason == "DeadLetterWriteFailed" and
		(.error | startswith("status 413 RequestBodyTooLarge"))' \
		spool/dropped/*.ndjson
	kept "${ids[@]}" more
	egns-ctl audit
}

# What has no status, or not in time. Without tests' own patience it is a minute.
impatient() {
	shim SHIM_PATIENCE=700 SHIM_CALLS=none
}

@test "a storage that talks nonsense, stops in the middle or never ends" {
	local row what words ids=()
	impatient
	storage_ns
	start egns-dlq
	unshim
	for row in "hang|timed out" "drip|timed out" \
		"reset|reset by peer" "cut|reset by peer" \
		"garbage|HTTP/0.9" \
		"endless|status 200"; do
		IFS='|' read -r what words <<<"$row"
		echo "$row"
		always "{\"do\":\"$what\"}"
		reject worker "$what${#ids[@]}"
		remotely .state failing
		[[ $(remote .lastError) == *"$words"* ]]
		always
		dlq retry
		ids+=("$what${#ids[@]}")
		kept "${ids[@]}"
	done
	# the status is there, whatever becomes of the rest
	for what in head slow huge close; do
		echo "$what"
		always "$(order 403 AuthorizationFailure "\"do\":\"$what\"")"
		reject worker "403$what"
		remotely .state failing
		[[ $(remote .lastError) == "status 403"* ]]
		always "{\"store\":true,\"do\":\"$what\"}"
		dlq retry
		ids+=("403$what")
		kept "${ids[@]}"
		remotely .state ready
		always
	done
	thrifty egns-dlq 40000
	egns-ctl audit
}

@test "what was stored, though the answer was lost, is not stored twice" {
	local what ids=()
	impatient
	storage_ns
	start egns-dlq
	unshim
	for what in reset cut garbage hang drip; do
		echo "$what"
		# curl says it again by itself when a connection was an old one
		then_do "{\"store\":true,\"do\":\"$what\"}" \
			"{\"do\":\"$what\"}"
		reject worker "$what"
		remotely .state failing
		kept_now "${ids[@]}" "$what"
		then_do
		dlq retry
		ids+=("$what")
		kept "${ids[@]}"
		remotely .state ready
	done
	# and neither after a crash
	then_do '{"store":true,"do":"hang"}'
	reject worker crash
	wait_for grep -q crash storage.blobs
	crash egns-dlq
	start egns-dlq
	kept "${ids[@]}" crash
	empty
	asked '.status' | sort | uniq -c
	egns-ctl audit
}

@test "errors with bodies that mean harm" {
	local body n=0 ids=()
	storage_ns
	start egns-dlq
	bomb='<?xml version="1.0"?><!DOCTYPE Error [<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaa">'
	for n in b c d e f g h; do
		bomb+="<!ENTITY $n \"$(printf "&$(printf "\\$(printf %o $(($(printf %d "'$n") - 1)))");%.0s" {1..20})\">"
	done
	n=0
	for body in "$bomb]><Error><Code>&h;</Code></Error>" \
		"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><Error><Code>x</Code></Error>" \
		"$(printf '<a>%.0s' {1..20000})" \
		"<Error><Code>$(printf '%060000d' 0)</Code></Error>" \
		"<Error><Message>$(printf 'a\033[31m\001|b\302\205%.0s' 1)</Message></Error>" \
		"<Error><Code>Evil&#10;egns-dlq: fatal: not true</Code><Message>one&#13;egns-dlq: fatal: not true&#10;two</Message></Error>" \
		'{"error":"json"}' '<Error' "$(printf '\377\376')"; do
		n=$((n + 1))
		always "$(jq -cn --arg b "$body" '{status: 403, body: $b}')"
		reject worker "b$n"
		remotely .state failing
		remote .lastError
		[[ $(remote .lastError) == "status 403"* ]]
		[ "$(remote '.lastError | length')" -lt 600 ]
		always
		dlq retry
		ids+=("b$n")
		kept "${ids[@]}"
	done
	run ! grep -nP '^(?!egns-dlq: warn: http)' egns-dlq.log
	run ! grep -qP '[^\n\x20-\x7e]' egns-dlq.log
	thrifty egns-dlq 40000
}

@test "one that never answers delays no other" {
	storage_ns
	always '{"until":"go"}'
	start egns-dlq
	reject worker w1
	wait_for test -s storage.requests
	reject other o1
	written o1
	reject worker w2
	reject other o2
	written o1 o2
	[ "$(remote '"\(.state) \(.waiting)"')" = 'ready 2' ]
	# nor does it keep the daemon from ending
	stop egns-dlq
	touch go
	start egns-dlq
	kept w1 w2
	egns-ctl audit
}

@test "many that never answer delay no other" {
	local i name
	start storage
	dlq_ns
	always '{"until":"go"}'
	accounts acct1 acct2 acct3 acct4 acct5
	for i in {1..20}; do
		subscription orders "sub$i"
		to "$(account_container "acct$((i % 5 + 1))")" "sub$i"
		reject "sub$i" "sub$i"
	done
	start egns-dlq
	wait_for asked_of 10
	reject worker w1
	written w1
	touch go
	kept sub{1..20}
}

asked_of() {
	[ "$(asked | wc -l)" -ge "$1" ]
}

@test "secrets that are said again are not told" {
	local row
	storage_ns
	start egns-dlq
	for row in '"status":403' '"status":400' '"status":500' '"status":409' \
		'"status":307' '"status":403,"message":"sig"'; do
		always "{$row,\"echo\":true}"
		reject worker "s${row//[^0-9]/}"
		dlq retry
		wait_for grep -q "status ${row:9:3}" egns-dlq.log
		untold
		dlq stats >stats
		untold stats
	done
	advance $((4 * 86400))
	dlq retry
	wait_for grep -q DeadLetterWriteFailed spool/dropped/*
	always "{\"echo\":true}"
	reject worker last
	dlq retry
	empty
	untold
	run egns-dlq cat
	always '{"status":403,"echo":true}'
	run egns-dlq list
	[ "$status" -eq 74 ]
	[[ $output != *sig* ]] && [[ $output != *v3ryS3* ]]
	run egns-replay
	[ "$status" -eq 75 ]
	[[ $output != *sig* ]] && [[ $output != *v3ryS3* ]]
	untold
}
