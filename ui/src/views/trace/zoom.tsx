// SPDX-License-Identifier: Apache-2.0
// The stretch of time of a trace that is shown, and the brush over the small map that chooses it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { patch, route } from "../../base/route";

export interface Zoom {
	from: number;
	to: number;
}

function zoomOfUrl(total: number): Zoom {
	const p = route().params;
	const from = Number(p.get("from") ?? 0);
	const to = Number(p.get("to") ?? total);
	return from >= 0 && to > from && from < total ? { from, to: Math.min(to, total) } : { from: 0, to: total };
}

/** The stretch of time that is shown; the URL follows when it has come to rest. */
export function useZoom(total: number): [Zoom, (z: Zoom) => void] {
	const [zoom, set] = useState<Zoom>(() => zoomOfUrl(total));
	const rest = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
	const change = (z: Zoom) => {
		const least = Math.max(100, total / 1e6);
		const wish = Math.min(total, Math.max(least, z.to - z.from));
		const length = wish > total * 0.999 ? total : wish; // zooming in and out again ends at the whole
		const from = Math.min(Math.max(0, z.from), total - length);
		const next = { from, to: from + length };
		set(next);
		clearTimeout(rest.current);
		rest.current = setTimeout(() => {
			const all = next.from <= 0 && next.to >= total;
			patch({ from: all ? null : Math.round(next.from), to: all ? null : Math.round(next.to) }, true);
		}, 200);
	};
	useEffect(() => () => clearTimeout(rest.current), []);
	return [zoom, change];
}

/** Drag: a new stretch. With Shift, or inside of the shown one: moves it. A double click shows all. */
export function Brush(props: {
	box: { current: HTMLDivElement | null };
	total: number;
	zoom: Zoom;
	setZoom: (z: Zoom) => void;
	label: string;
	children: ComponentChildren;
}) {
	const part = props.zoom.from > 0 || props.zoom.to < props.total;
	const drag = useRef<{ at: number; zoom: Zoom; moves: boolean } | null>(null);
	const place = (e: PointerEvent) => {
		const b = props.box.current?.getBoundingClientRect();
		return b ? Math.min(1, Math.max(0, (e.clientX - b.left) / b.width)) * props.total : 0;
	};
	return (
		<div
			class="minimap"
			ref={props.box}
			title={props.label}
			onPointerDown={(e) => {
				const at = place(e);
				(e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
				drag.current = { at, zoom: props.zoom, moves: part && (e.shiftKey || (at > props.zoom.from && at < props.zoom.to)) };
			}}
			onPointerMove={(e) => {
				const d = drag.current;
				const at = place(e);
				if (!d) return;
				if (d.moves) props.setZoom({ from: d.zoom.from + at - d.at, to: d.zoom.to + at - d.at });
				else if (Math.abs(at - d.at) > props.total / 500) props.setZoom({ from: Math.min(at, d.at), to: Math.max(at, d.at) });
			}}
			onPointerUp={() => {
				drag.current = null;
			}}
			onDblClick={() => props.setZoom({ from: 0, to: props.total })}
		>
			{props.children}
			{part && <i class="shade" style={{ left: 0, width: `${(100 * props.zoom.from) / props.total}%` }} />}
			{part && <i class="shade" style={{ right: 0, width: `${100 - (100 * props.zoom.to) / props.total}%` }} />}
		</div>
	);
}
