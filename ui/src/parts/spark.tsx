// SPDX-License-Identifier: Apache-2.0
// A line without axes: how a figure went over the window. Errors stand below it as red marks.
import "./small.css";

const H = 20;

/** null: there is nothing to say of that time. */
export function Spark(props: { values: (number | null)[]; errors?: number[]; width?: number; label: string }) {
	const w = props.width ?? 96;
	const n = props.values.length;
	const max = Math.max(1e-9, ...props.values.map((v) => v ?? 0));
	const x = (i: number) => (n > 1 ? (i * w) / (n - 1) : w / 2);
	const y = (v: number) => H - 3 - (v / max) * (H - 5);
	// Stretches of values that follow one another, each with its area below it.
	const runs: [number, number][][] = [];
	props.values.forEach((v, i) => {
		if (v === null) return;
		if (i === 0 || props.values[i - 1] === null) runs.push([]);
		runs[runs.length - 1]?.push([x(i), y(v)]);
	});
	const line = runs.map((r) => `M${(r.length > 1 ? r : [r[0] as [number, number], r[0] as [number, number]]).map((p) => p.map((c) => c.toFixed(1)).join(" ")).join("L")}`).join("");
	const area = runs.map((r) => `M${r[0]?.[0]} ${H - 3}L${r.map((p) => p.map((c) => c.toFixed(1)).join(" ")).join("L")}L${r[r.length - 1]?.[0]} ${H - 3}Z`).join("");
	return (
		<svg class="spark" width={w} height={H} viewBox={`0 0 ${w} ${H}`} role="img" aria-label={props.label}>
			<path class="area" d={area} />
			<path class="line" d={line} />
			{props.errors?.map((e, i) =>
				e > 0 ? <rect key={i} x={x(i) - 1} y={H - 2} width={2} height={2} /> : null,
			)}
		</svg>
	);
}
