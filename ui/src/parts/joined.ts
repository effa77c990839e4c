// SPDX-License-Identifier: Apache-2.0
import type { Difference } from "../base/api";

export interface Item extends Difference {
	/** Of whose spans it is said: the same attribute often stands on several. */
	services: string[];
}

/** How much longer it took inside than outside. */
const longer = (i: Difference) => (i.kind === "segment" ? (i.inside_p50_ns ?? 0) - (i.outside_p50_ns ?? 0) : -Infinity);

/** What several services say alike is said once; of what differs equally, the longest time first. */
export function joined(items: readonly Difference[]): Item[] {
	const out = new Map<string, Item>();
	for (const i of items.slice().sort((a, b) => b.score - a.score || (longer(b) > longer(a) ? 1 : longer(b) < longer(a) ? -1 : 0))) {
		const alike = i.kind === "attribute" || i.kind === "host" ? `${i.kind} ${i.key} ${i.value} ${i.inside_share.toFixed(2)} ${i.outside_share.toFixed(2)}` : `${i.kind} ${i.service} ${i.key} ${i.value}`;
		const there = out.get(alike);
		if (there) there.services.push(i.service);
		else out.set(alike, { ...i, services: [i.service] });
	}
	return [...out.values()];
}
