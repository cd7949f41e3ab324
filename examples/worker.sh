#!/bin/sh
# The worker loop: a command for each event, which settles it by its status. On a
# throw-away namespace; run it with the programs in PATH:
#	PATH=$PWD/build:$PATH examples/worker.sh
set -eu

dir=$(mktemp -d)
EGNS_SPOOL=$dir/spool
export EGNS_SPOOL
supervisor='' worker=''

# Stop what runs, by its pid, and leave nothing behind.
finish() {
	for pid in $worker $supervisor; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" || :
	done
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n# %s\n' "$*"; }

# publish FROM TO - orders with these numbers.
publish() {
	seq "$1" "$2" | jq -c '{order: ., amount: (. * 7 % 50)}' |
		egns-ctl publish -t orders --wrap --type order.new \
			--source /shop --subject .order
}

# settled - is no event waiting or under way any more?
settled() {
	egns-ctl status --jq '.daemons[] | select(.name == "topicd") |
		.pending + .inFlight == 0' | grep -qx true
}

# written - are all dead letters in their container?
written() {
	egns-ctl audit --jq '.subscriptions[] | .written == .deadLettered' |
		grep -qx true
}

egns-ctl namespace create -n worker -o none
mkfifo "$dir/ready"
egns-ctl up -r 4 4>"$dir/ready" &
supervisor=$!
read -r _ <"$dir/ready" || exit 1
egns-ctl namespace topic create -n orders -o none
egns-ctl namespace topic event-subscription create \
	--topic-name orders -n booking -o none

# 0 acknowledges, 65 rejects, anything else releases: here each seventh order
# is not understood, and each fifth has to be tried twice.
cat >"$dir/handle" <<'EOF'
#!/bin/sh
order=$(jq .data.order)
[ $((order % 7)) -ne 0 ] || exit 65
[ $((order % 5)) -ne 0 ] || [ "$EGNS_DELIVERY_COUNT" -gt 1 ] || exit 75
echo "order $order booked, delivery $EGNS_DELIVERY_COUNT"
EOF
chmod +x "$dir/handle"

say "ten orders, until nothing is left: what cron would do"
publish 1 10
egns-pull exec -t orders -s booking --until-empty -- "$dir/handle"

say "a worker that stays, four commands at a time"
egns-pull exec -t orders -s booking -j 4 -- "$dir/handle" >"$dir/booked" &
worker=$!
publish 11 30
until settled; do
	kill -0 "$worker" || exit 1
	sleep 0.1
done
sort -k 2n "$dir/booked"

say "it is told to stop: commands that run would be let finish"
kill "$worker"
wait "$worker"
worker=

say "rejected orders are dead letters"
until written; do
	sleep 0.1
done
egns-dlq cat | jq -c '[.subject, .deadletterProperties.deadletterreason]'

say "and every order is accounted for"
egns-ctl audit -o table
