# examples/cron: what is mailed, and what is not.

load lib
load dlq

cron_ns() {
	PATH=$top/examples/cron:$PATH
	dlq_ns && start egns-dlq
}

@test "replay.sh gives back what it names, and says nothing" {
	cron_ns
	reject worker 1 2 3
	written 1 2 3
	run -0 replay.sh Unauthorized
	[ -z "$output" ]
	[ "$(letters)" = "1 2 3" ]
	run -0 replay.sh Regected
	[[ $output == *"'Regected'; did you mean 'Rejected'?" ]]
	run -0 replay.sh Unauthorized,Rejected --limit 2
	[ -z "$output" ]
	[ "$(letters)" = 3 ]
	run -0 replay.sh Rejected
	run -0 replay.sh Rejected
	[ -z "$output" ]
	run -0 egns-pull receive -t orders -s worker -n 10 -w 5
	[ "$(jq -r .event.id <<<"$output" | xargs)" = "1 2 3" ]
}

@test "replay.sh twice at once gives nothing back twice" {
	cron_ns
	reject worker 1 2 3 4 5
	written 1 2 3 4 5
	replay.sh Rejected &
	run -0 replay.sh Rejected
	wait $!
	run -0 egns-pull receive -t orders -s worker -n 10 -w 5
	[ "$(jq -r .event.id <<<"$output" | xargs)" = "1 2 3 4 5" ]
}

@test "replay.sh is quiet while topicd is down, and tells of what is wrong" {
	cron_ns
	reject worker 1
	written 1
	stop egns-topicd
	run -0 replay.sh Rejected
	[ -z "$output" ]
	[ "$(letters)" = 1 ]
	run -64 replay.sh
	EGNS_SPOOL=$PWD/nowhere run -66 replay.sh Rejected
	[[ $output == *"not found"* ]]
}

@test "report.sh is quiet when there is nothing, and tells of all that is dead" {
	cron_ns
	run -0 report.sh
	[ -z "$output" ]
	reject worker 1 2
	written 1 2
	run -0 report.sh
	[[ $output == "Dead letters:"*worker*Rejected*" 2 "*"of the last 24h:"* ]]
	[[ $output != *"Put aside"* && $output != *Dropped* ]]
	advance 90000
	run -0 report.sh
	[[ $output == "Dead letters:"*" 2 "* ]]
	[[ $output != *"of the last"* ]]
	printf 'Rejected quarantine\n' >policy
	run -65 egns-replay --policy policy --quarantine
	run -0 report.sh
	[[ $output == "Put aside:"*" 2 "* ]]
}

@test "report.sh tells once of what cannot be read, and why dead letters wait" {
	cron_ns
	mv spool/containers/local/deadletter away
	reject worker 1 2
	waits() { report.sh | grep -q 'dead letters wait since'; }
	wait_for waits
	run -74 report.sh
	echo "$output"
	[ "$(grep -c '^egns-dlq: local/deadletter: .* is not there' <<<"$output")" -eq 1 ]
	[[ $output == "What went wrong here:"*"Not written yet:"*"egns-ctl: local/deadletter: dead letters wait since 20"*"; count: "* ]]
	stop egns-dlq
	run -74 report.sh
	[[ $output == *"Not written yet:"*"egns-ctl: deadletter: dead letters wait, and egns-dlq does not run; count: 2"* ]]
	mv away spool/containers/local/deadletter
	start egns-dlq
	written 1 2
	empty
	run -0 report.sh
	[[ $output == "Dead letters:"* && $output != *"Not written"* ]]
}

@test "replay.sh tells of what cannot go back" {
	cron_ns
	reject worker 1
	written 1
	egns-ctl namespace topic event-subscription delete --yes -o none \
		--topic-name orders -n worker
	run -65 replay.sh Rejected
	[[ $output == "egns-replay: orders/worker: there is no subscription"*" 1 held (Rejected), "* ]]
	run -0 replay.sh Rejected --to topic
	[ -z "$output" ]
}

@test "report.sh and alert.sh tell of drops, each time once" {
	cron_ns
	run -0 alert.sh
	[ -z "$output" ]
	reject worker 1
	written 1
	run -0 alert.sh
	[ -z "$output" ]
	subscription orders lossy '' --no-dead-letter
	reject lossy 2 3
	run -2 alert.sh
	[[ $output == "CRITICAL - 2 events dropped (2 Rejected)"* ]]
	[[ $output != *"|"* ]]
	run -0 report.sh
	[[ $output == *"Dropped in the last 24h:"*"2 events dropped"* ]]
	advance 3700
	run -0 alert.sh
	[ -z "$output" ]
	run -2 alert.sh 2h
	EGNS_SPOOL=$PWD/nowhere run -3 alert.sh
	[[ $output == "UNKNOWN - "* ]]
}

@test "the lines of the crontab name scripts that are there" {
	local script
	while read -r script; do
		[ -x "$top/examples/cron/$script" ]
	done < <(grep -o '[a-z]*\.sh' "$top/examples/cron/crontab")
	[ "$(grep -c '^[0-9*]' "$top/examples/cron/crontab")" -eq 3 ]
}
