# shellcheck shell=bash
# explain: may a client do something, and why or why not
load lib

# A plant of which presses publish and, by their hall, subscribe.
plant() {
	ns && make client press-07 --authentication-name Press-07.plant \
		--attributes '{kind:press,hall:3}' &&
		make client bare && make client off --state Disabled &&
		make client-group presses --query "attributes.kind = 'press'" &&
		make topic-space own --topic-templates \
			"plant/\${client.authenticationName}/#" plant/+/status &&
		make topic-space halls --topic-templates \
			"halls/\${client.attributes.hall}/+" &&
		make permission-binding presses-pub --permission Publisher \
			--client-group-name presses --topic-space-name own &&
		make permission-binding halls-sub --permission Subscriber \
			--client-group-name presses --topic-space-name halls
}

# make NOUN NAME FLAG...
make() {
	egns-ctl namespace "$1" create -o none -n "${@:2}"
}

# allowed WORDS ARG... - explain says so, on one line.
allowed() {
	run --separate-stderr egns-ctl explain "${@:2}"
	echo "status $status: $output $stderr"
	[ "$status" -eq 0 ] && [ "$output" = "ALLOWED: $1" ] && [ -z "$stderr" ]
}

denied() {
	run --separate-stderr egns-ctl explain "${@:2}"
	echo "status $status: $output $stderr"
	[ "$status" -eq 1 ] && [ "$output" = "DENIED: $1" ] && [ -z "$stderr" ]
}

own="group 'presses', binding 'presses-pub', topic space 'own', template"

@test "explain names the group, binding, space and template that allow" {
	plant
	allowed "$own 'plant/\${client.authenticationName}/#'" \
		--client press-07 --publish plant/Press-07.plant/x/y
	allowed "$own 'plant/+/status'" \
		--client press-07 --publish plant/x/status
	allowed "$own 'plant/+/status'" \
		--client press-07 --will plant/x/status
	allowed "group 'presses', binding 'halls-sub', topic space 'halls', template 'halls/\${client.attributes.hall}/+'" \
		--client press-07 --subscribe halls/3/+
	allowed "$own 'plant/\${client.authenticationName}/#'" \
		--client press-07 --connect
}

@test "a client is known by its name, and by its authentication name in any case" {
	plant
	for name in press-07 Press-07.plant PRESS-07.PLANT; do
		allowed "$own 'plant/+/status'" \
			--client "$name" --publish plant/x/status
	done
}

@test "who is not there or disabled is denied everything" {
	plant
	for what in --connect '--publish a' '--subscribe a' '--will a'; do
		# shellcheck disable=SC2086 # two words
		denied "there is no client 'nobody'" --client nobody $what
		# shellcheck disable=SC2086
		denied "client 'off' is disabled" --client off $what
	done
	denied "there is no client 'no\\x1Bbody'" --client $'no\ebody' --connect
	denied "there is no client ''" --client '' --connect
}

@test "who is in no group that has the permission learns which attribute is missing" {
	plant
	denied "no binding gives Publisher to a group of this client: groups \$all; not in 'presses' (attributes.kind is absent)" \
		--client bare --publish plant/x/status
	denied "no binding gives Publisher to a group of this client: groups \$all; not in 'presses' (attributes.kind is 'oven')" \
		--client bare --publish plant/x/status --add-attribute kind=oven
}

@test "a topic that nothing allows is compared with the nearest template" {
	plant
	denied "no template of the topic spaces bound for Publisher matches 'plant/x': nearest is 'plant/+/status' of topic space 'own', which agrees up to 'plant/x'" \
		--client press-07 --publish plant/x
	denied "no template of the topic spaces bound for Subscriber covers 'halls/#': nearest is 'halls/\${client.attributes.hall}/+' of topic space 'halls', here 'halls/3/+', which agrees up to 'halls'" \
		--client press-07 --subscribe 'halls/#'
}

@test "what is no topic or filter is denied with its fault" {
	plant
	long=$(printf 'a%.0s' {1..257})
	deep=a$(printf '/a%.0s' {1..15})
	for what in publish will; do
		denied "the topic 'a/+' has a wildcard" \
			--client press-07 "--$what" a/+
		denied "the topic '' is empty" --client press-07 "--$what" ''
		denied "the topic '$deep' has more than 15 levels" \
			--client press-07 "--$what" "$deep"
		denied "the topic '${long::252}...' has more than 256 bytes" \
			--client press-07 "--$what" "$long"
		denied "topics that begin with '\$' are reserved" \
			--client press-07 "--$what" "\$SYS/x"
		denied "the topic is not UTF-8" \
			--client press-07 "--$what" $'\xff'
	done
	denied "the filter 'a/#/b' has levels behind '#'" \
		--client press-07 --subscribe a/#/b
	denied "the filter 'a+' has a wildcard that is not a level of its own" \
		--client press-07 --subscribe a+
	denied "topics that begin with '\$' are reserved" \
		--client press-07 --subscribe "\$SYS/#"
	denied "the filter is not UTF-8" --client press-07 --subscribe $'\xff'
}

@test "a shared subscription is judged by its filter" {
	plant
	allowed "group 'presses', binding 'halls-sub', topic space 'halls', template 'halls/\${client.attributes.hall}/+'" \
		--client press-07 --subscribe "\$share/g/halls/3/+"
	run egns-ctl explain --client press-07 --subscribe "\$share/g/halls/4/+"
	[ "$status" -eq 1 ]
	for filter in "\$share/g" "\$share//a" "\$share/+/a"; do
		denied "the filter '$filter' is no \$share/GROUP/FILTER" \
			--client press-07 --subscribe "$filter"
	done
}

@test "connecting needs a grant, unless the profile is Azure" {
	plant
	denied "no binding gives Publisher to a group of this client: groups \$all; not in 'presses' (attributes.kind is absent); no binding gives Subscriber to a group of this client: groups \$all; not in 'presses' (attributes.kind is absent)" \
		--client bare --connect
	egns-ctl namespace update --set profile=Azure -o none
	allowed "the profile is Azure, but each operation will be refused: nothing is granted to this client" \
		--client bare --connect
	denied "client 'off' is disabled" --client off --connect
	# a grant to subscribe is one, too
	allowed "group '\$all', binding '(added)', topic space 'own', template 'plant/\${client.authenticationName}/#'" \
		--client bare --connect --add-binding "\$all,own,Subscriber"
}

@test "what-if changes the answer and nothing else" {
	plant
	before=$(cksum spool/namespace/*)
	allowed "$own 'plant/+/status'" \
		--client bare --publish plant/x/status --add-attribute kind=press
	allowed "group '\$all', binding '(added)', topic space 'halls', template 'halls/\${client.attributes.hall}/+'" \
		--client bare --subscribe halls/4/x --add-attribute hall=4 \
		--add-binding "\$all,halls,Subscriber"
	denied "no template of the topic spaces bound for Subscriber covers 'halls/4/x': template 'halls/\${client.attributes.hall}/+' needs attributes.hall, which is absent" \
		--client bare --subscribe halls/4/x \
		--add-binding "\$all,halls,Subscriber"
	denied "no binding gives Publisher to a group of this client: groups \$all, 'presses'" \
		--client press-07 --publish plant/x/status \
		--remove-binding presses-pub
	[ "$before" = "$(cksum spool/namespace/*)" ]
	denied "no binding gives Publisher to a group of this client: groups \$all; not in 'presses' (attributes.kind is absent)" \
		--client bare --publish plant/x/status
}

@test "a change that cannot be supposed is refused" {
	plant
	refused 66 "--add-binding: there is no client group 'no'" \
		explain --client bare --connect --add-binding no,own,Publisher
	refused 66 "--add-binding: there is no topic space 'no'" \
		explain --client bare --connect --add-binding "\$all,no,Publisher"
	refused 65 "--add-binding: the permission is Publisher or Subscriber" \
		explain --client bare --connect --add-binding "\$all,own,Both"
	refused 65 "--add-binding: GROUP,SPACE,Publisher or" \
		explain --client bare --connect --add-binding "\$all,own,Publisher,x"
	refused 66 "--remove-binding: there is no permission binding 'no'" \
		explain --client bare --connect --remove-binding no
	refused 65 "--add-attribute: KEY=VALUE expected" \
		explain --client bare --connect --add-attribute kind
	refused 64 "one operation at a time" \
		explain --client bare --connect --publish a
	refused 64 "--publish needs a value" explain --client bare --publish
	refused 64 "is --connect meant?" explain --client bare --conect
	refused 64 usage explain --connect
	refused 64 usage explain --client bare
	refused 64 usage explain --client bare --connect more
}

@test "explain prints an object when it is asked for one" {
	plant
	run egns-ctl explain --client press-07 --publish plant/x/status -o json
	[ "$status" -eq 0 ]
	jq -e '. == {allowed: true, client: "press-07", operation: "publish",
		topic: "plant/x/status", group: "presses",
		binding: "presses-pub", topicSpace: "own",
		template: "plant/+/status", reason: .reason}' <<<"$output"
	run egns-ctl explain --client bare --connect -o json
	[ "$status" -eq 1 ]
	jq -e '.allowed == false and .operation == "connect" and
		.topic == null and .group == null and .binding == null and
		.topicSpace == null and .template == null and
		(.reason | startswith("no binding gives"))' <<<"$output"
	run egns-ctl explain --client bare --connect --query allowed -o tsv
	[ "$status" -eq 1 ] && [ "$output" = false ]
}
