// SPDX-License-Identifier: Apache-2.0
// An HTTP server on node's own event loop: each request makes CALLS calls to NEXT (CALLS=0: a leaf), each with
// a fresh token. The pair (incoming token, outgoing token) goes to the truth file alone.
//
// Environment: NAME, TRUTH, PORT, NEXT (HOST:PORT), NEXT_NAME, CALLS (2), PARALLEL (1: at once), KEEP (1: an agent
// with keep-alive), THINK_MS (mean of the random think times before, between and after the calls; 0: none).
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const http = require("http");

const env = process.env;
const calls = parseInt(env.CALLS || "2", 10);
const parallel = env.PARALLEL === "1";
const thinkMs = parseFloat(env.THINK_MS || "0");
const [host, port] = (env.NEXT || "127.0.0.1:1").split(":");
const agent = new http.Agent({ keepAlive: env.KEEP === "1", maxSockets: Infinity });
const truth = env.TRUTH ? fs.openSync(env.TRUTH, "a") : -1;

function think() {
	return thinkMs ? new Promise((done) => setTimeout(done, Math.random() * 2 * thinkMs)) : undefined;
}

function call(token) {
	const out = crypto.randomBytes(16).toString("hex");
	fs.writeSync(truth, `${env.NAME}\t${token}\t${env.NEXT_NAME}\t${out}\n`);
	return new Promise((done) => {
		const req = http.get({ host, port, path: `/${env.NEXT_NAME}/${out}`, agent }, (res) => {
			res.resume();
			res.on("end", () => done(res.statusCode));
		});
		req.on("error", () => done(502));
	});
}

async function handle(req, res) {
	const token = req.url.slice(req.url.lastIndexOf("/") + 1);
	const answers = [];
	if (thinkMs)
		await think();
	if (parallel) {
		const all = [];
		for (let i = 0; i < calls; i++)
			all.push(call(token));
		answers.push(...await Promise.all(all));
	} else {
		for (let i = 0; i < calls; i++) {
			answers.push(await call(token));
			if (thinkMs)
				await think();
		}
	}
	res.statusCode = answers.every((s) => s < 400) ? 200 : 502;
	res.setHeader("Content-Type", "text/plain");
	res.end("ok\n");
}

const server = http.createServer(handle);
server.keepAliveTimeout = 120000;
server.listen({ port: parseInt(env.PORT, 10), host: "127.0.0.1", backlog: 1024 });
