// SPDX-License-Identifier: Apache-2.0
// The native API (docs/native-api.md) as types, and useApi(): an answer that stays on the screen while a newer one
// is fetched. Nothing is said to be loading before 100 ms have gone.
import { useLayoutEffect, useRef, useState } from "preact/hooks";

export const API = "/api/clew/v1/";

export interface Spark {
	requests: number[];
	errors: number[];
	p95_ns: number[];
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
	before: { requests: number; errors: number; p50_ns: number; p95_ns: number };
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
	totals: { services: number; errors: number; orphans: number; incomplete: number };
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
	/** index -1: nobody explains it; whose: the span whose own time it is. */
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
	why: { class: string; evidence: string[]; text: string[] };
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

export interface Status {
	version: string;
	[key: string]: unknown;
}

/** What went wrong, as the server says it. */
export class ApiError extends Error {
	constructor(
		message: string,
		readonly status: number,
	) {
		super(message);
	}
}

async function failure(r: Response): Promise<ApiError> {
	let text = `The server answered ${r.status} ${r.statusText}.`;
	try {
		const body = (await r.json()) as { error?: string };
		if (body.error) text = body.error;
	} catch {
		/* not ours: a proxy's page, or nothing */
	}
	return new ApiError(text, r.status);
}

export async function fetchJson<T>(path: string, signal?: AbortSignal): Promise<T> {
	let r: Response;
	try {
		r = await fetch(API + path, { signal: signal ?? null, headers: { Accept: "application/json" } });
	} catch (e) {
		if (e instanceof DOMException && e.name === "AbortError") throw e;
		throw new ApiError("The server does not answer. Is `clew server` still running?", 0);
	}
	if (!r.ok) throw await failure(r);
	return (await r.json()) as T;
}

export interface Lines<T> {
	rows: T[];
	next: string | null;
	/** How many there are, where these are not all. */
	total: number | null;
}

/** A list (one JSON object a line); the cursor of the next page apart. */
export async function fetchLines<T>(path: string, signal?: AbortSignal): Promise<Lines<T>> {
	let r: Response;
	try {
		r = await fetch(API + path, { signal: signal ?? null });
	} catch (e) {
		if (e instanceof DOMException && e.name === "AbortError") throw e;
		throw new ApiError("The server does not answer. Is `clew server` still running?", 0);
	}
	if (!r.ok) throw await failure(r);
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
		const ask = () =>
			(options.lines ? fetchLines(path, abort.signal) : fetchJson(path, abort.signal))
				.then(
					(data) => {
						keep(path, data);
						s.path = path;
						s.data = data as T;
						s.error = null;
					},
					(e: unknown) => {
						if (abort.signal.aborted) return;
						s.error = e instanceof ApiError ? e : new ApiError(String(e), 0);
						if (s.path !== path) s.data = null;
						s.path = path;
					},
				)
				.finally(() => {
					if (abort.signal.aborted) return;
					clearTimeout(late);
					s.waiting = false;
					redraw((n) => n + 1);
					if (options.everyMs) again = setTimeout(ask, options.everyMs);
				});
		void ask();
		return () => {
			abort.abort();
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
