// SPDX-License-Identifier: Apache-2.0
// A service keeps its colour: by a stable hash of its name, from twelve that differ in hue and in lightness (so that
// they differ for colour-blind eyes too). The colours themselves are in theme.css, one set for light, one for dark.

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

/**
 * The colour numbers of some services that are seen together: each its own by hash; a second one that meets a taken
 * number goes to the next free one, in the order of the names, so the same set always looks the same. Beyond twelve
 * services the rest share the neutral tone, -1.
 */
export function assign(services: readonly string[]): Map<string, number> {
	const taken = new Array<boolean>(SERVICE_COLOURS).fill(false);
	const out = new Map<string, number>();
	for (const s of [...new Set(services)].sort()) {
		let at = hash(s) % SERVICE_COLOURS;
		let tried = 0;
		while (tried < SERVICE_COLOURS && taken[at]) {
			at = (at + 5) % SERVICE_COLOURS;
			tried++;
		}
		if (tried === SERVICE_COLOURS) {
			out.set(s, -1);
			continue;
		}
		taken[at] = true;
		out.set(s, at);
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
