// SPDX-License-Identifier: Apache-2.0
// Lines without axes: how a figure went over the window (errors stand below it as red marks); how long most took, and
// the longest above them.
import "./small.css";

const H = 20;

type Point = [x: number, y: number];

/** Stretches of values that follow one another. */
function stretches(values: readonly (number | null)[], at: (i: number, v: number) => Point): Point[][] {
	const runs: Point[][] = [];
	values.forEach((v, i) => {
		if (v === null) return;
		if (i === 0 || values[i - 1] === null) runs.push([]);
		runs[runs.length - 1]?.push(at(i, v));
	});
	// One alone is to be seen, too.
	return runs.map((r) => (r.length > 1 ? r : r.flatMap(([x, y]): Point[] => [[x - 0.7, y], [x + 0.7, y]])));
}

const path = (points: readonly Point[]) => points.map((p) => p.map((c) => c.toFixed(1)).join(" ")).join("L");
const lines = (runs: readonly Point[][]) => runs.map((r) => `M${path(r)}`).join("");

const Errors = (props: { of: number[]; x: (i: number) => number }) => <>{props.of.map((e, i) => (e > 0 ? <rect key={i} x={props.x(i) - 1} y={H - 2} width={2} height={2} /> : null))}</>;

const DECADES = 2; // that are drawn at the least: what is twice as long is not to look like what is a hundred times

/** Where a duration stands between 0 and 1, on a logarithmic scale that ends with the longest. */
export function logScale(most: readonly (number | null)[], longest: readonly (number | null)[]): (ns: number) => number {
	const known = (list: readonly (number | null)[]) => list.filter((v): v is number => v !== null && v > 0);
	const hi = Math.log10(Math.max(10, ...known(longest), ...known(most)));
	const lo = Math.min(hi - DECADES, ...known(most).map((v) => Math.log10(v) - 0.2));
	return (ns) => Math.min(1, Math.max(0, (Math.log10(Math.max(1, ns)) - lo) / (hi - lo)));
}

/** How long most took as a line, up to the longest above it as a band: few that hang are seen, however few. */
export function Latencies(props: { most: (number | null)[]; longest: (number | null)[]; errors: number[]; width?: number; label: string }) {
	const w = props.width ?? 96;
	const n = props.most.length;
	const at = logScale(props.most, props.longest);
	const x = (i: number) => (n > 1 ? (i * w) / (n - 1) : w / 2);
	const point = (i: number, v: number): Point => [x(i), H - 4 - at(v) * (H - 6)];
	const below = stretches(props.most, point);
	// Of the longest only its bucket's begin is known: not less than what most took.
	const above = stretches(props.longest.map((v, i) => (props.most[i] == null ? null : Math.max(v ?? 0, props.most[i]))), point);
	return (
		<svg class="spark" width={w} height={H} viewBox={`0 0 ${w} ${H}`} role="img" aria-label={props.label}>
			<path class="band" d={above.map((r, k) => `M${path(r)}L${path([...(below[k] ?? [])].reverse())}Z`).join("")} />
			<path class="line" d={lines(below)} />
			<Errors of={props.errors} x={x} />
		</svg>
	);
}

/** null: there is nothing to say of that time. */
export function Spark(props: { values: (number | null)[]; errors: number[]; width?: number; label: string }) {
	const w = props.width ?? 96;
	const n = props.values.length;
	const max = Math.max(1e-9, ...props.values.map((v) => v ?? 0));
	const x = (i: number) => (n > 1 ? (i * w) / (n - 1) : w / 2);
	const y = (v: number) => H - 3 - (v / max) * (H - 5);
	const runs = stretches(props.values, (i, v) => [x(i), y(v)]);
	const area = runs.map((r) => `M${r[0]?.[0]} ${H - 3}L${path(r)}L${r[r.length - 1]?.[0]} ${H - 3}Z`).join("");
	return (
		<svg class="spark" width={w} height={H} viewBox={`0 0 ${w} ${H}`} role="img" aria-label={props.label}>
			<path class="area" d={area} />
			<path class="line" d={lines(runs)} />
			<Errors of={props.errors} x={x} />
		</svg>
	);
}
