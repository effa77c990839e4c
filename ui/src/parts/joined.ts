// SPDX-License-Identifier: Apache-2.0
import type { Difference } from "../base/api";

export interface Item extends Difference {
	/** Of whose spans it is said: the same attribute often stands on several. */
	services: string[];
}

/** What several services say alike is said once. */
export function joined(items: readonly Difference[]): Item[] {
	const out = new Map<string, Item>();
	for (const i of items) {
		const alike = i.kind === "attribute" || i.kind === "host" ? `${i.kind} ${i.key} ${i.value} ${i.inside_share.toFixed(2)} ${i.outside_share.toFixed(2)}` : `${i.kind} ${i.service} ${i.key} ${i.value}`;
		const there = out.get(alike);
		if (there) there.services.push(i.service);
		else out.set(alike, { ...i, services: [i.service] });
	}
	return [...out.values()];
}
