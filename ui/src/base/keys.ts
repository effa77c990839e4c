// SPDX-License-Identifier: Apache-2.0
// Keys, as a table: a view registers what it knows while it is shown; `?` shows them all.
import { useLayoutEffect, useRef } from "preact/hooks";

export interface Key {
	key: string;
	does: string;
	run: (e: KeyboardEvent) => void;
}

/** Of a view: its table as it was drawn last, so that a key that comes at once does what is on the screen. */
interface Group {
	of: string;
	keys: Key[];
}

const active = new Set<Group>();

/** The keys of a view, as long as it is on the page. Keys that are typed into a field are the field's. */
export function useKeys(of: string, keys: Key[]) {
	const group = useRef<Group>({ of, keys });
	group.current.keys = keys;
	useLayoutEffect(() => {
		const mine = group.current;
		active.add(mine);
		return () => {
			active.delete(mine);
		};
	}, []);
}

/** By what they are for, the nearest first. */
export function activeKeys(): { of: string; keys: Key[] }[] {
	const out = new Map<string, Key[]>();
	for (const { of, keys } of [...active].reverse()) out.set(of, [...(out.get(of) ?? []), ...keys]);
	return [...out].map(([of, keys]) => ({ of, keys }));
}

addEventListener("keydown", (e) => {
	if (e.metaKey || e.ctrlKey || e.altKey || e.defaultPrevented) return;
	const t = e.target;
	if (t instanceof HTMLElement && (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName))) {
		if (e.key === "Escape") t.blur();
		return;
	}
	if (document.querySelector("dialog[open]")) return;
	for (const { keys } of [...active].reverse()) {
		const k = keys.find((x) => x.key === e.key);
		if (k) {
			e.preventDefault();
			k.run(e);
			return;
		}
	}
});
