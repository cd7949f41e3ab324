#!/bin/sh
# Give dead letters of some reasons back to the subscriptions that they failed at.
#	replay.sh REASON[,REASON...] [OPTION...]
# Options are those of egns-replay. Nothing is printed when all went back, or when
# topicd cannot take them now: the next run will. It needs no lock, as egns-replay
# has one of its own, and remembers what it has done.
set -u

if [ $# -eq 0 ]; then
	echo 'usage: replay.sh REASON[,REASON...] [OPTION...]' >&2
	exit 64
fi
reasons=$1
shift

said=$(egns-replay --reason "$reasons" "$@" 2>&1) && exit 0
status=$?
[ "$status" -ne 75 ] || exit 0
printf '%s\n' "$said"
exit "$status"
