#!/bin/sh
# Give dead letters of some reasons back to the subscriptions that they failed at.
#	replay.sh REASON[,REASON...] [OPTION...]
# Options are those of egns-replay. Nothing is printed when all went back, nor when
# some must be tried later, as topicd does not run or a container cannot be read: the
# next run will, and report.sh tells of what stays so. What cannot go back, its
# subscription being gone, say, is told each time, and so is a REASON that looks
# misspelled. It needs no lock, as egns-replay has one of its own, and remembers
# what it has done.
set -u

if [ $# -eq 0 ]; then
	echo 'usage: replay.sh REASON[,REASON...] [OPTION...]' >&2
	exit 64
fi
reasons=$1
shift

said=$(egns-replay --reason "$reasons" "$@" 2>&1)
status=$?
case $status in
0) printf '%s\n' "$said" | grep 'did you mean' ;;
75) status=0 ;;
*) printf '%s\n' "$said" ;;
esac
exit "$status"
