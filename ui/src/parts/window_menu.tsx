// SPDX-License-Identifier: Apache-2.0
// The window of time: the usual ones, or from when to when. Dragging over a chart chooses one, too.
import { useState } from "preact/hooks";
import { MS, S } from "../base/format";
import { patch, useRoute } from "../base/route";
import { CHOICES, edges, timeWindow, windowName } from "../base/time_window";
import { Menu } from "./menu";

/** What an <input type="datetime-local"> takes, of the local zone, and back. */
const toField = (ns: number) => new Date(ns / MS - new Date(ns / MS).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
const fromField = (text: string) => (text ? new Date(text).getTime() * MS : NaN);

function Between(props: { shut: () => void }) {
	const now = edges(useRoute());
	const [from, setFrom] = useState(toField(now.since));
	const [to, setTo] = useState(toField(now.until));
	const since = fromField(from);
	const until = fromField(to);
	const fits = until > since;
	const field = (label: string, value: string, set: (v: string) => void) => (
		<label class="field">
			<span>{label}</span>
			<input type="datetime-local" step={1} value={value} onInput={(e) => set(e.currentTarget.value)} />
		</label>
	);
	return (
		<form
			class="between"
			onSubmit={(e) => {
				e.preventDefault();
				if (!fits) return;
				props.shut();
				patch({ since, until: until + S });
			}}
		>
			{field("From", from, setFrom)}
			{field("To", to, setTo)}
			<button type="submit" disabled={!fits}>
				Show it
			</button>
		</form>
	);
}

export function WindowMenu() {
	const r = useRoute();
	const w = timeWindow(r);
	return (
		<Menu
			label="Window of time"
			text={windowName(r)}
			items={CHOICES.map((c) => ({
				name: c.name,
				on: w.since === c.since && !w.until,
				run: () => patch({ since: c.since, until: null }),
			}))}
			foot={(shut) => <Between shut={shut} />}
		/>
	);
}
