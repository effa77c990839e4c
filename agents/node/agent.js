// SPDX-License-Identifier: Apache-2.0
/*
 * What `--agent node` puts into a running Node: which request is a write made for?
 *
 *	request comes in    a fresh number, kept on its response and in an AsyncLocalStorage
 *	call goes out       gets the number of the context that began it, once, and keeps it
 *	socket writes       the number of the message that is written stands in one memory cell for as
 *	                    long as the write lasts; BPF reads the cell at the socket
 *
 * - A message carries its number itself, so it does not matter in whose turn of the loop a pool of
 *   connections or a corked socket writes it. Only HTTP (http, https, fetch) is numbered: what other
 *   clients queue may be written in the context of another request.
 * - A call that no request began gets a number of its own: it must not fall to somebody else's.
 * - Does the application keep the contexts apart? Where a response is ended the context's number
 *   must be the response's. Where that fails too often (callbacks of home-made pools) calls are not
 *   numbered any more.
 * - The application does not depend on the tracer: leases in the cell's memory must be renewed; when
 *   the last one runs out (the tracer left, or died) everything is taken out again. The memory stays,
 *   as a tracer that was held up may still write there.
 *
 * An expression: a function that takes the 8 words by which the tracer finds the memory.
 */
(function clewAgent(magic) {
	'use strict';
	const KEY = Symbol.for('clew.agent');
	const WORDS = 32; // of 32 bits; as in src/capture/agent/node_agent.c
	const CELL = 0, MAGIC = 2, CHALLENGE = 10, HITS = 12, MISSES = 13, STATE = 14, LEASES = 16, N_LEASES = 8;
	const LAYOUT = 1; // of the words
	const LEASE_MS = 10000, CHECK_MS = 1000;
	const load = typeof require === 'function' ? require : process.getBuiltinModule;
	const agent = globalThis[KEY] || make();

	if (agent.layout !== LAYOUT)
		throw new Error('another version of clew has its agent here; restart the process to replace it');
	agent.words.set(magic, MAGIC);
	return agent;

	function make() {
		const words = new Uint32Array(new ArrayBuffer(4 * WORDS)); // outside V8's heap: it never moves
		const made = { layout: LAYOUT, words, version: process.versions.node, next: 0 };

		made.challenge = (n) => { words[CHALLENGE] = n; };
		made.start = () => start(made);
		made.stop = () => stop(made);
		Object.defineProperty(globalThis, KEY, { value: made, enumerable: false });
		return made;
	}

	function fresh(a) {
		a.next = a.next >= 0xfffffffe ? 1 : a.next + 1;
		return a.next;
	}

	// Returns the lease's index, or -1 when all are taken.
	function start(a) {
		const words = a.words;
		let slot = 0;

		words.fill(0, MAGIC, CHALLENGE + 1);
		while (slot < N_LEASES && words[LEASES + slot])
			slot++;
		if (slot === N_LEASES)
			return -1;
		words[LEASES + slot] = 1;
		if (!a.undo)
			install(a);
		return slot;
	}

	function stop(a) {
		const undo = a.undo || [];

		a.undo = null;
		a.words.fill(0);
		for (const f of undo.reverse())
			f();
	}

	function install(a) {
		const undo = a.undo = [];
		const als = new (load('async_hooks').AsyncLocalStorage)();
		const id = Symbol('clew.id');

		a.words[HITS] = a.words[MISSES] = 0;
		a.words[STATE] = 1;
		subscribe(a, als, id);
		stampCalls(a, als, id);
		checkContexts(a, als, id);
		nameWrites(a, id);
		keepLeases(a);
		undo.push(() => als.disable());
	}

	function subscribe(a, als, id) {
		const dc = load('diagnostics_channel');
		const on = (name, f) => {
			const channel = dc.channel(name);
			const quiet = (m) => { try { f(m); } catch { /* never the application's trouble */ } };

			channel.subscribe(quiet);
			a.undo.push(() => channel.unsubscribe(quiet));
		};

		on('http.server.request.start', ({ response }) => {
			const n = fresh(a);

			response[id] = n;
			als.enterWith(n);
		});
		on('http.client.request.created', ({ request }) => stamp(a, als, id, request));
		on('undici:request:create', ({ request }) => stamp(a, als, id, request));
		on('undici:client:sendHeaders', ({ request, socket }) => { socket[id] = request[id]; });
	}

	function stamp(a, als, id, message) {
		if (message[id] === undefined)
			message[id] = als.getStore() || fresh(a);
	}

	// f(original) makes the new function; what others put over it later is left alone at the end.
	function wrap(a, object, name, f) {
		const own = Object.getOwnPropertyDescriptor(object, name);
		const original = object[name];

		if (typeof original !== 'function')
			return;
		const made = f(original);

		Object.defineProperty(object, name, { value: made, writable: true, configurable: true,
						      enumerable: own ? own.enumerable : false });
		a.undo.push(() => {
			if (object[name] !== made)
				return;
			if (own)
				Object.defineProperty(object, name, own);
			else
				delete object[name];
		});
	}

	// Before Node 22 no channel tells that a call was begun: its first use by the one who did tells it.
	function stampCalls(a, als, id) {
		for (const name of ['end', 'write', 'flushHeaders'])
			wrap(a, load('http').ClientRequest.prototype, name, (original) => function (...args) {
				if (a.undo)
					stamp(a, als, id, this);
				return Reflect.apply(original, this, args);
			});
	}

	function checkContexts(a, als, id) {
		wrap(a, load('http').ServerResponse.prototype, 'end', (original) => function (...args) {
			if (a.undo && this[id] !== undefined && !this.writableEnded) {
				const hit = als.getStore() === this[id];

				a.words[hit ? HITS : MISSES]++;
				// One miss is forgiven, then one in 2,000.
				if (!hit && a.words[MISSES] * 2000 > a.words[HITS] + 2000)
					a.words[STATE] = 2;
			}
			return Reflect.apply(original, this, args);
		});
	}

	function nameWrites(a, id) {
		const words = a.words;
		const { Socket } = load('net');
		const { ServerResponse } = load('http');

		wrap(a, Socket.prototype, '_writeGeneric', (original) => function (...args) {
			const message = this._httpMessage;
			const n = message ? message[id] : this[id];
			const before = words[CELL];

			if (n === undefined || !a.undo || (words[STATE] !== 1 && !(message instanceof ServerResponse)))
				return Reflect.apply(original, this, args);
			words[CELL] = n;
			try {
				return Reflect.apply(original, this, args);
			} finally {
				words[CELL] = a.undo ? before : 0;
			}
		});
	}

	function keepLeases(a) {
		const seen = new Array(N_LEASES).fill(0), since = new Array(N_LEASES).fill(0);
		const timer = setInterval(() => {
			const now = process.hrtime.bigint() / 1000000n;
			let held = 0;

			for (let i = 0; i < N_LEASES; i++) {
				const value = a.words[LEASES + i];

				if (value !== seen[i]) {
					seen[i] = value;
					since[i] = now;
				}
				if (value && now - since[i] > LEASE_MS)
					a.words[LEASES + i] = 0;
				held += a.words[LEASES + i] !== 0;
			}
			if (!held)
				a.stop();
		}, CHECK_MS);

		timer.unref();
		a.undo.push(() => clearInterval(timer));
	}
})
