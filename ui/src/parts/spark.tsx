// SPDX-License-Identifier: Apache-2.0
// A line without axes: how a figure went over the window. Errors stand below it as red marks.

const H = 20;

export function Spark(props: { values: number[]; errors?: number[]; width?: number; label: string }) {
	const w = props.width ?? 96;
	const n = props.values.length;
	const max = Math.max(1e-9, ...props.values);
	const x = (i: number) => (n > 1 ? (i * w) / (n - 1) : w / 2);
	const y = (v: number) => H - 3 - (v / max) * (H - 5);
	const line = props.values.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
	return (
		<svg class="spark" width={w} height={H} viewBox={`0 0 ${w} ${H}`} role="img" aria-label={props.label}>
			{n > 1 && <path class="area" d={`${line}L${w} ${H - 3}L0 ${H - 3}Z`} />}
			<path class="line" d={line} />
			{props.errors?.map((e, i) =>
				e > 0 ? <rect key={i} x={x(i) - 1} y={H - 2} width={2} height={2} /> : null,
			)}
		</svg>
	);
}
