// SPDX-License-Identifier: Apache-2.0
// What traces must have. Each field writes the URL when it is left or Enter is pressed; keys and values are offered
// as they occur in the store.
import { useEffect, useRef, useState } from "preact/hooks";
import { type Lines, query, useApi } from "../../base/api";
import { NO_RANGE, quoted, rangeOf } from "../../base/filter";
import { duration, parseDuration } from "../../base/format";
import { traceNamed } from "../../base/ids";
import { go, link, patch, useRoute } from "../../base/route";
import { windowName, windowParams } from "../../base/time_window";

const OPERATOR = /(!=|>=|<=|=~|!~|=|<|>)/;

function Field(props: { label: string; param: string; list?: string; width: number; read?: (text: string) => string | null; show?: (v: string) => string; hint?: string; typed?: (text: string) => void }) {
	const r = useRoute();
	const value = r.params.get(props.param) ?? "";
	const shown = value && props.show ? props.show(value) : value;
	const [text, setText] = useState(shown);
	const [bad, setBad] = useState(false);
	useEffect(() => {
		setText(shown);
		setBad(false);
	}, [shown]);
	const write = () => {
		const v = text.trim();
		const read = v && props.read ? props.read(v) : v;
		setBad(read === null);
		if (read !== null && read !== value) patch({ [props.param]: read });
	};
	return (
		<label class="field" title={props.read && "How long the span takes for which the other conditions hold; of whole traces: drag over the plot"}>
			<span>{props.label}</span>
			<input
				type="text"
				list={props.list}
				value={text}
				placeholder={props.hint ?? "any"}
				style={{ width: `${props.width}px` }}
				aria-invalid={bad}
				onInput={(e) => {
					setText(e.currentTarget.value);
					props.typed?.(e.currentTarget.value);
					// a choice from the list comes as one input, not key by key
					if (props.list && !(e as InputEvent).inputType?.startsWith("insertText") && e.currentTarget.value) patch({ [props.param]: e.currentTarget.value });
				}}
				onBlur={write}
				onKeyDown={(e) => e.key === "Enter" && write()}
			/>
		</label>
	);
}

const readNs = (text: string) => {
	const ns = parseDuration(text);
	return ns === null ? null : String(Math.round(ns));
};
const showNs = (v: string) => duration(Number(v)).replace("\u2009", " ");

const OFFERED = 500; // services

interface Keys {
	keys: { key: string; type: string; spans: number }[];
}
interface Values {
	values: { value: string; spans: number }[];
}

/** One more condition on an attribute: "http.response.status_code>=500", "db.system", "!user.id"; a trace's id leads to it. */
function AddCondition() {
	const r = useRoute();
	const [text, setText] = useState("");
	const [focused, setFocused] = useState(false);
	const field = useRef<HTMLInputElement>(null);
	const service = r.params.get("service");
	const op = OPERATOR.exec(text);
	const key = op ? text.slice(0, op.index) : text;
	const keys = useApi<Keys>(focused ? query("attributes", { service }) : null);
	const values = useApi<Values>(op && key ? query(`attributes/${encodeURIComponent(key)}/values`, { service, limit: 30 }) : null);
	const offers = op
		? (values.data?.values.map((v) => `${key}${op[0]}${quoted(v.value)}`) ?? [])
		: (keys.data?.keys.map((k) => k.key) ?? []);
	const add = (condition: string) => {
		const c = condition.trim();
		const named = traceNamed(c);
		if (named) return go(link(["trace", named.trace], { span: named.span }));
		if (!c) return;
		patch({ where: [...r.params.getAll("where"), c] });
		setText("");
		field.current?.focus();
	};
	return (
		<label class="field">
			<span>Condition on an attribute</span>
			<input
				ref={field}
				type="text"
				list="offered-conditions"
				value={text}
				placeholder="http.response.status_code>=500, or a trace id"
				style={{ width: "340px" }}
				onFocus={() => setFocused(true)}
				onInput={(e) => setText(e.currentTarget.value)}
				onKeyDown={(e) => e.key === "Enter" && add(text)}
			/>
			<datalist id="offered-conditions">
				{offers.slice(0, 50).map((o) => (
					<option key={o} value={o} />
				))}
			</datalist>
		</label>
	);
}

/** Conditions without a field of their own, which a link may bring. */
const CHIPS = ["where", "kind", "link_class", "incomplete", "root", "pattern"];

function saidOf(param: string, value: string): string {
	if (param === "incomplete") return "incomplete";
	if (param === "root") return "is a root";
	if (param === "link_class") return `its parent is ${value}`;
	return `${param} ${value}`;
}

/** ready: the search itself is answered; what is offered comes after it. */
export function Conditions(props: { ready: boolean }) {
	const r = useRoute();
	const first = useRef<HTMLDivElement>(null);
	const [entered, setEntered] = useState(false);
	const asked = entered && props.ready;
	const [typed, setTyped] = useState("");
	const most = useApi<Lines<{ service: string }>>(asked ? query("services", { ...windowParams(r), limit: OFFERED }) : null, { lines: true });
	// Of very many services those are offered that begin so.
	const begun = useApi<Lines<{ service: string }>>(most.data?.total && typed ? query("services", { ...windowParams(r), limit: OFFERED, sort: "name", prefix: typed }) : null, { lines: true });
	const services = begun.data ?? most.data;
	const service = r.params.get("service");
	const operations = useApi<{ operations: { name: string }[] }>(asked && service ? query("operations", { ...windowParams(r), service }) : null);
	const range = rangeOf(r);
	const brushed = /^\d+$/.test(r.params.get("until") ?? ""); // a stretch of time that lies still
	const chips = CHIPS.flatMap((param) => r.params.getAll(param).map((value) => ({ param, value })));
	const error = r.params.get("error") === "1";
	useEffect(() => {
		// On a touch screen a keyboard would cover half of the page.
		if (!r.params.has("service") && matchMedia("(pointer: fine)").matches) first.current?.querySelector("input")?.focus();
	}, []);
	return (
		<div class="conditions" ref={first} onFocusIn={() => setEntered(true)}>
			<Field label="Service" param="service" list="offered-services" width={180} typed={setTyped} />
			<Field label="Operation" param="name" list="offered-operations" width={220} />
			<Field label="Took at least" param="min_duration" width={80} read={readNs} show={showNs} hint="20ms" />
			<Field label="Took at most" param="max_duration" width={80} read={readNs} show={showNs} hint="1s" />
			<button type="button" aria-pressed={error} onClick={() => patch({ error: !error })}>
				With errors
			</button>
			<AddCondition />
			<datalist id="offered-services">
				{services?.rows.map((s) => (
					<option key={s.service} value={s.service} />
				))}
			</datalist>
			<datalist id="offered-operations">
				{operations.data?.operations.map((o) => (
					<option key={o.name} value={o.name} />
				))}
			</datalist>
			{(chips.length > 0 || range || brushed) && (
				<ul class="chips" aria-label="Conditions">
					{brushed && (
						<li>
							<span>began {windowName(r)}</span>
							<button type="button" class="bare" aria-label="Remove the range of time" onClick={() => patch({ since: null, until: null })}>
								✕
							</button>
						</li>
					)}
					{range && (
						<li>
							<span>
								took {duration(range.from_ns)} to {duration(range.to_ns)}
							</span>
							<button type="button" class="bare" aria-label="Remove the range of durations" onClick={() => patch(NO_RANGE)}>
								✕
							</button>
						</li>
					)}
					{chips.map(({ param, value }) => (
						<li key={`${param} ${value}`}>
							{param === "where" ? <code>{value}</code> : <span>{saidOf(param, value)}</span>}
							<button
								type="button"
								class="bare"
								aria-label={`Remove ${param === "where" ? value : saidOf(param, value)}`}
								onClick={() => patch({ [param]: r.params.getAll(param).filter((x) => x !== value) })}
							>
								✕
							</button>
						</li>
					))}
				</ul>
			)}
		</div>
	);
}
