#!/bin/sh
# What is dead, by subscription and reason, what of it is new, and what was dropped:
#	report.sh [HOW-LONG]
# Nothing is printed when there is nothing of either. HOW-LONG, 24h when it is not
# said, is how long ago the last report was.
set -u

since=${1:-24h}

# heading TEXT COMMAND... - what the command prints, below a heading, if it prints
# anything; below another one, what went wrong.
heading() {
	text=$1
	shift
	said=$("$@" 2>&1)
	status=$?
	[ "$status" -eq 0 ] || failed=$status
	[ -z "$said" ] || printf '%s\n\n%s\n\n' "$text" "$said"
}

failed=0
heading 'Dead letters, all of them:' egns-dlq stat -o table
heading "Those of the last $since:" egns-dlq list --since "$since" -o table
heading "Those that were put aside:" egns-dlq list --quarantine -o table
exit "$failed"
