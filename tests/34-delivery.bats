# shellcheck shell=bash
# The life of an event in a queue subscription, with a clock that is moved.
load lib


receive() {
	ask "{\"op\":\"receive\",\"topic\":\"t01\",\"subscription\":\"${2:-s01}\",\
\"maxEvents\":${1:-10},\"maxWaitTime\":0}" | tail -n +2
}

# token [SUB] - of the first event that is available.
token() {
	receive 1 "${1:-s01}" | jq -r .brokerProperties.lockToken
}

# settle OP TOKEN [MEMBERS [SUB]] - "ok", or the code of the first failure.
settle() {
	ask "{\"op\":\"$1\",\"topic\":\"t01\",\"subscription\":\"${4:-s01}\",\
\"lockTokens\":[\"$2\"]${3:+,$3}}" | jq -r '.failedLockTokens[0].error.code // "ok"'
}

publish() {
	local id
	for id; do
		event "$id"
	done | egns-ctl publish -t t01
}

stat_of() {
	ask "{\"op\":\"stats\",\"topic\":\"t01\",\"subscription\":\"${2:-s01}\"}" |
		tail -n 1 | jq -c "$1"
}

begin() {
	advance 0
	ns t01
	subscription t01 s01 "$1"
	start egns-topicd
}

# dead [JQ] - of the dead letters that stand in the spool.
dead() {
	cat spool/deadletter/new/* 2>/dev/null | jq -c "${1:-.}"
}

has_dead() {
	[ "$(dead .event.id | wc -l)" -eq "$1" ]
}

@test "an acknowledged event is gone for its subscription, and only for it" {
	begin ''
	subscription t01 s02
	publish 1
	[ "$(settle acknowledge "$(token)")" = ok ]
	[ -z "$(receive)" ]
	[ "$(receive 10 s02 | wc -l)" -eq 1 ]
	[ "$(stat_of .acknowledged)" = 1 ]
}

@test "a locked event is nobody else's; when the lock runs out it comes again" {
	begin 'receiveLockDurationInSeconds:60'
	publish 1
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 1 ]
	[ -z "$(receive)" ]
	advance 61
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 2 ]
}

@test "a clock set back does not lock an event for longer" {
	begin 'receiveLockDurationInSeconds:60'
	publish 1
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 1 ]
	advance -86400
	[ -z "$(receive)" ]
	advance 61
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 2 ]
	stop egns-topicd
	advance -86400
	start egns-topicd
	[ -z "$(receive)" ]
	advance 61
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 3 ]
}

@test "a late token is refused, not obeyed" {
	begin ''
	publish 1
	late=$(token)
	advance 61
	second=$(token)
	[ "$second" != "$late" ]
	[ "$(settle acknowledge "$late")" = TokenLost ]
	[ "$(settle acknowledge "$second")" = ok ]
	[ "$(settle acknowledge "$second")" = TokenLost ]
}

@test "a token that expired is refused though nobody took the event since" {
	begin ''
	publish 1
	late=$(token)
	advance 61
	[ "$(settle acknowledge "$late")" = TokenLost ]
}

@test "tokens of another subscription, and none at all, are bad" {
	begin ''
	subscription t01 s02
	publish 1
	other=$(token s02)
	[ "$(settle acknowledge "$other")" = BadToken ]
	[ "$(settle acknowledge nonsense)" = BadToken ]
	[ "$(settle acknowledge "$(head -c 24 /dev/zero | tr '\0' A)")" = BadToken ]
	[ "$(settle acknowledge "$other" '' s02)" = ok ]
}

@test "a settlement answers for each token, in order" {
	begin ''
	publish 1 2
	a=$(token) b=$(token)
	ask "{\"op\":\"acknowledge\",\"topic\":\"t01\",\"subscription\":\"s01\",\
\"lockTokens\":[\"x\",\"$a\",\"y\",\"$b\",\"$a\"]}" >answer
	jq -e --arg a "$a" --arg b "$b" '.ok and
		.succeededLockTokens == [$a, $b] and
		[.failedLockTokens[].lockToken] == ["x", "y", $a]' answer
}

@test "a released event is back at once, or after its delay" {
	begin ''
	publish 1
	[ "$(settle release "$(token)")" = ok ]
	t=$(token)
	[ -n "$t" ]
	[ "$(settle release "$t" '"releaseDelayInSeconds":600')" = ok ]
	[ -z "$(receive)" ]
	advance 590
	[ -z "$(receive)" ]
	advance 11
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 3 ]
}

@test "a rejected event is a dead letter with its reason" {
	begin ''
	publish 1
	[ "$(settle reject "$(token)")" = ok ]
	[ "$(dead '[.topic, .subscription, .event.id,
		.deadletterProperties.deadletterreason,
		.deadletterProperties.deliveryattempts,
		.deadletterProperties.deliveryresult]')" = \
		'["t01","s01","1","Rejected",1,"Rejected"]' ]
	[ "$(stat_of .deadLettered)" = '{"Rejected":1}' ]
	egns-ctl audit
}

@test "the reason and result that a Contributor gives are on record" {
	begin ''
	publish 1
	[ "$(settle reject "$(token)" '"reason":"Unauthorized","result":"Forbidden"')" = ok ]
	[ "$(dead '[.deadletterProperties.deadletterreason,
		.deadletterProperties.deliveryresult]')" = \
		'["Unauthorized","Forbidden"]' ]
}

@test "the last delivery allowed is the last: a release ends it" {
	begin 'maxDeliveryCount:2'
	publish 1
	[ "$(settle release "$(token)" '"result":"Busy"')" = ok ]
	[ "$(settle release "$(token)" '"result":"TimedOut"')" = ok ]
	[ -z "$(receive)" ]
	[ "$(dead '[.deadletterProperties.deadletterreason,
		.deadletterProperties.deliveryattempts,
		.deadletterProperties.deliveryresult]')" = \
		'["MaxDeliveryCountExceeded",2,"TimedOut"]' ]
}

@test "the last delivery allowed is the last: so does a lock that runs out" {
	begin 'maxDeliveryCount:1'
	publish 1
	[ -n "$(token)" ]
	advance 61
	wait_for has_dead 1
	[ "$(dead .deadletterProperties.deadletterreason)" = \
		'"MaxDeliveryCountExceeded"' ]
	[ "$(dead .deadletterProperties.deliveryresult)" = '"NotAcknowledged"' ]
}

@test "time to live runs from the publish, whatever happens to the event" {
	begin 'eventTimeToLive:PT10M'
	publish 1 2 3
	a=$(token)
	[ "$(settle release "$(token)" '"releaseDelayInSeconds":3600')" = ok ]
	advance 601
	wait_for has_dead 3
	[ "$(dead .deadletterProperties.deadletterreason | sort -u)" = \
		'"TimeToLiveExceeded"' ]
	[ -z "$(receive)" ]
	[ "$(settle acknowledge "$a")" = TokenLost ]
	egns-ctl audit
}

@test "a lock that lives when time to live is up may still be settled" {
	begin 'eventTimeToLive:PT1M,receiveLockDurationInSeconds:300'
	publish 1
	advance 30
	t=$(token)
	advance 60
	[ "$(settle acknowledge "$t")" = ok ]
	run ! has_dead 1
}

@test "without a dead-letter destination the end of an event is in dropped/" {
	advance 0
	ns t01
	subscription t01 s01 '' --no-dead-letter
	start egns-topicd
	publish 1
	[ "$(settle reject "$(token)")" = ok ]
	[ "$(jq -c '[.reason, .event.id, .topic, .subscription]' spool/dropped/*.ndjson)" = \
		'["Rejected","1","t01","s01"]' ]
	[ "$(stat_of .dropped)" = '{"Rejected":1}' ]
	egns-ctl audit
}

@test "a lock is renewed for an hour and no longer" {
	begin 'receiveLockDurationInSeconds:300'
	publish 1
	t=$(token)
	for _ in {1..14}; do
		advance 250
		[ "$(settle renewLock "$t")" = ok ]
	done
	advance 60
	[ "$(settle renewLock "$t")" = ok ]
	advance 50
	[ "$(settle renewLock "$t")" = TokenLost ]
	[ "$(settle acknowledge "$t")" = ok ]
}

@test "retention ends what nobody took, and removes old segments" {
	begin ''
	publish 1
	advance 3700
	publish 2
	advance 3700
	publish 3
	[ "$(ls spool/topics/t01/log | wc -l)" -eq 3 ]
	advance $((86400 - 3700 - 3000))
	wait_for has_dead 1
	segments_left() { [ "$(ls spool/topics/t01/log | wc -l)" -eq "$1" ]; }
	wait_for segments_left 2
	[ "$(receive | jq -r .event.id | tr '\n' ' ')" = '2 3 ' ]
	egns-ctl audit
	restart egns-topicd
	egns-ctl audit
}

@test "a segment waits for what is locked in it" {
	begin 'receiveLockDurationInSeconds:300'
	subscription t01 s02
	publish 1
	advance 3700
	publish 2
	advance $((86400 - 3700 - 100))
	t=$(token)
	advance 200
	wait_for has_dead 1 # that of s02
	[ "$(ls spool/topics/t01/log | wc -l)" -eq 2 ]
	[ "$(settle acknowledge "$t")" = ok ]
	segments_left() { [ "$(ls spool/topics/t01/log | wc -l)" -eq "$1" ]; }
	wait_for segments_left 1
	[ "$(receive | jq -r .event.id)" = 2 ]
	egns-ctl audit
}

@test "a receive waits for an event, and for no longer than it said" {
	begin ''
	ask '{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":3600}' \
		>answer 3>&- &
	local waiting=$!
	publish 1
	wait "$waiting"
	[ "$(jq -c .event.id answer | tail -n 1)" = '"1"' ]
	subscription t01 s02
	ask '{"op":"receive","topic":"t01","subscription":"s02","maxWaitTime":30}' \
		>answer 3>&- &
	waiting=$!
	local end=$((SECONDS + PATIENCE))
	while kill -0 "$waiting" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do
		advance 31
	done
	wait "$waiting"
	[ "$(cat answer)" = '{"ok":true,"count":0}' ]
}

@test "a delayed event wakes a receive that waits" {
	begin ''
	publish 1
	[ "$(settle release "$(token)" '"releaseDelayInSeconds":60')" = ok ]
	ask '{"op":"receive","topic":"t01","subscription":"s01","maxWaitTime":3600}' \
		>answer 3>&- &
	local waiting=$!
	advance 61
	wait "$waiting"
	[ "$(jq -c .event.id answer | tail -n 1)" = '"1"' ]
}

@test "peek looks at everything and locks nothing" {
	begin ''
	publish 1 2 3
	[ -n "$(token)" ]
	[ "$(settle release "$(token)" '"releaseDelayInSeconds":60')" = ok ]
	for _ in 1 2; do
		ask '{"op":"peek","topic":"t01","subscription":"s01","maxEvents":10}' |
			tail -n +2 >peeked
		[ "$(jq -c '[.event.id, .brokerProperties.state,
			.brokerProperties.deliveryCount]' peeked | tr '\n' ' ')" = \
			'["1","locked",1] ["2","delayed",1] ["3","available",0] ' ]
	done
}

@test "locks and counts live on in a restart and a crash" {
	begin ''
	publish 1 2
	t=$(token)
	[ "$(settle release "$(token)" '"releaseDelayInSeconds":60')" = ok ]
	restart egns-topicd
	[ -z "$(receive)" ]
	crash egns-topicd
	start egns-topicd -C spool
	[ -z "$(receive)" ]
	[ "$(settle acknowledge "$t")" = ok ]
	advance 61
	[ "$(receive | jq .brokerProperties.deliveryCount)" = 2 ]
	egns-ctl audit
}

@test "a subscription starts with what is published after it" {
	begin ''
	publish 1
	subscription t01 s02
	publish 2
	[ "$(receive 10 s02 | jq -r .event.id)" = 2 ]
	stop egns-topicd
	subscription t01 s03
	start egns-topicd
	publish 3
	[ "$(receive 10 s03 | jq -r .event.id)" = 3 ]
	egns-ctl audit
}

@test "a subscription ceases at its expiration time, and says what it had" {
	advance 0
	ns t01/s01
	subscription t01 s02 '' \
		--expiration-time-utc "$(date -u -d '+1 hour' +%FT%TZ)"
	start egns-topicd
	publish 1
	advance 3700
	gone_from_stats() { [ "$(ask '{"op":"stats"}' | grep -c '"s02"')" -eq 0 ]; }
	wait_for gone_from_stats
	[ "$(jq -c '[.subscription, .reason, .count]' spool/dropped/*.ndjson)" = \
		'["s02","SubscriptionExpired",1]' ]
	[ "$(receive | wc -l)" -eq 1 ]
	egns-ctl audit
}

@test "a topic deleted and made again is another topic" {
	begin ''
	publish 1
	egns-ctl namespace topic delete -n t01 --yes
	[ ! -e spool/topics/t01 ]
	topic t01
	subscription t01 s01
	[ -z "$(receive)" ]
	publish 2
	[ "$(receive | jq -r .event.id)" = 2 ]
	stop egns-topicd
	egns-ctl namespace topic delete -n t01 --yes
	topic t01
	subscription t01 s01
	start egns-topicd
	[ -z "$(receive)" ]
	egns-ctl audit
}
