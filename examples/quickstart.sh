#!/bin/sh
# The whole way of a message, on a throw-away namespace: devices publish over TLS
# what they may, messages become events in a topic, subscriptions choose from them, a
# worker acknowledges, a webhook is sent its events, and what an endpoint does not
# want becomes a dead letter, and comes back by its reason. Run it with the programs in PATH:
#	PATH=$PWD/build:$PATH examples/quickstart.sh
set -eu

webhook=$(dirname "$(readlink -f "$0")")/webhook.py
dir=$(mktemp -d)
cd "$dir"
EGNS_SPOOL=$dir/spool
export EGNS_SPOOL
endpoints=''

# Stop what runs, endpoints by their pids, and leave nothing behind.
finish() {
	[ ! -d spool ] || egns-ctl down 2>/dev/null || :
	for pid in $endpoints; do
		kill "$pid" 2>/dev/null || :
		wait "$pid" || :
	done
	cd / && rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n# %s\n' "$*"; }

# Show the commands on standard input, and run them.
demo() {
	commands=$(cat)
	printf '%s\n' "$commands" |
		sed -e '/^done/s/^/>>/' -e 's/^[^ >]/$ &/' -e 's/^ /   /' \
			-e 's/^>>/  /'
	eval "$commands"
}

# Wait, not for long, until a command succeeds.
wait_for() {
	for _ in $(seq 400); do
		if "$@"; then return 0; fi
		sleep 0.05
	done
	echo "quickstart.sh: waited in vain for: $*" >&2
	return 1
}

# Do all daemons run that the namespace needs?
ready() { egns-ctl status -o none 2>/dev/null; }

# counts SUBSCRIPTION JQ NUMBER - is this what its status says?
counts() {
	egns-ctl namespace topic event-subscription status --topic-name ingest \
		-n "$1" --jq "$2" | grep -qx "$3"
}

# Is the dead letter in its container?
written() { egns-dlq cat | grep -q .; }

# endpoint NAME FLAG... - start a webhook on a free port. What it is sent is in
# NAME, and its URL in NAME.url.
endpoint() {
	name=$1
	shift
	"$webhook" -p 0 "$@" >"$name" 2>"$name.url" </dev/null &
	endpoints="$endpoints $!"
	wait_for grep -qs http "$name.url"
}

say "a namespace with an MQTT broker; its daemons, which are ready when this returns"
demo <<'END'
egns-ctl namespace create -n quickstart -o none \
    --topic-spaces-configuration '{state:Enabled}' \
    --listeners '{mqtts:"127.0.0.1:0",wss:"127.0.0.1:0"}'
egns-ctl up -d
END

say "what devices may do: each press publishes what is its own, and nothing else"
demo <<'END'
egns-ctl namespace topic-space create -n own -o none \
    --topic-templates 'plant/${client.authenticationName}/#'
egns-ctl namespace client-group create -n presses -o none \
    --query "attributes.kind = 'press'"
egns-ctl namespace permission-binding create -n presses-publish -o none \
    --client-group-name presses --topic-space-name own --permission Publisher
END

say "two devices, each with a certificate: TLS is all there is"
demo <<'END'
for name in press-07 press-08; do
    egns-ctl namespace client create -n $name --attributes '{kind:press}' -o none
    egns-ctl cert issue $name
done
ls -- *.pem
END

say "a topic, and two subscriptions: one takes everything, one what is hot"
demo <<'END'
egns-ctl namespace topic create -n ingest -o none
egns-ctl namespace topic event-subscription create -o none \
    --topic-name ingest -n all
egns-ctl namespace topic event-subscription create -o none \
    --topic-name ingest -n hot --filters-configuration \
    '{filters:[{operatorType:NumberGreaterThan,key:data.celsius,value:90}]}'
END

say "the route: from now on messages become events, which say who sent them"
demo <<'END'
egns-ctl namespace update -o none --set \
    topicSpacesConfiguration.routeTopicResourceId=ingest \
    topicSpacesConfiguration.routingEnrichments='{"dynamic":
        [{"key":"sender","value":"${client.authenticationName}"}]}'
END
wait_for ready
demo <<'END'
egns-ctl status -o table
END

say "the devices publish; each message is on disk when it is acknowledged"
demo <<'END'
printf '{"celsius":%s}\n' 71.5 93.0 88.2 |
    egns-ctl mqtt pub --client press-07 -t plant/press-07/temperature -l
printf '{"celsius":%s}\n' 97.2 64.9 |
    egns-ctl mqtt pub --client press-08 -t plant/press-08/temperature -l
END
wait_for counts all .matched 5

say "all five are in the topic, in order, and on disk"
demo <<'END'
jq -c '.event | [.sender, .subject, .data]' spool/topics/ingest/log/*.ndjson
END

say "this is what the last one looks like, as everybody gets it"
demo <<'END'
tail -n 1 spool/topics/ingest/log/*.ndjson | jq .event
END

say "a worker runs a command for each hot event, and acknowledges when it succeeds"
demo <<'END'
egns-pull exec -t ingest -s hot --until-empty -- \
    jq -r '"cool \(.sender): \(.data.celsius) degrees"'
END

say "so nothing waits there any more; the other subscription has all five"
demo <<'END'
egns-ctl namespace topic event-subscription status --topic-name ingest -o table \
    --query '[].{name:subscription,matched:matched,acknowledged:acknowledged,pending:pending}'
END

say "a webhook, examples/webhook.py: it lets us deliver, and prints what it is sent"
endpoint received
demo <<'END'
egns-ctl namespace topic event-subscription create -o none \
    --topic-name ingest -n webhook --delivery-configuration "{deliveryMode:Push,
    push:{destination:{endpointType:WebHook,
    properties:{endpointUrl:'$(cat received.url)'}}}}"
END

say "and one that answers every delivery with 403, as if a role were missing"
endpoint nothing -s 403
demo <<'END'
egns-ctl namespace topic event-subscription create -o none \
    --topic-name ingest -n refuses --delivery-configuration "{deliveryMode:Push,
    push:{destination:{endpointType:WebHook,
    properties:{endpointUrl:'$(cat nothing.url)'}}}}"
END
wait_for ready

say "the next message is brought to both"
demo <<'END'
egns-ctl mqtt pub --client press-07 -t plant/press-07/temperature -m '{"celsius":95.1}'
END
wait_for counts webhook .acknowledged 1
wait_for counts refuses .deadLettered.Unauthorized 1
demo <<'END'
jq -c '[.sender, .subject, .data]' received
END

say "the one that was refused is a dead letter"
demo <<'END'
egns-ctl namespace topic event-subscription status --topic-name ingest -n refuses \
    --query '{state:state,deadLettered:deadLettered,lastError:lastError}'
END

wait_for written
say "and is kept, with the reason"
demo <<'END'
egns-dlq list
egns-dlq cat --subscription refuses | jq '{subject, data, deadletterProperties}'
END

say "its endpoint is mended: from now on it is the other webhook"
demo <<'END'
egns-ctl namespace topic event-subscription update -o none \
    --topic-name ingest -n refuses --set \
    deliveryConfiguration.push.destination.properties.endpointUrl="$(cat received.url)"
END

say "what would come back, and why; and then it does, to this subscription only"
demo <<'END'
egns-replay --reason Unauthorized --dry-run 2>/dev/null |
    jq '{action, why, id, topic, subscription}'
egns-replay --reason Unauthorized 2>&1
END
wait_for counts refuses .acknowledged 1
demo <<'END'
jq -c '[.sender, .subject, .data]' received
egns-dlq check
END

say "what is not allowed is refused"
demo <<'END'
egns-ctl mqtt pub --client press-07 -t plant/press-08/temperature -m 20 2>&1 || :
END

say "and this is why"
demo <<'END'
egns-ctl explain --client press-07 --publish plant/press-08/temperature || :
END

say "nothing is lost: the books balance"
demo <<'END'
egns-ctl audit --jq '{balanced, differences}'
END

say "everything is stopped, and this directory is removed"
demo <<'END'
egns-ctl down
END
