# shellcheck shell=bash
# The local authority, what it signs, and certificates near their end. openssl
# looks at it all with other eyes.
load lib

tls=spool/namespace/tls

# pair NAME - the certificate and the key belong together.
pair() {
	diff <(openssl x509 -in "$1.pem" -noout -pubkey) \
		<(openssl pkey -in "$1.key" -pubout)
}

# verify PURPOSE CA CERTIFICATE - strictly.
verify() {
	openssl verify -x509_strict -purpose "$1" -CAfile "$2" "$3" >/dev/null
}

mode() {
	stat -c %a "$1"
}

# days CERTIFICATE - how long it is good from now, in days.
days() {
	local end
	end=$(openssl x509 -in "$1" -noout -enddate)
	echo $((($(date -d "${end#*=}" +%s) - $(date +%s) + 43200) / 86400))
}

# extension NAME CERTIFICATE
extension() {
	openssl x509 -in "$2" -noout -ext "$1"
}

problems() {
	egns-ctl status --jq '.problems[] | "\(.where): \(.problem)"' |
		jq -r . | grep certificate || :
}

# registered - the authority that signs is the one that clients are trusted by.
registered() {
	egns-ctl -C spool namespace ca-certificate show -n local \
		--jq .encodedCertificate | jq -j . | diff - $tls/ca.pem
}

@test "a namespace has an authority and a server certificate at once" {
	ns
	verify sslserver $tls/ca.pem $tls/server.pem
	pair $tls/ca
	pair $tls/server
	[ "$(days $tls/ca.pem)" -eq 3650 ]
	[ "$(days $tls/server.pem)" -eq 825 ]
	extension basicConstraints $tls/ca.pem | grep -q 'CA:TRUE, pathlen:0'
	openssl pkey -in $tls/ca.key -noout -text | grep -q P-256
	[[ $(mode $tls/ca.key) == 600 && $(mode $tls/server.key) == 600 ]]
	[[ $(mode $tls/ca.pem) == 644 && $(mode $tls/server.pem) == 644 ]]
	names=$(extension subjectAltName $tls/server.pem)
	host=$(egns-ctl namespace show --query topicSpacesConfiguration.hostname \
		-o tsv)
	for name in "DNS:$host" DNS:localhost 'IP Address:127.0.0.1' \
		'IP Address:0:0:0:0:0:0:0:1' "DNS:$(uname -n)"; do
		[[ $names == *"$name"* ]]
	done
	registered
}

@test "the server's names are those of its listeners, too, when they are names" {
	egns-ctl namespace create -C spool -n testns -o none --listeners \
		'{mqtts:"broker.example:8883",wss:"[2001:db8::1]:0",https:"0.0.0.0:1"}'
	names=$(extension subjectAltName $tls/server.pem)
	[[ $names == *DNS:broker.example,*"IP Address:2001:DB8:0:0:0:0:0:1"* ]]
	[[ $names != *0.0.0.0* ]]
}

@test "cert issue makes a device's certificate, and never replaces one unasked" {
	ns
	umask 0
	egns-ctl cert issue press-07 -o certs
	verify sslclient certs/ca.pem certs/press-07.pem
	run ! verify sslserver certs/ca.pem certs/press-07.pem
	pair certs/press-07
	[ "$(openssl x509 -in certs/press-07.pem -noout -subject)" = \
		"subject=CN = press-07" ]
	[ "$(days certs/press-07.pem)" -eq 365 ]
	[ "$(mode certs/press-07.key)" = 600 ]
	[ "$(ls certs)" = $'ca.pem\npress-07.key\npress-07.pem' ]
	before=$(cat certs/*)
	refused 73 "press-07.key exists already" cert issue press-07 -o certs
	rm certs/press-07.key
	refused 73 "press-07.pem exists already" cert issue press-07 -o certs
	[ ! -e certs/press-07.key ]
	egns-ctl cert issue press-07 -o certs --force
	pair certs/press-07
	[ "$before" != "$(cat certs/*)" ]
	# another one beside it, whose ca.pem is the same
	egns-ctl cert issue press-08 --output=certs
	# that of another authority is not replaced
	cp "$top/tests/certs/ca.pem" certs/
	refused 73 "ca.pem" cert issue press-09 -o certs
	[ ! -e certs/press-09.pem ]
}

@test "cert issue takes names of all kinds and a time" {
	ns
	egns-ctl cert issue 'Prüfstand 3' --days 7 --subject-alternative-name \
		a.example DNS:b.example 192.0.2.7 IP:2001:db8::7 URI:urn:x:y \
		email:a@b.example
	pem='Prüfstand 3.pem'
	verify sslclient ca.pem "$pem"
	[ "$(days "$pem")" -eq 7 ]
	[[ $(openssl x509 -in "$pem" -noout -subject -nameopt utf8) == \
		*"Prüfstand 3" ]]
	for name in DNS:a.example DNS:b.example 'IP Address:192.0.2.7' \
		'IP Address:2001:DB8:0:0:0:0:0:7' URI:urn:x:y email:a@b.example; do
		[[ $(extension subjectAltName "$pem") == *"$name"* ]]
	done
	refused 65 "'a b' is none of DNS:NAME" cert issue c \
		--subject-alternative-name 'a b'
	refused 65 "1 to 64 bytes" cert issue "$(printf '%065d' 0)"
	refused 64 "no /" cert issue ../x
	refused 64 "begin with a dot" cert issue .x
	refused 64 "not ca" cert issue ca
	refused 64 "--days" cert issue c --days 0
	refused 64 "is --days meant" cert issue c --day 3
	refused 64 "usage: egns-ctl cert issue NAME" cert issue
	[ ! -e c.pem ] && [ ! -e c.key ]
}

@test "a certificate does not outlive the authority" {
	ns
	advance $((3000 * 86400))
	egns-ctl cert issue late --days 10000
	diff <(openssl x509 -in late.pem -noout -enddate) \
		<(openssl x509 -in $tls/ca.pem -noout -enddate)
	advance $((700 * 86400))
	refused 73 "authority's certificate has expired" cert issue later
}

@test "who cannot read the authority's key cannot issue" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
	ns
	chmod 755 . && chmod 777 "$PWD"
	cp "$B/egns-ctl" . && chmod 755 egns-ctl
	run -77 setpriv --reuid 65534 --clear-groups ./egns-ctl -C spool \
		cert issue x
	rm egns-ctl
}

@test "what an unregistered authority signs comes with a warning" {
	ns
	egns-ctl namespace ca-certificate delete -n local --yes
	run -0 --separate-stderr egns-ctl cert issue x
	[[ $stderr == *"is not registered"*"@spool/namespace/tls/ca.pem" ||
		$stderr == *"is not registered"*"$PWD/spool/namespace/tls/ca.pem" ]]
	egns-ctl namespace ca-certificate create -n mine -o none \
		--encoded-certificate "@$tls/ca.pem"
	run -0 --separate-stderr egns-ctl cert issue y
	[ -z "$stderr" ]
}

@test "renew-server keeps the key, and --force makes a new one" {
	ns
	cp -r $tls before
	egns-ctl cert renew-server
	run ! cmp -s before/server.pem $tls/server.pem
	cmp before/server.key $tls/server.key
	verify sslserver $tls/ca.pem $tls/server.pem
	pair $tls/server
	egns-ctl cert renew-server --force
	run ! cmp -s before/server.key $tls/server.key
	pair $tls/server
	verify sslserver before/ca.pem $tls/server.pem
	# it has the names of now
	egns-ctl namespace update -o none --set listeners.mqtts=new.example:8883
	egns-ctl cert renew-server
	[[ $(extension subjectAltName $tls/server.pem) == *DNS:new.example* ]]
}

@test "a server certificate from elsewhere is replaced with --force only" {
	ns
	openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=own -days 90 \
		-keyout $tls/server.key -out $tls/server.pem 2>/dev/null
	cp $tls/server.pem own.pem
	refused 73 "was not issued here: --force" cert renew-server
	egns-ctl cert renew-ca
	cmp own.pem $tls/server.pem
	egns-ctl cert renew-server --force
	verify sslserver $tls/ca.pem $tls/server.pem
	pair $tls/server
}

@test "renew-ca renews the authority, and what it signed before stays good" {
	ns
	egns-ctl cert issue old -o certs
	advance $((800 * 86400))
	egns-ctl cert renew-ca
	run ! cmp -s certs/ca.pem $tls/ca.pem
	diff <(openssl x509 -in certs/ca.pem -noout -pubkey -subject) \
		<(openssl x509 -in $tls/ca.pem -noout -pubkey -subject)
	openssl verify -no_check_time -CAfile $tls/ca.pem certs/old.pem
	# clients that have the old one go on, too
	openssl verify -attime "$(($(date +%s) + 800 * 86400))" \
		-CAfile certs/ca.pem $tls/server.pem
	registered
	[ "$(egns-ctl namespace ca-certificate list --query 'length(@)')" = 1 ]
}

@test "a namespace of before gets what it lacks from renew-server" {
	ns
	rm -r $tls
	refused 66 "ca.key" cert issue x
	refused 73 "caCertificates/local is there, but" cert renew-server
	egns-ctl namespace ca-certificate delete -n local --yes
	egns-ctl cert renew-server
	verify sslserver $tls/ca.pem $tls/server.pem
	egns-ctl namespace ca-certificate show -n local -o none
	egns-ctl cert issue x
	verify sslclient ca.pem x.pem
}

@test "status warns of certificates near their end, and says what renews them" {
	ns
	egns-ctl namespace ca-certificate create -n other -o none \
		--encoded-certificate "@$top/tests/certs/expired.pem"
	advance 0
	egns-ctl up -d
	[ "$(problems)" = "caCertificates/other: the certificate has ended at \
2001-01-01T00:00:00Z: egns-ctl namespace ca-certificate update -n other \
--encoded-certificate @FILE" ]
	egns-ctl namespace ca-certificate delete -n other --yes
	[ -z "$(problems)" ]
	advance $((794 * 86400))
	[ -z "$(problems)" ]
	advance $((2 * 86400))
	[[ $(problems) == "namespace/tls/server.pem: the certificate ends at "*": \
egns-ctl cert renew-server" ]]
	run -0 --separate-stderr egns-ctl status -o table
	[[ $stderr == *"namespace/tls/server.pem: the certificate ends at"* ]]
	advance $((40 * 86400))
	[[ $(problems) == *"the certificate has ended at"* ]]
	egns-ctl cert renew-server
	[ -z "$(problems)" ]
	advance $((2790 * 86400))
	[[ $(problems) == *"namespace/tls/ca.pem: the certificate ends at "*": \
egns-ctl cert renew-ca"* ]]
	egns-ctl cert renew-ca
	[ -z "$(problems)" ]
	egns-ctl down
}

@test "a broker without a server certificate is a problem" {
	ns
	rm $tls/server.pem
	[ -z "$(egns-ctl status --jq '.problems[].where' | grep tls || :)" ]
	egns-ctl namespace update -o none \
		--set topicSpacesConfiguration.state=Enabled
	egns-ctl status --jq '.problems[] | "\(.where): \(.problem)"' |
		grep -q '"namespace/tls/server.pem: there is none: egns-ctl cert'
}

# killed N ARG... - egns-ctl is killed in place of call N that changes files
# below `part`; false: there were fewer. A copy of `template` is the spool.
killed() {
	local n=$1 rc=0
	shift
	rm -rf spool trace
	[ ! -d template ] || cp -a template spool
	# shellcheck disable=SC2016
	env LD_PRELOAD="$preload" SHIM_PATH="/$part" SHIM_TRACE="$PWD/trace" \
		SHIM_KILL="$n" egns-ctl -C "$PWD/spool" "$@" 2>/dev/null || rc=$?
	[ "$rc" -eq 137 ]
}

# whole - a certificate of the server has its key, and is signed.
whole() {
	[ ! -e $tls/server.pem ] && return
	verify sslserver $tls/ca.pem $tls/server.pem && pair $tls/server
}

shimmed() {
	preload=$(ldd "$B/egns-ctl" |
		awk '/lib(a|ub)san/ { printf "%s ", $3 }')$B/tests/crash/shim.so
}

@test "a crash while a namespace is created leaves what create goes on from" {
	shimmed
	part=namespace/tls
	for ((n = 1; n < 500; n++)); do
		killed "$n" namespace create -n testns -o none || break
		if ! egns-ctl -C spool namespace show -o none 2>/dev/null; then
			egns-ctl -C spool namespace create -n testns -o none
		fi
		whole
		[ -e $tls/server.pem ]
		registered
		pair $tls/ca
	done 2>/dev/null
	echo "$n calls"
	[ "$n" -gt 20 ] && [ "$n" -lt 500 ]
}

@test "a crash while certificates are renewed leaves no half of a pair" {
	shimmed
	part=namespace
	ns
	mv spool template
	for what in "renew-server" "renew-server --force" "renew-ca"; do
		for ((n = 1; n < 500; n++)); do
			# shellcheck disable=SC2086
			killed "$n" cert $what || break
			whole
			# shellcheck disable=SC2086
			egns-ctl -C spool cert $what
			whole
			[ -e $tls/server.pem ]
			registered
		done 2>/dev/null
		echo "$what: $n calls"
		[ "$n" -gt 3 ] && [ "$n" -lt 500 ]
	done
}
