// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";

/** Over plain HTTP from another machine there is no clipboard for scripts; what is selected can still be copied. */
async function copy(text: string): Promise<boolean> {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		const area = document.createElement("textarea");
		area.value = text;
		area.className = "unseen";
		document.body.append(area);
		area.select();
		const done = document.execCommand("copy");
		area.remove();
		return done;
	}
}

/** A button that copies; it says for a moment whether it did. */
export function Copy(props: { text: string; what: string; class?: string }) {
	const [said, say] = useState("");
	return (
		<button
			type="button"
			class={`bare act ${props.class ?? ""}`}
			onClick={() => {
				void copy(props.text).then((done) => {
					say(done ? "Copied" : "The browser refused");
					setTimeout(() => say(""), 1200);
				});
			}}
		>
			{said || `Copy ${props.what}`}
		</button>
	);
}
