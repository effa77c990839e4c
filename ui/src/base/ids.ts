// SPDX-License-Identifier: Apache-2.0

/** The trace that a pasted text names: its id, or a traceparent header, which names a span too; null: it names none. */
export function traceNamed(text: string): { trace: string; span: string | null } | null {
	const m = /^(?:traceparent:\s*)?(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-([0-9a-f]{16}))?(?:-[0-9a-f]{2})?$/i.exec(text.trim());
	return m ? { trace: (m[1] as string).toLowerCase(), span: m[2]?.toLowerCase() ?? null } : null;
}
