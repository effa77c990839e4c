// SPDX-License-Identifier: Apache-2.0
/*
 * A service on Node: each request makes calls with random pauses around them, each with a fresh token.
 *
 *	service.js CLIENT MODE PORT NEXT TRUTH
 *
 * CLIENT: http (keep-alive, few sockets: requests queue for them), new (a connection a call), fetch.
 * MODE: sequential (two calls), all (Promise.all of three).
 */
'use strict';
const http = require('http');
const fs = require('fs');
const { randomBytes } = require('crypto');

const [client, mode, port, next, truth] = process.argv.slice(2);
const file = fs.openSync(truth, 'a');
const agent = new http.Agent({ keepAlive: client === 'http', maxSockets: client === 'http' ? 20 : Infinity });
const pause = () => new Promise((done) => setTimeout(done, 1 + Math.random() * 19));

function get(path) {
	if (client === 'fetch')
		return fetch(`http://127.0.0.1:${next}${path}`).then((answer) => answer.text());
	return new Promise((done, failed) => {
		http.get({ port: next, host: '127.0.0.1', path, agent }, (answer) => {
			answer.resume();
			answer.on('end', done);
		}).on('error', failed);
	});
}

async function call(token) {
	const out = randomBytes(16).toString('hex');

	await pause();
	fs.writeSync(file, `${token}\t${out}\n`);
	await get('/leaf/' + out);
}

async function work(token) {
	if (mode === 'all') {
		await Promise.all([call(token), call(token), call(token)]);
	} else {
		await call(token);
		await call(token);
	}
	await pause();
}

http.createServer((request, answer) => {
	work(request.url.slice(request.url.lastIndexOf('/') + 1)).then(() => answer.end('ok\n'), () => {
		answer.statusCode = 502;
		answer.end('bad\n');
	});
}).listen(Number(port), '127.0.0.1', 1024);
