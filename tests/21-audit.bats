# shellcheck shell=bash
# audit and scrub: they find what is broken, and nothing where nothing is.
load lib

log=spool/topics/t01/log/00000000000000000000.ndjson
subs=spool/topics/t01/subscriptions

# books - 100 events; of s01 10 are handed out, 5 acknowledged, 2 dead-lettered;
# of s02 3 are dropped. topicd runs.
books() {
	ns t01/s01
	subscription t01 s02 '' --no-dead-letter
	start egns-topicd
	local id
	for id in {1..100}; do event "$id"; done | egns-ctl publish -t t01
	egns-pull receive -t t01 -s s01 -n 10 >received
	head -n 5 received | egns-pull acknowledge -t t01 -s s01 - >/dev/null
	tail -n 2 received | egns-pull reject -t t01 -s s01 - >/dev/null
	egns-pull receive -t t01 -s s02 -n 3 |
		egns-pull reject -t t01 -s s02 - >/dev/null
	wait_for queued
}

# Both queues are on disk, which the answers did not wait for.
queued() {
	[ "$(cat "$subs"/*/queue | wc -c)" -eq 1600 ]
}

# flip FILE OFFSET - change a byte.
flip() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\$(printf %o $((byte ^ 1)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# differs TEXT - audit finds that, and exits 1.
differs() {
	run -1 egns-ctl audit -o none
	[[ $output == *"$1"* ]] || { echo "$output"; return 1; }
}

# breaks FILE [OFFSET] - scrub names it, and exits 1.
breaks() {
	run -1 egns-ctl scrub --jq '.broken[] | "\(.file) \(.offset)"'
	[[ $output == *"$1${2+ $2}"* ]] || { echo "$output"; return 1; }
}

# at N - the offset of line N of the log.
at() {
	head -n $(($1 - 1)) "$log" | wc -c
}

# parcels - as egns-dlq does: the two dead letters of s01 in a parcel each.
parcels() {
	local i=0 line
	mkdir -p spool/deadletter/{sorted,sending}
	while read -r line; do
		i=$((i + 1))
		printf '%s\n' "$line" \
			>"spool/deadletter/sorted/t01.s01.$(date -u +%Y%m%d%H).$i-$i.$(uuid)"
	done < <(cat spool/deadletter/new/*)
	rm spool/deadletter/new/*
}

uuid() {
	cat /proc/sys/kernel/random/uuid
}

# written [CONTAINER] - the first parcel has become a blob of it, which is there
# when it is a local one.
written() {
	local container=${1:-local/deadletter} blob parcel dir
	parcel=$(find spool/deadletter/sorted -type f | head -n 1)
	blob=testns/t01/s01/$(date -u +%Y/%m/%d/%H)/${parcel##*.}.json
	mkdir -p spool/deadletter/written
	jq -c --arg container "$container" --arg blob "$blob" '
		{time, topic, subscription, container: $container, blob: $blob,
		count: 1, reasons: {Rejected: 1}, offsets: [.offset]}' "$parcel" \
		>>"spool/deadletter/written/$(date -u +%F).ndjson"
	if [[ $container == local/* ]]; then
		dir=spool/containers/$container/${blob%/*}
		mkdir -p "$dir"
		jq -c '.event + {deadletterProperties: (.deadletterProperties +
			{deadLetterTime: .time, offset: .offset})}' "$parcel" \
			>"$dir/${blob##*/}"
	fi
	rm "$parcel"
}

# fates N... - how many dead letters of s01 are on record, wait, were written,
# dropped late, are in containers, elsewhere, replayed, pruned and gone.
fates() {
	run --separate-stderr egns-ctl audit -o tsv \
		--query 'subscriptions[0].[deadLetterRecords, waiting, written,
			lateDrops, inContainers, elsewhere, replayed, pruned, gone]'
	[ "$(xargs <<<"$output")" = "$*" ] || { echo "$output $stderr"; return 1; }
}

@test "a table of the books has no columns of what never was" {
	books
	run -0 egns-ctl audit -o table
	[[ ${lines[0]} == *Matched*Pending*InFlight*Acknowledged*DeadLettered*Dropped*Differences ]]
	[[ ${lines[0]} != *Pruned* && ${lines[0]} != *LateDrops* ]]
	run -0 egns-ctl audit -o tsv
	[ "$(head -n 1 <<<"$output" | tr '\t' '\n' | wc -l)" -eq 21 ]
}

@test "the books balance while topicd runs, and when it does not" {
	books
	for running in true false; do
		run -0 --separate-stderr egns-ctl audit
		[ -z "$stderr" ]
		jq -e --argjson running $running '
			.balanced and .topicd == $running and
			(.topics[0] | .events == 100 and .number == 100) and
			(.subscriptions[0] | .matched == 100 and .cursor == 10
			and .pending == 90 and .inFlight == 3 and
			.acknowledged == 5 and .deadLettered == 2 and
			.deadLetterRecords == 2) and
			(.subscriptions[1] | .dropped == 3 and
			.droppedRecords == 3)' <<<"$output"
		run -0 egns-ctl scrub
		jq -e '.whole and .lines == 100' <<<"$output"
		[ $running = false ] || stop egns-topicd
	done
}

@test "a namespace without an event balances" {
	ns t01/s01
	egns-ctl audit -o none
	egns-ctl scrub -o none
	start egns-topicd
	egns-ctl audit -o none
	egns-ctl scrub -o none
}

@test "while audit reads the files topicd cannot start" {
	books
	stop egns-topicd
	mkfifo spool/dropped/2000-01-01.ndjson
	exec 5<>spool/dropped/2000-01-01.ndjson
	egns-ctl audit -o none 3>&- 5>&- &
	locked() { egns-ctl status --jq '.daemons[0].running' | grep true; }
	wait_for locked
	run -73 egns-topicd
	[[ $output == *"runs already"* ]]
	exec 5>&-
	wait "$!"
}

@test "a flipped bit in the log is named by audit and scrub" {
	books
	flip "$log" $(($(at 50) + 60))
	differs "topic 't01': log offset $(at 50): the line does not match"
	breaks "${log#spool/}" "$(at 50)"
	stop egns-topicd
	differs "log offset $(at 50): the line does not match"
}

@test "an event that is missing from the log is named by audit" {
	books
	stop egns-topicd
	offset=$(at 50)
	sed -i 50d "$log"
	differs "log offset $offset: event number 51 follows 49"
	differs "no line of the log begins"
	differs "the checkpoint knows it"
}

@test "a truncated log is named by audit, with topicd and without" {
	books
	end=$(at 101)
	truncate -s "$(at 50)" "$log"
	differs "the log ends at $(at 50), but topicd wrote up to $end"
	crash egns-topicd
	truncate -s "$(at 5)" "$log"
	differs "queue entry 4: offset $(at 5) is behind the end of the log"
}

@test "a queue that is missing, short or wrong is named by audit" {
	books
	stop egns-topicd
	cp "$subs/s01/queue" queue
	rm "$subs/s01/queue"
	differs "subscription 't01/s01': topics/t01/subscriptions/s01/queue: No such"
	head -c 400 queue >"$subs/s01/queue"
	differs "subscription 't01/s01': 50 events matched, but the checkpoint counts 100"
	cp queue "$subs/s01/queue"
	flip "$subs/s01/queue" 400
	differs "subscription 't01/s01': queue entry 50: no line of the log begins"
	cp queue "$subs/s01/queue"
	dd if=queue of="$subs/s01/queue" bs=8 skip=30 seek=31 count=1 \
		conv=notrunc status=none
	differs "subscription 't01/s01': queue entry 31: offset $(at 31) is not behind"
	cp queue "$subs/s01/queue"
	egns-ctl audit -o none
}

@test "a queue that shrinks under topicd is named by audit" {
	books
	truncate -s 80 "$subs/s01/queue"
	differs "the queue has 10 entries, but 100 events matched"
}

@test "a state file that is missing or broken is named" {
	books
	stop egns-topicd
	cp "$subs/s01/state.ndjson" state
	rm "$subs/s01/state.ndjson"
	differs "subscription 't01/s01': state.ndjson is missing"
	cp state "$subs/s01/state.ndjson"
	flip "$subs/s01/state.ndjson" $(($(head -n 1 state | wc -c) - 10))
	breaks "topics/t01/subscriptions/s01/state.ndjson" 0
}

@test "a torn end of a state file is no damage" {
	books
	stop egns-topicd
	printf '{"crc32c":"01' >>"$subs/s01/state.ndjson"
	egns-ctl audit -o none
	egns-ctl scrub -o none
}

@test "a drop without a record is named by audit" {
	books
	sed -i 1d spool/dropped/*.ndjson
	differs "subscription 't01/s02': 3 events were dropped, but dropped/ has records of 2"
	stop egns-topicd
	differs "3 events were dropped"
}

@test "a drop on record twice counts once" {
	books
	cat spool/dropped/*.ndjson >twice
	cat twice >>"$(echo spool/dropped/*.ndjson)"
	run -0 egns-ctl audit --jq '.subscriptions[1].droppedRecords'
	[ "$output" = 3 ]
}

@test "drops of an earlier subscription of the same name do not count" {
	books
	egns-ctl namespace topic event-subscription delete --yes -o none \
		--topic-name t01 -n s02
	subscription t01 s02 '' --no-dead-letter
	run -0 egns-ctl audit --query 'subscriptions[1].droppedRecords' -o tsv
	[ "$output" = 0 ]
}

@test "dead letters that wait are on record in every stage" {
	books
	fates 2 2 0 0 0 0 0 0 0
	cp -r spool/deadletter letters
	parcels
	for stage in sorted sending batch; do
		mkdir -p "spool/deadletter/$stage"
		[ "$stage" = sorted ] ||
			mv spool/deadletter/sorted/* "spool/deadletter/$stage/"
		fates 2 2 0 0 0 0 0 0 0
		[ -z "$stderr" ]
		[ "$stage" = sorted ] ||
			mv "spool/deadletter/$stage"/* spool/deadletter/sorted/
	done
	# files of a round that does not count yet, and of one that has just begun
	# to, do not count twice
	cp letters/new/* spool/deadletter/cur/
	mkdir spool/deadletter/batch.tmp
	cp spool/deadletter/sorted/* spool/deadletter/batch.tmp/
	echo 1769860800.M123456P943Q0.pump >spool/deadletter/batch/taken
	fates 2 2 0 0 0 0 0 0 0
	[ "$status" -eq 0 ]
}

@test "a dead letter that is missing is named by audit" {
	books
	parcels
	rm "$(find spool/deadletter/sorted -type f | head -n 1)"
	differs "subscription 't01/s01': 2 events were dead-lettered, but 1 are on record: 1 are missing from deadletter/"
	rm -r spool/deadletter/sorted
	stop egns-topicd
	differs "2 events were dead-lettered, but 0 are on record"
}

@test "dead letters that were written are on record, and where they are" {
	books
	parcels
	written
	fates 2 1 1 0 1 0 0 0 0
	written http://127.0.0.1:10000/account/dead
	fates 2 0 2 0 1 1 0 0 0
	[ -z "$stderr" ]
	# what was written twice is there once
	for day in spool/deadletter/written/*; do
		cat "$day" "$day" >both && mv both "$day"
	done
	fates 2 0 2 0 1 1 0 0 0
	sed -i '/10000/d' spool/deadletter/written/*
	differs "2 events were dead-lettered, but 1 are on record"
}

@test "dead letters whose destination could not be reached are late drops" {
	books
	parcels
	jq -c 'del(.destination) + {reason: "DeadLetterWriteFailed",
		error: "no such container"}' spool/deadletter/sorted/* \
		>>"$(echo spool/dropped/*.ndjson)"
	rm spool/deadletter/sorted/*
	fates 2 0 0 2 0 0 0 0 0
	run -0 egns-ctl audit --query 'subscriptions[].droppedRecords' -o tsv
	[ "$output" = $'0\n3' ]
}

@test "the books balance while dead letters go their way" {
	ns t01/s01
	start egns-topicd
	start egns-dlq
	rejecting() {
		local i id
		for i in {1..40}; do
			for id in {1..25}; do event "$i/$id"; done |
				egns-ctl publish -t t01
			egns-pull receive -t t01 -s s01 -n 25 |
				egns-pull reject -t t01 -s s01 - >/dev/null
		done
		touch rejected
	}
	rejecting 3>&- &
	until [ -e rejected ]; do
		run --separate-stderr egns-ctl audit
		echo "$output $stderr"
		[ "$status" -eq 0 ]
		[ -z "$stderr" ]
	done
	wait "$!"
	all_written() { fates 1000 0 1000 0 1000 0 0 0 0; }
	wait_for all_written
	[ -z "$stderr" ]
	stop egns-dlq
	stop egns-topicd
	fates 1000 0 1000 0 1000 0 0 0 0
}

@test "dead letters that audit misses, as they move, are looked for again" {
	books
	parcels
	mv spool/deadletter/sorted there
	mkdir spool/deadletter/sorted
	slow=spool/deadletter/sending/t01.s01.2026013112.9-9.$(uuid)
	mkfifo "$slow"
	exec 5<>"$slow"
	egns-ctl audit -o none 3>&- 5>&- &
	reading() { readlink "/proc/$!/fd"/* | grep -q sending/t01; }
	wait_for reading
	mv there/* spool/deadletter/sorted/
	rm "$slow"
	exec 5>&-
	wait "$!"
}

@test "a dead letter that was put aside, replayed or pruned is not gone" {
	books
	parcels
	written
	written
	blobs=spool/containers/local/deadletter
	mkdir "$blobs/_quarantine"
	mv "$blobs/testns" "$blobs/_quarantine/testns"
	fates 2 0 2 0 2 0 0 0 0
	mkdir -p spool/replay
	head -n 1 spool/deadletter/written/* |
		jq -c '{time, container, blob, line: 1, id: "9", topic,
			subscription, reason: "Rejected", offset: .offsets[0],
			result: "replayed"}' >"spool/replay/$(date -u +%F).ndjson"
	fates 2 0 2 0 1 0 1 0 0
	rm -r "$blobs/_quarantine"
	tail -n 1 spool/deadletter/written/* |
		jq -c '{time, topic, subscription, container, blob, pruned: 1}' \
			>pruned
	cat pruned >>"$(echo spool/deadletter/written/*)"
	fates 2 0 2 0 0 0 1 1 0
	[ -z "$stderr" ]
}

@test "audit tells of dead letters that other hands have removed" {
	books
	parcels
	written
	written
	find spool/containers -name '*.json' | head -n 1 | xargs rm
	fates 2 0 2 0 1 0 0 0 1
	[ "$status" -eq 0 ]
	[ "$stderr" = "egns-ctl: subscription 't01/s01': 1 dead letters that were written to containers/ are not there, and were neither replayed nor pruned" ]
	# after 90 days nobody knows whether it was replayed
	stop egns-topicd
	advance $((91 * 86400))
	fates 2 0 2 0 1 0 0 0 0
	[ -z "$stderr" ]
}

@test "dead letters of an earlier subscription of the same name do not count" {
	books
	parcels
	written
	egns-ctl namespace topic event-subscription delete --yes -o none \
		--topic-name t01 -n s01
	subscription t01 s01
	fates 0 0 0 0 0 0 0 0 0
	[ "$status" -eq 0 ]
}

@test "a blob that cannot be read is named by audit, and no difference" {
	books
	parcels
	written
	blob=$(find spool/containers -name '*.json')
	truncate -s 33M "$blob" "${blob%/*}/"$'\e[31m.json'
	fates 2 1 1 0 0 0 0 0 1
	[ "$status" -eq 0 ]
	[[ $stderr == *"egns-ctl: ${blob#spool/}: "* ]]
	[[ $stderr == *'/\x1B[31m.json: '* && $stderr != *$'\e'* ]]
}

@test "a broken dead letter is named by scrub" {
	books
	file=$(echo spool/deadletter/new/*)
	flip "$file" 20
	breaks "${file#spool/}" 0
	truncate -s 30 "$file"
	breaks "${file#spool/}" 30
	mv "$file" spool/deadletter/new/stray
	breaks deadletter/new/stray
	egns-ctl scrub --topic t01 -o none
}

@test "a broken parcel of dead letters is named by scrub" {
	books
	parcels
	egns-ctl scrub -o none
	file=$(find spool/deadletter/sorted -type f | head -n 1)
	cp "$file" keep
	flip "$file" 0
	breaks "${file#spool/}" 0
	cat keep keep | head -c -1 >"$file"
	breaks "${file#spool/}" "$(wc -c <keep)"
	mv "$file" "$file.tmp"
	egns-ctl scrub -o none
}

@test "a broken line of the registry is named by both" {
	books
	flip spool/namespace/changes.ndjson 300
	differs "changes.ndjson: the line at byte"
	breaks namespace/changes.ndjson
}

@test "audit and scrub look at one topic when told" {
	books
	topic t02
	event 1 | egns-ctl publish -t t02
	run -0 egns-ctl audit --topic t02 --query 'topics[].topic' -o tsv
	[ "$output" = t02 ]
	flip "$log" 60
	egns-ctl scrub -t t02 -o none
	run -1 egns-ctl scrub --topic-name=t01 -o none
	run -66 egns-ctl audit --topic t03
	run -64 egns-ctl audit t01
	run -64 egns-ctl audit --topics=t01
}

@test "a directory that cannot be read to its end is told" {
	local dir
	books
	stop egns-topicd
	shim SHIM_CALLS=readdir SHIM_EIO=2
	for dir in deadletter/new dropped; do
		run -71 env "LD_PRELOAD=$PRELOAD" "SHIM_PATH=$dir" egns-ctl audit
		[[ $output == *"$dir: Input/output error"* ]]
	done
	run -71 env "LD_PRELOAD=$PRELOAD" SHIM_PATH=deadletter/new egns-ctl scrub
	[[ $output == *"deadletter/new: Input/output error"* ]]
}
