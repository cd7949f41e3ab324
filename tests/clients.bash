# Clients that others have written: `load lib; load clients`.
# shellcheck shell=bash

# third mqttjs|paho_client DEVICE OPTION... - one of mqtt/, as that device
# ("" for no certificate); what it says goes to ./out, see mqtt/mqttjs.js.
third() {
	local client=$1 device=$2 run=(node "$top/tests/mqtt/mqttjs.js")
	shift 2
	# The one that Debian's paho is for.
	[ "$client" != paho_client ] ||
		run=(/usr/bin/python3 "$top/tests/mqtt/paho_client.py")
	B=$B "${run[@]}" --ca ca.pem ${device:+--cert "$device.pem" \
		--key "$device.key" --user "$device"} "$@" >out || {
		cat out
		return 1
	}
}
