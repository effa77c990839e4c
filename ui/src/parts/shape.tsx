// SPDX-License-Identifier: Apache-2.0
// The small drawing of a pattern: one mark a node, further right the deeper, in its service's colour.
import type { ShapeNode } from "../base/api";
import { serviceVar } from "../base/colour";

const STEP = 8;
const ROWS = 8; // a row of a table holds so many; then it goes on in a second drawing beside
const LINE = 3;
const MOST = 24;

export function Shape(props: { of: ShapeNode[]; colours: Map<string, number> }) {
	const nodes = props.of.slice(0, MOST);
	let left = 0;
	const marks: { n: ShapeNode; x: number; y: number }[] = [];
	for (let at = 0; at < nodes.length; at += ROWS) {
		const column = nodes.slice(at, at + ROWS);
		const least = Math.min(...column.map((n) => n.depth));
		let right = left;
		column.forEach((n, k) => {
			const x = left + (n.depth - least) * STEP;
			marks.push({ n, x, y: k * LINE + 1 });
			right = Math.max(right, x + (n.repeat > 1 ? 13 : 7));
		});
		left = right + 10;
	}
	const w = Math.max(8, left - 10);
	const h = Math.min(ROWS, nodes.length) * LINE + 1;
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
				<rect key={i} x={m.x} y={m.y} width={m.n.repeat > 1 ? 13 : 7} height={LINE - 1} style={{ fill: serviceVar(props.colours.get(m.n.service)) }} />
			))}
		</svg>
	);
}
