# Blob Storage as its vendor's emulator has it, seen by the vendor's client and
# by lib/blob (blob/blob.c).

load lib
load azurite

# blob VERB [ARG...] - of the container deadletter; ENDPOINT is another one.
blob() {
	"$B/tests/blob/blob" "${ENDPOINT:-$(azurite_endpoint)}" deadletter "$@"
}

# fails STATUS WORDS VERB [ARG...]
fails() {
	local want=$1 words=$2
	shift 2
	run blob "$@" </dev/null
	echo "status $status: $output"
	[ "$status" -eq "$want" ]
	[[ $output == *"$words"* ]]
}

# Names that a URL cannot have as they are.
odd_names() {
	cat <<-'END'
		plain.json
		a/b c/d.json
		it's (100%)!*.json
		a+b&c=d?e#f;g,h:i@j$k.json
		%41.json
		grüße/€/😀.json
		"<&>".json
		[a]{b}|c^d`.json
		.hidden/..a/...b
		a//b.json
		~x-_..json
	END
}

@test "what we put is there for the vendor's client, byte for byte" {
	local name
	azurite_up
	sdk create deadletter
	odd_names >names
	while read -r name; do
		echo "text of $name" | blob put "$name" >etag
		[[ $(<etag) == \"*\" ]]
	done <names
	printf '\0\377\n' | blob put 'no text'
	printf '' | blob put nothing
	sdk dump deadletter >dumped
	diff <(sort names) <(jq -r 'select(.text // "" | . != "") | .name' \
		dumped | sort)
	jq -es 'all(.name == "no text" or .name == "nothing" or
		.text == "text of \(.name)\n")' dumped
	jq -es 'any(.name == "no text" and .base64 == "AP8K") and
		any(.name == "nothing" and .text == "")' dumped
	sdk list deadletter | jq -es 'all(.type == "application/json")'
}

@test "what the vendor's client has put is there for us" {
	local name etag
	azurite_up
	sdk create deadletter
	odd_names >names
	jq -cR '{name: ., text: "text of \(.)"}' names | sdk load deadletter
	blob list >listed
	diff <(sort names) <(jq -r .name listed | sort)
	while read -r name; do
		[ "$(blob get "$name" 2>etag)" = "text of $name" ]
		etag=$(jq -r --arg n "$name" 'select(.name == $n) | .etag' \
			listed)
		[ "$etag" = "$(<etag)" ]
		blob delete "$name" "$etag"
	done <names
	[ -z "$(sdk list deadletter)" ]
	jq -es --argjson now "$(date +%s)" \
		'all(.size > 8 and (.modified / 1e6 - $now | fabs) < 600)' listed
}

@test "a blob is put once, replaced and deleted only as it was" {
	local first second
	azurite_up
	sdk create deadletter
	first=$(echo one | blob put a/b.json)
	fails 73 'status 409 BlobAlreadyExists' put a/b.json
	[ "$(blob get a/b.json 2>/dev/null)" = one ]
	second=$(echo two | blob put a/b.json "$first")
	[ "$first" != "$second" ]
	fails 74 'status 412 ConditionNotMet' put a/b.json "$first"
	fails 74 'status 412 ConditionNotMet' delete a/b.json "$first"
	fails 65 'more than 3 bytes' get a/b.json 3
	[ "$(blob get a/b.json 4 2>/dev/null)" = two ]
	blob delete a/b.json "$second"
	fails 66 'status 404 BlobNotFound' get a/b.json
	fails 66 'status 404 BlobNotFound' delete a/b.json
	# somebody took it away meanwhile
	fails 74 'status 412' put a/b.json "$second"
}

@test "a list of many blobs has many pages" {
	azurite_up
	sdk create deadletter
	{
		seq 0 2099 | jq -c '{name: "ns/\(.)", text: ""}'
		echo '{"name":"other","text":"x"}'
	} | sdk load deadletter
	blob list ns/ | jq -r .name >names
	[ "$(wc -l <names)" -eq 2100 ]
	diff names <(seq 0 2099 | sed 's|^|ns/|' | LC_ALL=C sort)
	blob list ns/20 | jq -r .name >names
	[ "$(wc -l <names)" -eq 111 ]
	[ -z "$(blob list nothing)" ]
}

@test "a missing container is told with what makes it, and what it makes is enough" {
	azurite_up
	fails 75 "there is no container 'deadletter'; make it: az storage container create --name deadletter --account-name devstoreaccount1 --blob-endpoint $AZURITE" put a
	fails 75 'status 404 ContainerNotFound' get a
	fails 75 'status 404 ContainerNotFound' delete a
	fails 75 'status 404 ContainerNotFound' list
	sdk create deadletter
	echo x | blob put a
}

@test "shared access signatures do what they permit" {
	azurite_up
	sdk create deadletter
	local ENDPOINT
	ENDPOINT=$(azurite_endpoint "{\"file\":\"$PWD/sas\",\"type\":\"sas\"}")
	sdk sas deadletter rcwdl >sas
	echo one | blob put 'a b.json' >etag
	[ "$(blob get 'a b.json' 2>/dev/null)" = one ]
	[ "$(blob list 'a ' | jq -r .name)" = 'a b.json' ]
	echo two | blob put 'a b.json' "$(<etag)"
	blob delete 'a b.json'
	sdk sas deadletter r >sas
	fails 75 'does not permit it; create, read, write' put a
	sdk sas deadletter rcwdl -60 >sas
	fails 75 "is not this account's, or has ended" put a
	sdk sas deadletter rcwdl | sed 's/sig=..../sig=AAAA/' >sas
	fails 75 'the shared access signature is not' put a
	# the query is a secret
	[[ $output != *sig=* ]]
	[[ $output != *se=* ]]
}

@test "connection strings say where the account is, and who we are" {
	azurite_up
	sdk create deadletter
	local ENDPOINT
	ENDPOINT="{\"resourceId\":\"$azurite_id\",
		\"credential\":{\"command\":\"cat '$PWD/string'\",
		\"type\":\"connectionString\"}}"
	echo "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=$(
		<azurite.key);BlobEndpoint=$AZURITE;" >string
	echo one | blob put a
	echo "BlobEndpoint=$AZURITE;SharedAccessSignature=$(
		sdk sas deadletter rcwdl)" >string
	[ "$(blob get a 2>/dev/null)" = one ]
	ENDPOINT=$(azurite_endpoint "{\"file\":\"$PWD/string\",
		\"type\":\"connectionString\"}")
	echo UseDevelopmentStorage=true >string
	[ "$(blob get a 2>/dev/null)" = one ]
}

@test "a key that is another account's is not told" {
	azurite_up
	sdk create deadletter
	openssl rand -base64 32 >azurite.key.new
	mv azurite.key.new azurite.key
	fails 75 "the key is not this account's, or this machine's clock is wrong" put a
	[[ $output != *"$(head -c 12 azurite.key)"* ]]
}

@test "leases and snapshots are others' business" {
	azurite_up
	sdk create deadletter
	echo x | blob put a
	sdk lease deadletter a
	fails 75 'LeaseIdMissing' delete a
	echo x | blob put b
	sdk snapshot deadletter b
	fails 65 'it has snapshots, which are not ours to delete' delete b
}

@test "an account that is away comes back with what it had" {
	azurite_up
	sdk create deadletter
	echo x | blob put a
	stop azurite
	fails 75 127.0.0.1 put b
	[[ $output != *unsure* ]]
	azurite_up
	[ "$(blob get a 2>/dev/null)" = x ]
	fails 73 BlobAlreadyExists put a
	echo x | blob put b
}
