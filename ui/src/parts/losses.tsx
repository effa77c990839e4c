// SPDX-License-Identifier: Apache-2.0
// What the store did not take, or cannot read any more, so that nobody holds the figures for all that there was.
import { type Status, useApi } from "../base/api";
import { count } from "../base/format";

const EVERY_MS = 30000;

const some = (n: number, one: string, more: string) => (n > 0 ? `${count(n)} ${n === 1 ? one : more}` : "");

/** What is to be said of a writer; null: nothing. */
export function lossesOf(w: Status["writer"]): { text: string; bad: boolean } | null {
	if (!w) return null;
	if (w.failing) return { text: `The store cannot be written (${w.last_error || "see its log"}): what comes in is lost until it can.`, bad: true };
	const shed = w.shed_spans > 0 ? `${count(w.shed_spans)} spans of ${count(w.shed_traces)} whole traces` : "";
	const cut = w.dropped_queue > 0 ? `${count(w.dropped_queue)} spans of traces that are here in part` : "";
	const failed = w.dropped_error > 0 ? `${count(w.dropped_error)} spans could not be written since the server began.` : "";
	const late = [shed, cut].filter(Boolean).join(" and ");
	const parts = [some(w.damaged_hours, "hour with blocks that cannot be read", "hours with blocks that cannot be read"), some(w.damaged_files, "file that cannot be used", "files that cannot be used")].filter(Boolean).join(" and ");
	const damaged = parts && `The store is damaged: answers can lack what is in ${parts}; the server's log names them.`;
	const text = [late && `The store could not keep up: ${late} were left out since the server began; the figures are of what was stored.`, failed, damaged].filter(Boolean).join(" ");
	return text ? { text, bad: false } : null;
}

/** ready: what one came for is there. */
export function Losses(props: { ready: boolean }) {
	const status = useApi<Status>(props.ready ? "status" : null, { everyMs: EVERY_MS });
	const said = lossesOf(status.data?.writer);
	if (!said) return null;
	return (
		<p class="note calm" role={said.bad ? "alert" : "status"}>
			<span class={said.bad ? "error" : ""}>{said.text}</span>
		</p>
	);
}
