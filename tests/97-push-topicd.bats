# What egns-push does while egns-topicd is not there, is slow, has no room, or loses
# connections; and when the clock jumps. Locks last for a minute: nothing that is
# waited for here needs as long.

load lib
load push

PATH=$top/tests/crash:$PATH
off='"abuseProtection":"Off"'

# relayed ORDER... - all three, with crash/relay between egns-topicd and egns-push,
# which does this; and the six events of before are delivered, each once.
relayed() {
	start egns-topicd
	printf '%s\n' "$@" >relay.does
	start relay
	start egns-push
	delivered $(seq 6)
	settled one
	wait_for relayed_all
	[ -z "$(dead)" ]
	stop egns-push
	stop relay
	mv spool/run/real.sock spool/run/topicd.sock
	egns-ctl audit
	stop egns-topicd
}

relayed_all() {
	[ ! -s relay.does ]
}

# waiting PUSH - six events, published before egns-push has ever run.
waiting() {
	push_ns
	hook one "$off${1:+,$1}"
	advance 0
	start egns-topicd
	publish 1 2 3 4 5 6
	stop egns-topicd
}

@test "events whose answer is lost do not wait for their locks (none of it)" {
	waiting
	relayed 'cut receive none'
}

@test "events whose answer is lost do not wait for their locks (half of it)" {
	waiting
	relayed 'cut receive half'
}

@test "events whose answer is lost do not wait for their locks (all of it)" {
	waiting
	relayed 'cut receive all'
}

@test "events whose answer is lost do not wait for their locks (ordered)" {
	waiting '"orderBySubject":true'
	relayed 'cut receive half'
}

@test "what was said is said again when nobody has answered" {
	waiting '"maxInFlight":3'
	relayed 'cut acknowledge none' 'deaf acknowledge' \
		'cut acknowledge half' 'cut acknowledge all'
}

@test "locks of before are taken back, however often the connection ends" {
	waiting
	relayed 'cut reclaim none' 'deaf reclaim' 'cut reclaim half' \
		'cut reclaim all' 'deaf receive'
}

@test "attempts that topicd does not live to see end are not made again" {
	push_ns
	hook one "$off"
	always '{"until":"go"}'
	push_up
	publish 1 2 3
	posted 3
	stop egns-topicd
	touch go
	wait_for idle one
	start egns-topicd
	settled one
	publish 4
	delivered 1 2 3 4
	[ -z "$(dead)" ]
	egns-ctl audit
}

# idle NAME - no attempt is under way, as egns-push says.
idle() {
	local answer
	answer=$(printf '{"op":"stats","subscription":"%s"}\n' "$1" |
		socat -t 5 - UNIX-CONNECT:spool/run/push.sock) &&
		jq -es '.[-1].inFlight == 0' <<<"$answer"
}

@test "topicd may be killed all the while" {
	local n ids=()
	push_ns
	hook one "$off"
	hook some "$off" '"maxEventsPerBatch":4'
	push_up
	for n in 1 2 3 4 5 6; do
		publish "$n.a" "$n.b" "$n.c"
		ids+=("$n.a" "$n.b" "$n.c")
		crash egns-topicd
		start egns-topicd
	done
	settled one
	settled some
	for n in one some; do
		[ "$(posts "select(.path == \"/$n\") | .events[].id" |
			sort -u | paste -sd' ')" = "${ids[*]}" ]
	done
	[ -z "$(dead)" ]
	egns-ctl audit
}

@test "a topicd that is slow has all in the end, once" {
	local pid
	push_ns
	hook one "$off"
	hook two "$off"
	always '{"path":"/one","until":"go"}' \
		'{"path":"/two","until":"go","status":413}'
	push_up
	publish 1 2 3 4
	posted 8
	pid=${pid_of[egns-topicd]}
	kill -STOP "$pid"
	touch go
	wait_for idle one
	wait_for idle two
	kill -CONT "$pid"
	settled one
	settled two
	publish 5
	delivered 1 2 3 4 5
	[ "$(posts 'select(.path == "/two") | .events[].id' | sort | uniq -c |
		awk '{ print $1 }' | xargs)" = '1 1 1 1 1' ]
	[ "$(dead .event.id | sort | xargs)" = '1 2 3 4 5' ]
	egns-ctl audit
}

# no_room PATH CALLS - so many calls of egns-topicd have no room there.
no_room() {
	shim "SHIM_PATH=$1" SHIM_ENOSPC="1,$2" SHIM_TRACE="$PWD/trace" \
		SHIM_CALLS=write,pwrite,writev,pwritev,open
}

@test "events that end wait until topicd has room for their records" {
	push_ns
	hook one "$off"
	always '{"status":400}'
	advance 0
	no_room /deadletter/ 5
	start egns-topicd
	unshim
	start egns-push
	publish 1 2 3
	ended '1 SchemaRejected BadRequest 1' '2 SchemaRejected BadRequest 1' \
		'3 SchemaRejected BadRequest 1'
	posted_just 3
	[ "$(wc -l <trace)" -gt 5 ]
	settled one
	egns-ctl audit
}

@test "what topicd has no room to remember is not lost" {
	push_ns
	hook one "$off"
	always '{"until":"go"}'
	advance 0
	no_room state.ndjson 3
	start egns-topicd
	unshim
	start egns-push
	publish 1 2 3
	touch go
	delivered 1 2 3
	settled one
	[ "$(wc -l <trace)" -gt 3 ]
	egns-ctl audit
}

@test "a clock that jumps loses nothing and holds nothing up" {
	local by id=0
	push_ns
	hook one "$off"
	hook other "$off"',"orderBySubject":true'
	push_up
	for by in 7200 -7200 -10800 10800 90 -90; do
		rm -f go
		always '{"until":"go"}'
		publish $((++id)) $((++id))
		posted $((id * 2))
		advance "$by"
		touch go
		settled one
		settled other
	done
	[ "$(ids | sort -nu | xargs)" = "$(seq 12 | xargs)" ]
	[ -z "$(dead)" ]
	egns-ctl audit
}
