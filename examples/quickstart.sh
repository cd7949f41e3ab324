#!/bin/sh
# The main job on a throw-away namespace: events go into a topic, are on disk,
# and come out of a subscription under locks. Run it with the programs in PATH:
#	PATH=build:$PATH examples/quickstart.sh
set -eu

EGNS_SPOOL=$(mktemp -d)/spool
export EGNS_SPOOL
supervisor=

# Stop what runs, by its pid, and leave nothing behind.
finish() {
	if [ -n "$supervisor" ]; then
		kill "$supervisor" 2>/dev/null || :
		wait "$supervisor" || :
	fi
	rm -rf "${EGNS_SPOOL%/spool}"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n# %s\n' "$*"; }

say "a namespace, and its daemons: ready when a line comes through the pipe"
egns-ctl namespace create -n quickstart -o none
mkfifo "$EGNS_SPOOL/ready"
egns-ctl up -r 4 4>"$EGNS_SPOOL/ready" &
supervisor=$!
read -r _ <"$EGNS_SPOOL/ready" || exit 1
egns-ctl status -o table

say "a topic, and a subscription that takes what is hot"
egns-ctl namespace topic create -n plant -o none
egns-ctl namespace topic event-subscription create \
	--topic-name plant -n hot -o none \
	--delivery-configuration '{deliveryMode:Queue,queue:{maxDeliveryCount:3}}' \
	--filters-configuration '{filters:[{operatorType:NumberGreaterThan,
		key:data.celsius,value:90}]}'

say "three readings, each a line of JSON, become events"
egns-ctl publish -t plant --wrap --type temp --source /plant/b12 \
	--subject .pump <<'EOF'
{"pump":"p1","celsius":71.5}
{"pump":"p2","celsius":93.0}
{"pump":"p3","celsius":97.2}
EOF

say "two match; both are received, and locked for us"
egns-pull receive -t plant -s hot -n 10 >"$EGNS_SPOOL/received"
jq -c '[.brokerProperties.deliveryCount, .event.subject, .event.data]' \
	"$EGNS_SPOOL/received"

say "the first is done with; the second will never be"
head -n 1 "$EGNS_SPOOL/received" | egns-pull acknowledge -t plant -s hot -
tail -n 1 "$EGNS_SPOOL/received" | egns-pull reject -t plant -s hot -

say "a rejected event is a dead letter, with the reason"
jq -c '[.subscription, .event.subject, .deadletterProperties]' \
	"$EGNS_SPOOL"/deadletter/new/*

say "all events are in the log, as they came"
cat "$EGNS_SPOOL"/topics/plant/log/*.ndjson

say "and the books balance"
egns-ctl audit -o table
