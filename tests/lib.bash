# What tests of programs stand on: `load lib` (or ../lib) in a .bats file.
# Each test has a directory of its own, where it stands; daemons that it starts
# are stopped at its end, and a process that is left over fails it.
# shellcheck shell=bash

bats_require_minimum_version 1.5.0

top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
case ${B:=build} in
/*) ;;
*) B=$top/$B ;;
esac
PATH=$B:$PATH
unset EGNS_SPOOL EGNS_CLOCK

# How long a fact may take to come about. Nothing waits this long when all is
# well; a loaded machine under sanitizers needs some patience.
PATIENCE=60

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	export EGNS_TEST=$BATS_TEST_TMPDIR
	declare -gA pid_of=() args_of=()
}

# Stop what start began; a daemon that exits non-zero fails the test, and so
# does a process that nobody stopped. What the daemons said is shown then.
teardown() {
	local name rc=0
	for name in "${!pid_of[@]}"; do
		stop "$name" || rc=1
	done
	no_strays || rc=1
	[ "$rc" -eq 0 ] && [ -n "$BATS_TEST_COMPLETED" ] ||
		tail -n 50 ./*.log 2>/dev/null || :
	return "$rc"
}

# Every child that the test executed has EGNS_TEST in its environment. One that
# is just about to end is given the time.
no_strays() {
	local pid end=$((SECONDS + PATIENCE))
	while [ -n "$(strays)" ]; do
		sleep 0.02
		[ "$SECONDS" -lt "$end" ] && continue
		for pid in $(strays); do
			echo "left over: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")"
			kill -KILL "$pid"
		done
		return 1
	done
}

# It has no EGNS_TEST itself, so that it does not find its own processes.
strays() (
	mark=EGNS_TEST=$EGNS_TEST
	unset EGNS_TEST
	grep -lszFx "$mark" /proc/[0-9]*/environ | grep -o '[0-9]*'
)

# start NAME ARG... - run daemon NAME in the background; return once it is ready.
# PRELOAD names a library to load into it. Not under `run`, which is a subshell.
start() {
	local name=$1
	shift
	args_of[$name]=$([ $# -eq 0 ] || printf '%q ' "$@")
	rm -f "$name.ready" && mkfifo "$name.ready"
	env ${PRELOAD:+"LD_PRELOAD=$PRELOAD"} "$name" -r 4 "$@" \
		4>"$name.ready" >>"$name.log" 2>&1 3>&- &
	pid_of[$name]=$!
	read -r -t "$PATIENCE" _ <"$name.ready" ||
		{ echo "$name: not ready" >&2; return 1; }
}

# shim [VARIABLE=VALUE]... - faults for what is started next: crash/shim.c. Under
# sanitizers their library has to come first.
shim() {
	local variable
	PRELOAD=$(ldd "$B/egns-topicd" |
		awk '/lib(a|ub)san/ { printf "%s ", $3 }')$B/tests/crash/shim.so
	export PRELOAD
	for variable; do
		export "${variable?}"
	done
}

unshim() {
	unset PRELOAD "${!SHIM_@}"
}

# stop NAME - TERM, and its exit status.
stop() {
	local pid=${pid_of[$1]}
	unset "pid_of[$1]"
	kill "$pid" 2>/dev/null || :
	kill -CONT "$pid" 2>/dev/null || : # a test may have ended in between
	wait "$pid" || { echo "$1: exit status $?" >&2; return 1; }
}

# gone NAME - wait for a daemon that ends by itself; sets status.
gone() {
	local pid=${pid_of[$1]}
	unset "pid_of[$1]"
	wait_for process_ended "$pid" || return
	status=0
	# shellcheck disable=SC2034 # for the caller, as after `run`
	wait "$pid" || status=$?
}

# A zombie, which is ours to reap, has ended.
process_ended() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	[[ ${stat##*) } == Z* ]]
}

# crash NAME - kill -9.
crash() {
	local pid=${pid_of[$1]}
	unset "pid_of[$1]"
	kill -KILL "$pid"
	wait "$pid" || :
}

# restart NAME - stop it if it runs, and start it with the arguments it had.
restart() {
	local args
	eval "args=(${args_of[$1]})"
	[ -z "${pid_of[$1]}" ] || stop "$1" || return
	start "$1" "${args[@]}"
}

# wait_for CMD... - until CMD succeeds, or PATIENCE is at its end.
wait_for() {
	local end=$((SECONDS + PATIENCE))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] ||
			{ echo "waited in vain for: $*" >&2; return 1; }
		sleep 0.02
	done
}

# nowhere REGEX PATH... - no file there has it; not all of them need be there, by
# which grep alone would fail, whatever it has found.
nowhere() {
	run grep -rslE -- "$@"
	echo "$output"
	[ -z "$output" ]
}

# ns [TOPIC[/SUBSCRIPTION]...] - make a namespace in ./spool, the spool of all
# that follows, with these topics and queue subscriptions.
ns() {
	local path made=' '
	export EGNS_SPOOL=$PWD/spool
	egns-ctl namespace create -C spool -n testns -o none || return
	for path; do
		[[ $made == *" ${path%%/*} "* ]] || topic "${path%%/*}" || return
		made+="${path%%/*} "
		[[ $path != */* ]] ||
			subscription "${path%%/*}" "${path#*/}" || return
	done
}

# topic NAME [FLAG...]
topic() {
	egns-ctl namespace topic create -o none -n "$@"
}

# subscription TOPIC NAME [QUEUE [FLAG...]] - QUEUE: members of its queue, in
# shorthand: 'receiveLockDurationInSeconds:60,maxDeliveryCount:2'.
subscription() {
	local topic=$1 name=$2 queue=${3:-}
	shift $(($# < 3 ? $# : 3))
	egns-ctl namespace topic event-subscription create -o none \
		--topic-name "$topic" -n "$name" \
		--delivery-configuration "{deliveryMode:Queue,queue:{$queue}}" \
		"$@"
}

# free_ports N - ports that nobody listens on now, below those that the kernel
# chooses for others.
free_ports() {
	python3 -c 'import random, socket, sys
some = set()
while len(some) < int(sys.argv[1]):
    port = random.randrange(10000, 32768)
    with socket.socket() as s:
        if s.connect_ex(("127.0.0.1", port)) != 0:
            some.add(port)
print(*some)' "$1"
}

# event ID [DATA] - a CloudEvent on one line; DATA is JSON.
event() {
	printf '{"specversion":"1.0","id":"%s","source":"/test","type":"t"%s}\n' \
		"$1" "${2:+,\"data\":$2}"
}

# ask LINE... - what topicd answers to these lines, without its greeting.
ask() {
	printf '%s\n' "$@" |
		socat -t "$PATIENCE" - "UNIX-CONNECT:spool/run/topicd.sock" |
		tail -n +2
}

# advance SECONDS - move the clock of all programs that were started after the
# first call (`advance 0` is one). The time that a change may take is part of
# the contract, and over when this returns.
advance() {
	local now=0
	[ ! -e clock ] || read -r now <clock
	echo "$((now + $1))" >clock.new && mv clock.new clock
	export EGNS_CLOCK=$PWD/clock
	sleep 0.1
}

# refused STATUS WORDS ARG... - egns-ctl fails so, says so on one line, and
# leaves the registry as it was.
# shellcheck disable=SC2154 # stderr and stderr_lines are run's
refused() {
	local want=$1 words=$2 before
	shift 2
	before=$(cksum spool/namespace/changes.ndjson 2>/dev/null || :)
	run --separate-stderr egns-ctl "$@"
	echo "status $status: $stderr"
	[ "$status" -eq "$want" ]
	[[ $stderr == *"$words"* ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[ -z "$output" ]
	[ "$before" = "$(cksum spool/namespace/changes.ndjson 2>/dev/null || :)" ]
}
