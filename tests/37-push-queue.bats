# shellcheck shell=bash
# The life of an event in a push subscription, as egns-push sees it.
load lib

# pushed NAME [MEMBERS] - a push subscription of t01; MEMBERS of push.
pushed() {
	egns-ctl namespace topic event-subscription create -o none \
		--topic-name t01 -n "$1" --delivery-configuration \
		"{deliveryMode:Push,push:{${2:+$2,}destination:{endpointType:\
WebHook,properties:{endpointUrl:\"http://127.0.0.1:1/\"}}}}"
}

begin() {
	advance 0
	ns t01
	pushed s01 "${1:-}"
	start egns-topicd
}

publish() {
	local id
	for id; do
		event "$id"
	done | egns-ctl publish -t t01
}

# on OP [MEMBERS [SUB]] - what topicd answers.
on() {
	ask "{\"op\":\"$1\",\"topic\":\"t01\",\"subscription\":\"${3:-s01}\"${2:+,$2}}"
}

receive() {
	on receive "\"maxEvents\":${1:-10},\"maxWaitTime\":0" | tail -n +2
}

# ids - of all that can be received now, in order.
ids() {
	receive 1000 | jq -r .event.id | xargs
}

tokens() {
	receive "${1:-10}" | jq -r .brokerProperties.lockToken
}

# settle OP MEMBERS TOKEN... - "ok", or the codes of what failed.
settle() {
	local op=$1 members=$2 list
	shift 2
	list=$(printf ',"%s"' "$@")
	on "$op" "\"lockTokens\":[${list:1}]${members:+,$members}" |
		jq -r '[.failedLockTokens[].error.code] | unique |
			join(" ") | if . == "" then "ok" else . end'
}

unmade() {
	settle release '"undelivered":true' "$@"
}

reclaim() {
	on reclaim "${1:-}" | jq -c '.reclaimed // .error.code'
}

# peeked - id, state and count of each.
peeked() {
	on peek '"maxEvents":100' | tail -n +2 |
		jq -r '[.event.id, .brokerProperties.state,
			.brokerProperties.deliveryCount] | join(":")' | xargs
}

# dead [JQ] - of the dead letters that stand in the spool.
dead() {
	cat spool/deadletter/new/* 2>/dev/null | jq -c "${1:-.}"
}

has_dead() {
	[ "$(dead .event.id | wc -l)" -eq "$1" ]
}

# again - topicd is killed, and what was answered holds.
again() {
	crash egns-topicd
	start egns-topicd
}

@test "a release as undelivered gives the delivery back" {
	begin
	publish 1 2
	mapfile -t t < <(tokens)
	[ "$(unmade "${t[@]}")" = ok ]
	again
	[ "$(peeked)" = '1:available:0 2:available:0' ]
	[ "$(receive 1 | jq .brokerProperties.deliveryCount)" = 1 ]
	[ "$(unmade "${t[0]}")" = TokenLost ]
	[ "$(peeked)" = '1:locked:1 2:available:0' ]
	egns-ctl audit
}

@test "an undelivered event may have to wait, too" {
	begin
	publish 1
	[ "$(settle release '"undelivered":true,"releaseDelayInSeconds":600' \
		"$(tokens)")" = ok ]
	again
	[ "$(peeked)" = 1:delayed:0 ]
	advance 300
	[ -z "$(ids)" ]
	advance 301
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 1 ]
	egns-ctl audit
}

@test "however often it is not attempted, it is not its last delivery" {
	begin maxDeliveryCount:1
	publish 1
	for _ in 1 2 3; do
		[ "$(unmade "$(tokens)")" = ok ]
	done
	run ! has_dead 1
	[ "$(settle release '"result":"Busy"' "$(tokens)")" = ok ]
	wait_for has_dead 1
	[ "$(dead '[.deadletterProperties.deadletterreason,
		.deadletterProperties.deliveryattempts,
		.deadletterProperties.deliveryresult]')" = \
		'["MaxDeliveryCountExceeded",1,"Busy"]' ]
	egns-ctl audit
}

# attempt_at - when the only dead letter was attempted last, seconds since 1970.
attempt_at() {
	date -d "$(dead .deadletterProperties.lastDeliveryAttemptTime |
		tr -d '"')" +%s
}

@test "what was not attempted leaves result and time of the attempt before" {
	begin eventTimeToLive:PT1H
	publish 1
	local first
	first=$(date +%s)
	[ "$(settle release '"result":"TimedOut"' "$(tokens)")" = ok ]
	advance 600
	[ "$(unmade "$(tokens)")" = ok ]
	advance 3600
	wait_for has_dead 1
	[ "$(dead '[.deadletterProperties.deadletterreason,
		.deadletterProperties.deliveryattempts,
		.deadletterProperties.deliveryresult]')" = \
		'["TimeToLiveExceeded",1,"TimedOut"]' ]
	[ "$(attempt_at)" -lt $((first + 300)) ]
	egns-ctl audit
}

@test "the time of an attempt is when the event was handed out for it" {
	begin
	publish 1
	local before t
	before=$(date +%s)
	t=$(tokens)
	advance 40
	[ "$(settle reject '"reason":"Unauthorized","result":"Forbidden"' "$t")" = ok ]
	wait_for has_dead 1
	[ "$(attempt_at)" -lt $((before + 30)) ]
	[ "$(dead .deadletterProperties.deliveryresult)" = '"Forbidden"' ]
}

@test "a lock that runs out without a word was no attempt" {
	begin maxDeliveryCount:2
	publish 1
	local first
	[ "$(settle release '"result":"Busy"' "$(tokens)")" = ok ]
	first=$(date +%s)
	[ -n "$(tokens)" ]
	again_there() { [ "$(peeked)" = 1:available:1 ]; }
	for _ in 1 2 3; do
		advance 61
		wait_for again_there
		[ -n "$(tokens)" ]
	done
	restart egns-topicd
	advance 61
	wait_for again_there
	run ! has_dead 1
	[ "$(settle release '"result":"TimedOut"' "$(tokens)")" = ok ]
	wait_for has_dead 1
	[ "$(dead '[.deadletterProperties.deadletterreason,
		.deadletterProperties.deliveryattempts,
		.deadletterProperties.deliveryresult]')" = \
		'["MaxDeliveryCountExceeded",2,"TimedOut"]' ]
	[ "$(attempt_at)" -ge $((first + 240)) ]
	egns-ctl audit
}

@test "reclaim takes all locks back, and leaves delays and order" {
	begin
	publish 1 2 3 4 5 6
	mapfile -t t < <(tokens 5)
	[ "$(unmade "${t[3]}")" = ok ]
	[ "$(settle release '"releaseDelayInSeconds":600' "${t[1]}")" = ok ]
	[ "$(reclaim)" = 3 ]
	again
	[ "$(peeked)" = '1:available:0 2:delayed:1 3:available:0 4:available:0 5:available:0 6:available:0' ]
	[ "$(settle acknowledge '' "${t[0]}" "${t[4]}")" = TokenLost ]
	mapfile -t t < <(tokens)
	[ "$(unmade "${t[4]}" "${t[1]}")" = ok ]
	[ "$(reclaim '"delayed":false')" = 3 ]
	[ "$(reclaim '"delayed":false')" = 0 ]
	[ "$(ids)" = '1 3 4 5 6' ]
	egns-ctl audit
}

@test "reclaim with delayed makes those available, too, in order" {
	begin
	publish 1 2 3
	mapfile -t t < <(tokens)
	[ "$(settle release '"releaseDelayInSeconds":600' "${t[2]}" "${t[0]}")" = ok ]
	[ "$(reclaim '"delayed":true')" = 3 ]
	again
	[ "$(peeked)" = '1:available:1 2:available:0 3:available:1' ]
	[ "$(ids)" = '1 2 3' ]
	egns-ctl audit
}

@test "a receive that waits has what is reclaimed" {
	begin
	publish 1
	[ -n "$(tokens)" ]
	on receive '"maxWaitTime":3600' >answer 3>&- &
	local waiting=$!
	[ "$(reclaim)" = 1 ]
	wait "$waiting"
	[ "$(jq -c .event.id answer | tail -n 1)" = '"1"' ]
}

@test "an event whose last delivery was under way is not over when it is reclaimed" {
	begin maxDeliveryCount:1
	publish 1 2
	mapfile -t t < <(tokens)
	[ "$(unmade "${t[1]}")" = ok ]
	[ "$(reclaim)" = 1 ]
	[ "$(ids)" = '1 2' ]
	run ! has_dead 1
	egns-ctl audit
}

@test "events whose locks run out together come again in their order" {
	begin
	publish {1..40}
	mapfile -t t < <(tokens 40)
	[ "$(settle acknowledge '' "${t[@]:0:10}")" = ok ]
	publish {41..60}
	[ -n "$(tokens 40)" ]
	advance 61
	[ "$(ids)" = "$(echo {11..60})" ]
	advance 61
	restart egns-topicd
	[ "$(ids)" = "$(echo {11..60})" ]
	egns-ctl audit
}

@test "without an attempt no event ends: not by time to live" {
	begin eventTimeToLive:PT10M
	publish 1 2 3
	mapfile -t t < <(tokens 2)
	[ "$(unmade "${t[0]}")" = ok ]
	[ "$(settle release '"releaseDelayInSeconds":900,"undelivered":true' \
		"${t[1]}")" = ok ]
	advance 700
	restart egns-topicd
	[ "$(peeked)" = '1:available:0 2:delayed:0 3:available:0' ]
	run ! has_dead 1
	mapfile -t t < <(tokens)
	[ "${#t[@]}" -eq 2 ]
	[ "$(settle release '' "${t[0]}")" = ok ]
	wait_for has_dead 1
	[ "$(unmade "${t[1]}")" = ok ]
	advance 300
	[ "$(peeked)" = '2:available:0 3:available:0' ]
	[ "$(dead '[.event.id, .deadletterProperties.deadletterreason,
		.deadletterProperties.deliveryattempts,
		.deadletterProperties.deliveryresult]')" = \
		'["1","TimeToLiveExceeded",1,"NotAcknowledged"]' ]
	[ "$(ids)" = '3 2' ]
	advance 61
	both_there() { [ "$(peeked)" = '2:available:0 3:available:0' ]; }
	wait_for both_there
	run ! has_dead 2
	egns-ctl audit
}

@test "without an attempt no event ends: not by retention, and its segment stays" {
	begin
	subscription t01 pulled
	publish 1
	advance 3700
	publish 2
	advance $((2 * 86400))
	dead_for() { [ "$(dead .subscription | sort | uniq -c | xargs)" = "$1" ]; }
	wait_for dead_for '2 pulled'
	[ "$(ls spool/topics/t01/log | wc -l)" -eq 2 ]
	on stats | tail -n 1 | jq -e '.pending == 2 and .oldest'
	egns-ctl audit
	restart egns-topicd
	mapfile -t t < <(tokens)
	[ "${#t[@]}" -eq 2 ]
	[ "$(settle acknowledge '' "${t[0]}")" = ok ]
	segments_left() { [ "$(ls spool/topics/t01/log | wc -l)" -eq "$1" ]; }
	wait_for segments_left 1
	[ "$(settle release '' "${t[1]}")" = ok ]
	wait_for dead_for '2 pulled 1 s01'
	egns-ctl audit
}

@test "undelivered and reclaim are for push subscriptions" {
	begin
	subscription t01 pulled
	publish 1
	[ "$(on reclaim '' pulled | jq -r .error.code)" = BadRequest ]
	local token
	token=$(on receive '' pulled | jq -r '.brokerProperties.lockToken // empty')
	[ "$(on release "\"lockTokens\":[\"$token\"],\"undelivered\":true" pulled |
		jq -r .error.code)" = BadRequest ]
	[ "$(on release "\"lockTokens\":[\"$token\"],\"undelivered\":false" pulled |
		jq -c .failedLockTokens)" = '[]' ]
	[ "$(on reclaim '' nobody | jq -r .error.code)" = NotFound ]
}

@test "their members are checked" {
	begin
	publish 1
	local token members
	token=$(tokens)
	for members in '"undelivered":1' '"undelivered":"true"' \
		'"undelivered":null' '"undelivered":true,"undelivered":true' \
		'"undelivered":true,"result":"Busy"' \
		'"undelivered":true,"reason":"Rejected"'; do
		[ "$(on release "\"lockTokens\":[\"$token\"],$members" |
			jq -r .error.code)" = BadRequest ]
	done
	for members in '"delayed":0' '"lockTokens":["x"]' '"undelivered":true' \
		'"delayed":true,"delayed":true'; do
		[ "$(on reclaim "$members" | jq -r .error.code)" = BadRequest ]
	done
	[ "$(on acknowledge "\"lockTokens\":[\"$token\"],\"undelivered\":true" |
		jq -r .error.code)" = BadRequest ]
	[ "$(settle release '"undelivered":false,"result":"Busy"' "$token")" = ok ]
}


@test "a Receiver may neither release as undelivered nor reclaim" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to become another user"
	begin
	subscription t01 pulled
	chmod 755 . "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || :
	egns-ctl role assignment create --assignee uid:65534 \
		--role 'EventGrid Data Receiver' --scope topics/t01 -o none
	as_nobody() {
		printf '%s\n' "$@" | setpriv --reuid 65534 --regid 65534 \
			--clear-groups socat -t "$PATIENCE" - \
			"UNIX-CONNECT:spool/run/topicd.sock" | tail -n +2
	}
	local sub
	for sub in s01 pulled nobody; do
		run as_nobody "{\"op\":\"reclaim\",\"topic\":\"t01\",\
\"subscription\":\"$sub\"}" "{\"op\":\"release\",\"topic\":\"t01\",\
\"subscription\":\"$sub\",\"lockTokens\":[\"x\"],\"undelivered\":true}"
		[ "${#lines[@]}" -eq 2 ]
		[[ ${lines[0]} == *'"Forbidden"'*'EventGrid Contributor'* ]]
		[[ ${lines[1]} == *'"Forbidden"'*'EventGrid Contributor'* ]]
	done
}

@test "a subscription that is pushed no more ends what is too old for it" {
	begin eventTimeToLive:PT10M
	publish 1 2 3
	mapfile -t t < <(tokens 2)
	[ "$(unmade "${t[@]}")" = ok ]
	advance 700
	[ "$(peeked)" = '1:available:0 2:available:0 3:available:0' ]
	egns-ctl namespace topic event-subscription update -o none \
		--topic-name t01 -n s01 --delivery-configuration \
		'{deliveryMode:Queue,queue:{eventTimeToLive:PT10M}}'
	wait_for has_dead 3
	[ "$(dead .deadletterProperties.deliveryattempts | xargs)" = '0 0 0' ]
	egns-ctl audit
}
