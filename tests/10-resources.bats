# shellcheck shell=bash
# Resources: what az eventgrid does, egns-ctl does.
load lib

queue_of() {
	egns-ctl namespace topic event-subscription show --topic-name t01 -n "$1" \
		--query "deliveryConfiguration.queue.$2" -o tsv
}

@test "the guide's commands work with egns-ctl in place of az eventgrid" {
	RG=rg-eventing NS=egns-telemetry
	egns-ctl namespace create \
		--resource-group $RG --name $NS --location eastus \
		--topic-spaces-configuration "{state:Enabled}" \
		--identity "{type:SystemAssigned}" -o none
	egns-ctl namespace client create \
		--resource-group $RG --namespace-name $NS \
		--client-name sensor-0007 --authentication-name sensor-0007 \
		--state Enabled --client-certificate-authentication \
		"{validationScheme:ThumbprintMatch,allowedThumbprints:[$(
			sha1sum </dev/null | cut -d ' ' -f 1)]}" \
		--attributes "{building:'b12',role:'sensor'}" -o none
	egns-ctl namespace topic-space create \
		--resource-group $RG --namespace-name $NS --name ts-telemetry \
		--topic-templates "devices/\${client.authenticationName}/#" -o none
	egns-ctl namespace client-group create \
		--resource-group $RG --namespace-name $NS --name cg-sensors \
		--query "attributes.role = 'sensor'" -o none
	egns-ctl namespace permission-binding create \
		--resource-group $RG --namespace-name $NS --name pb-sensors-pub \
		--client-group-name cg-sensors --topic-space-name ts-telemetry \
		--permission Publisher -o none
	egns-ctl namespace topic create -g $RG --namespace-name $NS -n mqtt-ingest \
		-o none
	egns-ctl namespace topic event-subscription create \
		--resource-group $RG --namespace-name $NS \
		--topic-name mqtt-ingest --name sub-eventhubs \
		--delivery-configuration '{
			"deliveryMode": "Push",
			"push": { "deliveryWithResourceIdentity": {
				"identity": { "type": "SystemAssigned" },
				"destination": {
					"endpointType": "EventHub",
					"properties": { "resourceId": "/subscriptions/x/resourceGroups/y/providers/Microsoft.EventHub/namespaces/z/eventhubs/telemetry" }
				} } } }' -o none
	egns-ctl namespace topic event-subscription create \
		-g $RG --namespace-name $NS --topic-name mqtt-ingest \
		--name sub-worker --delivery-configuration '{
			"deliveryMode": "Queue",
			"queue": {
				"receiveLockDurationInSeconds": 60,
				"maxDeliveryCount": 2, "eventTimeToLive": "PT5M" } }' -o none

	run egns-ctl namespace show -g $RG -n $NS -o table --query \
		"{state:topicSpacesConfiguration.state, identity:identity.type}"
	[ "${lines[2]}" = "Enabled  SystemAssigned" ]
	run egns-ctl namespace topic event-subscription show -g $RG -o tsv \
		--namespace-name $NS --topic-name mqtt-ingest --name sub-worker \
		--query "{mode:deliveryConfiguration.deliveryMode,
		lock:deliveryConfiguration.queue.receiveLockDurationInSeconds}"
	[ "$output" = $'Queue\t60' ]
	[ "$(egns-ctl namespace client show -n sensor-0007 --query attributes.role \
		-o tsv)" = sensor ]
	[ "$(egns-ctl namespace client-group show -n cg-sensors --query query -o tsv)" \
		= "attributes.role = 'sensor'" ]
	run egns-ctl namespace permission-binding list -g $RG --namespace-name $NS \
		-o table
	[[ ${lines[2]} == pb-sensors-pub* ]]
	[[ $(egns-ctl namespace show --query identity.principalId -o tsv) == *-*-*-*-* ]]
}

@test "namespace create makes DIR whole, and refuses one that holds a namespace" {
	egns-ctl namespace create -C some/where -n ns-a -o none
	for d in run route/new deadletter/tmp topics dropped sessions replay \
		metrics containers/local/deadletter; do
		[ -d "some/where/$d" ]
	done
	refused 73 "holds a namespace already" namespace create -C some/where -n b-ns
	refused 66 "" namespace show -C elsewhere
}

@test "nothing goes to disk when a namespace is refused" {
	refused 65 "listeners.mqtts" namespace create -C new -n ns-a \
		--listeners '{mqtts:nowhere}'
	refused 65 "must not begin with System" namespace create -C new -n system-a
	[ ! -e new ]
}

@test "another resource group or namespace is an error" {
	ns t01
	refused 66 "resource group 'other'" namespace topic list -g other
	refused 66 "namespace 'other'" namespace topic list --namespace-name other
	refused 66 "namespace 'other'" namespace show -n other
	egns-ctl namespace topic list -g EGNS --namespace-name testns -o none
}

@test "what exists is not created again, and what is not there is not found" {
	ns t01/s01
	refused 73 "topics/t01 exists already" namespace topic create -n t01
	refused 66 "topics/t99: not found" namespace topic show -n t99
	refused 66 "topics/t99: not found" namespace topic update -n t99 \
		--event-retention-in-days 2
	refused 66 "topics/t99: not found" namespace topic event-subscription \
		create --topic-name t99 -n s01
	egns-ctl namespace topic delete -n t99 --yes
}

@test "a bad value is refused by its field, a bad flag with a suggestion" {
	ns t01/s01
	refused 65 "eventRetentionInDays: 8 is not in 1..7" namespace topic \
		create -n t02 --event-retention-in-days 8
	refused 65 "maxDeliveryCount: 11 is not in 1..10" namespace topic \
		event-subscription update --topic-name t01 -n s01 \
		--delivery-configuration queue.maxDeliveryCount=11
	refused 65 "filtersConfiguration.filters[0]" namespace topic \
		event-subscription update --topic-name t01 -n s01 \
		--filters-configuration \
		'{filters:[{operatorType:NumberIn,key:data.x,values:[a]}]}'
	refused 65 "name 'x'" namespace topic create -n x
	refused 65 "'capacty'" namespace update --sku '{capacty:2}'
	refused 64 "is --event-retention-in-days meant" namespace topic create \
		-n t02 --event-retention-in-day 3
	refused 64 "--name is missing" namespace topic create
	refused 64 "say --yes" namespace topic delete -n t01
	refused 64 "is 'namespace topic create' meant" namespace topic crate
}

@test "update takes flags, partial values, --set, --add and --remove" {
	ns t01/s01
	es=(namespace topic event-subscription update --topic-name t01 -n s01 -o none)
	egns-ctl "${es[@]}" --delivery-configuration queue.maxDeliveryCount=3
	[ "$(queue_of s01 maxDeliveryCount)" = 3 ]
	egns-ctl "${es[@]}" --set deliveryConfiguration.queue.maxDeliveryCount=4 \
		deliveryConfiguration.queue.eventTimeToLive=PT7M
	[ "$(queue_of s01 maxDeliveryCount)" = 4 ]
	[ "$(queue_of s01 eventTimeToLive)" = PT7M ]
	egns-ctl "${es[@]}" --remove deliveryConfiguration.queue.eventTimeToLive
	[ "$(queue_of s01 eventTimeToLive)" = "" ]
	egns-ctl "${es[@]}" --add filtersConfiguration.includedEventTypes a b
	egns-ctl "${es[@]}" --set 'filtersConfiguration.includedEventTypes[-1]=c'
	run egns-ctl namespace topic event-subscription show --topic-name t01 -n s01 \
		--query filtersConfiguration.includedEventTypes -o tsv
	[ "$output" = $'a\nc' ]
	egns-ctl "${es[@]}" --filters-configuration null
	run egns-ctl namespace topic event-subscription show --topic-name t01 -n s01 \
		--query filtersConfiguration
	[ "$output" = null ]
	egns-ctl namespace update --tags a=1 b=two -o none
	[ "$(egns-ctl namespace show --jq .tags.b)" = '"two"' ]
}

@test "a value can come from a file" {
	ns
	cp "$top/tests/certs/ca.pem" ca.pem
	egns-ctl namespace ca-certificate create -n ca-one \
		--encoded-certificate @ca.pem -o none
	[ "$(egns-ctl namespace ca-certificate show -n ca-one \
		--query encodedCertificate | jq -r .)" = "$(cat ca.pem)" ]
	refused 65 "file 'none.json'" namespace client create -n c \
		--attributes @none.json
	echo '{"floor": 5}' >a.json
	egns-ctl namespace client create -n c --attributes @a.json -o none
	[ "$(egns-ctl namespace client show -n c --jq .attributes.floor)" = 5 ]
}

@test "every subscription has a dead-letter destination unless asked otherwise" {
	ns t01/s01
	[ "$(queue_of s01 deadLetterDestinationWithResourceIdentity.deadLetterDestination.properties.blobContainerName)" \
		= deadletter ]
	subscription t01 s02 '' --no-dead-letter
	[ "$(queue_of s02 deadLetterDestinationWithResourceIdentity)" = "" ]
	egns-ctl namespace update --set allowNoDeadLetter=false -o none
	refused 65 "allowNoDeadLetter" namespace topic event-subscription create \
		--topic-name t01 -n s03 --no-dead-letter
	subscription t01 s04
}

# dead_letters SETTINGS - an update of s01's dead-letter destination.
dead_letters() {
	echo "{deliveryMode:Queue,queue:{deadLetterDestinationWithResourceIdentity:{deadLetterDestination:$1}}}"
}

@test "a dead-letter destination is one that can be" {
	ns t01/s01
	local account=/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts
	local update=(namespace topic event-subscription update --topic-name t01 -n s01)
	local row
	while IFS='|' read -r row words; do
		refused 65 "$words" "${update[@]}" --delivery-configuration "$(dead_letters "$row")"
	done <<-EOF
	{endpointType:StorageBlob,properties:{resourceId:/x,blobContainerName:dead}}|resourceId: must be the id of a storage account
	{endpointType:StorageBlob,properties:{resourceId:$account/,blobContainerName:dead}}|resourceId: must be the id of a storage account
	{endpointType:StorageBlob,properties:{resourceId:$account/a/b,blobContainerName:dead}}|resourceId: must be the id of a storage account
	{endpointType:StorageBlob,properties:{resourceId:$account/acct,blobContainerName:De}}|blobContainerName: must be the name of a container
	{endpointType:StorageBlob,properties:{resourceId:$account/acct,blobContainerName:Dead}}|blobContainerName: must be the name of a container
	{endpointType:StorageBlob,properties:{resourceId:$account/acct,blobContainerName:a--b}}|blobContainerName: must be the name of a container
	{endpointType:StorageBlob,properties:{resourceId:$account/acct,blobContainerName:dead-}}|blobContainerName: must be the name of a container
	{endpointType:StorageBlob,properties:{resourceId:$account/acct,blobContainerName:../x}}|blobContainerName: must be the name of a container
	{endpointType:Directory,properties:{path:../dead}}|path: must have no .. in it
	{endpointType:Directory,properties:{path:dead/../../x}}|path: must have no .. in it
	{endpointType:Directory,properties:{path:/dead/..}}|path: must have no .. in it
	{endpointType:Directory,properties:{path:""}}|path: has 0 characters
	{endpointType:Directory,properties:{path:.}}|path: must be below the spool, and not the spool itself
	{endpointType:Directory,properties:{path:deadletter}}|path: must not be in deadletter/, which the spool has for other things
	{endpointType:Directory,properties:{path:./topics/t01/dead}}|path: must not be in topics/
	EOF
	for row in "{endpointType:StorageBlob,properties:{resourceId:$account/acct7,blobContainerName:dead-letters-1}}" \
		"{endpointType:StorageBlob,properties:{resourceId:${account^^}/ACCT,blobContainerName:abc}}" \
		'{endpointType:Directory,properties:{path:dead/..letters}}' \
		'{endpointType:Directory,properties:{path:containers/disk/dead}}' \
		'{endpointType:Directory,properties:{path:/var/dead}}'; do
		egns-ctl "${update[@]}" -o none --delivery-configuration "$(dead_letters "$row")"
	done
	[ "$(queue_of s01 deadLetterDestinationWithResourceIdentity.deadLetterDestination.properties.path)" = /var/dead ]
}

@test "endpoints have storage accounts, of the service or of an emulator, with each kind of credential" {
	ns
	local id=/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acct url row
	for url in https://acct.blob.core.windows.net http://127.0.0.1:10000/devstoreaccount1; do
		for row in '{file:key,type:key}' '{command:"cat sas",type:sas}' '{file:c,type:connectionString}' \
			'{file:t,type:bearer}' '{identity:SystemAssigned}'; do
			egns-ctl namespace update -o none --endpoints "[{resourceId:$id,url:\"$url\",credential:$row}]"
		done
		egns-ctl namespace update -o none --endpoints "[{resourceId:$id,url:\"$url\"}]"
	done
	refused 65 "must be https://HOST[:PORT]/..., or http:// on this machine" \
		namespace update --endpoints "[{resourceId:$id,url:\"http://acct.blob.core.windows.net\"}]"
}

@test "an identity that the namespace is given has roles by its principal or its resource id" {
	ns
	local id=/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/letters
	local account=/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/local who
	egns-ctl namespace update -o none --identity "{type:UserAssigned,userAssignedIdentities:{'$id':{}}}"
	who=$(egns-ctl namespace show -o tsv --jq ".identity.userAssignedIdentities[\"$id\"].principalId")
	[[ $who =~ ^[0-9a-f-]{36}$ ]]
	egns-ctl role assignment create -o none --assignee "$who" \
		--role 'storage blob data contributor' --scope $account
	egns-ctl role assignment create -o none --assignee "$id" \
		--role ba92f5b4-2d11-453d-a403-e96b0029c9fe --scope $account
	[ "$(egns-ctl role assignment list --scope $account -o tsv --jq \
		'map(.roleDefinitionName) | unique | .[]')" = "Storage Blob Data Contributor" ]
	refused 65 "principalName: must be user:NAME" role assignment create --assignee ${id%/*} \
		--role 'Storage Blob Data Contributor' --scope $account
}

@test "names between resources have to mean something" {
	ns t01
	all=\$all
	refused 65 "there is no topic space" namespace permission-binding create \
		-n pb1 --client-group-name "$all" --topic-space-name none \
		--permission Publisher
	refused 65 "routeTopicResourceId" namespace update --set \
		topicSpacesConfiguration.routeTopicResourceId=topics/none
	egns-ctl namespace topic-space create -n space --topic-templates a/b 'c/#' -o none
	egns-ctl namespace permission-binding create -n pb1 \
		--client-group-name "$all" --topic-space-name space --permission subscriber -o none
	refused 73 "there is no topic space 'space'" namespace topic-space delete \
		-n space --yes
	egns-ctl namespace permission-binding delete -n pb1 --yes
	egns-ctl namespace topic-space delete -n space --yes
}

@test "a topic is named by its name, its path or its id, and kept as its id" {
	ns t01 t02
	local route=topicSpacesConfiguration.routeTopicResourceId topic id
	id=$(egns-ctl namespace topic show -n t01 --query id -o tsv)
	for topic in t01 topics/t01 Topics/t01 "$id"; do
		egns-ctl namespace update -o none --set $route="$topic"
		[ "$(egns-ctl namespace show --query $route -o tsv)" = "$id" ]
		egns-ctl namespace update -o none --set $route=
		[ -z "$(egns-ctl namespace show --query $route -o tsv)" ]
	done
	egns-ctl namespace update -o none --set lifecycleTopicResourceId=t01
	[ "$(egns-ctl namespace show --query lifecycleTopicResourceId -o tsv)" = "$id" ]
	refused 65 "routeTopicResourceId: there is no topic 't03'; there is t01, t02" \
		namespace update --set $route=t03
	refused 65 "lifecycleTopicResourceId: there is no topic 't03'" \
		namespace update --set lifecycleTopicResourceId=topics/t03
	refused 65 "routeTopicResourceId: there is no topic '/" \
		namespace update --set $route=clients/t01
}

@test "a custom topic is one that endpoints have" {
	ns
	local route=topicSpacesConfiguration.routeTopicResourceId id
	id=/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/custom
	refused 65 "routeTopicResourceId: endpoints have no entry for the custom topic '$id'" \
		namespace update --set $route=$id
	egns-ctl namespace update -o none --set $route=$id \
		--endpoints "[{resourceId:${id^^},url:\"https://h/api/events\"}]"
	[ "$(egns-ctl namespace show --query $route -o tsv)" = $id ]
	refused 65 "endpoints have no https:// url for the custom topic '$id'" \
		namespace update --endpoints "[{resourceId:$id,credential:{file:/x}}]"
	refused 65 "endpoints have no https:// url for the custom topic '$id'" \
		namespace update --endpoints "[{resourceId:$id,url:\"kafkas://h:1/t\"}]"
	refused 65 "no entry for the custom topic" namespace update --endpoints '[]'
	egns-ctl namespace update -o none --endpoints '[]' --set $route=
	refused 65 "lifecycleTopicResourceId: endpoints have no entry" \
		namespace update --set lifecycleTopicResourceId=$id
}

@test "a topic that messages go to is deleted with a warning, and holds up nothing" {
	ns t01 t02
	local route=topicSpacesConfiguration.routeTopicResourceId
	egns-ctl namespace update -o none --set $route=t01 \
		lifecycleTopicResourceId=t02
	refused 64 "say --yes" namespace topic delete -n t01
	run -0 --separate-stderr egns-ctl namespace topic delete -n t01 --yes
	[[ $stderr == "egns-ctl: $route names the topic that is gone: MQTT messages are dropped"*"egns-ctl namespace update --set $route=TOPIC" ]]
	egns-ctl namespace update -o none --set tags.hall=2
	topic t03
	refused 65 "there is no topic 't04'" namespace update --set $route=t04
	egns-ctl export | grep -v '"path":"topics/t02"' >file
	run -0 --separate-stderr egns-ctl apply --prune file
	[[ $stderr == "egns-ctl: lifecycleTopicResourceId names"*"life-cycle events are dropped"* ]]
	egns-ctl namespace update -o none --set $route=t03
	run -0 --separate-stderr egns-ctl namespace topic delete -n t03 --yes
	[ "${#stderr_lines[@]}" -eq 1 ]
	egns-ctl namespace update -o none --set $route= lifecycleTopicResourceId=
	topic t01
	run -0 --separate-stderr egns-ctl namespace topic delete -n t01 --yes
	[ -z "$stderr" ]
}

@test "a topic goes with its subscriptions and the roles on it" {
	ns t01/s01 t02/s01
	egns-ctl role assignment create --assignee user:nobody -o none \
		--role 'EventGrid Data Sender' --scope topics/t01
	uid=$(egns-ctl namespace topic show -n t01 --query uid -o tsv)
	egns-ctl namespace topic delete -n t01 --yes
	run egns-ctl role assignment list --assignee user:nobody -o tsv
	[ "$output" = "" ]
	topic t01
	[ "$uid" != "$(egns-ctl namespace topic show -n t01 --query uid -o tsv)" ]
	run egns-ctl namespace topic event-subscription list --topic-name t01 -o tsv
	[ "$output" = "" ]
	[ "$(egns-ctl namespace topic event-subscription list --topic-name t02 \
		--query 'length(@)')" = 1 ]
}

@test "role assignments: user, uid, group, on a path or an id" {
	ns t01/s01
	egns-ctl role assignment create --assignee user:nobody --scope topics/t01 \
		--role 'eventgrid data sender' -o none
	id=$(egns-ctl namespace topic event-subscription show --topic-name t01 \
		-n s01 --query id -o tsv)
	name=$(egns-ctl namespace role-assignment create --assignee group:daemon \
		--role 'EventGrid Data Receiver' --scope "$id" --query name -o tsv)
	[ "$(egns-ctl role assignment show -n "$name" --query scope -o tsv)" = "$id" ]
	[ "$(egns-ctl role assignment list --scope topics/t01 \
		--query '[].roleDefinitionName' -o tsv)" = 'EventGrid Data Sender' ]
	refused 73 "exists already" role assignment create --assignee user:nobody \
		--role 'EventGrid Data Sender' --scope topics/t01
	refused 65 "principalName" role assignment create --assignee nobody \
		--role 'EventGrid Data Sender' --scope topics/t01
	refused 66 "topics/t09" role assignment create --assignee user:nobody \
		--role 'EventGrid Data Sender' --scope topics/t09
	egns-ctl role assignment delete -n "$name" --yes
	refused 66 "not found" role assignment show -n "$name"
}

@test "list filters by name and stops at --top" {
	ns alpha beta alphabet
	run egns-ctl namespace topic list --filter "contains(name, 'ALPHA')" \
		--query '[].name' -o tsv
	[ "$output" = $'alpha\nalphabet' ]
	run egns-ctl namespace topic list --query '[].name' -o tsv \
		--filter "not (name eq 'alpha') and name ne 'beta'"
	[ "$output" = alphabet ]
	run egns-ctl namespace topic list --top 2 --query 'length(@)'
	[ "$output" = 2 ]
	refused 65 "--filter" namespace topic list --filter 'size gt 3'
}

@test "--ids stand for names" {
	ns t01 t02
	mapfile -t ids < <(egns-ctl namespace topic list --query '[].id' -o tsv)
	[ "$(egns-ctl namespace topic show --ids "${ids[@]}" --query '[].name' -o tsv)" \
		= $'t01\nt02' ]
	egns-ctl namespace topic delete --ids "${ids[1]}" --yes
	refused 66 "not found" namespace topic show -n t02
	refused 66 "not a resource of this namespace" namespace topic show --ids \
		"${ids[0]/testns/other}"
}

@test "keys: two, of which one can be made anew, and show does not tell them" {
	ns t01
	for what in namespace "namespace topic"; do
		name=(); [ "$what" = namespace ] || name=(-n t01)
		# shellcheck disable=SC2086
		old=$(egns-ctl $what list-key "${name[@]}")
		# shellcheck disable=SC2086
		new=$(egns-ctl $what regenerate-key "${name[@]}" --key-name key2)
		[ "$(jq -r .key1 <<<"$new" | base64 -d | wc -c)" -eq 32 ]
		# shellcheck disable=SC2086
		[ "$(egns-ctl $what list-key "${name[@]}")" = "$new" ]
		[ "$(jq .key1 <<<"$new")" = "$(jq .key1 <<<"$old")" ]
		[ "$(jq .key2 <<<"$new")" != "$(jq .key2 <<<"$old")" ]
		# shellcheck disable=SC2086
		run egns-ctl $what show "${name[@]}"
		[[ $output != *"$(jq -r .key1 <<<"$new")"* ]]
	done
	refused 64 "--key-name" namespace regenerate-key --key-name key3
}

@test "what export prints, apply makes so in another spool" {
	ns t01/s01
	egns-ctl namespace topic event-subscription create -o none --topic-name t01 \
		-n hook --delivery-configuration '{deliveryMode:Push,push:{
		destination:{endpointType:WebHook,properties:{endpointUrl:"https://h/?c=1"}}}}'
	# names of others, all of which stand behind it in what export prints
	egns-ctl namespace topic-space create -n space -o none --topic-templates a/#
	egns-ctl namespace client-group create -n group -o none --group-query "attributes.a = 'b'"
	egns-ctl namespace permission-binding create -n binding -o none \
		--client-group-name group --topic-space-name space --permission Publisher
	egns-ctl role assignment create --assignee user:nobody -o none \
		--role 'EventGrid Data Receiver' --scope topics/t01/eventSubscriptions/s01
	egns-ctl export >one
	egns-ctl namespace create -C other -n testns -o none
	egns-ctl apply -C other one
	same() { jq -S 'del(.uid,.systemData)' "$1"; }
	egns-ctl export -C other >two
	diff <(same one) <(same two)
	egns-ctl apply -C other --dry-run --prune one
	tac one >backwards
	egns-ctl apply -C other --dry-run backwards
}

@test "apply is one transaction, and says which line was wrong" {
	ns t01
	cat >file <<-'EOF'
	{"path":"clients/c1","properties":{"state":"enabled"}}
	{"path":"clients/c2","properties":{"state":"sleepy"}}
	EOF
	refused 65 "line 2: clients/c2: state: 'sleepy'" apply file
	refused 66 "not found" namespace client show -n c1
	sed -i 's/sleepy/Disabled/' file
	run egns-ctl apply --dry-run file
	[ "$status" -eq 1 ]
	[ "$output" = $'+ clients/c1\n+ clients/c2' ]
	egns-ctl apply - <file
	egns-ctl apply --dry-run file
	tail -n 2 spool/namespace/changes.ndjson | jq -c '[.change,.of]' >got
	printf '[1,2]\n[2,2]\n' | diff - got
	sed -i 's/Disabled/Enabled/' file
	run egns-ctl apply --dry-run file
	[ "$status" -eq 1 ]
	[[ $output == *'~ clients/c2'*'state: "Disabled" -> "Enabled"'* ]]
	refused 65 "clients/c1: is there twice" apply - < <(cat file file)
	refused 65 "line 1" apply - <<<'{"path":"clients/c1",'
	refused 65 "jq -c" apply - < <(jq . file)
	refused 65 "no such kind of resource" apply - <<<'{"path":"cats/c1"}'
}

@test "apply --prune removes what the file lacks, and only then" {
	ns t01/s01 t02/s01
	egns-ctl export | grep -v topics/t02 >file
	egns-ctl apply file
	egns-ctl namespace topic show -n t02 -o none
	run egns-ctl apply --prune --dry-run file
	[ "$status" -eq 1 ]
	[[ $output == *'- topics/t02'* ]]
	egns-ctl apply --prune file
	refused 66 "not found" namespace topic show -n t02
	egns-ctl namespace topic event-subscription show --topic-name t01 -n s01 -o none
}

@test "wait returns when it has come about" {
	ns t01
	egns-ctl namespace topic wait -n t01 --created
	egns-ctl namespace topic wait -n t09 --deleted
	egns-ctl namespace topic wait -n t01 --custom "eventRetentionInDays==\`1\`"
	egns-ctl namespace topic wait -n t02 --exists --timeout "$PATIENCE" 3>&- &
	topic t02
	wait $!
	run egns-ctl namespace topic wait -n t09 --created --timeout 1
	[ "$status" -eq 75 ]
}

@test "the namespace is deleted with everything, but not under a daemon" {
	ns t01
	touch spool/mine
	refused 64 "say --yes" namespace delete
	start egns-topicd -C spool
	refused 73 "topicd runs" namespace delete --yes
	stop egns-topicd
	egns-ctl namespace delete --yes
	[ "$(ls spool)" = mine ]
	rm spool/mine
	egns-ctl namespace create -C spool -n again -o none
	egns-ctl namespace delete --yes
	[ ! -e spool ]
}

@test "help is made from the table" {
	run egns-ctl namespace topic create --help
	[[ $output == *"--event-retention-in-days  number 1..7 (1)"* ]]
	run egns-ctl namespace topic -h
	[[ $output == *"namespace topic list-key"* ]]
	ns t01
	run egns-ctl namespace topic event-subscription create --topic-name t01 \
		-n s01 --delivery-configuration '{queue:??}'
	[[ $output == *"receiveLockDurationInSeconds: number 60..300 (60)"* ]]
	[ "$status" -eq 0 ]
	run egns-ctl version
	[[ $output == egns-ctl* ]]
}

@test "help fits on a screen, and each part of it tells more" {
	run egns-ctl -h
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -le 24 ]
	[[ $output == *"namespace topic create|show|"* ]]
	[[ $output == *"egns-ctl publish "*store* ]]
	run egns-ctl publish -h
	[ "$status" -eq 0 ]
	[[ $output == *"--wrap  "* ]]
	run egns-ctl
	[ "$status" -eq 64 ]
	run egns-ctl namespace topic event-subscription update -h
	[ "$(grep -c -e '--no-dead-letter' <<<"$output")" -eq 1 ]
	refused 64 "is 'namespace topic create' meant" topic create
}

@test "a refusal names the flag, the property or the path" {
	ns t01/s01
	es=(namespace topic event-subscription update --topic-name t01 -n s01)
	refused 64 "-n gives the name" namespace topic create orders
	refused 64 "--top: '0'" namespace topic list --top 0
	refused 64 "for what?" namespace topic wait -n t01
	refused 75 "namespace topic wait" namespace topic wait -n t02 --exists \
		--timeout 1
	refused 65 "tags: must be PATH=VALUE" "${es[@]}" --set tags
	refused 65 "'tag': no such property" "${es[@]}" --set tag=a
	refused 65 "filtersConfiguration.filters: must be an object" "${es[@]}" \
		--add filtersConfiguration.filters key=a
	refused 65 "filtersConfiguration.filters[3]: index 3 is outside" "${es[@]}" \
		--remove filtersConfiguration.filters[3]
	role=(role assignment create --assignee uid:1 --scope namespace
		--role 'EventGrid Contributor')
	egns-ctl "${role[@]}" -o none
	refused 73 "exists already" "${role[@]}"
	[[ $stderr != *update* ]]
}

@test "every change says who made it and when" {
	ns t01
	[ "$(tail -n 1 spool/namespace/changes.ndjson |
		jq -r '.who, .op, .path')" = "user:$(id -un)
put
topics/t01" ]
	egns-ctl namespace topic delete -n t01 --yes
	[ "$(tail -n 1 spool/namespace/changes.ndjson | jq -r .op)" = delete ]
}

@test "clients by the ten thousand come in one apply, and are found at once" {
	ns
	seq -f '{"path":"clients/sensor-%05.0f","properties":{"attributes":{"n":1}}}' \
		20000 >clients
	egns-ctl apply clients
	[ "$(egns-ctl namespace client show -n sensor-12345 --query state -o tsv)" \
		= Enabled ]
	rm spool/namespace/index.tcb
	[ "$(egns-ctl namespace client show -n sensor-12345 --query state -o tsv)" \
		= Enabled ]
	egns-ctl apply --dry-run clients
}
