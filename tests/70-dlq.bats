# shellcheck shell=bash
# egns-dlq: from records of deadletter/ to blobs of a container.
load lib
load dlq

@test "a dead letter becomes a blob: the event, and why" {
	dlq_ns
	start egns-dlq
	event one '{"c":91.4}' | egns-ctl publish -t orders
	egns-pull receive -t orders -s worker |
		egns-pull reject -t orders -s worker -
	written one
	blobs | grep -E '^testns/orders/worker/2[0-9]{3}/[01][0-9]/[0-3][0-9]/[0-2][0-9]/[0-9a-f-]{36}\.json$'
	blob=spool/containers/local/deadletter/$(blobs)
	[ "$(jq -c 'del(.deadletterProperties)' "$blob")" = "$(event one '{"c":91.4}')" ]
	jq -e '.deadletterProperties | .deadletterreason == "Rejected" and
		.deliveryresult == "Rejected" and .deliveryattempts == 1 and
		.offset == 0 and .publishTime <= .lastDeliveryAttemptTime and
		.lastDeliveryAttemptTime <= .deadLetterTime' "$blob"
	empty
	jq -e --arg blob "$(blobs)" '.blob == $blob and .count == 1 and
		.container == "local/deadletter" and .reasons == {"Rejected":1}
		and .offsets == [0]' spool/deadletter/written/*.ndjson
	[ "$(stat -c %a "$blob")" = 600 ]
}

@test "those of a subscription that wait together share a blob" {
	dlq_ns
	new_hour
	subscription orders other
	for i in 1 2 3 4 5; do
		reject worker "w$i"
		reject other "o$i"
	done
	start egns-dlq
	written w1 w2 w3 w4 w5 o1 o2 o3 o4 o5
	[ "$(blobs | wc -l)" -eq 2 ]
	[ "$(blobs | cut -d/ -f3 | xargs)" = "other worker" ]
}

@test "the hour of a blob is that in which its letters died" {
	dlq_ns
	reject worker one
	advance 7200
	reject worker two
	start egns-dlq
	written one two
	[ "$(blobs | wc -l)" -eq 2 ]
	for blob in spool/containers/local/deadletter/$(blobs | head -1) \
		spool/containers/local/deadletter/$(blobs | tail -1); do
		hour=$(jq -r '.deadletterProperties.deadLetterTime[:13] |
			gsub("[-T]"; "/")' "$blob")
		[[ $blob == */worker/$hour/* ]]
	done
}

@test "a container that is not there: how to make it, and what waited is written" {
	dlq_ns --dead-letter-schedule '[600]'
	new_hour
	rmdir spool/containers/local/deadletter
	start egns-dlq
	reject worker one two
	is .state failing
	grep -F "to make it: mkdir" egns-dlq.log
	reject worker three four
	is .waiting 4
	attempts=$(state .attempts)
	mkdir spool/containers/local/deadletter
	advance 600
	written one two three four
	is .state ready
	is .waiting 0
	[ "$attempts" -eq 1 ]
	[ "$(blobs | wc -l)" -eq 2 ]
	[ "$(grep -c warn egns-dlq.log)" -eq 2 ]
}

@test "the schedule is 10 s, 1 min, 5 min, and every 5 min; retry is at once" {
	dlq_ns
	rmdir spool/containers/local/deadletter
	start egns-dlq
	reject worker one
	is .attempts 1
	n=1
	for pause in 10 60 300 300; do
		advance $((pause / 2))
		[ "$(state .attempts)" -eq "$n" ]
		advance $((pause / 2))
		is .attempts $((++n))
	done
	mkdir spool/containers/local/deadletter
	dlq retry
	written one
}

@test "a schedule of the namespace's own" {
	dlq_ns --dead-letter-schedule '[200,300]'
	rmdir spool/containers/local/deadletter
	start egns-dlq
	reject worker one
	is .attempts 1
	advance 200
	is .attempts 2
	advance 200
	[ "$(state .attempts)" -eq 2 ]
	advance 100
	is .attempts 3
	advance 300
	is .attempts 4
}

@test "a clock that goes back makes nobody wait for the old time" {
	dlq_ns
	rmdir spool/containers/local/deadletter
	start egns-dlq
	reject worker one
	is .attempts 1
	advance -7200
	is .attempts 2
	mkdir spool/containers/local/deadletter
	advance 10
	advance 60
	written one
	stop egns-dlq
}

@test "when the time is over they are dropped, each with a record and its reason" {
	dlq_ns
	rmdir spool/containers/local/deadletter
	start egns-dlq
	reject worker one two
	is .attempts 1
	advance $((2 * 86400 - 400))
	is .attempts 2
	run ! grep -r DeadLetterWriteFailed spool/dropped
	[ "$(state .dropped)" -eq 0 ]
	advance 400
	is .dropped 2
	empty
	jq -es 'map(.event.id) == ["one", "two"] and all(.[];
		.reason == "DeadLetterWriteFailed" and
		(.error | contains("mkdir")) and .topic == "orders" and
		.deadletterProperties.deadletterreason == "Rejected" and
		(.offset | type) == "number" and (has("destination") | not))' \
		spool/dropped/*.ndjson
	stop egns-dlq
	grep -F 'egns_DroppedEventCount{Topic="orders",EventSubscriptionName="worker",DropReason="DeadLetterWriteFailed"} 2' \
		spool/metrics/dlq.prom
	run ! grep -q 'DeadLetteredCount{' spool/metrics/dlq.prom
}

@test "deliveryRetryPeriodInDays 0 is one attempt" {
	dlq_ns
	to "$(directory nowhere)" worker '"deliveryRetryPeriodInDays":0'
	start egns-dlq
	reject worker one
	is .dropped 1
	grep -F '"id":"one"' spool/dropped/*.ndjson
}

@test "time while nobody tried does not count" {
	dlq_ns
	reject worker one
	advance $((5 * 86400))
	rmdir spool/containers/local/deadletter
	start egns-dlq
	is .state failing
	is .waiting 1
	mkdir spool/containers/local/deadletter
	advance 60
	written one
}

@test "a role that is missing: who lacks what, and the command that grants it" {
	dlq_ns
	start egns-dlq
	role=$(egns-ctl role assignment list --jq '.[] | select(.roleDefinitionName ==
		"Storage Blob Data Contributor").name' | tr -d '"')
	egns-ctl role assignment delete -n "$role" --yes
	reject worker one
	is .state failing
	state .lastError | grep -F 'Storage Blob Data Contributor'
	command=$(state .lastError | grep -o 'egns-ctl role assignment create .*')
	eval "$command -o none"
	# the grant tells the daemon
	written one
	is .state ready
}

@test "a directory, absolute or below the spool, needs no role" {
	dlq_ns
	mkdir away spool/containers/here
	subscription orders other
	to "$(directory "$PWD/away")" worker
	to "$(directory containers/here)" other
	egns-ctl role assignment list --jq '.[].name' | tr -d '"' |
		xargs -n1 egns-ctl role assignment delete --yes -n
	start egns-dlq
	reject worker one
	reject other two
	empty
	[ "$(letters away)" = one ]
	[ "$(letters spool/containers/here)" = two ]
}

@test "what waits follows a subscription's new destination" {
	dlq_ns
	rmdir spool/containers/local/deadletter
	start egns-dlq
	reject worker one
	is .state failing
	mkdir away
	to "$(directory "$PWD/away")" worker
	empty
	[ "$(letters away)" = one ]
}

@test "of a subscription that is gone, where the record says" {
	dlq_ns
	mkdir away
	to "$(directory "$PWD/away")" worker
	reject worker one
	egns-ctl namespace topic event-subscription delete --yes \
		--topic-name orders -n worker
	start egns-dlq
	empty
	[ "$(letters away)" = one ]
}

@test "one destination that fails keeps no other waiting" {
	dlq_ns
	subscription orders other
	to "$(directory "$PWD/away")" other
	start egns-dlq
	reject other one
	wait_for grep -q away egns-dlq.log
	reject worker two
	written two
	mkdir away
	advance 10
	empty
	[ "$(letters away)" = one ]
}

@test "a symbolic link out of the spool is no container, nor below one" {
	dlq_ns
	mkdir away
	rmdir spool/containers/local/deadletter
	ln -s "$PWD/away" spool/containers/local/deadletter
	start egns-dlq
	reject worker one
	is .state failing
	state .lastError | grep -i link
	rm spool/containers/local/deadletter
	mkdir spool/containers/local/deadletter
	ln -s "$PWD/away" spool/containers/local/deadletter/testns
	advance 10
	is .attempts 2
	state .lastError | grep -i link
	[ -z "$(ls away)" ]
	rm spool/containers/local/deadletter/testns
	advance 60
	written one
}

# hand_over FILE - a whole file in deadletter/new, whatever is in it.
hand_over() {
	python3 - "$1" <<-'END'
		import os, sys
		text = open(sys.argv[1], "rb").read()
		crc = 0xffffffff
		for byte in text:
		    crc ^= byte
		    for _ in range(8):
		        crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
		os.link(sys.argv[1], "spool/deadletter/new/1769860800.M000000P1Q0.host"
		    ",S=%d,N=%d,C=%08x" % (len(text), text.count(b"\n"), crc ^ 0xffffffff))
	END
}

none_new() {
	[ -z "$(ls spool/deadletter/new)" ]
}

corrupt_said() {
	[ "$(grep -c corrupt egns-dlq.log)" -eq "$1" ]
}

@test "lines that are no records, and files that are not whole, block nothing" {
	dlq_ns
	{
		echo 'no json'
		echo '{"time":"2026-01-31T12:00:00Z","topic":"a b","subscription":"s","event":{}}'
		printf '{"time":"2026-01-31T12:05:00.000000Z","topic":"orders","subscription":"worker","offset":7,"deadletterProperties":{"deadletterreason":"Rejected"},"event":%s}\n' \
			"$(event good)"
	} >file
	run --separate-stderr egns-dlq - <file
	[ "$status" -eq 65 ]
	[[ ${stderr_lines[0]} == *"standard input: line 1: "* ]]
	[[ ${stderr_lines[1]} == *"standard input: line 2: "* ]]
	hand_over file
	echo torn >"spool/deadletter/new/1795346482.M412201P5900Q0.vm,S=5,N=1,C=00000000"
	echo what >"spool/deadletter/new/what"
	start egns-dlq
	written good good
	wait_for none_new
	[ "$(ls spool/deadletter/corrupt | wc -l)" -eq 3 ]
	wait_for corrupt_said 3
	diff <(head -2 file) spool/deadletter/corrupt/records.*
}

@test "records on standard input go the same way" {
	dlq_ns
	reject worker one two
	cat spool/deadletter/new/* >records
	rm spool/deadletter/new/*
	run --separate-stderr egns-dlq - <records
	[ "$status" -eq 0 ]
	[[ $stderr == *"egns-dlq does not run: 2 dead letters wait"* ]]
	start egns-dlq
	written one two
	run --separate-stderr egns-dlq - <records
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	written one two one two
	run --separate-stderr egns-dlq - <<<'{"time":"yesterday"}'
	[ "$status" -eq 65 ]
	[[ $stderr == *"line 1"* ]]
}

@test "a second one is kept out, and says which the first is" {
	dlq_ns
	start egns-dlq
	run --separate-stderr egns-dlq
	[ "$status" -ne 0 ]
	[[ $stderr == *"${pid_of[egns-dlq]}"* ]]
}

@test "what was sorted and not tried becomes one blob after a restart" {
	dlq_ns --dead-letter-schedule '[600]'
	new_hour
	rmdir spool/containers/local/deadletter
	start egns-dlq
	for i in 1 2 3 4 5 6; do
		reject worker "e$i"
		is .waiting "$i"
		is .state failing
	done
	[ "$(ls spool/deadletter/sending | wc -l)" -eq 1 ]
	[ "$(ls spool/deadletter/sorted | wc -l)" -ge 3 ]
	crash egns-dlq
	mkdir spool/containers/local/deadletter
	start egns-dlq
	written e1 e2 e3 e4 e5 e6
	[ "$(blobs | wc -l)" -eq 2 ]
}

@test "nothing but Contributors of the namespace ask; an unknown op is told" {
	dlq_ns
	start egns-dlq
	run dlq nonsense
	printf '{"op":"nonsense"}\n' |
		socat -t "$PATIENCE" - UNIX-CONNECT:spool/run/dlq.sock |
		grep -F '"BadRequest"'
}

@test "records of a subscription that is not there wait until it is" {
	dlq_ns
	start egns-dlq
	printf '{"topic":"orders","subscription":"gone","time":"2026-01-31T12:00:00Z","event":%s,"deadletterProperties":{}}' \
		"$(event 1)" | egns-dlq -
	is .state failing
	state .lastError | grep -F 'ls deadletter/sending; make it, or give it one'
	[[ $(ls spool/deadletter/sending) == orders.gone.* ]]
	subscription orders gone
	written 1
}

# two series of one name and labels, and Prometheus would take none of them
@test "metrics have a container once, whoever writes there, and by its whole name" {
	dlq_ns
	mv spool/containers/local/deadletter away
	for i in 1 2; do
		id=/subscriptions/s/resourceGroups/g$i/providers/Microsoft.Storage/storageAccounts
		for account in LOCAL other; do
			subscription orders "$account$i" \
				"deadLetterDestinationWithResourceIdentity:
				{deadLetterDestination: {endpointType: StorageBlob,
				properties: {resourceId: '$id/$account',
				blobContainerName: deadletter}}}"
			reject "$account$i" "$account$i"
		done
	done
	reject worker 1
	start egns-dlq
	waits() { [ "$(dlq stats | jq -s 'map(.waiting) | add')" = 5 ]; }
	wait_for waits
	dlq stats | jq -r .container | sort | uniq -c | xargs >names
	stop egns-dlq
	cat names spool/metrics/dlq.prom
	[ "$(cat names)" = "3 local/deadletter 2 other/deadletter" ]
	[ -z "$(grep -v '^#' spool/metrics/dlq.prom | cut -d' ' -f1 | sort | uniq -d)" ]
	grep -F 'egns_DeadLettersWaiting{Container="local/deadletter"} 3' \
		spool/metrics/dlq.prom
	grep -F 'egns_DeadLetterDestinationFailing{Container="local/deadletter"} 1' \
		spool/metrics/dlq.prom
}

@test "metrics tell what was written, by reason" {
	dlq_ns
	start egns-dlq
	reject worker one two
	written one two
	stop egns-dlq
	grep -F 'egns_DeadLetteredCount{Topic="orders",EventSubscriptionName="worker",DeadLetterReason="Rejected"} 2' \
		spool/metrics/dlq.prom
	grep -F 'egns_DeadLettersWaiting{Container="local/deadletter"} 0' \
		spool/metrics/dlq.prom
}
