// SPDX-License-Identifier: Apache-2.0
// The server's live tail (server-sent events): traces as they are stored. Where the server has none, or cannot answer
// the question (regular expressions), the caller asks again and again instead.
import { useEffect, useState } from "preact/hooks";
import { API, type TraceLine } from "./api";

const MOST = 2000;
const EVERY_MS = 250; // what came meanwhile is shown at once

export interface Tail {
	/** The newest first; a trace that grew stands once. */
	rows: TraceLine[];
	/** Traces that the server left out because this page was too slow. */
	lost: number;
	state: "connecting" | "open" | "lost" | "refused";
	/** How often it was lost and found again: what came meanwhile has to be asked for. */
	gaps: number;
}

/** New rows before the old ones; each trace once, the newest that is known of it. */
export function merge(fresh: readonly TraceLine[], old: readonly TraceLine[], most = MOST): TraceLine[] {
	const seen = new Set<string>();
	const out: TraceLine[] = [];
	for (const t of [...fresh].reverse()) if (!seen.has(t.trace_id)) out.push(t), seen.add(t.trace_id);
	for (const t of old) if (!seen.has(t.trace_id)) out.push(t), seen.add(t.trace_id);
	return out.sort((a, b) => b.start_ns - a.start_ns).slice(0, most);
}

/** path: "tail?..."; null: nothing is followed. */
export function useTail(path: string | null): Tail {
	const [tail, set] = useState<Tail>({ rows: [], lost: 0, state: "connecting", gaps: 0 });
	useEffect(() => {
		set({ rows: [], lost: 0, state: "connecting", gaps: 0 });
		if (path === null) return undefined;
		const source = new EventSource(API + path);
		let fresh: TraceLine[] = [];
		let timer: ReturnType<typeof setTimeout> | undefined;
		const show = () => {
			timer = undefined;
			const came = fresh;
			fresh = [];
			set((t) => ({ ...t, rows: merge(came, t.rows) }));
		};
		source.onopen = () => set((t) => ({ ...t, state: "open", gaps: t.gaps + (t.state === "lost" ? 1 : 0) }));
		// The browser tries again by itself, but where the server refused.
		source.onerror = () => set((t) => ({ ...t, state: source.readyState === EventSource.CLOSED ? "refused" : t.state === "connecting" ? t.state : "lost" }));
		source.addEventListener("trace", (e) => {
			fresh.push(JSON.parse((e as MessageEvent<string>).data) as TraceLine);
			timer ??= setTimeout(show, EVERY_MS);
		});
		source.addEventListener("lost", (e) => {
			const n = (JSON.parse((e as MessageEvent<string>).data) as { n: number }).n;
			set((t) => ({ ...t, lost: t.lost + n }));
		});
		return () => {
			source.close();
			clearTimeout(timer);
		};
	}, [path]);
	return tail;
}
