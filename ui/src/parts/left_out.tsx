// SPDX-License-Identifier: Apache-2.0
// That what is shown is not all, where the store cannot read some of it.
import { useLeftOut } from "../base/left_out";

const NAMED = 3;

/** What is said of these hours ("2026-01-02T04Z"); "" of none. */
export function leftOutText(hours: readonly string[]): string {
	if (!hours.length) return "";
	const names = hours.slice(0, NAMED).map((h) => `${h.slice(0, 10)} ${h.slice(11, 13)}:00 UTC`);
	const more = hours.length - names.length;
	const which = names.join(", ") + (more > 0 ? ` and ${more} more` : "");
	return `A part of the store is damaged: what is shown lacks the hour${hours.length > 1 ? "s" : ""} from ${which}. The server's log names the files.`;
}

export function LeftOut(props: { of: string }) {
	const text = leftOutText(useLeftOut(props.of));
	return text ? (
		<p class="note error" role="alert">
			{text}
		</p>
	) : null;
}
