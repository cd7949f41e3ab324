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
		erred "$words"
		always
		ids+=("$what${#ids[@]}")
		retried "${ids[@]}"
	done
	# the status is there, whatever becomes of the rest
	for what in head slow huge close; do
		echo "$what"
		always "$(order 403 AuthorizationFailure "\"do\":\"$what\"")"
		reject worker "403$what"
		remotely .state failing
		erred "status 403"
		always "{\"store\":true,\"do\":\"$what\"}"
		ids+=("403$what")
		retried "${ids[@]}"
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
		wait_for kept_now "${ids[@]}" "$what"
		then_do
		ids+=("$what")
		retried "${ids[@]}"
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
	local body bomb last n ids=()
	storage_ns
	start egns-dlq
	bomb='<?xml version="1.0"?><!DOCTYPE Error [<!ENTITY a "aaaaaaaaaaaaaaaaaaaaaaaaa">'
	last=a
	for n in b c d e f g h; do
		bomb+="<!ENTITY $n \"$(printf '&%s;' $last{,,,,}{,,,,})\">"
		last=$n
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
	local i
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
		'"status":307' '"status":401,"message":"sig"'; do
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
	wait_for grep -rq DeadLetterWriteFailed spool/dropped
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

@test "a storage that cannot be listed is named, and all commands end" {
	local row act words
	stored 3
	impatient
	storage_ns
	for row in '"status":403,"code":"AuthorizationFailure"|network rules' \
		'"status":404,"code":"ContainerNotFound"|make it: az storage' \
		'"status":500,"code":"InternalError"|status 500' \
		'"status":307,"headers":{"Location":"file:///etc/passwd"}|status 307' \
		'"status":201|status 201' \
		'"status":204|status 204' \
		'"do":"hang"|timed out' \
		'"do":"head"|status 500' \
		'"status":200,"do":"slow"|timed out' \
		'"status":200,"do":"huge"|the answer has more than 8388608 bytes' \
		'"do":"reset"|reset by peer' \
		'"do":"garbage"|HTTP/0.9' \
		'"do":"endless"|the answer has more than 65536 bytes' \
		'"status":200,"do":"close"|127.0.0.1' \
		'"status":200,"body":"<EnumerationResults>"|no list of blobs' \
		'"status":200,"body":"<html>Welcome</html>"|no list of blobs' \
		'"status":200,"body":"<!DOCTYPE a [<!ENTITY b \"c\">]><EnumerationResults/>"|no list of blobs' \
		'"status":200,"body":""|no list of blobs' \
		'"status":403,"echo":true|status 403'; do
		IFS='|' read -r act words <<<"$row"
		echo "$row"
		patience_for "$act"
		always "{\"list\":true,$act}"
		each_verb "$words"
	done
	[ "$(wc -l <storage.blobs)" -eq 3 ]
	# what is somewhere else is shown all the same
	start egns-dlq
	reject other o1
	written o1
	[ "$(egns-dlq cat 2>words | jq -r .id)" = o1 ]
	[ "$(wc -l <words)" -eq 1 ]
}

@test "a list that goes in circles, or on and on, comes to an end" {
	local loop words='the list does not come to an end'
	stored 5
	storage_ns
	for loop in '"same"' '"two"' '"new"'; do
		always "{\"list\":true,\"loop\":$loop}"
		bounded 74 "$words" egns-dlq cat
		[ "$loop" = '"new"' ] || [ "$(wc -l <<<"$output")" -ge 5 ]
		bounded 74 "$words" egns-dlq list
		bounded '1|3' "cannot be read" egns-dlq check
		bounded 75 "$words" egns-replay --dry-run
	done
	always '{"list":true,"loop":"two"}'
	bounded 75 "$words" egns-replay
	[ "$(egns-pull peek -t orders -s worker -n 100 | wc -l)" -eq 5 ]
	[ ! -s storage.blobs ]
}

@test "pages of lists, and blobs that come and go between them" {
	stored 25
	storage_ns
	always '{"list":true,"page":3}'
	bounded 0 '' egns-dlq cat
	[ "$(jq -r .id <<<"$output" | sort -u | wc -l)" -eq 25 ]
	bounded 0 '25 replayed' egns-replay
	[ "$(egns-pull peek -t orders -s worker -n 100 | wc -l)" -eq 25 ]
	[ ! -s storage.blobs ]
}

@test "names that no blob of ours has, and lists that do not tell the truth" {
	local long list etag n=0
	long=$(printf '%01024d' 7)
	stored 1
	jq -cn --arg long "$long" '[inputs] | .[0] as $b | ($b,
		("../../../etc/passwd", "testns/../../x.json", "a\u0001\u001b[31mb",
		"testns/orders/worker/2026/01/31/12/\u001b]0;x\u0007.json",
		"testns/orders/worker/2026/99/99/99/x.json", "a//b", " ", "é€😀",
		"testns/" + "x" * 300 + "/worker/2026/01/31/12/1.json",
		"testns/orders/no such/2026/01/31/12/1.json", $long, $long + "8",
		"\"}\n{", "|<&>;$(touch oops)`touch oops`") as $n | $b |
		.name = $n | .text |= sub("\"id\":\"1\""; "\"id\":" + ($n[:60] |
		tojson)))' storage.blobs >named
	mv named storage.blobs
	storage_ns
	# a part .. is no part of a URL, and more than 1,024 bytes are no name
	bounded 74 'etc/passwd: no blob can have this name' egns-dlq cat
	[ "$(jq -r .id <<<"$output" | wc -l)" -ge 11 ]
	bounded 74 'no blob can have this name' egns-dlq list --by blob
	bounded 74 'no blob can have this name' egns-dlq list -o json --by topic,blob
	jq -e . <<<"$output" >parsed
	bounded 74 'no blob can have this name' egns-dlq show
	[[ $output != *$'\033'* ]]
	bounded 1 'WARNING' egns-dlq check
	bounded 74 'no blob can have this name' egns-replay --dry-run
	jq -e . <<<"$output" >parsed
	bounded 74 'replayed' egns-replay
	jq -e . spool/replay/*-*.ndjson >parsed
	[ ! -e oops ]
	list='<EnumerationResults><Blobs>'
	for etag in '' '<Etag>*</Etag>' '<Etag>0&#10;x: y</Etag>'; do
		list+="<Blob><Name>testns/orders/worker/2026/01/31/12/$((++n)).json</Name>
			<Properties><Content-Length>99999999999999</Content-Length>
			<Last-Modified>soon</Last-Modified>$etag</Properties></Blob>"
	done
	list+='<Blob><Name/></Blob><Blob/><Blob><Name>a<b>c</b></Name></Blob>
		<Blob><Name Encoded="true">%zz</Name></Blob>
		<Blob><Name Encoded="true">a%00b</Name></Blob>
		<BlobPrefix><Name>p</Name></BlobPrefix></Blobs></EnumerationResults>'
	crash storage
	stored 5
	start storage
	accounts acct
	always "$(jq -cn --arg b "$list" '{list: true, status: 200, body: $b}')"
	bounded '74' 'more than 33554432' egns-dlq cat
	always "$(jq -cn --arg b "${list//99999999999999/7}" '{list: true, status: 200, body: $b}')"
	bounded '0|74' '' egns-dlq cat
	[ "$(wc -l <<<"$output")" -eq 3 ]
	bounded '0|74|75' 'replayed' egns-replay
	[ "$(wc -l <storage.blobs)" -eq 2 ]
}

@test "blobs that cannot be read are named, and do not hold up a command for ever" {
	local row act words
	stored 12
	impatient
	storage_ns
	start egns-dlq
	reject other o1
	written o1
	for row in '"status":403,"code":"AuthorizationFailure"|network rules' \
		'"status":404,"code":"ContainerNotFound"|make it: az storage' \
		'"status":409,"code":"BlobArchived"|status 409 BlobArchived' \
		'"status":500,"code":"InternalError"|status 500' \
		'"status":204|status 204' \
		'"do":"hang"|timed out' \
		'"status":200,"do":"slow"|timed out' \
		'"status":200,"do":"close"|127.0.0.1' \
		'"do":"reset"|reset by peer'; do
		IFS='|' read -r act words <<<"$row"
		echo "$row"
		patience_for "$act"
		always "{\"method\":\"GET\",\"name\":\".\",$act}"
		: >storage.requests
		bounded 74 "$words" egns-dlq cat
		[[ $output == *'"o1"'* ]]
		case $act in
		*hang* | *slow*) [ "$(asked | wc -l)" -lt 6 ] ;;
		esac
		bounded 74 "$words" egns-dlq prune --older-than 1h
		bounded 1 "cannot be read" egns-dlq check
		bounded '74|75' "$words" egns-replay --dry-run
		bounded '74|75' "$words" egns-replay
	done
	[ "$(wc -l <storage.blobs)" -eq 12 ]
	patience_for huge
	always '{"method":"GET","name":"/[12].json","status":500}'
	bounded 74 'status 500' egns-dlq cat
	[ "$(wc -l <<<"$output")" -eq 11 ]
	export most=110000
	always '{"method":"GET","name":"/1.json","status":200,"do":"huge"}'
	bounded 74 'more than 33554432 bytes' egns-dlq cat
	[ "$(wc -l <<<"$output")" -eq 12 ]
}

@test "blobs that cannot be removed stay, what went back is not lost or doubled" {
	local row act words n=0
	impatient
	row=$PRELOAD
	unset PRELOAD
	storage_ns
	PRELOAD=$row
	for row in '"status":403,"code":"AuthorizationPermissionMismatch"|sp=rcwdl' \
		'"status":412,"code":"LeaseIdMissing"|LeaseIdMissing' \
		'"status":409,"code":"SnapshotsPresent"|snapshots' \
		'"status":200|status 200' \
		'"status":503,"code":"ServerBusy"|status 503' \
		'"do":"hang"|timed out' \
		'"do":"reset","store":true|reset by peer' \
		'"do":"hang","store":true|timed out'; do
		IFS='|' read -r act words <<<"$row"
		echo "$row"
		patience_for "$act"
		crash storage
		stored 4
		rm -rf spool/replay
		start storage
		accounts acct
		always "{\"method\":\"DELETE\",$act}"
		: >storage.requests
		bounded 74 "$words" egns-dlq prune --older-than 1h --limit 2
		bounded 75 "$words" egns-replay
		# two silences are enough
		[[ $act != *hang* ]] ||
			[ "$(asked 'select(.method == "DELETE") | 1' | wc -l)" -le 4 ]
		n=$((n + 1))
		egns-pull receive -t orders -s worker -n 100 -w 0 >got
		egns-pull acknowledge -t orders -s worker - <got >/dev/null || :
		[ "$(jq -r .event.id got | sort | uniq -d)" = "" ]
		always
		egns-replay
		[ ! -s storage.blobs ]
		egns-pull receive -t orders -s worker -n 100 -w 0 >>got
		echo "got $(jq -r .event.id got | sort | xargs)"
		[ "$(jq -r .event.id got | sort | uniq -d)" = "" ]
	done
	egns-ctl audit
}

@test "a container is asked by the identity of its destination, in a plan, too" {
	local url identity=/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/letters
	stored 2
	storage_ns
	ln -s "$top/tests/webhook/server" tokens
	PATH=$PWD:$PATH start tokens
	echo s3cret-1 >tokens.token
	export IDENTITY_HEADER=h
	IDENTITY_ENDPOINT=http://127.0.0.1:$(<tokens.port)/token
	export IDENTITY_ENDPOINT
	url=http://127.0.0.1:$(<storage.port)/acct
	egns-ctl namespace update -o none \
		--identity "{type:UserAssigned,userAssignedIdentities:{'$identity':{}}}" \
		--set "endpoints=[{\"resourceId\":\"$(account_id acct)\",\"url\":\"$url\"}]"
	to "$(account_container acct)" worker "\"identity\":{\"type\":\
\"UserAssigned\",\"userAssignedIdentity\":\"$identity\"}"
	egns-dlq list
	egns-dlq list --container "$url/deadletter/"
	run -1 --separate-stderr egns-replay --dry-run \
		--container "$url/deadletter"
	cat <<<"$output" >plan
	[ "$(wc -l <plan)" -eq 2 ]
	egns-replay --plan plan
	[ ! -s storage.blobs ]
	[ "$(jq -r .path tokens.tokens | sort | uniq -c |
		sed 's/^ *//')" = "4 /token?api-version=2019-08-01&resource=\
https%3A%2F%2Fstorage.azure.com%2F&mi_res_id=${identity//\//%2F}" ]
}

@test "check does not wait longer for Blob Storage than it is told" {
	local url since
	storage_ns
	start egns-dlq
	reject other o1
	written o1
	stop egns-dlq
	url=http://127.0.0.1:$(<storage.port)/acct/deadletter
	always '{"do":"hang"}'
	since=$SECONDS
	run -3 --separate-stderr egns-dlq check --timeout 1 -s worker
	[[ $output == "UNKNOWN - nothing dropped, 0 dead letters; 1 container, blob or line cannot be read: $url: no answer in the time that there is | "* ]]
	[[ $stderr == "egns-dlq: $url: no answer in the time that there is" ]]
	# the time is that of all; what is worse is told all the same
	accounts acct more
	to "$(account_container more)" other
	run -1 --separate-stderr egns-dlq check --timeout 2
	[[ $output == "WARNING - nothing dropped, 1 dead letter (1 Rejected); 2 containers, blobs or lines cannot be read: $url: no answer"* ]]
	[ "$(asked .status | sort -u)" = 0 ]
	[ $((SECONDS - since)) -lt 40 ]
	run -64 egns-dlq check --timeout 0
	run -64 egns-dlq list --timeout 1
	[[ $output == *"list takes no --timeout"* ]]
}
