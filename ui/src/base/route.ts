// SPDX-License-Identifier: Apache-2.0
// Every state of the page is in its URL. Views read it with useRoute() and change it with go() or patch(); nothing
// else holds state that a link could not bring back.
//
//	/                          overview
//	/service/NAME              patterns and operations of a service
//	/service/NAME/pattern/ID   one pattern: graph, histogram, what differs
//	/search                    any condition: scatter plot and list
//	/trace/ID                  time line of one trace
//	/compare                   two traces
//	/map                       services and their calls
import { useEffect, useState } from "preact/hooks";

export interface Route {
	/** The path's parts, decoded: ["service", "api"]. */
	parts: string[];
	params: URLSearchParams;
}

export type Params = Record<string, string | number | boolean | string[] | null | undefined>;

/** These go along from view to view. */
const KEPT = ["since", "until", "live"];

const listeners = new Set<() => void>();

// A browser takes 200 changes of its history in ten seconds and drops the others: a key that is held down makes more.
// So what is shown is what `shown` says, and the history follows it: at once, but not more often than this.
const HISTORY_MS = 100;

let shown = location.pathname + location.search;
let written = -Infinity; // when
let waits: ReturnType<typeof setTimeout> | undefined;

function settle() {
	clearTimeout(waits);
	waits = undefined;
	written = performance.now();
	if (shown !== location.pathname + location.search) history.replaceState(null, "", shown);
}

function read(): Route {
	const url = new URL(shown, location.origin);
	const parts = url.pathname.split("/").filter(Boolean);
	return {
		parts: parts.map((p) => {
			try {
				return decodeURIComponent(p);
			} catch {
				return p;
			}
		}),
		params: url.searchParams,
	};
}

let current = read();

function changed() {
	current = read();
	for (const l of listeners) l();
}

/** Another view, or another state of this one. */
function show(url: string, replace: boolean) {
	if (!replace) {
		settle();
		history.pushState(null, "", url);
		written = performance.now();
	}
	shown = url;
	if (replace) waits ??= setTimeout(settle, Math.max(0, written + HISTORY_MS - performance.now()));
	changed();
}

addEventListener("popstate", () => {
	clearTimeout(waits);
	waits = undefined;
	shown = location.pathname + location.search;
	changed();
});
addEventListener("pagehide", settle);

export function route(): Route {
	return current;
}

export function useRoute(): Route {
	const [value, set] = useState(current);
	useEffect(() => {
		const l = () => set(current);
		listeners.add(l);
		l();
		return () => {
			listeners.delete(l);
		};
	}, []);
	return value;
}

function write(into: URLSearchParams, params: Params) {
	for (const [key, value] of Object.entries(params)) {
		into.delete(key);
		if (Array.isArray(value)) for (const v of value) into.append(key, v);
		else if (value !== null && value !== undefined && value !== "" && value !== false)
			into.set(key, value === true ? "1" : String(value));
	}
}

/** The URL of a view: link(["service", name], { error: true }); the window of time goes along. */
export function link(parts: string[], params: Params = {}): string {
	const p = new URLSearchParams();
	for (const k of KEPT) {
		const v = current.params.get(k);
		if (v !== null) p.set(k, v);
	}
	write(p, params);
	const query = p.toString();
	return "/" + parts.map(encodeURIComponent).join("/") + (query ? "?" + query : "");
}

/** The URL of this view with some parameters changed: all that is zoomed, found and folded stays. */
export function here(params: Params): string {
	const p = new URLSearchParams(current.params);
	write(p, params);
	const query = p.toString();
	return shown.replace(/\?.*/, "") + (query ? "?" + query : "");
}

/** Goes to another view; Back returns. */
export function go(url: string, replace = false) {
	if (url === shown) return;
	show(url, replace);
	if (!replace) scrollTo(0, 0);
}

/** Changes some parameters of this view. replace: no step of its own for Back (dragging, typing). */
export function patch(params: Params, replace = false) {
	const url = here(params);
	if (url !== shown) show(url, replace);
}

/** Plain clicks on links of the page stay in the page. */
addEventListener("click", (e) => {
	if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
	const a = e.target instanceof Element ? e.target.closest("a") : null;
	if (!a || a.target || a.hasAttribute("download") || a.origin !== location.origin) return;
	if (a.pathname.startsWith("/api/") || a.pathname.startsWith("/tempo/") || a.pathname === "/metrics") return;
	e.preventDefault();
	go(a.pathname + a.search);
});
