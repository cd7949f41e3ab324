#!/usr/bin/env node
// The account of an emulator by the official `@azure/storage-blob` package:
//
//	sdk.mjs URL VERB CONTAINER [ARG...]
//
//	create | drop          the container
//	put NAME               what is on standard input
//	get NAME               to standard output
//	list [PREFIX]          a line of JSON for each
//	load                   lines {"name","text"} from standard input
//	dump [PREFIX]          such lines of all, with "base64" for what is no
//	                       UTF-8
//	delete NAME
//	snapshot NAME
//	lease NAME             which nobody else can change from then on
//	sas PERMISSIONS [SECONDS]   a query, good for so long
import fs from 'fs';
import { webcrypto } from 'crypto';
import { createRequire } from 'module';
import path from 'path';

// Which the package looks for; Debian's node does not show it by itself.
globalThis.crypto ??= webcrypto;
const modules = createRequire(path.resolve(process.env.B, 'npm/package.json'));
const { BlobServiceClient, StorageSharedKeyCredential, ContainerSASPermissions,
	SASProtocol, generateBlobSASQueryParameters } =
	modules('@azure/storage-blob');

const [, , url, verb, name, ...args] = process.argv;
// Those that every emulator has, as its manual publishes them.
const credential = new StorageSharedKeyCredential('devstoreaccount1',
	'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZ' +
	'FPTOtr/KBHBeksoGMGw==');
const container = new BlobServiceClient(url, credential,
	{ retryOptions: { maxTries: 1 } }).getContainerClient(name);
const blob = () => container.getBlockBlobClient(args[0]);

function sas() {
	const seconds = Number(args[1] ?? 3600);
	return generateBlobSASQueryParameters({
		containerName: name,
		permissions: ContainerSASPermissions.parse(args[0]),
		startsOn: new Date(Date.now() - 7200e3),
		expiresOn: new Date(Date.now() + seconds * 1000),
		protocol: SASProtocol.HttpsAndHttp,
	}, credential).toString();
}

// Some at a time.
async function load() {
	const lines = fs.readFileSync(0, 'utf8').split('\n').filter(l => l);
	while (lines.length > 0)
		await Promise.all(lines.splice(0, 100).map(line => {
			const { name, text } = JSON.parse(line);
			return container.getBlockBlobClient(name)
				.upload(text, Buffer.byteLength(text));
		}));
}

async function dump() {
	for await (const { name } of container.listBlobsFlat({ prefix: args[0] })) {
		const bytes = await container.getBlobClient(name)
			.downloadToBuffer();
		const text = bytes.toString();
		console.log(JSON.stringify(Buffer.from(text).equals(bytes) ?
			{ name, text } :
			{ name, base64: bytes.toString('base64') }));
	}
}

const verbs = {
	create: () => container.create(),
	drop: () => container.delete(),
	put: () => {
		const text = fs.readFileSync(0);
		return blob().upload(text, text.length);
	},
	get: async () => process.stdout.write(await blob().downloadToBuffer()),
	list: async () => {
		const found = container.listBlobsFlat({ prefix: args[0] });
		for await (const { name, properties } of found)
			console.log(JSON.stringify({ name,
				size: properties.contentLength,
				type: properties.contentType,
				etag: properties.etag }));
	},
	load,
	dump,
	delete: () => blob().delete(),
	snapshot: () => blob().createSnapshot(),
	lease: () => blob().getBlobLeaseClient().acquireLease(-1),
	sas: () => console.log(sas()),
};

try {
	await verbs[verb]();
} catch (error) {
	console.error(`${verb}: ${error.statusCode} ${error.code} ` +
		error.message.split('\n')[0]);
	process.exit(1);
}
