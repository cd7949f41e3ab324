# Azurite, the emulator of Blob Storage that its vendor has written: `load lib;
# load azurite`.
# shellcheck shell=bash

# azurite_up [FLAG...] - run it on ./azurite, where it keeps its blobs, on a port
# that is free, and then stays its own: after `stop azurite` it can be started
# again (`crash azurite` loses what it has not written yet). It is $AZURITE then,
# the URL of its account, whose key is in ./azurite.key.
azurite_up() {
	local port=0
	mkdir -p azurite
	[ ! -e azurite.port ] || port=$(<azurite.port)
	echo 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==' \
		>azurite.key
	node "$B/npm/node_modules/.bin/azurite-blob" --silent \
		--disableTelemetry --location azurite --blobPort "$port" "$@" \
		>azurite.said 2>azurite.log 3>&- &
	# shellcheck disable=SC2034 # lib.bash's
	pid_of[azurite]=$!
	wait_for azurite_knows
	azurite_listens || { cat azurite.said azurite.log; return 1; }
	AZURITE=http://127.0.0.1:$(<azurite.port)/devstoreaccount1
}

# It says that it listens, or why it does not.
azurite_knows() {
	process_ended "${pid_of[azurite]}" || azurite_listens
}

azurite_listens() {
	local url
	url=$(sed -n 's|.*successfully listens on \(https*://.*\)|\1|p' \
		azurite.said)
	[ -n "$url" ] && echo "${url##*:}" >azurite.port
}

# sdk VERB CONTAINER [ARG...] - the account by the vendor's own client, see
# blob/sdk.mjs.
sdk() {
	B=$B node "$top/tests/blob/sdk.mjs" "$AZURITE" "$@"
}

# The account's resource id; and the namespace's endpoint of it, with a
# credential, by default the account's key.
azurite_id=/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage
azurite_id+=/storageAccounts/azurite
azurite_endpoint() {
	jq -cn --arg id "$azurite_id" --arg url "$AZURITE" \
		--arg key "$PWD/azurite.key" --argjson credential "${1:-null}" \
		'{resourceId: $id, url: $url, credential:
			($credential // {file: $key, type: "key"})}'
}
