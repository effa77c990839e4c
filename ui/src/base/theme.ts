// SPDX-License-Identifier: Apache-2.0
// Light, dark, or what the system says. Kept in the browser.

export type Theme = "system" | "light" | "dark";

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function theme(): Theme {
	try {
		const t = localStorage.getItem("clew.theme");
		return t === "light" || t === "dark" ? t : "system";
	} catch {
		return "system"; // storage is off
	}
}

function apply() {
	const t = theme();
	document.documentElement.dataset["theme"] = t === "system" ? (dark.matches ? "dark" : "light") : t;
	for (const l of listeners) l();
}

export function setTheme(t: Theme) {
	try {
		localStorage.setItem("clew.theme", t);
	} catch {
		/* for this page only, then */
	}
	apply();
}

/** Who draws on a canvas draws again. Returns how to stop. */
export function onTheme(l: () => void): () => void {
	listeners.add(l);
	return () => {
		listeners.delete(l);
	};
}

dark.addEventListener("change", apply);
apply();
