// SPDX-License-Identifier: Apache-2.0
// Keys, as a table: a view registers what it knows while it is shown; `?` shows them all.
import { useEffect } from "preact/hooks";

export interface Key {
	key: string;
	does: string;
	run: (e: KeyboardEvent) => void;
}

const active = new Set<Key[]>();

/** The keys of a view, as long as it is on the page. Keys that are typed into a field are the field's. */
export function useKeys(keys: Key[]) {
	useEffect(() => {
		active.add(keys);
		return () => {
			active.delete(keys);
		};
	});
}

export function activeKeys(): Key[] {
	return [...active].flat();
}

addEventListener("keydown", (e) => {
	if (e.metaKey || e.ctrlKey || e.altKey || e.defaultPrevented) return;
	const t = e.target;
	if (t instanceof HTMLElement && (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName))) {
		if (e.key === "Escape") t.blur();
		return;
	}
	if (document.querySelector("dialog[open]")) return;
	for (const keys of [...active].reverse()) {
		const k = keys.find((x) => x.key === e.key);
		if (k) {
			e.preventDefault();
			k.run(e);
			return;
		}
	}
});
