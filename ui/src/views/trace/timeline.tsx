// SPDX-License-Identifier: Apache-2.0
// The tree and its bars. Only the rows on the screen exist; the rest is a height. Rows are elements (for names, focus
// and screen readers), bars are a canvas that follows them.
import { Component } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { serviceVar, TIMES } from "../../base/colour";
import { count, duration } from "../../base/format";
import { useKeys } from "../../base/keys";
import { go, link, patch, useRoute } from "../../base/route";
import { onTheme } from "../../base/theme";
import { drawAxis, drawBars, drawMap, type Hit, type Look, readPaint, ROW } from "./draw";
import { CLIENT, PRODUCER, type TraceModel } from "./model";
import { Brush, useZoom } from "./zoom";

const MAP_H = 48;
const AXIS_H = 24;
const CLASSES = ["root", "certain", "probable", "orphan"];

/** Width and height of an element, as they change. */
function useSize(ref: { current: HTMLElement | null }): { w: number; h: number } {
	const [size, set] = useState({ w: 0, h: 0 });
	useLayoutEffect(() => {
		const el = ref.current;
		if (!el) return undefined;
		const look = () => set((s) => (s.w === el.clientWidth && s.h === el.clientHeight ? s : { w: el.clientWidth, h: el.clientHeight }));
		const o = new ResizeObserver(look);
		o.observe(el);
		look();
		return () => o.disconnect();
	}, []);
	return size;
}

/** What one can look for beside text. */
const MARKS: Record<string, (m: TraceModel, i: number) => boolean> = {
	"is:error": (m, i) => m.isError(i),
	"is:orphan": (m, i) => m.tree.class[i] === 3,
	"is:probable": (m, i) => m.tree.class[i] === 2,
	"is:incomplete": (m, i) => (m.tree.incomplete[i] as number) > 0,
};

function found(model: TraceModel, text: string): Set<number> | null {
	const want = text.trim().toLowerCase();
	if (!want) return null;
	const is = MARKS[want];
	if (is) return new Set(Array.from({ length: model.n }, (_, i) => i).filter((i) => is(model, i)));
	const services = model.tree.services.map((s) => s.toLowerCase().includes(want));
	const names = model.tree.names.map((s) => s.toLowerCase().includes(want));
	const out = new Set<number>();
	for (let i = 0; i < model.n; i++)
		if (services[model.tree.service[i] as number] || names[model.tree.name[i] as number] || model.tree.id[i] === want) out.add(i);
	return out;
}

interface RowProps {
	model: TraceModel;
	i: number;
	colour: number | undefined;
	selected: boolean;
	shut: boolean;
	found: boolean;
	/** Stay the same from drawing to drawing, so that a row is only made again when something of it changed. */
	act: { toggle: (i: number) => void; more: (i: number) => void; hover: (i: number) => void; why: (i: number) => void };
}

const WHY = {
	root: "a root: nobody that is traced called it",
	certain: "its parent is certain",
	probable: "its parent is probable",
	orphan: "its parent is not known",
} as const;

class Row extends Component<RowProps> {
	override shouldComponentUpdate(next: RowProps) {
		const p = this.props;
		return (
			next.model !== p.model || next.i !== p.i || next.selected !== p.selected || next.shut !== p.shut || next.found !== p.found || next.colour !== p.colour
		);
	}

	override render({ model, i, colour, selected, shut, found: hit, act }: RowProps) {
		const depth = Math.min(model.depth[i] as number, 40);
		const children = model.hasChildren(i);
		const t = model.tree;
		const missing = model.missing[i] as number;
		const kind = (CLASSES[t.class[i] as number] ?? "root") as keyof typeof WHY;
		const inside = shut ? model.summary(i) : null;
		const away = inside ? inside.spans : missing;
		// As it is seen beside the name, and so in what a screen reader says.
		const beside = away ? `+${count(away)}` : "";
		const calls = t.kind[i] === CLIENT || t.kind[i] === PRODUCER;
		const bad = inside?.errors ? ` ${count(inside.errors)} err` : "";
		return (
			<div
				id={`span-${t.id[i]}`}
				class={`span-row ${selected ? "is-selected" : ""} ${hit ? "is-found" : ""}`}
				role="treeitem"
				aria-level={(model.depth[i] as number) + 1}
				aria-expanded={children ? !shut && (model.end[i] as number) > i + 1 : undefined}
				aria-selected={selected}
				aria-label={`${model.service(i)} ${model.name(i)} ${beside}${bad}${calls ? ", a call" : ""}, ${duration(t.duration[i] as number)}${model.isError(i) ? ", error" : ""}${t.incomplete[i] ? ", incomplete" : ""}, ${WHY[kind]}`}
				onPointerEnter={() => act.hover(i)}
				onClick={() => patch({ span: selected ? null : (t.id[i] as string), why: null }, true)}
			>
				{depth > 1 && <span class="indent" style={{ width: `${(depth - 1) * 12}px` }} />}
				{(depth > 0 || kind === "orphan") && (
					<span
						class={`joint ${kind}`}
						title={`Why this parent? ${WHY[kind]}`}
						onClick={(e) => {
							e.stopPropagation();
							act.why(i);
						}}
					>
						<i />
					</span>
				)}
				<span
					class={`twist ${children ? "" : "leaf"}`}
					aria-hidden="true"
					onClick={(e) => {
						if (!children) return;
						e.stopPropagation();
						act.toggle(i);
					}}
				>
					{children ? (shut || (model.end[i] as number) === i + 1 ? "+" : "−") : ""}
				</span>
				<i class="dot" style={{ background: serviceVar(colour) }} />
				<span class={`what ${calls ? "calls" : ""} ${model.isError(i) ? "error" : ""}`} title={`${model.service(i)} ${calls ? "calls " : ""}${model.name(i)}`}>
					<b>{model.service(i)}</b> {model.name(i)}
				</span>
				{away > 0 && (
					<span
						class="below small quiet"
						title={inside ? inside.services.join(", ") : "The shortest were not sent: a click fetches more"}
						onClick={(e) => {
							e.stopPropagation();
							if (inside) act.toggle(i);
							else act.more(i);
						}}
					>
						{beside}
						{bad && <span class="error">{bad}</span>}
					</span>
				)}
			</div>
		);
	}
}

export function Timeline(props: {
	model: TraceModel;
	colours: Map<string, number>;
	selected: number;
	find: string;
	criticalOnly: boolean;
	/** Fetches what is below a span, of which so many are here. */
	open: (spanId: string, have: number) => void;
}) {
	const { model, selected } = props;
	const total = Math.max(1, model.tree.duration_ns);
	const [zoom, setZoom] = useZoom(total);
	const folded = useRoute().params.get("shut") ?? "";
	const shut: ReadonlySet<string> = useMemo(() => new Set(folded.split(" ").filter(Boolean)), [folded]);
	const setShut = (s: ReadonlySet<string>) => patch({ shut: [...s].join(" ") }, true);
	const [first, setFirst] = useState(0);
	const [hovered, setHovered] = useState(-1);
	const [paint, setPaint] = useState(readPaint);
	const scroll = useRef<HTMLDivElement>(null);
	const field = useRef<HTMLInputElement>(null);
	const barsBox = useRef<HTMLDivElement>(null);
	const bars = useRef<HTMLCanvasElement>(null);
	const axis = useRef<HTMLCanvasElement>(null);
	const map = useRef<HTMLCanvasElement>(null);
	const mapBox = useRef<HTMLDivElement>(null);
	const size = useSize(barsBox);
	const mapSize = useSize(mapBox);
	useEffect(() => onTheme(() => setPaint(readPaint())), []);

	const rows = useMemo(
		() => model.visible(shut, props.criticalOnly ? (i) => model.critical[i] === 1 : undefined),
		[model, shut, props.criticalOnly],
	);
	const hits = useMemo(() => found(model, props.find), [model, props.find]);
	const colours = useMemo(() => Int8Array.from(model.tree.services.map((s) => props.colours.get(s) ?? -1)), [model, props.colours]);
	const place = useMemo(() => model.places(rows), [model, rows]);
	const look: Look = { model, rows, place, colours, from: zoom.from, to: zoom.to, first, width: size.w, selected, hovered, found: hits, shut, paint };
	const leads = useRef<Hit[]>([]);
	const told = useMemo(() => TIMES.filter((k) => model.tree.times[k.key].some((ns) => ns > 0)), [model]);

	useLayoutEffect(() => {
		if (bars.current && size.w) leads.current = drawBars(bars.current, look, size.w, size.h);
	});
	useLayoutEffect(() => {
		if (axis.current && size.w) drawAxis(axis.current, look, size.w, AXIS_H);
	}, [zoom, paint, size.w]);
	useLayoutEffect(() => {
		if (map.current && mapSize.w) drawMap(map.current, { model, colours, paint }, mapSize.w, MAP_H);
	}, [model, colours, paint, mapSize.w]);

	const at = (i: number) => {
		const k = place[i] ?? -1;
		return k >= 0 && rows[k] === i ? k : -1;
	};
	const show = (i: number) => {
		const above = model.ancestors(i).map((p) => model.tree.id[p] as string);
		if (above.some((a) => shut.has(a))) setShut(new Set([...shut].filter((s) => !above.includes(s))));
		requestAnimationFrame(() => {
			const el = scroll.current;
			const k = at(i);
			if (!el || k < 0) return;
			if (k * ROW < el.scrollTop) el.scrollTop = k * ROW - ROW;
			else if ((k + 2) * ROW > el.scrollTop + size.h) el.scrollTop = (k + 2) * ROW - size.h;
		});
	};
	const select = (i: number) => {
		if (i < 0) return;
		patch({ span: model.tree.id[i] as string, why: null }, true);
		show(i);
	};
	useEffect(() => {
		if (selected >= 0 && size.h) show(selected);
	}, [model, selected, size.h > 0]);
	const more = (i: number) => props.open(model.tree.id[i] as string, (model.end[i] as number) - i - 1);
	const toggle = (i: number) => {
		const id = model.tree.id[i] as string;
		if ((model.end[i] as number) === i + 1) return more(i); // all of it is still with the server
		const next = new Set(shut);
		if (!next.delete(id)) next.add(id);
		setShut(next);
	};
	const why = (i: number) => patch({ span: model.tree.id[i] as string, why: true }, true);
	// The rows get functions that never change and always do what the last drawing means.
	const now = useRef({ toggle, more, why });
	now.current = { toggle, more, why };
	const act = useMemo(() => ({ toggle: (i: number) => now.current.toggle(i), more: (i: number) => now.current.more(i), hover: setHovered, why: (i: number) => now.current.why(i) }), []);
	const move = (by: number) => {
		// What is selected by key is told to who listens: the tree says which it is.
		if (document.activeElement === document.body || document.activeElement?.tagName === "MAIN") scroll.current?.focus({ preventScroll: true });
		const k = selected < 0 ? (by > 0 ? -1 : rows.length) : (place[selected] ?? -1);
		select(rows[Math.min(rows.length - 1, Math.max(0, k + by))] ?? -1);
	};
	const turn = (factor: number, around = 0.5) => {
		const length = zoom.to - zoom.from;
		const centre = zoom.from + around * length;
		setZoom({ from: centre - around * length * factor, to: centre + (1 - around) * length * factor });
	};
	const pan = (share: number) => {
		const by = share * (zoom.to - zoom.from);
		setZoom({ from: zoom.from + by, to: zoom.to + by });
	};
	const fold = () => {
		if (selected < 0) return;
		const isShut = shut.has(model.tree.id[selected] as string);
		if ((model.end[selected] as number) > selected + 1 && !isShut) toggle(selected);
		else if (model.parent(selected) >= 0) select(model.parent(selected));
	};
	const unfold = () => {
		if (selected < 0) return;
		if (shut.has(model.tree.id[selected] as string)) toggle(selected);
		else if (model.missing[selected]) more(selected);
		else move(1);
	};
	const next = (step: 1 | -1) => hits && select(model.next(selected < 0 && step < 0 ? 0 : selected, (i) => hits.has(i), step));
	useKeys("Trace", [
		{ key: "j", does: "next span", run: () => move(1) },
		{ key: "k", does: "span before", run: () => move(-1) },
		{ key: "ArrowDown", does: "next span", run: () => move(1) },
		{ key: "ArrowUp", does: "span before", run: () => move(-1) },
		{ key: "h", does: "fold, or to the parent", run: fold },
		{ key: "l", does: "open, or the next", run: unfold },
		{ key: "ArrowLeft", does: "fold, or to the parent", run: fold },
		{ key: "ArrowRight", does: "open, or the next", run: unfold },
		{ key: "w", does: "zoom in", run: () => turn(0.6) },
		{ key: "s", does: "zoom out", run: () => turn(1 / 0.6) },
		{ key: "a", does: "earlier", run: () => pan(-0.25) },
		{ key: "d", does: "later", run: () => pan(0.25) },
		{ key: "0", does: "the whole trace", run: () => setZoom({ from: 0, to: total }) },
		{ key: "e", does: "next error", run: () => select(model.next(selected, (i) => model.isError(i))) },
		{ key: "n", does: "next that was found", run: () => next(1) },
		{ key: "N", does: "found before", run: () => next(-1) },
		{ key: "f", does: "find in the trace", run: () => field.current?.focus() },
		{ key: "c", does: "critical path only", run: () => patch({ critical: !props.criticalOnly }, true) },
		{ key: "p", does: "why this parent?", run: () => selected >= 0 && why(selected) },
		{ key: "Escape", does: "no span selected", run: () => patch({ span: null, why: null }, true) },
	]);

	const from = Math.max(0, Math.floor(first));
	const to = Math.min(rows.length, Math.ceil(first + size.h / ROW) + 1);
	const shown = Array.from(rows.subarray(from, to));
	const rowAt = (e: MouseEvent) => {
		const k = Math.floor(first + (e.clientY - (barsBox.current?.getBoundingClientRect().top ?? 0)) / ROW);
		return rows[k] ?? -1;
	};
	const leadAt = (e: MouseEvent) => {
		const b = barsBox.current?.getBoundingClientRect();
		const x = e.clientX - (b?.left ?? 0);
		const y = e.clientY - (b?.top ?? 0);
		return leads.current.find((k) => x >= k.x && x <= k.x + k.w && y >= k.y && y <= k.y + k.h);
	};
	return (
		<div class="timeline">
			<div class="timeline-head">
				<div class="trace-tools">
					<input
						ref={field}
						type="search"
						placeholder="Find (f)"
						aria-label="Find in the trace"
						value={props.find}
						onInput={(e) => patch({ find: e.currentTarget.value }, true)}
						onKeyDown={(e) => e.key === "Enter" && next(e.shiftKey ? -1 : 1)}
					/>
					<button type="button" aria-pressed={props.criticalOnly} onClick={() => patch({ critical: !props.criticalOnly }, true)}>
						Critical path
					</button>
				</div>
				<Brush box={mapBox} total={total} zoom={zoom} setZoom={setZoom} label="The whole trace, at its foot the critical path: drag to choose a stretch of time">
					<canvas ref={map} style={{ width: "100%", height: `${MAP_H}px` }} aria-hidden="true" />
				</Brush>
			</div>
			<div class="axis">
				<span class="quiet small">
					{hits ? `${count(hits.size)} found` : ""}
					{zoom.from > 0 || zoom.to < total ? ` ${duration(zoom.to - zoom.from)} of ${duration(total)}` : ""}
				</span>
				<canvas ref={axis} style={{ width: "100%", height: `${AXIS_H}px` }} aria-hidden="true" />
			</div>
			<div
				class="scroll"
				ref={scroll}
				style={{ height: `${rows.length * ROW + 8}px` }}
				tabIndex={0}
				role="tree"
				aria-label={`${rows.length} spans`}
				aria-activedescendant={selected >= 0 ? `span-${model.tree.id[selected]}` : undefined}
				onScroll={(e) => setFirst(e.currentTarget.scrollTop / ROW)}
				onPointerLeave={() => setHovered(-1)}
				onWheel={(e) => {
					if (e.ctrlKey || e.metaKey) {
						const box = barsBox.current?.getBoundingClientRect();
						e.preventDefault();
						if (box) turn(e.deltaY > 0 ? 1.2 : 1 / 1.2, Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)));
					} else if (e.shiftKey) {
						e.preventDefault();
						pan((e.deltaY || e.deltaX) / 1000);
					}
				}}
			>
				<div class="sheet">
					<div class="names" style={{ transform: `translateY(${-(first - from) * ROW}px)` }}>
						{shown.map((i) => (
							<Row
								key={model.tree.id[i]}
								model={model}
								i={i}
								colour={colours[model.tree.service[i] as number]}
								selected={i === selected}
								shut={shut.has(model.tree.id[i] as string)}
								found={hits?.has(i) ?? false}
								act={act}
							/>
						))}
					</div>
					<div
						class="bars"
						ref={barsBox}
						onPointerMove={(e) => {
							setHovered(rowAt(e));
							if (barsBox.current) barsBox.current.style.cursor = leadAt(e) ? "pointer" : "";
						}}
						onClick={(e) => {
							const lead = leadAt(e);
							const i = rowAt(e);
							if (lead?.trace && lead.trace === model.tree.trace_id) select(model.row(lead.span));
							else if (lead?.trace) go(link(["trace", lead.trace], { span: lead.span }));
							else if (lead) why(lead.row);
							else if (i >= 0) patch({ span: i === selected ? null : (model.tree.id[i] as string), why: null }, true);
						}}
					>
						<canvas ref={bars} style={{ width: "100%", height: "100%" }} aria-hidden="true" />
					</div>
				</div>
				<div style={{ height: `${Math.max(0, rows.length * ROW - size.h)}px` }} aria-hidden="true" />
			</div>
			{told.length > 0 && (
				<ul class="times-legend small quiet" aria-label="The strip at the foot of a bar: what its thread did">
					{told.map((k) => (
						<li key={k.key}>
							<i style={{ background: `var(${k.colour})` }} />
							{k.name}
						</li>
					))}
				</ul>
			)}
		</div>
	);
}
