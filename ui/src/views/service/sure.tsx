// SPDX-License-Identifier: Apache-2.0
// How sure the links of a service's calls are, and what would settle more of them. Only of services that clew itself saw.
import type { ServiceModel } from "../../base/api";
import { count, percent } from "../../base/format";
import { link } from "../../base/route";

const CLASSES = [
	{ key: "certain", link: "certain", name: "certain" },
	{ key: "probable", link: "probable", name: "probable" },
	{ key: "orphans", link: "orphan", name: "orphans: their request is not known" },
] as const;

export function Sure(props: { of: ServiceModel | undefined }) {
	const m = props.of;
	const calls = m ? m.certain + m.probable + m.orphans : 0;
	if (!m || !calls) return null;
	return (
		<section class="sure">
			<h2>
				How sure its links are{" "}
				<span class="quiet small">
					{count(calls)} calls{m.runtime && `, ${m.runtime}${m.runtime_version && m.runtime_version !== "unknown" ? ` ${m.runtime_version}` : ""}`}
				</span>
			</h2>
			<ul class="sure-classes">
				{CLASSES.filter((c) => m[c.key] > 0).map((c) => (
					<li key={c.key}>
						<i class={`joint-sample ${c.link}`} />
						<a class="plain" href={link(["search"], { service: m.service, link_class: c.link })}>
							<b>{percent(m[c.key] / calls)}</b> {c.name}
						</a>
						<span class="quiet">{count(m[c.key])}</span>
					</li>
				))}
			</ul>
			<p class="quiet">{m.advice.text}.</p>
		</section>
	);
}
