// SPDX-License-Identifier: Apache-2.0
// What is more (or less) common inside a range of durations than outside it, the strongest first.
import type { Difference, Differences } from "../../base/api";
import { count, duration, percent } from "../../base/format";
import { quoted } from "../../base/filter";
import { link } from "../../base/route";

const KINDS = { attribute: "", service: "service", host: "host", segment: "time in", operation: "operation" } as const;

function Pair(props: { inside: number; outside: number }) {
	return (
		<span class="pair" aria-hidden="true">
			<i class="in" style={{ width: `${props.inside * 100}%` }} />
			<i class="out" style={{ width: `${props.outside * 100}%` }} />
		</span>
	);
}

export function DifferenceList(props: { of: Differences; service: string }) {
	const d = props.of;
	if (!d.items.length)
		return (
			<p class="quiet">
				Nothing differs beyond chance: {count(d.inside)} traces inside, {count(d.outside)} outside.
			</p>
		);
	const most = Math.max(1, ...d.items.map((i) => Math.max(i.inside_p50_ns ?? 0, i.outside_p50_ns ?? 0)));
	const what = (i: Difference) => (
		<>
			<span class="quiet small">{KINDS[i.kind]}</span>{" "}
			{i.kind === "attribute" ? (
				<a class="plain mono" href={link(["search"], { service: props.service, where: [`${i.key}=${quoted(i.value)}`] })}>
					{i.key} = {i.value}
				</a>
			) : (
				<b>
					{i.key} {i.value}
				</b>
			)}
		</>
	);
	return (
		<div class="table-frame">
			<table class="difference-table">
				<caption class="unseen">What differs, strongest first</caption>
				<thead>
					<tr>
						<th scope="col">What</th>
						<th scope="col" class="figure">
							Inside ({count(d.inside)})
						</th>
						<th scope="col" class="figure">
							Outside ({count(d.outside)})
						</th>
						<th scope="col" style={{ width: "30%" }} />
					</tr>
				</thead>
				<tbody>
					{d.items.slice(0, 20).map((i) => (
						<tr key={`${i.kind} ${i.key} ${i.value}`}>
							<td class="clip">{what(i)}</td>
							{i.inside_share !== undefined && i.outside_share !== undefined ? (
								<>
									<td class="figure">{percent(i.inside_share)}</td>
									<td class="figure quiet">{percent(i.outside_share)}</td>
									<td>
										<Pair inside={i.inside_share} outside={i.outside_share} />
									</td>
								</>
							) : (
								<>
									<td class="figure">{duration(i.inside_p50_ns ?? 0)}</td>
									<td class="figure quiet">{duration(i.outside_p50_ns ?? 0)}</td>
									<td>
										<Pair inside={(i.inside_p50_ns ?? 0) / most} outside={(i.outside_p50_ns ?? 0) / most} />
									</td>
								</>
							)}
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}
