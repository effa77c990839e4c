// SPDX-License-Identifier: Apache-2.0
// Hours that answers were without, as blocks of their files cannot be read: the server says so beside each answer.
import { useEffect, useState } from "preact/hooks";

const HEADER = "Clew-Left-Out";

let hours: readonly string[] = [];
const listeners = new Set<() => void>();

function set(next: readonly string[]) {
	if (next.length === hours.length) return;
	hours = next;
	for (const l of listeners) l();
}

/** "2026-01-02T04Z", the hours that an answer lacks: is added to what is known. */
export function noteLeftOut(r: Pick<Response, "headers">) {
	const told = (r.headers.get(HEADER) ?? "").split(" ").filter(Boolean);
	set([...new Set([...hours, ...told])].sort());
}

/** The hours of all answers since what is looked at (of: its address) changed. */
export function useLeftOut(of: string): readonly string[] {
	const [, redraw] = useState(0);
	useEffect(() => {
		const l = () => redraw((n) => n + 1);
		listeners.add(l);
		l(); // what was told before it listened, or is not of this view any more
		return () => {
			listeners.delete(l);
			set([]);
		};
	}, [of]);
	return hours;
}
