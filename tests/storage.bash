# Blob Storage that does as it is told, blob/storage: `load lib; load dlq; load
# storage`.
# shellcheck shell=bash

PATH=$top/tests/blob:$PATH

# storage_ns [FLAG...] - as dlq_ns, with the account acct at a storage that is
# started: the dead letters of worker go to its container deadletter, and those of
# the subscription other to the local one. What proves who we are is a secret.
storage_ns() {
	start storage && dlq_ns "$@" && subscription orders other &&
		accounts acct && to "$(account_container acct)" worker
}

SECRET='sv=2024-11-04&sp=rcwdl&sig=v3ryS3cretS1gnature%2Bof%2FtheAccount%3D'

# accounts NAME... - the namespace's endpoints: those at ./storage, or at a link to
# it that was started.
accounts() {
	local name list=()
	echo "$SECRET" >sas
	for name; do
		list+=("{\"resourceId\":\"$(account_id "$name")\",\"url\":\
\"http://127.0.0.1:$(cat "$([ -e "$name.port" ] && echo "$name" ||
			echo storage).port")/$name\",\"credential\":\
{\"file\":\"$PWD/sas\",\"type\":\"sas\"}}")
	done
	egns-ctl namespace update -o none --set \
		"endpoints=[$(IFS=,; echo "${list[*]}")]"
}

account_id() {
	echo "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/$1"
}

# account_container NAME [CONTAINER] - a deadLetterDestination.
account_container() {
	printf '{"endpointType":"StorageBlob","properties":{"resourceId":"%s",
		"blobContainerName":"%s"}}' "$(account_id "$1")" \
		"${2:-deadletter}"
}

# then_do ORDER... - what the storage does next; always [ORDER...] - and when that
# is done; nothing is as it should.
then_do() {
	orders "$@" >script.new && mv script.new storage.script
}

always() {
	orders "$@" >always.new && mv always.new storage.always
}

orders() {
	printf '%s\n' "$@" | jq -c .
}

# asked [JQ] - of each request that it had.
asked() {
	[ ! -e storage.requests ] || jq -rc "${1:-.}" storage.requests
}

# kept ID... - wait until it has just these, each once, and all are in the books.
kept() {
	wait_for kept_now "$@" ||
		{ jq . storage.blobs; dlq stats; return 1; }
	wait_for booked "$@"
	[ -z "$(twice)" ] || { twice; return 1; }
}

kept_now() {
	[ "$(jq -r .text storage.blobs | jq -r .id | sort | xargs)" = \
		"$(printf '%s\n' "$@" | sort | xargs)" ]
}

booked() {
	[ "$(jq -s 'map(select(.container | startswith("http")) | .count) | add' \
		spool/deadletter/written/*.ndjson)" -eq $# ]
}

# retried ID... - as kept; it is tried as often as it takes, as those that are
# impatient may not wait for a storage that is slow.
retried() {
	wait_for retried_now "$@"
	kept "$@"
}

retried_now() {
	{ kept_now "$@" && booked "$@"; } || { dlq retry; return 1; }
}

# erred WORDS - and until it fails so.
erred() {
	wait_for erred_now "$1" || { dlq stats; return 1; }
}

erred_now() {
	[[ $(remote .lastError) == *"$1"* ]] || { dlq retry; return 1; }
}

# Blobs that were stored more than once.
twice() {
	asked 'select(.status == 201) | .name' | sort | uniq -d
}

# remote JQ - what stats tell of it; remotely JQ VALUE - wait until it is so.
remote() {
	dlq stats | jq -r "select(.container | startswith(\"http\")) | $1"
}

remotely() {
	wait_for remotely_now "$@" || { dlq stats; return 1; }
}

remotely_now() {
	[ "$(remote "$1")" = "$2" ]
}

# said WORDS - wait until egns-dlq has.
said() {
	wait_for grep -qF -- "$1" egns-dlq.log ||
		{ echo "not said: $1"; return 1; }
}

# untold - the secret is nowhere that somebody looks, the text of blobs apart.
untold() {
	nowhere 'v3ryS3cret|S1gnature|sig=' egns-dlq.log spool/dropped \
		spool/deadletter spool/metrics spool/replay "$@"
}

# peak NAME - kilobytes of memory that a daemon has had.
peak() {
	awk '/VmHWM/ { print $2 }' "/proc/${pid_of[$1]}/status"
}

# thrifty NAME KILOBYTES - it has had less. Sanitizers need their own.
thrifty() {
	echo "$1: $(peak "$1") KiB"
	ldd "$B/$1" | grep -q libasan || [ "$(peak "$1")" -lt "$2" ]
}

# What has no status, or not in time. Without tests' own patience it is a minute.
impatient() {
	shim SHIM_PATIENCE=700 SHIM_CALLS=none
}

# patience_for ORDER - only what does not come to an end is not waited for.
patience_for() {
	case $1 in
	*hang* | *head\"* | *slow*) export SHIM_PATIENCE=700 ;;
	*) export SHIM_PATIENCE=20000 ;;
	esac
}

# order STATUS CODE [MEMBERS]
order() {
	echo "{\"status\":$1,\"code\":\"$2\",\"message\":\"What it says\"${3:+,$3}}"
}

# stored N [REASON] - the storage begins with so many dead letters, of a blob each.
stored() {
	local i
	for ((i = 1; i <= $1; i++)); do
		jq -cn --arg i "$i" --arg r "${2:-Unauthorized}" '{container:
			"deadletter", name: "testns/orders/worker/2026/01/31/12/\(
			$i).json", text: ({specversion: "1.0", id: $i,
			source: "/test", type: "t", deadletterProperties: {
			deadletterreason: $r, deliveryattempts: 1,
			publishTime: "2026-01-31T12:00:00Z", deadLetterTime:
			"2026-01-31T12:02:00Z"}} | tojson + "\n")}'
	done >storage.blobs
}

# bounded STATUS WORDS CMD... - it ends so, in time, says that, and has not taken
# much memory; nothing of what it says is secret, or moves a terminal's cursor.
bounded() {
	local want=$1 words=$2
	shift 2
	run --separate-stderr timeout -k 1 60 env LD_PRELOAD="${PRELOAD:-}" \
		"$top/tests/blob/peak" "$@"
	echo "$*: status $status: ${output:0:200} ${stderr:0:200}"
	[[ $status == @($want) ]]
	[[ $output$stderr == *"$words"* ]]
	[[ $output$stderr != *@(v3ryS3|S1gnature|sig=)* ]]
	[[ $stderr != *[[:cntrl:]]* || ${stderr//$'\n'/} != *[[:cntrl:]]* ]]
	ldd "$B/$1" | grep -q libasan || [ "$(<peak)" -lt "${most:-60000}" ]
}

# Everything that reads blobs.
each_verb() {
	local words=$1
	bounded 74 "$words" egns-dlq list
	bounded 74 "$words" egns-dlq stat
	bounded 74 "$words" egns-dlq show
	bounded 74 "$words" egns-dlq cat
	bounded 3 UNKNOWN egns-dlq check
	bounded 74 "$words" egns-dlq prune --older-than 1s
	bounded 75 "$words" egns-replay --dry-run
	bounded 75 "$words" egns-replay
}
