// SPDX-License-Identifier: Apache-2.0
// A service keeps its colour: by a stable hash of its name, from twelve that differ in hue and in lightness (so that
// they differ for colour-blind eyes too). The colours themselves are in style/theme.css, one set for light, one for dark.

export const SERVICE_COLOURS = 12;

/** FNV-1a, 32 bits. */
export function hash(text: string): number {
	let h = 0x811c9dc5;
	for (let i = 0; i < text.length; i++) {
		h ^= text.charCodeAt(i);
		h = Math.imul(h, 0x01000193);
	}
	return h >>> 0;
}

const KEPT = "clew.colours";
const GIVEN_MAX = 5000;
const KEPT_MAX = 500; // services

/** As the browser kept them; in a test, or where storage is off, none. */
function kept(): [string, number][] {
	try {
		const list = JSON.parse(localStorage.getItem(KEPT) ?? "[]") as unknown;
		if (!Array.isArray(list)) return [];
		return list.filter((e): e is [string, number] => Array.isArray(e) && typeof e[0] === "string" && Number.isInteger(e[1]) && e[1] >= 0 && e[1] < SERVICE_COLOURS);
	} catch {
		return [];
	}
}

let saving = false;

/** A little later, all that came meanwhile at once. */
function save() {
	if (saving || typeof localStorage === "undefined") return;
	saving = true;
	setTimeout(() => {
		saving = false;
		try {
			localStorage.setItem(KEPT, JSON.stringify([...given].slice(0, KEPT_MAX)));
		} catch {
			/* storage is off: until the page is loaded anew, then */
		}
	}, 1000);
}

/** What each service was given so far: one that was seen in one view looks the same in the next, and tomorrow. */
const given = new Map<string, number>(kept());

/**
 * The colour numbers of some services that are seen together, all different: each keeps the one that it was given
 * before, else has its own by hash; where that is taken by another of them, the next that is free. Of more than
 * twelve the first ones have a colour, so name those first that matter most; the rest share the neutral tone, -1.
 */
export function assign(services: readonly string[]): Map<string, number> {
	const all = [...new Set(services)];
	const names = all.slice(0, SERVICE_COLOURS).sort();
	const taken = new Set<number>();
	const out = new Map<string, number>(all.slice(SERVICE_COLOURS).map((s) => [s, -1]));
	const give = (s: string, at: number) => {
		taken.add(at);
		out.set(s, at);
		if (given.get(s) === at || given.size >= GIVEN_MAX) return;
		given.set(s, at);
		save();
	};
	for (const s of names) {
		const at = given.get(s);
		if (at !== undefined && !taken.has(at)) give(s, at);
	}
	for (const s of names) {
		const at = hash(s) % SERVICE_COLOURS;
		if (!out.has(s) && !given.has(s) && !taken.has(at)) give(s, at);
	}
	for (const s of names) {
		if (out.has(s)) continue;
		let at = hash(s) % SERVICE_COLOURS;
		for (let tried = 0; taken.has(at) && tried < SERVICE_COLOURS; tried++) at = (at + 5) % SERVICE_COLOURS;
		if (taken.has(at)) out.set(s, -1);
		else give(s, at);
	}
	return out;
}

/** For style attributes: "var(--service-3)". */
export function serviceVar(n: number | undefined): string {
	return n === undefined || n < 0 ? "var(--service-other)" : `var(--service-${n})`;
}

/** For a canvas: what the variable is now; ask again when the theme changes. */
export function resolve(name: string): string {
	return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Where the time of a span went, in the order in which it is drawn. The same everywhere. */
export const TIMES = [
	{ key: "cpu", name: "running", colour: "--time-cpu" },
	{ key: "runq", name: "waiting for a CPU", colour: "--time-runq" },
	{ key: "futex", name: "blocked on a lock", colour: "--time-futex" },
	{ key: "disk", name: "disk", colour: "--time-disk" },
	{ key: "net", name: "waiting for the network", colour: "--time-net" },
	{ key: "sleep", name: "sleeping", colour: "--time-sleep" },
	{ key: "other", name: "other", colour: "--time-other" },
] as const;
