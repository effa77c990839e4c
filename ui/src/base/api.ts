// SPDX-License-Identifier: Apache-2.0
// The native API (docs/native-api.md) as types, and useApi(): an answer that stays on the screen while a newer one
// is fetched. Nothing is said to be loading before 100 ms have gone.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { noteLeftOut } from "./left_out";
import { isGone, onReached, unreached } from "./reach";

export const API = "/api/clew/v1/";

export interface Spark {
	requests: number[];
	errors: number[];
	p95_ns: number[];
	max_ns: number[];
}

export interface OverviewService {
	service: string;
	instances: number;
	requests: number;
	errors: number;
	rate: number;
	p50_ns: number;
	p95_ns: number;
	p99_ns: number;
	/** At least so long took the longest. */
	max_ns: number;
	before: { requests: number; errors: number; p50_ns: number; p95_ns: number };
	/** Some took far longer than was usual, and clearly more than before; too few for p95 to tell. */
	tail?: { over_ns: number; requests: number; before: number };
	deviation: number;
	spark: Spark;
}

export interface Overview {
	since_ns: number;
	until_ns: number;
	bucket_ns: number;
	services_total: number;
	services: OverviewService[];
}

export interface MapNode {
	service: string;
	requests: number;
	errors: number;
	p95_ns?: number;
	external?: boolean;
}

export interface MapEdge {
	client: string | null;
	server: string;
	external?: boolean;
	calls: number;
	errors: number;
	rate?: number;
	p50_ns: number;
	p95_ns: number;
	p99_ns: number;
}

export interface ServiceMap {
	since_ns: number;
	until_ns: number;
	edges_total: number;
	nodes: MapNode[];
	edges: MapEdge[];
}

export interface Operation {
	name: string;
	kind: string;
	requests: number;
	errors: number;
	rate: number;
	p50_ns: number;
	p95_ns: number;
	p99_ns: number;
	share: number;
}

export interface Red {
	since_ns: number;
	bucket_ns: number;
	requests: number[];
	errors: number[];
	p50_ns: number[];
	p95_ns: number[];
	p99_ns: number[];
}

export interface ShapeNode {
	service: string;
	name: string;
	kind: string;
	depth: number;
	repeat: number;
}

export interface Pattern {
	id: string;
	service: string;
	name: string;
	count: number;
	errors: number;
	p50_ns: number;
	p95_ns: number;
	p99_ns: number;
	share: number;
	spans: number;
	services: number;
	shape: ShapeNode[];
	examples: string[];
}

export interface Patterns {
	traces: number;
	/** How many patterns there are; of many some are left out. */
	total: number;
	sampled: boolean;
	patterns: Pattern[];
}

export interface PatternNode {
	parent: number;
	service: string;
	name: string;
	kind: string;
	calls: number;
	p50_ns: number;
	p95_ns: number;
	self_p50_ns: number;
	offset_p50_ns: number;
	share: number;
	critical: number;
	network_p50_ns: number;
	errors: number;
}

export interface PatternGraph {
	id: string;
	count: number;
	/** How many of them were looked at. */
	sample: number;
	p50_ns: number;
	p95_ns: number;
	nodes: PatternNode[];
	examples: { trace_id: string; duration_ns: number }[];
}

export interface HistogramAnswer {
	n: number;
	errors: number;
	/** Empty ones are left out. */
	buckets: { from_ns: number; to_ns: number; count: number; errors: number; examples: string[] }[];
}

/** When traces began and how long they took; cells without any are left out. */
export interface Heat {
	since_ns: number;
	until_ns: number;
	/** How many steps in time. */
	columns: number;
	n: number;
	errors: number;
	/** Stretches of durations that have some, the shortest first. */
	rows: { from_ns: number; to_ns: number }[];
	cells: [column: number, row: number, count: number, errors: number][];
}

export interface Difference {
	kind: "attribute" | "service" | "host" | "segment" | "operation";
	/** Whose spans. Of a segment: key is their kind, value their operation. */
	service: string;
	key: string;
	value: string;
	inside_share: number;
	outside_share: number;
	inside_p50_ns?: number;
	outside_p50_ns?: number;
	score: number;
}

export interface Differences {
	inside: number;
	outside: number;
	/** How many things were looked at. */
	tried: number;
	items: Difference[];
}

export interface TraceLine {
	trace_id: string;
	service: string;
	name: string;
	kind: string;
	start_ns: number;
	duration_ns: number;
	spans: number;
	services: number;
	errors: number;
	orphans: number;
	incomplete: boolean;
}

export interface TraceTree {
	trace_id: string;
	start_ns: number;
	duration_ns: number;
	spans_total: number;
	complete: boolean;
	/** Of the whole trace. */
	totals: { services: number; errors: number; orphans: number; incomplete: number; not_stored: number };
	services: string[];
	names: string[];
	id: string[];
	parent: number[];
	service: number[];
	name: number[];
	kind: number[];
	status: number[];
	start: number[];
	duration: number[];
	class: number[];
	incomplete: number[];
	times: Record<"cpu" | "runq" | "futex" | "disk" | "net" | "sleep" | "other", number[]>;
	network: number[];
	below: number[];
	folded: number[];
	/** Spans that begin so many ns later here than their own host's clock said. */
	moved: [index: number, ns: number][];
	/** index -1: its thread slept; whose: the span whose own time it is. */
	critical: [index: number, from: number, to: number, whose?: number][];
	candidates: [index: number, traceId: string, spanId: string, confidence: number][];
}

export interface SpanDetail {
	trace_id: string;
	span_id: string;
	parent_span_id: string | null;
	service: string;
	name: string;
	kind: string;
	start_ns: number;
	duration_ns: number;
	status: string;
	attributes: Record<string, string | number | boolean>;
	resource: Record<string, string | number | boolean>;
	events: { time_ns: number; name: string; attributes: Record<string, string | number | boolean> }[];
	links: {
		trace_id: string;
		span_id: string;
		confidence: number;
		/** Of a candidate: clew.candidate.service, .name, .start_ns, .end_ns. */
		attributes?: Record<string, string | number | boolean>;
	}[];
	status_message: string;
	trace_state: string;
	scope: string;
	dropped: { attributes: number; links: number; events: number };
	/** reasons: of an orphan, for and against the best guess. */
	why: { class: string; evidence: string[]; reasons: { for: boolean; text: string }[]; confidence: number | null; text: string[] };
}

export interface CompareSide {
	calls: number;
	errors: number;
	duration_ns: number;
	self_ns: number;
}

export interface CompareRow {
	depth: number;
	service: string;
	name: string;
	kind: string;
	a: CompareSide | null;
	b: CompareSide | null;
	delta_ns: number;
}

/** One trace, or the means of some. */
export interface CompareSummary {
	traces: number;
	trace_id?: string;
	duration_ns: number;
	spans: number;
	errors: number;
}

export interface Compare {
	a: CompareSummary;
	b: CompareSummary;
	truncated: boolean;
	rows: CompareRow[];
}

/** How well a service's calls are tied to the requests that they were made for. */
export interface ServiceModel {
	service: string;
	runtime: string | null;
	runtime_version: string | null;
	answers: number;
	hits: number;
	misses: number;
	roots: number;
	certain: number;
	probable: number;
	orphans: number;
	/** option: of `clew run` and `clew record`; null: none would help. */
	advice: { option: string | null; up_to: number; text: string };
}

export interface Status {
	version: string;
	/** Not of a store that is only read. */
	writer?: {
		shed_spans: number;
		shed_traces: number;
		dropped_queue: number;
		dropped_error: number;
		/** Hours that have blocks that cannot be read; files that are left out whole. */
		damaged_hours: number;
		damaged_files: number;
		failing: boolean;
		last_error: string;
	};
}

/** What went wrong, as the server says it; status 0: it was not reached. */
export class ApiError extends Error {
	constructor(
		message: string,
		readonly status: number,
	) {
		super(message);
	}
}

/** Where the server's own words are for programs, or are missing. */
const WORDS: Record<number, string> = {
	401: "This server wants its token. Load the page anew: the browser asks for a name and a password. The token is the password, the name does not matter.",
	413: "The answer would be too large. Ask for less: a shorter time, or one more condition.",
};

async function failure(r: Response): Promise<ApiError> {
	let text = WORDS[r.status];
	if (text) return new ApiError(text, r.status);
	try {
		text = ((await r.json()) as { error?: string }).error;
	} catch {
		/* not ours: a proxy's page, or nothing */
	}
	return new ApiError(text || `The server answered ${r.status} ${r.statusText}`.trim(), r.status);
}

const early = new Map<string, Promise<Response>>();

/** Sends questions before what asks them is drawn; whoever asks one then has its answer. */
export function askEarly(paths: readonly (string | null)[]) {
	for (const path of paths) {
		if (path === null) continue;
		const answer = askBusy(path);
		answer.catch(() => {}); // it is said by who asks
		early.set(path, answer);
	}
}

const BUSY_TRIES = 4;
const BUSY_MS = 20000; // an answer that took longer was tried: the same again would take as long

/** One that is busy says so, and when to ask again. */
async function askBusy(path: string, signal?: AbortSignal): Promise<Response> {
	for (let tries = 1; ; tries++) {
		const begun = performance.now();
		const r = await fetch(API + path, { signal: signal ?? null });
		const after = Number(r.headers.get("Retry-After"));
		if ((r.status !== 503 && r.status !== 429) || !(after > 0) || tries === BUSY_TRIES || performance.now() - begun > BUSY_MS) return r;
		await new Promise((done) => setTimeout(done, Math.min(after, 5) * 1000));
	}
}

async function ask(path: string, signal?: AbortSignal): Promise<Response> {
	const sent = early.get(path);
	early.delete(path);
	let r: Response | undefined;
	try {
		r = await (sent ?? askBusy(path, signal));
	} catch (e) {
		if (e instanceof DOMException && e.name === "AbortError") throw e;
	}
	if (!r || isGone(r.status)) {
		unreached();
		throw new ApiError("The server does not answer. Is `clew server` still running?", 0);
	}
	noteLeftOut(r);
	if (!r.ok) throw await failure(r);
	return r;
}

export async function fetchJson<T>(path: string, signal?: AbortSignal): Promise<T> {
	return (await (await ask(path, signal)).json()) as T;
}

export interface Lines<T> {
	rows: T[];
	next: string | null;
	/** How many there are, where these are not all. */
	total: number | null;
}

/** A list (one JSON object a line); the cursor of the next page apart. */
export async function fetchLines<T>(path: string, signal?: AbortSignal): Promise<Lines<T>> {
	const r = await ask(path, signal);
	const rows: T[] = [];
	let next: string | null = null;
	let total: number | null = null;
	for (const line of (await r.text()).split("\n")) {
		if (!line) continue;
		const row = JSON.parse(line) as T & { next?: string; total?: number };
		// The last line of an answer that is not all of it.
		if (Object.keys(row).every((k) => k === "next" || k === "total")) {
			next = row.next ?? null;
			total = row.total ?? null;
		} else rows.push(row);
	}
	return { rows, next, total };
}

/** "overview?since=-1h&buckets=60": empty values are left out, lists are repeated. */
export function query(path: string, params: Record<string, string | number | boolean | string[] | null | undefined>): string {
	const p = new URLSearchParams();
	for (const [k, v] of Object.entries(params)) {
		if (Array.isArray(v)) for (const x of v) p.append(k, x);
		else if (v === true) p.set(k, "1");
		else if (v !== null && v !== undefined && v !== "" && v !== false) p.set(k, String(v));
	}
	const text = p.toString();
	return text ? `${path}?${text}` : path;
}

export interface Answer<T> {
	data: T | null;
	error: ApiError | null;
	/** True once an answer has been waited for longer than 100 ms and there is nothing to show meanwhile. */
	waiting: boolean;
	/** What is shown is of another question than the one that is being asked. */
	stale: boolean;
	reload: () => void;
}

/** There is something to show: what it is, or that it failed. */
export const isAnswered = (a: Answer<unknown>) => a.data !== null || a.error !== null;

const kept = new Map<string, unknown>();
const KEPT_MAX = 40;

function keep(path: string, data: unknown) {
	kept.delete(path);
	kept.set(path, data);
	for (const old of kept.keys()) {
		if (kept.size <= KEPT_MAX) break;
		kept.delete(old);
	}
}

/**
 * Asks for path (null: nothing is asked) and shows what came last while it waits. everyMs: asks again and again.
 */
export function useApi<T>(
	path: string | null,
	options: { lines?: boolean; everyMs?: number } = {},
): Answer<T> {
	const [, redraw] = useState(0);
	const state = useRef<{ path: string | null; data: T | null; error: ApiError | null; waiting: boolean }>({
		path: null,
		data: null,
		error: null,
		waiting: false,
	});
	const [turn, setTurn] = useState(0);
	const s = state.current;
	if (path !== null && s.path !== path && kept.has(path)) {
		s.path = path;
		s.data = kept.get(path) as T;
		s.error = null;
	}
	// Before it is painted: the question is on its way a frame earlier.
	useLayoutEffect(() => {
		if (path === null) return undefined;
		const abort = new AbortController();
		const late = setTimeout(() => {
			if (!s.data) {
				s.waiting = true;
				redraw((n) => n + 1);
			}
		}, 100);
		let again: ReturnType<typeof setTimeout> | undefined;
		let stopWaiting: (() => void) | undefined;
		const answered = (data: unknown) => {
			keep(path, data);
			s.path = path;
			s.data = data as T;
			s.error = null;
		};
		const failed = (e: unknown) => {
			s.error = e instanceof ApiError ? e : new ApiError(String(e), -1);
			if (s.path !== path) s.data = null;
			s.path = path;
		};
		const ask = async () => {
			try {
				answered(await (options.lines ? fetchLines(path, abort.signal) : fetchJson(path, abort.signal)));
			} catch (e) {
				if (abort.signal.aborted) return;
				// It is said once for the whole page (parts/unreached.tsx); what was there stays meanwhile.
				if (e instanceof ApiError && e.status === 0) return void (stopWaiting = onReached(ask));
				failed(e);
			}
			if (abort.signal.aborted) return;
			clearTimeout(late);
			s.waiting = false;
			redraw((n) => n + 1);
			if (options.everyMs) again = setTimeout(ask, options.everyMs);
		};
		void ask();
		return () => {
			abort.abort();
			stopWaiting?.();
			clearTimeout(late);
			clearTimeout(again);
		};
	}, [path, turn, options.everyMs]);
	return {
		data: path === null ? null : s.data,
		error: s.error,
		waiting: s.waiting,
		stale: s.path !== path,
		reload: () => setTurn((n) => n + 1),
	};
}
