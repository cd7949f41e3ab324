# A conversation with topicd in which everything happens that is written to disk,
# and what must be true when it broke off anywhere. One process talks, so that
# hundreds of runs take seconds; what was answered stands in these lists.
# shellcheck shell=bash

# Ids: of each publish that was sent; of those answered ok, and with an error.
declare -ga sent published refused
# "SUBSCRIPTION ID" of what was settled with the answer ok, of what may have been
# (there was another answer, or none), and of what came after the restart.
declare -gA acknowledged rejected unsure delivered
# Of the last receive.
declare -ga ids tokens counts
# By id: the deliveryCount that an event of hooked has on disk, at least and at
# most.
declare -gA low high
# Of producer q: its last batch that was answered ok; not empty while answers may
# have been lost.
declare -g chained unheard

# template - a namespace with a topic and three subscriptions: kept keeps
# dead letters, gone drops, hooked is for push; each copy of it is a run.
template() {
	ns orders
	subscription orders kept "maxDeliveryCount:2,receiveLockDurationInSeconds:60,\
eventTimeToLive:PT1H"
	subscription orders gone "maxDeliveryCount:2,receiveLockDurationInSeconds:60" \
		--no-dead-letter
	egns-ctl namespace topic event-subscription create -o none \
		--topic-name orders -n hooked --delivery-configuration \
		'{deliveryMode:Push,push:{destination:{endpointType:WebHook,properties:{endpointUrl:"http://127.0.0.1:1/"}}}}'
	mv spool template
}

fresh() {
	rm -rf spool trace clock && cp -a template spool
	echo 0 >clock
	export EGNS_CLOCK=$PWD/clock
	sent=() published=() refused=()
	chained=0 unheard=
	acknowledged=() rejected=() unsure=() delivered=()
	low=([1]=0 [2]=0 [3]=0 [4]=0) high=([1]=0 [2]=0 [3]=0 [4]=0)
}

# Speak through socat; a peer that is gone ends the conversation, not the test.
dial() {
	trap '' PIPE
	coproc TALK { exec socat -t 0.01 - UNIX-CONNECT:spool/run/topicd.sock 3>&- \
		2>/dev/null; }
	heard greeting
}

hang_up() {
	local pid=${TALK_PID:-} fd=${TALK[1]:-}
	[ -z "$fd" ] || exec {fd}>&-
	[ -z "$pid" ] || wait "$pid" || :
}

# heard NAME - the next line into a variable.
heard() {
	[ -n "${TALK[0]:-}" ] && IFS= read -r -t 20 "$1" <&"${TALK[0]}"
}

# talk LINE... - send, and take the header of the answer into `answer`. Returns 1
# for a refusal, 2 when topicd is gone.
talk() {
	answer=
	[ -n "${TALK[1]:-}" ] || return 2
	printf '%s\n' "$@" >&"${TALK[1]}" || return 2
	heard answer || return 2
	[[ $answer == '{"ok":true'* ]]
}

# publish EXTRA ID... - EXTRA: members for the header line.
publish() {
	local extra=$1 id lines=() rc=0
	shift
	for id; do
		lines+=("$(event "$id" "{\"n\":$id}")")
	done
	sent+=("$*")
	talk "{\"op\":\"publish\",\"topic\":\"orders\",\"count\":$#$extra}" \
		"${lines[@]}" || rc=$?
	case $rc in
	0) published+=("$@") ;;
	1) refused+=("$@") ;;
	esac
	return "$rc"
}

# chain LAST - what producer q has not stored yet of its batches up to LAST, each
# of one event, all under way together.
chain() {
	local n from rc=0 lines=()
	talk '{"op":"producer","topic":"orders","producer":"q"}' || return
	[[ $answer =~ \"sequence\":([0-9]+) ]] || return 2
	from=${BASH_REMATCH[1]}
	[ "$from" -eq "$chained" ] ||
		{ [ "$from" -gt "$chained" ] && [ -n "$unheard" ]; } ||
		{ echo "q has stored $from, not $chained"; failures=1; }
	for ((n = from + 1; n <= $1; n++)); do
		lines+=("{\"op\":\"publish\",\"topic\":\"orders\",\"count\":1,\
\"producer\":\"q\",\"sequence\":$n,\"after\":$((n - 1))}"
			"$(event "$((100 + n))" "{\"n\":$n}")")
		sent+=("$((100 + n))")
	done
	unheard=1
	[ "${#lines[@]}" -eq 0 ] || printf '%s\n' "${lines[@]}" >&"${TALK[1]}" ||
		return 2
	for ((n = from + 1; n <= $1; n++)); do
		heard answer || return 2
		[[ $answer == '{"ok":true'* ]] || { rc=1; continue; }
		published+=("$((100 + n))")
		[ "$n" -eq "$((chained + 1))" ] ||
			[ "$n" -eq "$((from + 1))" ] ||
			{ echo "$n was stored behind $chained"; failures=1; }
		chained=$n
	done
	unheard=
	return "$rc"
}

# receive SUBSCRIPTION MAX
receive() {
	local i line
	ids=() tokens=() counts=()
	talk "{\"op\":\"receive\",\"topic\":\"orders\",\"subscription\":\"$1\",\
\"maxEvents\":$2,\"maxWaitTime\":0}" || return
	[[ $answer =~ \"count\":([0-9]+) ]] || return 2
	for ((i = BASH_REMATCH[1]; i > 0; i--)); do
		heard line || return 2
		[[ $line =~ \"lockToken\":\"([^\"]+)\",\"deliveryCount\":([0-9]+) ]]
		tokens+=("${BASH_REMATCH[1]}")
		counts+=("${BASH_REMATCH[2]}")
		[[ $line =~ \"id\":\"([^\"]+)\" ]]
		ids+=("${BASH_REMATCH[1]}")
	done
}

# ask_settle OP SUBSCRIPTION N [EXTRA] - for the first N of what came. Refused,
# as talk says, is also what the clock took away in the meantime.
ask_settle() {
	local list
	list=$(printf ',"%s"' "${tokens[@]:0:$3}")
	talk "{\"op\":\"$1\",\"topic\":\"orders\",\"subscription\":\"$2\",\
\"lockTokens\":[${list:1}]${4:-}}" || return
	[[ $answer == *'"failedLockTokens":[]'* ]]
}

# settle ... - likewise, and remember what it came to.
settle() {
	local op=$1 sub=$2 n=$3 id rc=0
	[ "${#tokens[@]}" -ge "$n" ] || return 0
	ask_settle "$@" || rc=$?
	for id in "${ids[@]:0:n}"; do
		case $op.$rc in
		*.[12]) unsure[$sub $id]=1 ;;
		acknowledge.0) acknowledged[$sub $id]=1 ;;
		reject.0) rejected[$sub $id]=1 ;;
		esac
	done
	ids=("${ids[@]:n}") tokens=("${tokens[@]:n}")
	return "$rc"
}

# counted ID COUNT - the delivery count of an event of hooked can be that.
counted() {
	if [ "$2" -lt "${low[$1]}" ] || [ "$2" -gt "${high[$1]}" ]; then
		echo "$1 of hooked: deliveryCount $2"
		failures=1
	fi
}

# take - events 1 to 4 as far as they are stored, in their order, from hooked.
take() {
	local i before=0 id
	for id in "${!high[@]}"; do
		high[$id]=$((high[$id] + 1))
	done
	receive hooked 4 || return
	for i in "${!ids[@]}"; do
		id=${ids[i]}
		counted "$id" "${counts[i]}"
		low[$id]=$((counts[i] - 1)) high[$id]=${counts[i]}
		[ "$id" -gt "$before" ] ||
			{ echo "hooked hands out ${ids[*]}"; failures=1; }
		before=$id
	done
}

# give_back N - release the first N of what came as undelivered.
give_back() {
	local id
	[ "${#tokens[@]}" -ge "$1" ] || return 0
	ask_settle release hooked "$1" ',"undelivered":true' || return
	for id in "${ids[@]:0:$1}"; do
		low[$id]=$((high[$id] - 1)) high[$id]=$((high[$id] - 1))
	done
	ids=("${ids[@]:$1}") tokens=("${tokens[@]:$1}")
}

# postpone N - release the first N of what came with a delay.
postpone() {
	[ "${#tokens[@]}" -lt "$1" ] ||
		ask_settle release hooked "$1" ',"releaseDelayInSeconds":10,"result":"Busy"'
}

# reclaim [EXTRA] - what came from hooked and was not given back.
reclaim() {
	local id
	talk "{\"op\":\"reclaim\",\"topic\":\"orders\",\"subscription\":\"hooked\"${1:-}}" ||
		return
	for id in "${ids[@]}"; do
		low[$id]=${high[$id]}
	done
	ids=() tokens=()
}

# What hooked has on disk of the events that it handed out.
check_counts() {
	local i line
	talk '{"op":"peek","topic":"orders","subscription":"hooked","maxEvents":100}' ||
		return
	[[ $answer =~ \"count\":([0-9]+) ]] || return 2
	for ((i = BASH_REMATCH[1]; i > 0; i--)); do
		heard line || return 2
		[[ $line =~ \"deliveryCount\":([0-9]+).*\"id\":\"([^\"]+)\" ]]
		[ -z "${high[${BASH_REMATCH[2]}]:-}" ] ||
			counted "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}"
	done
}

later() {
	local now
	read -r now <clock
	echo "$((now + $1))" >clock.new && mv clock.new clock
}

# Does nothing of a subscription wait, and is nothing locked?
empty() {
	local line
	talk '{"op":"stats","topic":"orders","subscription":"'"$1"'"}' || return
	heard line || return 2
	[[ $line == *'"pending":0,'*'"inFlight":0,'* ]]
}

# until_no CMD... - again and again while CMD returns 1; but for five seconds at
# most, as a fault may have hit what would have ended it.
until_no() {
	local i rc
	for ((i = 0; i < 250; i++)); do
		rc=0
		"$@" || rc=$?
		[ "$rc" -eq 1 ] || return "$rc"
		sleep 0.02
	done
}

# receive_some SUBSCRIPTION MAX - not nothing.
receive_some() {
	receive "$@" || return
	[ "${#ids[@]}" -gt 0 ]
}

# Each step that is refused is let go; one that finds topicd gone is the last.
scenario() {
	local -a steps=(
		'publish "" 1 2 3'
		'publish ",\"producer\":\"p\",\"sequence\":1" 4'
		'publish ",\"producer\":\"p\",\"sequence\":1" 4'
		'receive kept 3'
		'settle acknowledge kept 1'
		'settle reject kept 1'
		'settle release kept 1'
		'receive gone 4'
		'settle acknowledge gone 1'
		'settle reject gone 1'
		'settle renewLock gone 2'
		'settle release gone 1 ",\"releaseDelayInSeconds\":10"'
		'take'
		'give_back 2'
		'reclaim'
		'take'
		'reclaim'
		'take'
		'postpone 2'
		'reclaim ",\"delayed\":true"'
		'take'
		'later 100'
		'until_no receive_some gone 2' # a lock ran out, a delay too
		'later 100'
		'until_no empty gone' # delivered twice: maxDeliveryCount
		'talk "{\"op\":\"reload\"}"'
		'publish "" 5 6 7 8 9'
		'receive kept 2'
		'settle acknowledge kept 2'
		'receive gone 5'
		'settle acknowledge gone 3'
		'chain 3'
		'chain 5'
		'chain 5'
		'later 4000'
		'until_no empty kept' # eventTimeToLive
	)
	local step rc
	dial || return 0
	for step in "${steps[@]}"; do
		rc=0
		eval "$step" || rc=$?
		[ "$rc" -ne 2 ] || break
	done
	hang_up
}

# Acknowledge what still comes from a subscription, until it is empty.
drain() {
	local id end=$((SECONDS + 20))
	until empty "$1"; do
		[ "$SECONDS" -lt "$end" ] || { echo "$1 does not end"; return 1; }
		receive "$1" 100 || return
		for id in "${ids[@]}"; do
			delivered[$1 $id]=1
		done
		[ "${#ids[@]}" -eq 0 ] ||
			ask_settle acknowledge "$1" "${#ids[@]}" ||
			{ echo "acknowledge $1: $answer"; return 1; }
	done
}

# verify - topicd runs again, without faults, so much later that no lock is left
# (and the clock that moves takes no more of them away). Nothing that was answered is lost,
# nothing that was settled comes again, a batch is there whole or not at all,
# those of q once and in order, and the books balance.
verify() {
	local id sub batch there failures=0
	egns-ctl audit >books || { cat books; return 1; }
	dial
	chain 7 || failures=1
	check_counts || failures=1
	drain kept || failures=1
	drain gone || failures=1
	drain hooked || failures=1
	hang_up
	# Ids in the log; "SUBSCRIPTION ID" of the events whose end has a record.
	local -A stored=() ended=()
	while read -r id; do
		stored[$id]=1
	done < <(sed -n 's/.*"event":{"specversion":"1.0","id":"\([^"]*\)".*/\1/p' \
		spool/topics/orders/log/*.ndjson)
	while read -r sub id; do
		ended[$sub $id]=1
	done < <(cat spool/deadletter/{new,cur}/* spool/dropped/* 2>/dev/null |
		sed -n 's/.*"subscription":"\([^"]*\)".*"event":{.*"id":"\([^"]*\)".*/\1 \2/p')
	id=$(cat spool/topics/orders/log/*.ndjson |
		sed -n 's/.*"producer":"q","sequence":\([0-9]*\).*/\1/p' | xargs)
	[ "$id" = "1 2 3 4 5 6 7" ] || { echo "q has stored $id"; failures=1; }
	for batch in "${sent[@]}"; do
		there=0
		for id in $batch; do
			there=$((there + ${stored[$id]:-0}))
		done
		# shellcheck disable=SC2086 # counts words
		set -- $batch
		[ "$there" -eq 0 ] || [ "$there" -eq $# ] ||
			{ echo "$there of batch $batch are stored"; failures=1; }
	done
	for id in "${refused[@]}"; do
		[ -z "${stored[$id]:-}" ] || [[ " ${published[*]} " == *" $id "* ]] ||
			{ echo "event $id was refused, but is stored"; failures=1; }
	done
	for id in "${published[@]}"; do
		[ -n "${stored[$id]:-}" ] || { echo "event $id is lost"; failures=1; }
		for sub in kept gone hooked; do
			accounted "$sub $id" || failures=1
		done
	done
	egns-ctl audit >books || { cat books; failures=1; }
	return "$failures"
}

# Each event of a subscription ends once: acknowledged, or with a record, or it
# came after the restart.
accounted() {
	local fates=$((${acknowledged[$1]:-0} + ${ended[$1]:-0} + ${delivered[$1]:-0}))
	if [ -n "${rejected[$1]:-}" ] && [ -z "${ended[$1]:-}" ]; then
		echo "$1: rejected, but has no record"
	elif [ -n "${acknowledged[$1]:-}" ] && [ "$fates" -ne 1 ]; then
		echo "$1: acknowledged, and came again or has a record"
	elif [ "$fates" -eq 0 ] && [ -z "${unsure[$1]:-}" ]; then
		echo "$1: neither came nor ended"
	else
		return 0
	fi
	return 1
}
