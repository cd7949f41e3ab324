# shellcheck shell=bash
# What has a language of its own is checked when it is written: a resource that
# could never work is refused, naming the field.
load lib

@test "topic templates are filters with variables of the client" {
	ns
	# shellcheck disable=SC2016 # variables of the template
	egns-ctl namespace topic-space create -o none -n space --topic-templates \
		'devices/${client.authenticationName}/#' \
		'halls/${client.attributes.hall|-east}/+/x${dollar}'
	create=(namespace topic-space create -n other --topic-templates)
	refused 65 "topicTemplates[1]: '#' is the last level" "${create[@]}" a '#/b'
	# shellcheck disable=SC2016
	refused 65 "topicTemplates[0]: '|' needs text" \
		"${create[@]}" 'a/${client.authenticationName|x/t'
	# shellcheck disable=SC2016
	refused 65 'is now ${client.authenticationName}' \
		"${create[@]}" 'a/${principal.name}'
	refused 65 "'\$' are reserved" "${create[@]}" "\$share/g/a"
	refused 65 "more than 15 levels" "${create[@]}" 1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6
	refused 65 "topicTemplates: has 11 elements" "${create[@]}" {1..11}
	refused 65 "topicTemplates[0]" namespace topic-space update -n space \
		--set 'topicTemplates[0]=a+'
}

@test "group queries are read before they are kept" {
	ns
	egns-ctl namespace client-group create -n group -o none --group-query \
		"attributes.hall IN ['1', '2'] and (attributes.floor >= 3 or
		authenticationName = \"press-07\")"
	create=(namespace client-group create -n other --group-query)
	refused 65 "query: = <> != < > <= >= or IN expected at 'LIKE" \
		"${create[@]}" "attributes.a LIKE 'x'"
	refused 65 "query: there is no NOT" "${create[@]}" "not attributes.a = 1"
	refused 65 "query: and, or or ')' expected at its end" \
		"${create[@]}" "(attributes.a = 1"
	refused 65 "compare with a whole number" "${create[@]}" "attributes.a > 'x'"
	refused 65 "query: " namespace client-group update -n group \
		--set "query=role = 'sensor'"
}

@test "a CA certificate tells from when to when it is valid" {
	ns
	certs=$top/tests/certs
	create=(namespace ca-certificate create -o none -n)
	egns-ctl "${create[@]}" by-pem --encoded-certificate "@$certs/ca.pem"
	egns-ctl "${create[@]}" by-base64 --encoded-certificate \
		"$(base64 "$certs/root.pem")"
	run egns-ctl namespace ca-certificate list -o tsv \
		--query "[?name != 'local'].[name,issueTimeInUtc,expiryTimeInUtc]"
	printf '%s\t2026-01-01T00:00:00.000000Z\t%s.000000Z\n' \
		by-base64 9999-12-31T23:59:59 by-pem 2046-01-01T00:00:00 |
		diff - <(echo "$output")
	egns-ctl namespace ca-certificate update -n by-pem -o none \
		--encoded-certificate "@$certs/expired.pem"
	[ "$(egns-ctl namespace ca-certificate show -n by-pem -o tsv \
		--query expiryTimeInUtc)" = 2001-01-01T00:00:00.000000Z ]
}

@test "what is no authority is no CA certificate" {
	ns
	certs=$top/tests/certs
	create=(namespace ca-certificate create -n other --encoded-certificate)
	refused 65 "encodedCertificate: must be one X.509" "${create[@]}" nonsense
	refused 65 "basicConstraints lacks CA:TRUE" \
		"${create[@]}" "@$certs/leaf.pem"
	refused 65 "keyUsage lacks keyCertSign" \
		"${create[@]}" "@$certs/no-sign.pem"
	cat "$certs/ca.pem" "$certs/root.pem" >two.pem
	refused 65 "must be one X.509" "${create[@]}" @two.pem
	head -c 300 "$certs/ca.pem" >torn.pem
	refused 65 "must be one X.509" "${create[@]}" @torn.pem
}

@test "thumbprints are SHA-1 or SHA-256, for the scheme that uses them" {
	ns
	sha1=$(sha1sum </dev/null | cut -d ' ' -f 1)
	sha256=$(sha256sum </dev/null | cut -d ' ' -f 1)
	create=(namespace client create -n c --client-certificate-authentication)
	at=clientCertificateAuthentication.allowedThumbprints
	refused 65 "${at}[1]: 'A1B2' is not" "${create[@]}" \
		"{validationScheme:ThumbprintMatch,allowedThumbprints:[$sha1,A1B2]}"
	refused 65 "$at: only with ThumbprintMatch" \
		"${create[@]}" "{allowedThumbprints:[$sha1]}"
	refused 65 "$at: ThumbprintMatch needs" \
		"${create[@]}" "{validationScheme:ThumbprintMatch}"
	refused 65 "$at: has 3 elements" "${create[@]}" \
		"{validationScheme:ThumbprintMatch,allowedThumbprints:[$sha1,$sha1,$sha1]}"
	egns-ctl "${create[@]}" -o none \
		"{validationScheme:ThumbprintMatch,allowedThumbprints:[$sha1,$sha256]}"
}

@test "enrichments have keys of their own and values that mean something" {
	ns
	update=(namespace update -o none --set)
	at=topicSpacesConfiguration.routingEnrichments
	egns-ctl "${update[@]}" "$at={\"static\":[{\"key\":\"plant\",\"value\":\"w\"}],
		\"dynamic\":[{\"key\":\"sender\",
		\"value\":\"\${client.authenticationName}\"}]}"
	refused 65 "$at.static[0].key: 'time' is an attribute of every event" \
		"${update[@]}" "$at.static[0].key=time"
	refused 65 "$at.static[0].key: 'azspx': must not begin" \
		"${update[@]}" "$at.static[0].key=azspx"
	refused 65 "$at: key 'sender' is there twice" \
		"${update[@]}" "$at.static[0].key=sender"
	refused 65 "$at.dynamic[0].value: 'west' is none of" \
		"${update[@]}" "$at.dynamic[0].value=west"
	jq -n '{topicSpacesConfiguration: {routingEnrichments: {
		static: [range(11) | {key: "s\(.)", value: "x"}],
		dynamic: [range(10) | {key: "d\(.)", value: "${mqtt.message.pfi}"}]
		}}, path: "namespace"}' | jq -c . >file
	refused 65 "$at: more than 20 in all" apply file
}

@test "no two clients have the same authentication name" {
	ns
	egns-ctl namespace client create -n one --authentication-name Press-07 -o none
	refused 73 "clients/press-07: authenticationName: clients/one has it" \
		namespace client create -n press-07
	printf '{"path":"clients/%s"}\n' a b A >file
	refused 73 "clients/a: authenticationName: clients/A has it" apply file
	echo '{"path":"clients/two","properties":{"authenticationName":"PRESS-07"}}' \
		>file
	refused 73 "clients/two: authenticationName: clients/one" apply file
	egns-ctl export | grep '"path":"namespace"' >>file
	egns-ctl apply --prune file
	egns-ctl namespace client update -n two --state Disabled -o none
	[ "$(egns-ctl namespace client list --query '[].name' -o tsv)" = two ]
}

@test "apply says in which line a language was not kept to" {
	ns
	cat >file <<-'EOF'
	{"path":"topicSpaces/good","properties":{"topicTemplates":["a/b"]}}
	{"path":"clientGroups/bad","properties":{"query":"attributes.a"}}
	EOF
	refused 65 "line 2: clientGroups/bad: query: = <>" apply file
	refused 66 "not found" namespace topic-space show -n good
}

@test "a namespace has ten client groups, topic spaces and authorities" {
	ns
	for i in 0 1 2 3 4 5 6 7 8 9; do
		printf '%s\n' "{\"path\":\"topicSpaces/space-$i\",\"properties\":{\"topicTemplates\":[\"a/$i\"]}}" \
			"{\"path\":\"clientGroups/group-$i\",\"properties\":{\"query\":\"attributes.n = $i\"}}"
	done | egns-ctl apply -o none -
	refused 75 'topicSpaces: a namespace has at most 10' namespace \
		topic-space create -n one-more --topic-templates '["b"]'
	refused 75 'clientGroups: a namespace has at most 10' namespace \
		client-group create -n one-more --query 'attributes.n = 10'
}
