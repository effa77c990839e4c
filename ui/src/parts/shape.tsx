// SPDX-License-Identifier: Apache-2.0
// The small drawing of a pattern: one mark a node, further right the deeper, in its service's colour.
import type { ShapeNode } from "../base/api";
import { serviceVar } from "../base/colour";

const STEP = 9;

export function Shape(props: { of: ShapeNode[]; colours: Map<string, number> }) {
	const nodes = props.of.slice(0, 24);
	const rows = Math.min(6, Math.max(1, nodes.length));
	// Preorder runs down; after six rows it goes on in the next column of marks.
	const deep = Math.max(1, ...nodes.map((n) => n.depth + 1));
	const columns = Math.ceil(nodes.length / rows);
	const width = columns * (deep * STEP + 14);
	return (
		<svg
			class="shape"
			width={Math.min(160, width)}
			height={rows * 4 + 2}
			viewBox={`0 0 ${Math.min(160, width)} ${rows * 4 + 2}`}
			role="img"
			aria-label={nodes
				.slice(0, 6)
				.map((n) => `${n.service} ${n.name}`)
				.join(", ")}
		>
			{nodes.map((n, i) => (
				<rect
					key={i}
					x={Math.floor(i / rows) * (deep * STEP + 14) + n.depth * STEP}
					y={(i % rows) * 4 + 1}
					width={n.repeat > 1 ? 14 : 8}
					height={3}
					rx={1}
					style={{ fill: serviceVar(props.colours.get(n.service)) }}
				/>
			))}
		</svg>
	);
}
