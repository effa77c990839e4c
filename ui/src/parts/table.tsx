// SPDX-License-Identifier: Apache-2.0
// A table that can be sorted; the order is in the URL (`sort=column` or `sort=-column`, "-" for falling).
import type { ComponentChildren } from "preact";
import { patch, useRoute } from "../base/route";
import "./table.css";

export interface Column<T> {
	key: string;
	title: string;
	/** Right-aligned, falls first. */
	figure?: boolean;
	wideOnly?: boolean;
	/** For screen readers, where the head is empty. */
	unseen?: string;
	/** One more class, of its head and its cells. */
	class?: string;
	sort?: (row: T) => number | string;
	cell: (row: T) => ComponentChildren;
	width?: string;
}

export function Table<T>(props: {
	columns: Column<T>[];
	rows: T[];
	rowKey: (row: T) => string;
	caption: string;
	/** The parameter of the URL, where a view has several tables. */
	param?: string;
	selected?: (row: T) => boolean;
}) {
	const route = useRoute();
	const param = props.param ?? "sort";
	const chosen = route.params.get(param);
	const falls = chosen?.startsWith("-") ?? false;
	const by = props.columns.find((c) => c.key === chosen?.replace(/^-/, ""));
	const rows = [...props.rows];
	if (by?.sort) {
		const sort = by.sort;
		rows.sort((a, b) => {
			const x = sort(a);
			const y = sort(b);
			const d = typeof x === "string" ? x.localeCompare(String(y)) : x - Number(y);
			return falls ? -d : d;
		});
	}
	const next = (c: Column<T>) => {
		const first = c.figure ? `-${c.key}` : c.key;
		const second = c.figure ? c.key : `-${c.key}`;
		return chosen === first ? second : chosen === second ? null : first;
	};
	return (
		<div class="table-frame">
			<table>
				<caption class="unseen">{props.caption}</caption>
				<thead>
					<tr>
						{props.columns.map((c) => (
							<th
								key={c.key}
								scope="col"
								class={`${c.figure ? "figure" : ""} ${c.wideOnly ? "wide-only" : ""} ${c.class ?? ""}`}
								style={c.width ? { width: c.width } : {}}
								aria-sort={by === c ? (falls ? "descending" : "ascending") : undefined}
							>
								{c.sort ? (
									<button type="button" onClick={() => patch({ [param]: next(c) }, true)}>
										{c.title}
										{by === c ? (falls ? " ↓" : " ↑") : ""}
									</button>
								) : (
									c.title || <span class="unseen">{c.unseen ?? c.key}</span>
								)}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{rows.map((row) => (
						<tr key={props.rowKey(row)} aria-selected={props.selected?.(row) || undefined}>
							{props.columns.map((c) => (
								<td key={c.key} class={`${c.figure ? "figure" : ""} ${c.wideOnly ? "wide-only" : ""} ${c.class ?? ""}`}>
									{c.cell(row)}
								</td>
							))}
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}
