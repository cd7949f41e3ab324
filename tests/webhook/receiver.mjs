#!/usr/bin/env node
// A webhook by the official `cloudevents` package: it takes what that takes, in
// any mode, and refuses the rest with 400.
//
//	receiver.mjs -r FD [CERT KEY]
//
// Its port goes to receiver.mjs.port, and each request is a line of
// receiver.mjs.requests: {"mode","events"} of what the package made of it,
// {"error"} of what it refused.
import fs from 'fs';
import http from 'http';
import https from 'https';
import { createRequire } from 'module';
import path from 'path';

const modules = createRequire(path.resolve(process.env.B, 'npm/package.json'));
const { HTTP } = modules('cloudevents');
const [, , , ready, cert, key] = process.argv;

function mode(type) {
	if (type.startsWith('application/cloudevents-batch'))
		return 'batch';
	return type.startsWith('application/cloudevents') ?
		'structured' : 'binary';
}

// The package keeps data that it does not know as the bytes they are only when
// it gets bytes; text is for the formats.
function read(headers, body) {
	const type = headers['content-type'] ?? '';
	const is = mode(type);
	const text = is !== 'binary' || /^(text\/|.*json)/.test(type);
	const made = HTTP.toEvent({ headers,
		body: text ? body.toString() : body });
	// What comes of a batch it does not look at by itself.
	if (Array.isArray(made) !== (is === 'batch'))
		throw new Error('an array is a batch, and a batch an array');
	const events = [made].flat();
	events.forEach(event => event.validate());
	return { mode: is, events };
}

function serve(request, response) {
	if (request.method === 'OPTIONS') {
		response.setHeader('WebHook-Allowed-Origin',
			request.headers['webhook-request-origin'] ?? 'none');
		response.setHeader('Allow', 'POST');
		response.end();
		return;
	}
	const parts = [];
	request.on('data', part => parts.push(part));
	request.on('end', () => {
		let line;
		try {
			line = read(request.headers, Buffer.concat(parts));
		} catch (error) {
			line = { error: `${error.message} ` +
				JSON.stringify(error.errors ?? '') };
		}
		fs.appendFileSync('receiver.mjs.requests',
			JSON.stringify(line) + '\n');
		response.statusCode = line.error === undefined ? 204 : 400;
		response.end();
	});
}

const server = cert === undefined ? http.createServer(serve) :
	https.createServer({ cert: fs.readFileSync(cert),
		key: fs.readFileSync(key) }, serve);
process.on('SIGTERM', () => process.exit(0));
server.listen(0, '127.0.0.1', () => {
	fs.writeFileSync('receiver.mjs.port', `${server.address().port}\n`);
	fs.writeSync(Number(ready), '\n');
	fs.closeSync(Number(ready));
});
