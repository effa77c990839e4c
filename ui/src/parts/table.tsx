// SPDX-License-Identifier: Apache-2.0
// A table that can be sorted; the order is in the URL (`sort=column` or `sort=-column`, "-" for falling).
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { useKeys } from "../base/keys";
import { go, patch, useRoute } from "../base/route";
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
	/** Where a click on the row leads, beside its own links; `j` and `k` go from row to row. */
	href?: (row: T) => string;
	/** No more rows than these, the first in the chosen order. */
	most?: number;
	/** Only one table of a view has the keys. */
	keys?: boolean;
}) {
	const route = useRoute();
	const body = useRef<HTMLTableSectionElement>(null);
	const step = (by: number) => {
		const rows = [...(body.current?.rows ?? [])];
		const at = rows.findIndex((r) => r.contains(document.activeElement));
		const to = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
		const first = to?.querySelector<HTMLElement>("a, button");
		first?.focus();
		to?.scrollIntoView({ block: "nearest" });
	};
	useKeys(
		"Lists",
		props.keys
			? [
					{ key: "j", does: "next row (Enter opens it)", run: () => step(1) },
					{ key: "k", does: "row before", run: () => step(-1) },
				]
			: [],
	);
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
				<tbody ref={body}>
					{rows.slice(0, props.most).map((row) => (
						<tr
							key={props.rowKey(row)}
							class={props.href ? "leads" : ""}
							aria-selected={props.selected?.(row) || undefined}
							onClick={(e) => {
								// A convenience of the pointer: the row's first link is the same, and has a name.
								const plain = !e.metaKey && !e.ctrlKey && !e.shiftKey && !e.altKey && !getSelection()?.toString();
								if (props.href && plain && !(e.target as Element).closest("a, button")) go(props.href(row));
							}}
						>
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
