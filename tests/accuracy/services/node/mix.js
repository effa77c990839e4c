// SPDX-License-Identifier: Apache-2.0
// Node's own event loop: each request makes a random number of calls to BACK, each with a fresh token. The pair
// (incoming token, outgoing token) goes to the truth file alone.
//
// MODE=http   http.request, through an agent of CONNS keep-alive sockets: calls queue for a socket
// MODE=fetch  the global fetch (undici), as it comes
// MODE=shared all calls on one connection, each written at once, answered in their order: as clients of redis do
//
// TIMERS=0 leaves out the think times: then a call follows from the answer before it.
// Environment: see ../../case.py.
"use strict";
const crypto = require("crypto");
const fs = require("fs");
const http = require("http");
const net = require("net");

const env = process.env;
const num = (name, otherwise) => parseFloat(env[name] || otherwise);
const thinkMs = env.TIMERS === "0" ? 0 : num("THINK_MS", "10");
const steps = num("STEPS", "2");
const skip = num("SKIP", "0");
const repeat = num("REPEAT", "0");
const retries = num("RETRIES", "2");
const parallel = num("PARALLEL", "0");
const background = num("BACKGROUND", "0");
const timerMs = num("TIMER_MS", "0");
const [host, port] = (env.BACK || "127.0.0.1:1").split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: num("CONNS", "16") });
const truth = fs.openSync(env.TRUTH || "/dev/null", "a");

function think() {
	if (thinkMs)
		return new Promise((done) => setTimeout(done, Math.random() * 2 * thinkMs));
	return undefined;
}

const waiting = []; // for their answers, in this order
const shared = env.MODE === "shared" ? connect() : null;

function connect() {
	const socket = net.connect(Number(port), host);
	let got = "";
	socket.setNoDelay(true);
	socket.on("data", (data) => {
		got += data;
		for (let end; (end = got.indexOf("\r\n\r\n")) >= 0;) {
			const whole = end + 4 + Number(/content-length: (\d+)/i.exec(got)[1]);
			if (got.length < whole)
				break;
			waiting.shift()(Number(got.slice(9, 12)));
			got = got.slice(whole);
		}
	});
	return socket;
}

function get(path) {
	if (shared) {
		return new Promise((done) => {
			waiting.push(done);
			shared.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
		});
	}
	if (env.MODE === "fetch") {
		return fetch(`http://${host}:${port}${path}`).then(async (res) => {
			await res.text();
			return res.status;
		}, () => 0);
	}
	return new Promise((done) => {
		const req = http.request({ host, port, path, agent }, (res) => {
			res.resume();
			res.on("end", () => done(res.statusCode));
		});
		req.on("error", () => done(0));
		req.end();
	});
}

// A call, made again with another token when the back end was not able.
async function call(token, kind) {
	const again = kind === "background" || kind === "timer" ? kind : "retry";
	for (let i = 0; i <= retries; i++) {
		const out = crypto.randomBytes(16).toString("hex");
		fs.writeSync(truth, `${env.NAME}\t${token}\t${env.BACK_NAME}\t${out}\t${i ? again : kind}\n`);
		if (await get(`/${env.BACK_NAME}/${out}`) === 200)
			return true;
	}
	return false;
}

async function later(token, pauseMs) {
	await new Promise((done) => setTimeout(done, pauseMs));
	await call(token, "background");
}

// The kinds of the calls that a request makes, tries after a failure aside.
function plan(usual) {
	const kinds = [];
	for (let i = 0; i < steps; i++) {
		if (Math.random() < skip)
			continue;
		kinds.push(usual);
		if (Math.random() < repeat)
			kinds.push("repeat");
	}
	return kinds;
}

async function paused(token, kind) {
	if (thinkMs)
		await think();
	return call(token, kind);
}

async function handle(req, res) {
	const token = req.url.slice(req.url.lastIndexOf("/") + 1);
	let ok = true;

	if (thinkMs)
		await think();
	if (Math.random() < parallel) {
		const all = await Promise.all(plan("parallel").map((kind) => paused(token, kind)));
		ok = all.every(Boolean);
		if (thinkMs)
			await think();
	} else {
		for (const kind of plan("call")) {
			ok = await call(token, kind) && ok;
			if (thinkMs)
				await think();
		}
	}
	if (Math.random() < background)
		later(token, Math.random() * 2 * num("THINK_MS", "10"));
	res.statusCode = ok ? 200 : 502;
	res.setHeader("Content-Type", "text/plain");
	res.end("ok\n");
}

function timer() {
	setTimeout(() => call("-", "timer").then(timer), timerMs * (0.5 + Math.random()));
}

if (timerMs)
	timer();
process.on("SIGTERM", () => process.exit(0));
const server = http.createServer(handle);
server.keepAliveTimeout = 120000;
server.listen({ port: num("PORT", "0"), host: "127.0.0.1", backlog: 1024 });
