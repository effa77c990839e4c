// SPDX-License-Identifier: Apache-2.0
// Whether the server answers. From the first question that does not reach it on, it is asked every two seconds; when
// it answers again, whoever still waits asks again.
import { useEffect, useState } from "preact/hooks";

const PING = "/api/clew/v1/status";
const EVERY_MS = 2000;

let since: number | null = null; // ms, as Date.now()
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function tell() {
	for (const l of [...listeners]) l();
}

/** A proxy in front of it says so when it has gone. */
export const isGone = (status: number) => status === 502 || status === 504;

/** Asks whether it is back. */
export async function ping() {
	clearTimeout(timer);
	try {
		if (isGone((await fetch(PING)).status)) throw new Error("gone");
		since = null;
		tell();
	} catch {
		timer = setTimeout(() => void ping(), EVERY_MS);
	}
}

/** A question did not reach it. */
export function unreached() {
	if (since !== null) return;
	since = Date.now();
	timer = setTimeout(() => void ping(), EVERY_MS);
	tell();
}

/** Since when it does not answer (ms, as Date.now()); null: it does. */
export function useUnreached(): number | null {
	const [value, set] = useState(since);
	useEffect(() => {
		const l = () => set(since);
		listeners.add(l);
		l();
		return () => {
			listeners.delete(l);
		};
	}, []);
	return value;
}

/** Calls once when it answers again. Returns how to stop. */
export function onReached(f: () => void): () => void {
	const l = () => {
		if (since !== null) return;
		listeners.delete(l);
		f();
	};
	listeners.add(l);
	return () => {
		listeners.delete(l);
	};
}
