// An MQTT client by MQTT.js; paho_client.py takes the same options and prints the
// same lines. It connects, subscribes, publishes, and ends when it has got what
// it waits for; each line that it prints is a JSON object.
//
//	--url URL           mqtts://HOST:PORT or wss://HOST:PORT/mqtt
//	--version 4|5
//	--ca, --cert, --key FILE
//	--user NAME         authentication name
//	--id SESSION
//	--resume SECONDS    no clean start; the session lives on so long
//	--subscribe FILTER  as often as need be; QoS 1
//	--publish TOPIC=PAYLOAD  the same
//	--property NAME=VALUE    of what is published, as an event prints it
//	--user-property NAME=VALUE
//	--count N           messages to wait for
//	--abort             end without a DISCONNECT
//
// Status 0; 1 when something was refused; 75 when 30 seconds have not been enough.
'use strict';
const fs = require('fs');
const path = require('path');
const { parseArgs } = require('util');
const mqtt = require(path.join(process.env.B, 'npm/node_modules/mqtt'));

const text = { type: 'string' };
const many = { type: 'string', multiple: true, default: [] };
const { values: opt } = parseArgs({ options: {
	url: text, version: { type: 'string', default: '5' }, ca: text,
	cert: text, key: text, user: text, id: text, resume: text,
	subscribe: many, publish: many, property: many, 'user-property': many,
	count: { type: 'string', default: '0' }, abort: { type: 'boolean' },
} });
const v5 = opt.version === '5';

function say(event, more) {
	fs.writeSync(1, JSON.stringify({ event, ...more }) + '\n');
}

function pair(s) {
	const at = s.indexOf('=');
	return [s.slice(0, at), s.slice(at + 1)];
}

// Our names of properties, theirs, and how they are made of text and read.
const names = [
	['payload-format-indicator', 'payloadFormatIndicator',
		s => s === '1', v => Number(v)],
	['message-expiry-interval', 'messageExpiryInterval', Number, v => v],
	['content-type', 'contentType', s => s, v => v],
	['response-topic', 'responseTopic', s => s, v => v],
	['correlation-data', 'correlationData', s => Buffer.from(s),
		v => v.toString()],
	['subscription-identifier', 'subscriptionIdentifier', Number, v => v],
];

function properties() {
	const all = {};
	if (!v5)
		return undefined;
	for (const [name, value] of opt.property.map(pair)) {
		const [, theirs, make] = names.find(n => n[0] === name);
		all[theirs] = make(value);
	}
	for (const [name, value] of opt['user-property'].map(pair)) {
		all.userProperties = all.userProperties || {};
		all.userProperties[name] =
			[].concat(all.userProperties[name] || [], value);
	}
	return all;
}

function read(theirs) {
	const all = {};
	for (const [name, property, , get] of names)
		if (theirs && theirs[property] !== undefined)
			all[name] = get(theirs[property]);
	if (theirs && theirs.userProperties)
		all['user-properties'] = Object.entries(theirs.userProperties)
			.flatMap(([k, v]) => [].concat(v).map(one => [k, one]));
	return all;
}

function end(status) {
	if (opt.abort)
		process.exit(status);
	client.end(false, {}, () => process.exit(status));
}

let got = 0, acked = 0, subscribed = 0, done = false;

function look() {
	if (done || got < Number(opt.count) || acked < opt.publish.length ||
	    subscribed < opt.subscribe.length)
		return;
	done = true;
	end(0);
}

function publish() {
	for (const [topic, payload] of opt.publish.map(pair))
		client.publish(topic, payload,
			{ qos: 1, properties: properties() }, () => {});
}

const resume = opt.resume !== undefined;
const client = mqtt.connect(opt.url, {
	protocolVersion: v5 ? 5 : 4, clientId: opt.id, username: opt.user,
	clean: !resume, reconnectPeriod: 0, keepalive: 60,
	ca: fs.readFileSync(opt.ca),
	cert: opt.cert && fs.readFileSync(opt.cert),
	key: opt.key && fs.readFileSync(opt.key),
	properties: v5 && resume ?
		{ sessionExpiryInterval: Number(opt.resume) } : undefined,
});

client.on('packetreceive', p => {
	const code = p.reasonCode === undefined ? p.returnCode || 0 :
		p.reasonCode;
	if (p.cmd === 'connack') {
		say('connack', { code, sessionPresent: p.sessionPresent });
		if (code !== 0)
			process.exit(1);
	} else if (p.cmd === 'suback') {
		say('suback', { codes: p.granted });
		if (p.granted.some(granted => granted >= 0x80))
			process.exit(1);
		if ((subscribed += p.granted.length) === opt.subscribe.length)
			publish();
		look();
	} else if (p.cmd === 'puback') {
		say('puback', { code });
		if (code >= 0x80)
			process.exit(1);
		acked++;
		look();
	} else if (p.cmd === 'disconnect') {
		say('disconnect', { code });
		process.exit(1);
	}
});

client.on('connect', () => {
	for (const filter of opt.subscribe)
		client.subscribe(filter, { qos: 1 }, () => {});
	if (opt.subscribe.length === 0)
		publish();
	look();
});

client.on('message', (topic, payload, p) => {
	say('message', { topic, payload: payload.toString(), qos: p.qos,
		retain: p.retain, dup: p.dup, properties: read(p.properties) });
	got++;
	look();
});

// A broker may close the connection while we still take leave.
client.on('error', error => {
	if (done)
		process.exit(0);
	say('error', { words: error.message });
	process.exit(1);
});

client.on('close', () => {
	if (!done)
		say('closed');
	process.exitCode = done ? 0 : 1;
});

setTimeout(() => process.exit(75), 60000).unref();
