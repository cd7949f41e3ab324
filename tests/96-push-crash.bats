# Every call of egns-push that changes a file or tells somebody something, one at a
# time, is where it is killed or told that the disk is full or broken.

load lib
load push

# sweep SHARD OF VARIABLE... - the scenario of crash/push.py, again and again.
sweep() {
	local off='"abuseProtection":"Off","maxInFlight":2'
	push_ns
	hook hook '"maxInFlight":2,"orderBySubject":true'
	hook batch "$off" '"maxEventsPerBatch":3'
	hook bad "$off"',"circuitBreaker":{"failures":2}'
	hook held "$off"
	hook freed "$off"
	sub hold freed
	advance 0
	export B
	/usr/bin/python3 "$top/tests/crash/push.py" "$@"
}

@test "killed before it writes anything, push keeps what it has said" {
	sweep 1 1 SHIM_PATH=/spool/ SHIM_KILL=N
}

@test "killed behind what it has written, push keeps what it has said" {
	sweep 1 1 SHIM_PATH=/spool/ SHIM_KILL=N SHIM_AFTER=1
}

@test "killed in the middle of what it writes, push keeps what it has said" {
	sweep 1 1 SHIM_PATH=/spool/ SHIM_CALLS=write,open,rename,unlink \
		SHIM_KILL=N SHIM_TORN=1
}

@test "killed before it tells anybody anything, push loses nothing" {
	sweep 1 1 SHIM_CALLS=connect,send SHIM_KILL=N
}

@test "killed when it has told somebody something, push loses nothing" {
	sweep 1 1 SHIM_CALLS=connect,send SHIM_KILL=N SHIM_AFTER=1
}

@test "killed in the middle of telling, push loses nothing" {
	sweep 1 1 SHIM_CALLS=send SHIM_KILL=N SHIM_TORN=1
}

@test "a call without space costs push nothing but what it answers so" {
	sweep 1 1 SHIM_PATH=/spool/ SHIM_ENOSPC=N
}

@test "a disk that is full for some calls costs push no event" {
	sweep 1 2 SHIM_PATH=/spool/ SHIM_ENOSPC=N,6 SHIM_TORN=1
}

@test "a call that fails with EIO costs push no event" {
	sweep 1 1 SHIM_PATH=/spool/ SHIM_EIO=N
}

# torn TEXT - what is left of the file of the subscription one.
torn() {
	printf %s "$1" >spool/push/orders/one.json
}

@test "a file of holds and handshakes that is torn is a hold until somebody has looked" {
	local text n=0
	push_ns
	hook one
	push_up
	publish 0
	delivered 0
	sub hold one
	stop egns-push
	text=$(<spool/push/orders/one.json)
	for text in "${text:0:${#text}/2}" '' '[]' '{"uid":' \
		"$(head -c 100000 /dev/zero | tr '\0' ' ')"; do
		torn "$text"
		publish $((++n))
		start egns-push
		status one '.state == "OnHold" and .by == "egns-push"'
		[ "$(<spool/push/orders/one.json)" = "$text" ]
		sub unhold one
		delivered $(seq 0 $n)
		settled one
		stop egns-push
		jq -e '.handshake.state == "granted" and (.hold | not)' \
			spool/push/orders/one.json
		[ "$(asked 1 | wc -l)" -eq $((n + 1)) ]
		[ "$(grep -c 'whether it was is not known: push/orders/one' \
			egns-push.log)" -eq "$n" ]
	done
	egns-ctl audit
}
