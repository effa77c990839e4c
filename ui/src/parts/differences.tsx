// SPDX-License-Identifier: Apache-2.0
// What is more (or less) common inside a range of durations than outside it, the strongest first.
import type { Differences } from "../base/api";
import { count, duration, percent } from "../base/format";
import { quoted } from "../base/filter";
import { link } from "../base/route";
import { failures, type Item, joined } from "./joined";
import "./differences.css";

function Pair(props: { inside: number; outside: number }) {
	return (
		<span class="pair" aria-hidden="true">
			<i class="in" style={{ width: `${props.inside * 100}%` }} />
			<i class="out" style={{ width: `${props.outside * 100}%` }} />
		</span>
	);
}

/** Most traces of the other side have no such span at all. */
const took = (ns: number | undefined) => (ns ? duration(ns) : "–");

function What(props: { of: Item }) {
	const i = props.of;
	const whose = <span class="quiet small"> on {i.services.join(", ")}</span>;
	if (i.kind === "attribute")
		return (
			<>
				<a class="plain mono" href={link(["search"], { service: i.service, where: [`${i.key}=${quoted(i.value)}`] })}>
					{i.key} = {i.value}
				</a>
				{whose}
			</>
		);
	if (i.kind === "segment")
		return (
			<>
				<span class="quiet">time in</span> <b>{i.service}</b> {i.value} <span class="quiet small">{i.key}</span>
			</>
		);
	if (i.kind === "host")
		return (
			<>
				<span class="quiet">host</span> <b>{i.value || i.key}</b>
				{whose}
			</>
		);
	return (
		<>
			<span class="quiet">{i.kind}</span> <b>{i.service}</b> {i.kind === "operation" ? i.value || i.key : ""}
		</>
	);
}

/** How the failed ones failed, where: "500 on pricing, orders; 502 on nginx". */
function How(props: { of: Item[] }) {
	return (
		<p class="how">
			They failed with{" "}
			{props.of.slice(0, 4).map((i, k) => (
				<span key={`${i.key} ${i.value}`}>
					{k > 0 && "; "}
					<a class="plain" href={link(["search"], { service: i.services[0], where: [`${i.key}=${quoted(i.value)}`] })}>
						<b>{i.value}</b>
					</a>{" "}
					on {i.services.join(", ")}
					{i.inside_share < 0.995 && <span class="quiet"> ({percent(i.inside_share)})</span>}
				</span>
			))}
			.
		</p>
	);
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

export function DifferenceList(props: { of: Differences; most: number; names?: [inside: string, outside: string] }) {
	const d = props.of;
	const [inside, outside] = props.names ?? ["inside", "outside"];
	if (!d.inside || !d.outside) return <p class="quiet">There is nothing to hold against each other: all traces that fit are {d.inside ? inside : outside}.</p>;
	if (!d.items.length)
		return (
			<p class="quiet">
				Nothing differs beyond chance: {count(d.inside)} traces {inside}, {count(d.outside)} {outside}, {count(d.tried)} things looked at.
			</p>
		);
	const items = joined(d.items);
	const { how, rest } = inside === "failed" ? failures(items) : { how: [], rest: items };
	if (!rest.length)
		return (
			<>
				<How of={how} />
				<p class="quiet">Beside that nothing differs beyond chance: {count(d.tried)} things looked at.</p>
			</>
		);
	const longest = Math.max(1, ...d.items.map((i) => Math.max(i.inside_p50_ns ?? 0, i.outside_p50_ns ?? 0)));
	return (
		<div class="table-frame">
			{how.length > 0 && <How of={how} />}
			<table class="difference-table">
				<caption class="unseen">What differs, strongest first</caption>
				<thead>
					<tr>
						<th scope="col">What</th>
						<th scope="col" class="figure">
							{capital(inside)} ({count(d.inside)})
						</th>
						<th scope="col" class="figure">
							{capital(outside)} ({count(d.outside)})
						</th>
						<th scope="col" style={{ width: "26%" }}>
							<span class="unseen">Drawn</span>
						</th>
					</tr>
				</thead>
				<tbody>
					{rest
						.slice(0, props.most)
						.map((i) => {
							const timed = i.inside_p50_ns !== undefined && i.outside_p50_ns !== undefined && i.kind === "segment";
							return (
								<tr key={`${i.kind} ${i.service} ${i.key} ${i.value}`}>
									<td class="clip">
										<What of={i} />
									</td>
									<td class="figure">{timed ? took(i.inside_p50_ns) : percent(i.inside_share)}</td>
									<td class="figure quiet">{timed ? took(i.outside_p50_ns) : percent(i.outside_share)}</td>
									<td>{timed ? <Pair inside={(i.inside_p50_ns ?? 0) / longest} outside={(i.outside_p50_ns ?? 0) / longest} /> : <Pair inside={i.inside_share} outside={i.outside_share} />}</td>
								</tr>
							);
						})}
				</tbody>
			</table>
		</div>
	);
}
