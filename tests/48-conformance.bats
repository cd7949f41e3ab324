# What egns-conformance(7) promises, statement by statement, where it takes a
# session to see it; with 43-mqtt.bats, which has the greater part.

load lib
load broker

@test "nothing larger than the client takes is sent, reasons are left out first" {
	broker a p
	raw <<-'EOF'
		a: a
		a> connect clean maximum-packet=18
		a< connack 00
		a> subscribe 1 2 3 4 5 6 7 8 9 10
		a< suback 00 00 00 00 00 00 00 00 00 00
		a> connect
		a< disconnect 82 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=18
		a< connack 00
		a> subscribe 1 2 3 4 5 6 7 8 9 10 11 12 13
		a< suback 97 97 97 97 97 97 97 97 97 97 97 97 97
		a> subscribe 1 2 3 4 5 6 7 8 9 10 11 12 13 14
		a< disconnect 97 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=19 id=
		a< connack 83 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=17 session-expiry=60 will=w
		a< connack 83 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=5 user=k:v
		a< connack 83 -reason
		a< closed
		a: a
		a> connect clean maximum-packet=4 user=k:v
		a< closed
		a: a
		a> connect clean maximum-packet=300
		a< connack 00
		a> publish $x
		a< disconnect 87 reason=
		a< closed
		a: a
		a> connect clean maximum-packet=300 will=t will-qos=2
		a< connack 9b reason=
		a< closed
	EOF
}

@test "an UNSUBACK has codes of its own, and never says what is not so" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		a> subscribe 1
		a< suback 00
		a> unsubscribe 1 2 3 4 5 6 7 8 9 10 11
		a< unsuback 83 83 83 83 83 83 83 83 83 83 83
		a> publish 1
		a< publish 1
		a> disconnect
		a< closed
		a: a
		a> connect 4 clean
		a< connack 00
		a> subscribe 1 2 3 4 5 6 7 8 9 10 11
		a< suback 80 80 80 80 80 80 80 80 80 80 80
		a> unsubscribe 1 2 3 4 5 6 7 8 9 10 11
		a< closed
	EOF
}

@test "a remaining length has no padding in MQTT 5, CONNECT's included" {
	broker a
	raw <<-'EOF'
		a: a
		a> hex 10 8e 00 0004 4d515454 05 02 0000 00 0001 61
		a< connack 81
		a< closed
		a: a
		a> connect clean
		a< connack 00
		a> hex c0 80 00
		a< disconnect 81
		a< closed
		a: a
		a> connect 4 clean
		a< connack 00
		a> hex c0 80 00
		a< pingresp
		a> hex c0
		a> hex 80
		a> hex 00
		a< pingresp
	EOF
}

@test "3.1.1 has no CONNACK where it has no return code" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect 4 clean will=w will-qos=2
		a< closed
		a: a
		a> connect 4 clean will=w/#
		a< closed
		a: a
		a> connect 4 clean will=$w
		a< connack 05
		a< closed
		a: a
		a> hex 10 0d 0004 4d515454 04 03 0000 0001 61
		a< closed
		a: a
		a> hex 10 0f 0006 4d51497364 70 03 02 0000 0001 61
		a< connack 01
		a< closed
	EOF
}

@test "a message that was begun is sent again though it has expired meanwhile" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect session-expiry=3600 receive-maximum=2
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		p> publish t q1 payload=1 expiry=100
		p< puback 00
		p> publish t q1 payload=2 expiry=100
		p< puback 00
		p> publish t q1 payload=3 expiry=100
		p< puback 00
		s< publish t q1 id=1 -dup payload=1 expiry~100
		s< publish t q1 id=2 -dup payload=2
		s> puback id=2
		s< publish t q1 id=3 -dup payload=3
		p> publish t q1 payload=4 expiry=100
		p< puback 00
		s< nothing
		s!
		advance 101
		s: s
		s> connect session-expiry=3600
		s< connack 00 present=1
		s< publish t q1 id=1 dup payload=1 expiry=1
		s< publish t q1 id=3 dup payload=3
		s< nothing
	EOF
	restart egns-brokerd
	raw <<-'EOF'
		s: s
		s> connect session-expiry=3600
		s< connack 00 present=1
		s< publish t q1 id=1 dup payload=1
		s< publish t q1 id=3 dup payload=3
		s< nothing
	EOF
}

@test "an alias whose new topic is refused does not stand for the old one" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe #
		s< suback 00
		p: p
		p> connect clean
		p< connack 00
		p> publish old q1 alias=1
		p< puback 00
		s< publish old
		p> publish x*257 q1 alias=1
		p< puback 90
		p> publish "" alias=1
		p< disconnect 82
		p< closed
		s< nothing
	EOF
}

@test "retained messages have the identifier of the subscription, whatever else comes" {
	local n
	broker p s
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			p> publish r q1 retain payload=1
			p< puback 00
			s: s
			s> connect session-expiry=60
			s< connack 00
		EOF
		for n in {1..50}; do
			echo "s> subscribe r,q1 sub-id=$((n + 1000))"
			printf 'p> hex'
			printf ' 3206000161%04x00' {1..40}
			printf '\ns< suback 01\n'
			echo "s< publish r q1 retain sub-id=$((n + 1000))"
			echo "s> puback"
			printf 'p< puback id=%d\n' {1..40}
		done
	} >script
	raw <script
}

@test "a retained message that comes together with a subscription is not missed" {
	local n
	broker p s
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			s: s
			s> connect session-expiry=60
			s< connack 00
		EOF
		for n in {1..40}; do
			echo "s> subscribe r/$n,q1 id=$n"
			echo "p> publish r/$n q1 retain payload=$n"
			echo "p< puback 00"
			echo "s< suback id=$n 01"
			echo "s< publish r/$n q1 payload=$n"
			echo "s> puback"
		done
		echo "s< nothing"
	} >script
	raw <script
}

@test "no local is for retained messages, too" {
	broker a b
	raw <<-'EOF'
		a: a
		a> connect clean
		a< connack 00
		b: b
		b> connect clean
		b< connack 00
		a> publish r/a q1 retain payload=1
		a< puback 00
		b> publish r/b q1 retain payload=2
		b< puback 00
		a> subscribe r/#,nl
		a< suback 00
		a< publish r/b retain payload=2
		a> publish r/a payload=3
		a< nothing
		a> subscribe r/a
		a< suback 00
		a< publish r/a retain payload=1
		a> publish r/a payload=4
		a< publish r/a payload=4
		a< nothing
	EOF
}

@test "nothing comes before CONNECT, and CONNECT only once" {
	local packet version
	broker a
	{
		for packet in c000 e000 30030001 40020001 820600010001 \
			a2050001000161 62020001 70020001 50020001 f000 \
			20020000 d000 0000 9003000100; do
			printf '%s\n' 'a: a' "a> hex $packet 00" 'a< closed'
		done
		for version in 4 5; do
			printf '%s\n' 'a: a' "a> connect $version clean" \
				'a< connack 00' "a> connect $version"
			[ "$version" = 4 ] || echo "a< disconnect 82"
			echo "a< closed"
		done
	} >script
	raw <script
}

@test "what only servers send, and what QoS 2 needs, ends the connection" {
	local packet
	broker a
	for packet in "20020000 82" "9003000100 82" "b003000100 82" "d000 82" \
		"50020001 82" "62020001 82" "70020001 82" "60020001 81" \
		"0000 81" "f000 82" "c100 81" "e100 81" "f100 81" "41020001 81" \
		"80080001000001610000 81" "a006000100000161 81" \
		"360500016100010000 81" "38040001610000 81" "c00100 81"; do
		printf '%s\n' 'a: a' 'a> connect clean' 'a< connack 00' \
			"a> hex ${packet% *}" "a< disconnect ${packet#* }" \
			'a< closed'
		[ "${packet:0:1}" != f ] || packet=f000
		printf '%s\n' 'a: a' 'a> connect 4 clean' 'a< connack 00' \
			"a> hex ${packet% *}" 'a< closed'
	done >script
	raw <script
}

@test "packets may follow a CONNECT at once; the CONNACK comes first, and once" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect session-expiry=60
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		s!
		p> publish t q1 payload=1
		p< puback 00
		s: s
		s> hex 10 16 0004 4d515454 05 80 0000 05 11 0000003c 0001 73 0001 73 82 07 0001 00 0001 75 00 c0 00 30 04 0001 75 00
		s< connack 00 present=1
		s< publish t q1 payload=1
		s< suback 00
		s< pingresp
		s< publish u q0
		s< nothing
	EOF
}

@test "what follows a CONNECT that is refused is not looked at" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe #
		s< suback 00
		p: p
		p> hex 10 10 0004 4d515454 05 82 0000 00 0001 70 0000 30 04 0001 74 00
		p< connack 87
		p< closed
		p: p
		p> hex 10 0f 0004 4d515454 04 82 0000 0001 70 0000 30 03 0001 74
		p< connack 05
		p< closed
		s< nothing
	EOF
}

@test "what follows a DISCONNECT is not looked at" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe #
		s< suback 00
		p: p
		p> connect clean will=w
		p< connack 00
		p> hex e0 00 30 04 0001 74 00
		p< closed
		p: p
		p> connect 4 clean will=w
		p< connack 00
		p> hex e0 00 30 03 0001 74
		p< closed
		s< nothing
	EOF
}

# present WANT CONNECT-WORDS [DISCONNECT-WORDS] - script lines: whether a session
# was there, and how it is left; "!" is without a word.
present() {
	printf '%s\n' 'a: a' "a> connect $2" "a< connack 00 present=$1"
	if [ "${3:-}" = "!" ]; then
		echo 'a!'
	else
		printf '%s\n' "a> disconnect ${3:-}" 'a< closed'
	fi
}

@test "session present, for every way to leave a session and to come back" {
	local first back leave
	broker a
	for back in "5 session-expiry=60" "5" "4" "5 clean" "4 clean" \
		"5 clean session-expiry=60"; do
		for leave in "" "!"; do
			# left to live on: there, unless a clean start is asked for
			for first in "5 clean session-expiry=60" "4 clean;4" \
				"5 clean session-expiry=9;5 session-expiry=9"; do
				present 0 "${first%;*}" "$leave"
				[ "$first" = "${first#*;}" ] ||
					case $first in
					4*) present 0 "${first#*;}" "$leave" ;;
					*) present 1 "${first#*;}" "$leave" ;;
					esac
				case $back in
				*clean*) present 0 "$back" ;;
				*) present 1 "$back" ;;
				esac
			done
			# left to end: not there
			present 0 "5 clean" "$leave"
			present 0 "$back"
			present 0 "4 clean" "$leave"
			present 0 "$back"
		done
		present 0 "5 clean session-expiry=60" "00 session-expiry=0"
		present 0 "$back"
	done >script
	raw <script
}

@test "subscriptions and messages live and end with their session" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect 4
		s< connack 00 present=0
		s> subscribe t,q1 u
		s< suback 01 00
		s> disconnect
		s< closed
		p> publish t q1 payload=1
		p< puback 00
		p> publish u q1 payload=q0
		p< puback 00
		s: s
		s> connect 5 session-expiry=60
		s< connack 00 present=1
		s< publish t q1 payload=1
		p> publish u payload=2
		s< publish u q0 payload=2
		s!
		s: s
		s> connect 4
		s< connack 00 present=1
		s< publish t q1 dup payload=1
		s> puback
		s> disconnect
		s< closed
		p> publish t q1 payload=3
		p< puback 00
		s: s
		s> connect 4 clean
		s< connack 00 present=0
		p> publish t q1 payload=4
		p< puback 00
		s< nothing
		s> subscribe t,q1
		s< suback 01
		s!
		s: s
		s> connect 4
		s< connack 00 present=0
		p> publish t q1 payload=5
		p< puback 00
		s< nothing
	EOF
}

@test "a taken over session goes on, or ends if it was to end with its connection" {
	broker a p
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		p> subscribe will/#
		p< suback 00
		a: a
		a> connect clean will=will/0
		a< connack 00 present=0
		a> subscribe t,q1
		a< suback 01
		b: a
		b> connect session-expiry=60 will=will/1
		b< connack 00 present=0
		a< disconnect 8e
		a< closed
		p< publish will/0
		b> subscribe t,q1
		b< suback 01
		p> publish t q1 payload=1
		p< puback 00
		b< publish t q1 id=1 -dup payload=1
		c: a
		c> connect session-expiry=60 will=will/2 will-delay=5
		c< connack 00 present=1
		b< disconnect 8e
		b< closed
		p< publish will/1
		c< publish t q1 id=1 dup payload=1
		d: a
		d> connect 4 will=will/3
		d< connack 00 present=1
		c< disconnect 8e
		c< closed
		d< publish t q1 id=1 dup payload=1
		d> puback
		p< nothing
		advance 6
		p< nothing
		e: a
		e> connect session-expiry=60 will=will/4 will-delay=5
		e< connack 00 present=1
		d< closed
		p< publish will/3
		f: a
		f> connect clean
		f< connack 00 present=0
		e< disconnect 8e
		p< publish will/4
		p> publish t q1 payload=2
		p< puback 00
		f< nothing
		p< nothing
	EOF
}

@test "a will is published for every end but a DISCONNECT with 0x00" {
	local n=0 end
	broker s w
	# shellcheck disable=SC2016 # of the script
	{
		printf '%s\n' 's: s' 's> connect clean' 's< connack 00' \
			's> subscribe will/#' 's< suback 00'
		for end in 'w> disconnect 04' 'w> disconnect 80' \
			'w> disconnect 00 session-expiry=5' 'w> hex 00 00' \
			'w> publish t q2' 'w> publish $x' 'w!' \
			'w> connect' 'w> disconnect 01'; do
			printf '%s\n' 'w: w' \
				"w> connect clean will=will/$((++n))" \
				'w< connack 00' "$end" "s< publish will/$n"
		done
		for end in 'w> publish t q2' 'w> hex 00 00' 'w!' 'w> connect 4'; do
			printf '%s\n' 'w: w' \
				"w> connect 4 clean will=will/$((++n))" \
				'w< connack 00' "$end" "s< publish will/$n"
		done
		for end in 4 5; do
			printf '%s\n' 'w: w' "w> connect $end will=will/none" \
				'w< connack 00' 'w> disconnect' 'w< closed' \
				's< nothing'
		done
		printf '%s\n' 'w: w' 'w> connect' 'w< connack 00' 'w!' \
			's< nothing'
	} >script
	raw <script
}

@test "a will is published once, also over a restart" {
	broker s w
	raw <<-'EOF'
		w: w
		w> connect session-expiry=60 will=will/1 will-delay=20 will-qos=1 will-user=b:1 will-user=a:2 will-user=b:0
		w< connack 00
		w!
		s: s
		s> connect session-expiry=60
		s< connack 00
		s> subscribe will/#,q1
		s< suback 01
	EOF
	restart egns-brokerd
	raw <<-'EOF'
		s: s
		s> connect session-expiry=60
		s< connack 00 present=1
		s< nothing
		advance 21
		s< publish will/1 q1 -dup user=b:1,a:2,b:0
		s> puback
		s< nothing
	EOF
	restart egns-brokerd
	raw <<-'EOF'
		s: s
		s> connect session-expiry=60
		s< connack 00 present=1
		advance 10
		s< nothing
		w: w
		w> connect session-expiry=60
		w< connack 00 present=1
		w!
		advance 61
		s< nothing
	EOF
}

@test "ClientIds are any text, compared byte by byte; made up ones are new" {
	local id
	broker a
	# shellcheck disable=SC2016 # a name like any other
	for id in 0 aZ09 abcdefghijklmnopqrstuvw '$x/+/#' ' ' é 日本 x*128 é*128; do
		printf '%s\n' 'a: a' "a> connect clean '' 'id=$id'" \
			'a< connack 00 -assigned-id' 'a> disconnect' 'a< closed'
	done | sed "s/ ''//" >script
	raw <script
	raw <<-'EOF'
		a: a
		a> connect clean id=x session-expiry=60
		a< connack 00 present=0
		a> disconnect
		a< closed
		a: a
		a> connect id=X
		a< connack 97
		a< closed
		a: a
		a> connect id=x
		a< connack 00 present=1
		a> disconnect
		a< closed
		a: a
		a> hex 10 11 0004 4d515454 05 82 0000 00 0001 ff 0001 61
		a< connack 81
		a< closed
		a: a
		a> hex 10 11 0004 4d515454 05 82 0000 00 0001 00 0001 61
		a< connack 81
		a< closed
	EOF
	for _ in 1 2 3; do
		printf '%s\n' 'a: a' 'a> connect id= session-expiry=0' \
			'a< connack 00 present=0 assigned-id=' 'a> disconnect' \
			'a< closed'
	done >script
	[ "$(raw <script | grep -o 'assigned-id=.\+' | sort -u | wc -l)" = 3 ]
}

@test "an assigned ClientId is the name of the session" {
	local id
	broker a
	id=$(raw <<-'EOF' | sed -n 's/.*assigned-id=\([^ ]\+\).*/\1/p'
		a: a
		a> connect id= session-expiry=60
		a< connack 00 present=0 assigned-id=
		a> disconnect
		a< closed
	EOF
	)
	raw <<-EOF
		a: a
		a> connect id=$id
		a< connack 00 present=1 -assigned-id
	EOF
}

@test "DUP and packet identifiers of a publisher are its own affair" {
	broker p s
	raw <<-'EOF'
		s: s
		s> connect clean
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		p: p
		p> connect clean
		p< connack 00
		p> publish t q1 id=65535 dup payload=1
		p< puback id=65535 00
		s< publish t q1 id=1 -dup payload=1
		p> publish t q1 id=65535 payload=2
		p< puback id=65535 00
		s< publish t q1 id=2 -dup payload=2
		p> publish t q1 id=65535 dup payload=3
		p< puback id=65535 00
		s< publish t q1 id=3 -dup payload=3
		p> publish t q1 id=7 payload=4
		p> publish t q1 id=7 payload=5
		p< puback id=7 00
		p< puback id=7 00
		s< publish t q1 id=4 payload=4
		s< publish t q1 id=5 payload=5
	EOF
}

@test "PUBACKs are in the order of the publishes, refused ones, too" {
	local n
	broker p
	{
		printf '%s\n' 'p: p' 'p> connect clean' 'p< connack 00'
		printf 'p> hex'
		for n in {1..100}; do
			# every third topic is $, every fifth has a wildcard
			case $((n % 3)):$((n % 5)) in
			0:*) printf ' 3206 0001 24 %04x 00' "$n" ;;
			*:0) printf ' 3206 0001 23 %04x 00' "$n" ;;
			*) printf ' 3206 0001 61 %04x 00' "$n" ;;
			esac
		done
		echo
		for n in {1..100}; do
			case $((n % 3)):$((n % 5)) in
			0:*) echo "p< puback id=$n 87" ;;
			*:0) echo "p< puback id=$n 90" ;;
			*) echo "p< puback id=$n 00" ;;
			esac
		done
	} >script
	raw <script
}

# The character of this number.
character() {
	printf '%b' "\\x$(printf %x "$1")"
}

# burst FROM TO - script line: p publishes these to a and b, at once.
burst() {
	local n
	printf 'p> hex'
	for ((n = $1; n <= $2; n++)); do
		printf ' 3207 0001 61 %04x 00 %02x' "$n" "$n"
		printf ' 3207 0001 62 %04x 00 %02x' "$((n + 100))" "$n"
		printf ' 3005 0001 7a 00 %02x' "$n"
	done
	echo
}

@test "messages come in their order, whether one was there or not" {
	local n
	broker p s
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			s: s
			s> connect session-expiry=60
			s< connack 00
			s> subscribe a,q1 b,q1
			s< suback 01 01
			s!
		EOF
		burst 33 36
		for n in 33 34 35 36; do
			echo "p< puback id=$n"
			echo "p< puback id=$((n + 100))"
		done
		cat <<-'EOF'
			s: s
			s> connect session-expiry=60 receive-maximum=3
			s< connack 00 present=1
		EOF
		burst 48 53
		for n in 33 34 35 36 48 49 50 51 52 53; do
			echo "s< publish a payload='$(character "$n")'"
			echo "s> puback"
			echo "s< publish b payload='$(character "$n")'"
			echo "s> puback"
		done
		cat <<-'EOF'
			s> subscribe z,q1
			s< suback 01
		EOF
		burst 65 70
		for n in 65 66 67 68 69 70; do
			echo "s< publish z q0 payload=$(character "$n")"
		done
	} >script
	raw <script
}

@test "a filter that goes or is replaced leaves what was begun" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect session-expiry=60 receive-maximum=1
		s< connack 00
		s> subscribe t,q1 sub-id=3
		s< suback 01
		p> publish t q1 payload=1
		p< puback 00
		p> publish t q1 payload=2
		p< puback 00
		s< publish t id=1 payload=1 sub-id=3
		s> unsubscribe t/+ T t/ id=1
		s< unsuback id=1 11 11 11
		s> unsubscribe t id=2
		s< unsuback id=2 00
		p> publish t q1 payload=3
		p< puback 00
		s< nothing
		s!
		s: s
		s> connect session-expiry=60
		s< connack 00 present=1
		s< publish t q1 id=1 dup payload=1 sub-id=3
		s> puback
		s< publish t q1 id=2 -dup payload=2
		s> puback
		s> subscribe t
		s< suback 00
		s> subscribe t,q1 sub-id=4
		s< suback 01
		p> publish t q1 payload=4
		p< puback 00
		s< publish t q1 payload=4 sub-id=4
		s> puback
		s< nothing
	EOF
}

@test "a message comes with the lower QoS of its publish and what was granted" {
	local publish subscribe q
	broker p s
	{
		printf '%s\n' 'p: p' 'p> connect clean' 'p< connack 00'
		for subscribe in q0 q1 q2; do
			printf '%s\n' 's: s' 's> connect clean' 's< connack 00' \
				"s> subscribe a/+${subscribe/#/,} \
				\$share/g/b${subscribe/#/,}" |
				sed 's/,q0//g'
			case $subscribe in
			q0) echo 's< suback 00 00' ;;
			*) echo 's< suback 01 01' ;;
			esac
			for publish in 0 1; do
				q=$publish
				[ "$subscribe" != q0 ] || q=0
				printf '%s\n' "p> publish a/1 q$publish" \
					"s< publish a/1 q$q" \
					"p> publish b q$publish" \
					"s< publish b q$q"
				[ "$publish" = 0 ] ||
					printf '%s\n' 'p< puback' 'p< puback'
			done
		done
	} >script
	raw <script
}

@test "overlapping subscriptions: one copy, highest QoS, any retain as published" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect clean
		s< connack 00
		s> subscribe a/+ sub-id=1
		s< suback 00
		s> subscribe a/#,q1 sub-id=2
		s< suback 01
		s> subscribe +/b,rap sub-id=3
		s< suback 00
		s> subscribe #,nl
		s< suback 00
		p> publish a/b q1 retain payload=1
		p< puback 00
		s< publish a/b q1 retain sub-id=1 sub-id=2 sub-id=3 payload=1
		s> puback
		p> publish a/c q1 retain payload=2
		p< puback 00
		s< publish a/c q1 -retain sub-id=1 sub-id=2 payload=2
		s> puback
		s> publish x/y payload=3
		s< nothing
		s> subscribe 1/+,rap 1/# 2/+ 2/#,rap
		s< suback 00 00 00 00
		p> publish 1/c retain
		s< publish 1/c retain
		p> publish 2/c retain
		s< publish 2/c retain
		s> subscribe a/b,q1 sub-id=9
		s< suback 01
		s< publish a/b q1 retain sub-id=9 payload=1
		s> puback
		s< nothing
	EOF
}

@test "retain flags: what is retained stays until another retained message" {
	broker p q s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		q: q
		q> connect 4 clean
		q< connack 00
		p> publish t q1 retain payload=1 format=1 content-type=c user=b:1 user=a:2
		p< puback 00
		p> publish t q1 payload=2
		p< puback 00
		p> publish t payload=3
		s: s
		s> connect clean
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		s< publish t q1 retain payload=1 format=1 content-type=c user=b:1,a:2
		s> puback
		q> publish t retain payload=4
		s< publish t q0 -retain payload=4 -format
		s> subscribe t,q1
		s< suback 01
		s< publish t q0 retain payload=4 -format -user
		p> publish none q1 retain
		p< puback 00
		s> subscribe none
		s< suback 00
		s< nothing
		q> publish t q1 retain
		q< puback
		s< publish t q1 -retain payload=
		s> puback
		s> subscribe t
		s< suback 00
		s< nothing
	EOF
}

@test "aliases 1 to 10, set anew at any time, each connection has its own" {
	local n
	broker p q s
	{
		for n in p q s; do
			printf '%s\n' "$n: $n" "$n> connect clean" \
				"$n< connack 00 alias-maximum=10"
		done
		printf '%s\n' 's> subscribe +/+' 's< suback 00'
		for n in {1..10}; do
			echo "p> publish p/$n alias=$n"
			echo "s< publish p/$n -alias"
			echo "q> publish q/$n alias=$n"
			echo "s< publish q/$n -alias"
		done
		for n in {10..1}; do
			echo "p> publish '' alias=$n payload=$n"
			echo "s< publish p/$n -alias payload=$n"
			echo "q> publish '' q1 alias=$n payload=$n"
			echo "q< puback 00"
			echo "s< publish q/$n q0 payload=$n"
		done
	} >script
	raw <script
}

@test "a PUBACK with an error ends the connection, and the message" {
	broker p a b
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		a: a
		a> connect session-expiry=60
		a< connack 00
		a> subscribe $share/g/t,q1
		a< suback 01
		p> publish t q1 payload=1
		p< puback 00
		p> publish t q1 payload=2
		p< puback 00
		a< publish t id=1 payload=1
		a< publish t id=2 payload=2
		b: b
		b> connect clean
		b< connack 00
		b> subscribe $share/g/t,q1
		b< suback 01
		a> puback id=1 code=87
		a< disconnect 83
		a< closed
		b< nothing
		a: a
		a> connect session-expiry=60
		a< connack 00 present=1
		a< publish t id=2 dup payload=2
		a> disconnect 00 session-expiry=0
		a< closed
		b< publish t q1 -dup payload=2
		b< nothing
	EOF
}

@test "what the client asks about reasons and responses changes nothing else" {
	broker a
	raw <<-'EOF'
		a: a
		a> connect clean request-problem=0 request-response=1
		a< connack 00 -response-info -reason -user
		a> subscribe a+ $x
		a< suback 8f 87 -reason -user
		a> publish a# q1
		a< puback 90 -reason -user
		a> unsubscribe x
		a< unsuback 11 -reason -user
		a> publish t q2
		a< disconnect 9b -user -session-expiry
		a< closed
		a: a
		a> connect clean request-problem=0 user=k:v
		a< connack 83 reason= -user
		a< closed
	EOF
}

@test "a PUBACK is for what was sent on its connection" {
	broker p s
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		s: s
		s> connect session-expiry=60
		s< connack 00
		s> subscribe t,q1
		s< suback 01
		p> publish t q1 payload=1
		p< puback 00
		p> publish t q1 payload=2
		p< puback 00
		p> publish t q1 payload=3
		p< puback 00
		s< publish t id=1
		s< publish t id=2
		s< publish t id=3
		s!
		s: s
		s> connect session-expiry=60 receive-maximum=1
		s< connack 00 present=1
		s< publish t dup id=1 payload=1
		s> puback id=2
		s> puback id=3
		s> puback id=9
		s< nothing
		s> puback id=1
		s< publish t dup id=2 payload=2
		s< nothing
		s> puback id=2
		s< publish t dup id=3 payload=3
		s< nothing
	EOF
}

# ---- reason codes ----

@test "what is not granted: 0x87 for the one topic or filter, or the end" {
	bare_ns
	device p
	topic_space inward 'in/#'
	topic_space outward 'out/+'
	allow inward "\$all" Publisher
	allow outward "\$all" Subscriber
	start_broker
	raw <<-'EOF'
		p: p
		p> connect clean
		p< connack 00
		p> publish in/1 q1
		p< puback 00
		p> publish out/1 q1 id=2
		p< puback id=2 87
		p> subscribe in/1 out/1,q1 out/# $share/g/out/1 $share/g/in/1 a+
		p< suback 87 01 87 00 87 8f
		p> publish out/1 q0
		p< disconnect 87
		p< closed
		p: p
		p> connect clean will=out/1
		p< connack 87
		p< closed
		p: p
		p> connect 4 clean
		p< connack 00
		p> publish in/1 q1
		p< puback
		p> subscribe in/1 out/1,q1 out/#
		p< suback 80 01 80
		p> publish out/1 q0
		p< closed
		p: p
		p> connect 4 clean
		p< connack 00
		p> publish out/1 q1
		p< closed
		p: p
		p> connect 4 clean will=out/1
		p< connack 05
		p< closed
	EOF
}

@test "CONNECTs that are refused have these codes, in both versions" {
	broker a b
	egns-ctl namespace client update -o none -n b --state Disabled
	raw <<-'EOF'
		a: a
		a> connect id=mine session-expiry=60
		a< connack 00
		b: a
		b> connect 4 clean id=other
		b< connack 03
		b< closed
		b: a
		b> connect clean id=other
		b< connack 97 reason=
		b< closed
		b: a
		b> connect clean name=b
		b< connack 87 reason=
		b< closed
		b: b
		b> connect clean
		b< connack 87 reason=
		b< closed
		b: b
		b> connect 4 clean
		b< connack 05
		b< closed
		b: a
		b> connect clean will=
		b< connack 82
		b< closed
		b: a
		b> connect 4 clean will=
		b< closed
		b: a
		b> connect clean will=a+
		b< connack 90
		b< closed
		b: a
		b> connect clean will=t will-content-type=x*257
		b< connack 97
		b< closed
		b: a
		b> connect clean receive-maximum=1 receive-maximum=1
		b< connack 82
		b< closed
		b: a
		b> connect clean maximum-packet=0
		b< connack 82
		b< closed
		b: a
		b> connect clean data=x
		b< connack 82
		b< closed
		b: a
		b> connect 4 clean id=x*129
		b< connack 02
		b< closed
		a< nothing
	EOF
}

@test "a session overflows in the profile of the service: 0x97, and it is gone" {
	local n
	broker p s t
	egns-ctl namespace update -o none --profile Azure
	{
		cat <<-'EOF'
			p: p
			p> connect clean
			p< connack 00
			s: s
			s> connect session-expiry=60
			s< connack 00
			s> subscribe t,q1
			s< suback 01
			t: t
			t> connect session-expiry=60
			t< connack 00
			t> subscribe t,q1
			t< suback 01
			t> disconnect
			t< closed
		EOF
		for n in {1..101}; do
			printf '%s\n' 'p> publish t q1' 'p< puback 00'
		done
		for n in {1..16}; do
			echo "s< publish t id=$n"
		done
		cat <<-'EOF'
			s< disconnect 97
			s< closed
			advance 2
			s: s
			s> connect session-expiry=60
			s< connack 00 present=0
			t: t
			t> connect session-expiry=60
			t< connack 00 present=0
			p< nothing
		EOF
	} >script
	raw <script
}

@test "every test that egns-conformance(7) names is there, and each statement has one" {
	local page=$top/man/egns-conformance.7 file begin
	sed -n 's/^\.It .*\[\(.*\)]$/\1/p' "$page" | sort -u >tests
	[ "$(wc -l <tests)" -gt 50 ]
	while read -r file begin; do
		case $file in
		[0-9]*) grep -qF "@test \"$begin" "$top/tests/$file"-*.bats ;;
		*) grep -q "^${begin}[a-z0-9_]*(void)" "$top/tests/unit/$file.c" ;;
		esac || { echo "no test: $file $begin"; return 1; }
	done <tests
	# AUTH 0x18 is never sent: nothing to see
	run grep '^\.It [0-9].* Ta kept Ta .*[^]]$' "$page"
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == *" 4.12.0-2 "* ]]
}
