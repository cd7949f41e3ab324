#!/bin/sh
# The main jobs on a throw-away namespace: events go into a topic, are on disk,
# and come out of a subscription under locks; a device publishes over MQTT, and a
# screen sees it. Run it with the programs in PATH:
#	PATH=build:$PATH examples/quickstart.sh
set -eu

EGNS_SPOOL=$(mktemp -d)/spool
export EGNS_SPOOL
supervisor=
subscriber=

# Stop what runs, by its pid, and leave nothing behind.
finish() {
	[ -z "$subscriber" ] || kill "$subscriber" 2>/dev/null || :
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
egns-ctl namespace create -n quickstart -o none \
	--listeners '{mqtts:"127.0.0.1:0",wss:"127.0.0.1:0"}'
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

say "the MQTT broker is a property of the namespace; it listens on a free port"
egns-ctl namespace update -o none --set topicSpacesConfiguration.state=Enabled
until egns-ctl status -o none 2>/dev/null; do
	kill -0 "$supervisor"
	sleep 0.05
done
egns-ctl status --jq .listeners.mqtts

say "a device may publish what is its own, a screen may see all of the plant"
egns-ctl namespace topic-space create -o none -n own \
	--topic-templates "plant/\${client.authenticationName}/#"
egns-ctl namespace topic-space create -o none -n all \
	--topic-templates 'plant/#'
egns-ctl namespace client-group create -o none -n screens \
	--query "attributes.role = 'screen'"
egns-ctl namespace permission-binding create -o none -n publish-own \
	--client-group-name "\$all" --topic-space-name own \
	--permission Publisher
egns-ctl namespace permission-binding create -o none -n screens-see \
	--client-group-name screens --topic-space-name all \
	--permission Subscriber
egns-ctl namespace client create -o none -n press-07
egns-ctl namespace client create -o none -n hall-2 --attributes '{role:screen}'

say "each has a certificate; TLS is all there is"
cd "${EGNS_SPOOL%/spool}"
egns-ctl cert issue press-07
egns-ctl cert issue hall-2
ls -- *.pem

say "what the press publishes the screen receives"
mkfifo subscribed
egns-ctl mqtt sub --client hall-2 -t 'plant/#' -n 1 -o json -r 4 \
	4>subscribed >message &
subscriber=$!
read -r _ <subscribed
egns-ctl mqtt pub --client press-07 -t plant/press-07/temp \
	-m '{"celsius":71.5}' --user-property unit=C
wait "$subscriber"
subscriber=
cat message

say "and what it may not do is refused, with the reason"
egns-ctl mqtt pub --client press-07 -t plant/press-08/temp -m 0 2>&1 || :
egns-ctl explain --client press-07 --publish plant/press-08/temp || :
egns-ctl explain --client press-07 --subscribe 'plant/#' || :
egns-ctl explain --client press-07 --subscribe 'plant/#' \
	--add-attribute role=screen
