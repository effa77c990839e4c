// SPDX-License-Identifier: Apache-2.0
// The small drawing of a pattern: one mark a node, further right the deeper, in its service's colour.
import type { ShapeNode } from "../base/api";
import { serviceVar } from "../base/colour";
import "./small.css";

const STEP = 8;
const HIGH = 24; // px: of a row of a table; what does not fit goes on in a second drawing beside
const MOST = 24;

export function Shape(props: { of: ShapeNode[]; colours: Map<string, number> }) {
	const nodes = props.of.slice(0, MOST);
	const line = nodes.length > 8 ? 2 : 3;
	const rows = HIGH / line;
	let left = 0;
	const marks: { n: ShapeNode; x: number; y: number }[] = [];
	for (let at = 0; at < nodes.length; at += rows) {
		const column = nodes.slice(at, at + rows);
		const least = Math.min(...column.map((n) => n.depth));
		let right = left;
		column.forEach((n, k) => {
			const x = left + (n.depth - least) * STEP;
			marks.push({ n, x, y: k * line + 1 });
			right = Math.max(right, x + (n.repeat > 1 ? 13 : 7));
		});
		left = right + 10;
	}
	const w = Math.max(8, left - 10);
	const h = Math.min(rows, nodes.length) * line + 1;
	return (
		<svg
			class="shape"
			width={w}
			height={h}
			viewBox={`0 0 ${w} ${h}`}
			role="img"
			aria-label={nodes
				.slice(0, 6)
				.map((n) => `${n.service} ${n.name}`)
				.join(", ")}
		>
			{marks.map((m, i) => (
				<rect key={i} x={m.x} y={m.y} width={m.n.repeat > 1 ? 13 : 7} height={line === 2 ? 1.4 : 2} style={{ fill: serviceVar(props.colours.get(m.n.service)) }} />
			))}
		</svg>
	);
}
