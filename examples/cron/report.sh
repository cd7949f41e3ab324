#!/bin/sh
# What is dead, by subscription and reason, what of it is new, what was put aside,
# what waits for its destination, and whether anything was dropped:
#	report.sh [HOW-LONG]
# Nothing is printed when there is nothing of all this. HOW-LONG, 24h when it is not
# said, is how long ago the last report was.
set -u

since=${1:-24h}
failed=0
errors=$(mktemp) || exit
trap 'rm -f "$errors"' EXIT

# below TEXT SAID - what was said, below a heading, if it was anything.
below() {
	[ -z "$2" ] || printf '%s\n\n%s\n\n' "$1" "$2"
}

# list TEXT OPTION... - dead letters.
list() {
	text=$1
	shift
	said=$(egns-dlq list "$@" 2>>"$errors") || failed=$?
	below "$text" "$said"
}

list 'Dead letters:' --by topic,subscription,reason
list "New ones, of the last $since:" --since "$since"
list 'Put aside:' --quarantine --by topic,subscription,reason
below 'What went wrong here:' "$(sort -u "$errors")"

# each destination that fails, or that egns-dlq does not run
said=$(egns-ctl status -o table 2>&1 >/dev/null | grep 'dead letters wait')
below 'Not written yet:' "$said"

# 2: events were dropped; 3 and above: nobody knows
said=$(egns-dlq check --since "$since" 2>&1)
case $? in
0 | 1) ;;
*) below "Dropped in the last $since:" "${said%% |*}" ;;
esac
exit "$failed"
