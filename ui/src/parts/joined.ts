// SPDX-License-Identifier: Apache-2.0
import type { Difference } from "../base/api";

export interface Item extends Difference {
	/** Of whose spans it is said: the same attribute often stands on several. */
	services: string[];
}

/** How much longer it took inside than outside. */
const longer = (i: Difference) => (i.kind === "segment" ? (i.inside_p50_ns ?? 0) - (i.outside_p50_ns ?? 0) : -Infinity);

/** What says no more than that it failed. */
const CONSEQUENCE = /^(error\.type|http\.response\..*|rpc\..*status_code|otel\.status_.*|exception\..*)$/;

/** Of what sets the failed apart: how they failed, and the rest, which may be why. */
export function failures(items: readonly Item[]): { how: Item[]; rest: Item[] } {
	const is = (i: Item) => i.kind === "attribute" && CONSEQUENCE.test(i.key);
	const how = new Map<string, Item>();
	for (const i of items) {
		// Worth a word are the kind of error and the status; where they are equal, once.
		if (!is(i) || !/type$|status_code$/.test(i.key) || i.inside_share <= i.outside_share) continue;
		const there = how.get(i.value);
		how.set(i.value, there ? { ...there, services: [...new Set([...there.services, ...i.services])] } : i);
	}
	return { how: [...how.values()], rest: items.filter((i) => !is(i)) };
}

/** "url.full = http://shop/items/13" says no more than "url.path = /items/13", which is as common. */
function says(long: Item, short: Item): boolean {
	const near = (a: number, b: number) => Math.abs(a - b) < 0.005;
	return (
		long !== short &&
		long.kind === "attribute" &&
		short.kind === "attribute" &&
		short.value.length > 3 &&
		long.value.length > short.value.length &&
		long.value.endsWith(short.value) &&
		near(long.inside_share, short.inside_share) &&
		near(long.outside_share, short.outside_share)
	);
}

/** What several services say alike is said once; of what differs equally, the longest time first. */
export function joined(items: readonly Difference[]): Item[] {
	const out = new Map<string, Item>();
	for (const i of items.slice().sort((a, b) => b.score - a.score || (longer(b) > longer(a) ? 1 : longer(b) < longer(a) ? -1 : 0))) {
		const alike = i.kind === "attribute" || i.kind === "host" ? `${i.kind} ${i.key} ${i.value} ${i.inside_share.toFixed(2)} ${i.outside_share.toFixed(2)}` : `${i.kind} ${i.service} ${i.key} ${i.value}`;
		const there = out.get(alike);
		if (there) there.services.push(i.service);
		else out.set(alike, { ...i, services: [i.service] });
	}
	const all = [...out.values()];
	return all.filter((i) => !all.some((other) => says(i, other)));
}
