# shellcheck shell=bash
# egns-dlq and egns-replay, and directories in which somebody else works.
load lib
load dlq
load storage

box=spool/containers/local/deadletter
hour=testns/orders/worker/2026/01/31/12

# letter ID [MEMBERS] - a line of a blob.
letter() {
	printf '{"specversion":"1.0","id":"%s","source":"/test","type":"t"%s,"deadletterProperties":{"deadletterreason":"Unauthorized","deliveryattempts":1,"publishTime":"2026-01-31T12:00:00Z","deadLetterTime":"2026-01-31T12:02:00Z"}}\n' \
		"$1" "${2:-}"
}

# What a subscription has got back, in order.
back() {
	egns-pull peek -t orders -s worker -n 1000 | jq -r .event.id | sort -n |
		xargs
}

@test "a directory that takes nothing: a file, nothing, read-only, no room" {
	local row path words n=0 sent=()
	dlq_ns
	subscription orders other
	touch file
	mkdir -p away
	start egns-dlq
	for row in "$PWD/file|Not a directory" "$PWD/file/below|Not a directory" \
		"$PWD/nowhere|is not there; to make it" "/sys|/sys/testns" \
		"/proc|/proc/testns" "/dev/null|Not a directory"; do
		IFS='|' read -r path words <<<"$row"
		echo "$row"
		to "$(directory "$path")" worker
		n=$((n + 1))
		reject worker "w$n"
		wait_for grep -q "warn: $path: .*$words" egns-dlq.log
		reject other "o$n"
		sent+=("o$n")
		written "${sent[@]}"
		to "$(directory "$PWD/away")" worker
		empty
		[ "$(letters away | wc -w)" -eq "$n" ]
	done
	egns-ctl audit
}

@test "a full disk: what waits is written once there is room" {
	dlq_ns
	shim "SHIM_PATH=containers/" SHIM_ENOSPC=1,1000000000 \
		SHIM_CALLS=write,pwrite,writev,pwritev,mkdir,open,link
	start egns-dlq
	unshim
	reject worker one two
	is .state failing
	[[ $(state .lastError) == *"space left"* ]]
	[ -z "$(find "$box" -name '*.json*')" ]
	stop egns-dlq
	start egns-dlq
	written one two
	empty
	[ -z "$(find "$box" -name '*~')" ]
	egns-ctl audit
}

# What is no blob, and what is one, but not of ours.
litter() {
	mkdir -p "$box/$hour"
	mkfifo "$box/$hour/fifo.json"
	mknod "$box/$hour/device.json" c 1 5 2>/dev/null || :
	socket "$box/$hour/socket.json"
	mkdir "$box/$hour/dir.json"
	letter in-dir >"$box/$hour/dir.json/x.json"
	letter outside >outside.json
	ln -s "$PWD/outside.json" "$box/$hour/link.json"
	ln -s "$PWD" "$box/testns/links"
	ln -s loop.json "$box/$hour/loop.json"
	: >"$box/$hour/empty.json"
	letter hidden >"$box/$hour/.hidden.json"
	letter tmp >"$box/$hour/x.json.tmp~"
	head -c 40000000 /dev/zero >"$box/$hour/zeros.json"
	letter odd >"$box/$hour/"$'\377\376 \033[31m.json'
	letter newline >"$box/$hour/"$'a\nb.json'
	letter top >"$box/top.json"
	printf '\0\377\n{"specversion"\n[1,2]\n' >"$box/$hour/nonsense.json"
	{
		letter first
		echo '{"half":'
		letter last
	} >"$box/$hour/torn.json"
	deep 500 "$box/$hour"
}

# deep N DIR - so many directories, one in another, and a blob in the last.
deep() (
	cd "$2" || return
	for ((i = 0; i < $1; i++)); do
		mkdir d && cd d || return
	done
	letter deep >x.json
)

# socket PATH
socket() {
	/usr/bin/python3 -c 'import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
socket.socket(socket.AF_UNIX).bind(os.path.basename(sys.argv[1]))' "$1"
}

@test "what is no blob is passed over, what cannot be read is named, the rest is shown" {
	local words verb
	dlq_ns
	litter
	words='zeros.json: 40000000 bytes: more than 33554432 are not read'
	most=120000
	export most
	bounded 74 "$words" egns-dlq cat
	[ "$(jq -r .id <<<"$output" | sort | xargs)" = \
		'first in-dir last newline odd top' ]
	[[ $stderr == *torn.json*'line 2'* ]]
	[[ $stderr == *nonsense.json*'line 1'* ]]
	for verb in list stat show "list --by blob" "list -o json --by blob,topic"; do
		# shellcheck disable=SC2086 # words
		bounded 74 "$words" egns-dlq $verb
		[[ $verb != *json* ]] || jq -e . <<<"$output" >parsed
		[[ $output != *$'\033'* ]]
	done
	bounded 1 'WARNING' egns-dlq check
	bounded 74 "$words" egns-replay --dry-run
	jq -e . <<<"$output" >parsed
	bounded 74 "$words" egns-replay --keep
	[ "$(back)" = 'first in-dir last newline odd' ]
	jq -e . spool/replay/*-*.ndjson >parsed
	# what it is not about is as it was
	[ -p "$box/$hour/fifo.json" ] && [ -L "$box/$hour/link.json" ]
	[ "$(jq -r .id outside.json)" = outside ]
	[ "$(find "$box" -name zeros.json -size 40000000c | wc -l)" -eq 1 ]
	[[ $(cat "$box/$hour/torn.json") == '{"half":' ]]
	bounded 74 "$words" egns-replay
	[ "$(back | wc -w)" -eq 5 ]
	bounded 74 "$words" egns-dlq prune --older-than 1h
	[ ! -e "$box/top.json" ]
	# with few files open, too
	letter after >"$box/z.json"
	bounded 74 'Too many open files' sh -c 'ulimit -n 64; exec egns-dlq cat'
	[ "$(jq -r .id <<<"$output")" = after ]
}

# as_another CMD... - without what root may do, and with a copy of the program, as
# the repository may be closed to all but root.
as_another() {
	[ "$(id -u)" -eq 0 ] || { "$@"; return; }
	chmod a+x . "$BATS_RUN_TMPDIR" "${PWD%/*}"
	cp "$B/$1" another
	setpriv --reuid=65534 --regid=65534 --clear-groups ./another "${@:2}"
}

@test "a directory that may not be read hides nothing but what is in it" {
	dlq_ns
	mkdir -p "$box/$hour" "$box/closed/x" "$box/a"
	letter one >"$box/$hour/a.json"
	letter two >"$box/a/a.json"
	letter three >"$box/closed/x/a.json"
	letter four >"$box/a/b.json"
	chmod -R a+rwX spool
	chmod 0 "$box/closed" "$box/a/b.json"
	run --separate-stderr as_another egns-dlq cat -C spool
	echo "status $status: $output $stderr"
	[ "$status" -eq 74 ]
	[ "$(jq -r .id <<<"$output" | xargs)" = 'two one' ]
	[[ $stderr == *"closed': Permission denied"* ]]
	[[ $stderr == *"a/b.json': Permission denied"* ]]
	[ "${#stderr_lines[@]}" -eq 2 ]
}

@test "a list of containers that breaks off is told" {
	dlq_ns
	mkdir -p "$box/$hour"
	letter one >"$box/$hour/a.json"
	shim SHIM_CALLS=readdir SHIM_PATH=spool/containers SHIM_EIO=1
	run --separate-stderr env "LD_PRELOAD=$PRELOAD" egns-dlq cat
	unshim
	echo "status $status: $output $stderr"
	[ "$status" -eq 74 ]
	[ "$(jq -r .id <<<"$output")" = one ]
	[[ $stderr == *"containers: Input/output error"* ]]
}

@test "letters of a megabyte go there and back" {
	local id data
	dlq_ns
	start egns-dlq
	data=$(head -c 1000000 /dev/zero | tr '\0' x)
	for id in a b c; do
		event "$id" "\"$data\"" >"event.$id"
	done
	cat event.[abc] | egns-ctl publish -t orders
	for id in a b c; do
		egns-pull receive -t orders -s worker -w 5 |
			egns-pull reject -t orders -s worker - >/dev/null
	done
	written a b c
	egns-dlq cat --events | sort | cmp - <(cat event.[abc])
	egns-dlq list --by topic
	egns-replay --reason Rejected
	for id in a b c; do
		egns-pull receive -t orders -s worker -w 5 | jq -c .event
	done | sort | cmp - <(cat event.[abc])
	[ -z "$(blobs)" ]
	thrifty egns-dlq 60000
	egns-ctl audit
}

# Somebody with an editor, while there is $1: reads a blob, adds a letter, and puts
# it in place of the old one, or writes to it.
edit() {
	local n=0 blob
	while [ -e "$1" ]; do
		for blob in "$box/$hour"/*.json; do
			[ -e "$blob" ] || continue
			letter "$((900000 + ++n))" >piece
			if [ $((n % 2)) -eq 0 ]; then
				cat "$blob" piece >new 2>/dev/null || continue
				mv new "$blob" 2>/dev/null || continue
			else
				{ cat piece >>"$blob"; } 2>/dev/null || continue
			fi
			echo "$((900000 + n))" >>added
		done
	done
}

@test "blobs that are edited by hand while they are replayed, by two" {
	local i j pid
	dlq_ns
	mkdir -p "$box/$hour"
	for i in {1..40}; do
		for j in {1..25}; do
			letter "$((i * 100 + j))"
		done >"$box/$hour/$i.json"
	done
	find "$box" -name '*.json' -print0 | xargs -0 cat | jq -r .id >all
	touch go
	edit go 3>&- &
	pid=$!
	for i in {1..4}; do
		egns-replay 2>>said || :
		egns-replay 2>>said 3>&- &
		egns-replay 2>>said || :
		wait $! || :
	done
	rm go
	wait "$pid"
	egns-replay
	egns-replay
	cat added >>all
	# nothing twice; and what was added to a blob that went as it was read may
	# have gone with it, but nothing else
	egns-pull receive -t orders -s worker -n 10000 -w 0 >/dev/null || :
	jq -r 'select(.result == "replayed") | .id' spool/replay/*-*.ndjson >back
	[ -z "$(sort back | uniq -d)" ]
	[ -z "$(grep -vxFf back all | grep -v '^9' | head)" ]
	[ -z "$(find "$box" -name '*.json*')" ]
	echo "lost: $(grep -cvxFf back all || :) of $(wc -l <all)"
	egns-ctl audit
}
