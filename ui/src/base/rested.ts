// SPDX-License-Identifier: Apache-2.0
import { useEffect, useRef, useState } from "preact/hooks";

/**
 * A value that may change faster than one can read: a change after a rest goes through at once, of those that follow
 * quickly (a key that is held down) only the last.
 */
export function useRested<T>(value: T, ms = 120): T {
	const [, redraw] = useState(0);
	const s = useRef({ value, rested: value, at: -Infinity }).current;
	if (value !== s.value) {
		const now = performance.now();
		if (now - s.at >= ms) s.rested = value;
		s.at = now;
		s.value = value;
	}
	useEffect(() => {
		if (s.rested === value) return undefined;
		const rest = setTimeout(() => {
			s.rested = value;
			redraw((n) => n + 1);
		}, ms);
		return () => clearTimeout(rest);
	}, [value]);
	return s.rested;
}
