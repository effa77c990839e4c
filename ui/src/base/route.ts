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

function read(): Route {
	const parts = location.pathname.split("/").filter(Boolean);
	return {
		parts: parts.map((p) => {
			try {
				return decodeURIComponent(p);
			} catch {
				return p;
			}
		}),
		params: new URLSearchParams(location.search),
	};
}

let current = read();

function changed() {
	current = read();
	for (const l of listeners) l();
}

addEventListener("popstate", changed);

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

/** Goes to another view; Back returns. */
export function go(url: string, replace = false) {
	if (url === location.pathname + location.search) return;
	if (replace) history.replaceState(null, "", url);
	else history.pushState(null, "", url);
	changed();
	if (!replace) scrollTo(0, 0);
}

/** Changes some parameters of this view. replace: no step of its own for Back (dragging, typing). */
export function patch(params: Params, replace = false) {
	const p = new URLSearchParams(current.params);
	write(p, params);
	const query = p.toString();
	const url = location.pathname + (query ? "?" + query : "");
	if (url === location.pathname + location.search) return;
	if (replace) history.replaceState(null, "", url);
	else history.pushState(null, "", url);
	changed();
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
