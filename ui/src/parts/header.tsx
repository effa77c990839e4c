// SPDX-License-Identifier: Apache-2.0
// What is on every view: where one is, the window of time, live, search, help.
import { useEffect, useRef, useState } from "preact/hooks";
import { activeKeys, useKeys } from "../base/keys";
import { go, link, patch, route, useRoute } from "../base/route";
import { setTheme, theme, type Theme } from "../base/theme";
import { CHOICES, timeWindow, windowName } from "../base/time_window";

const VIEWS = [
	{ part: "", name: "Overview" },
	{ part: "search", name: "Search" },
	{ part: "map", name: "Map" },
	{ part: "compare", name: "Compare" },
];

/** A button that opens a list below it; closes on Escape and on a click elsewhere. */
function Menu(props: { label: string; text: string; items: { name: string; on: boolean; run: () => void }[] }) {
	const [open, setOpen] = useState(false);
	const ref = useRef<HTMLDivElement>(null);
	useEffect(() => {
		if (!open) return undefined;
		const shut = (e: Event) => {
			if (e instanceof KeyboardEvent ? e.key === "Escape" : !ref.current?.contains(e.target as Node)) setOpen(false);
		};
		addEventListener("pointerdown", shut);
		addEventListener("keydown", shut);
		ref.current?.querySelector<HTMLElement>(".list button")?.focus();
		return () => {
			removeEventListener("pointerdown", shut);
			removeEventListener("keydown", shut);
		};
	}, [open]);
	return (
		<div class="menu" ref={ref}>
			<button type="button" class="bare" aria-expanded={open} aria-haspopup="menu" aria-label={`${props.label}: ${props.text}`} onClick={() => setOpen(!open)}>
				{props.text} <span aria-hidden="true">▾</span>
			</button>
			{open && (
				<div class="list" role="menu">
					{props.items.map((i) => (
						<button
							key={i.name}
							type="button"
							role="menuitemradio"
							aria-checked={i.on}
							onClick={() => {
								setOpen(false);
								i.run();
							}}
						>
							{i.name}
						</button>
					))}
				</div>
			)}
		</div>
	);
}

function Help(props: { shut: () => void }) {
	const ref = useRef<HTMLDialogElement>(null);
	useEffect(() => ref.current?.showModal(), []);
	return (
		<dialog ref={ref} onClose={props.shut} aria-labelledby="help-title">
			<h2 id="help-title">Keys</h2>
			<dl>
				{activeKeys().map((k) => [
					<dt key={k.key}>
						<kbd>{k.key}</kbd>
					</dt>,
					<dd key={`${k.key}-`}>{k.does}</dd>,
				])}
			</dl>
			<form method="dialog" style={{ marginTop: "24px" }}>
				<button>Close</button>
			</form>
		</dialog>
	);
}

export function Header() {
	const r = useRoute();
	const [help, setHelp] = useState(false);
	const [shown, setShown] = useState<Theme>(theme());
	const here = r.parts[0] ?? "";
	const live = r.params.get("live") === "1";
	const w = timeWindow(r);
	useKeys([
		{ key: "/", does: "search", run: () => go(link(["search"])) },
		{ key: "g", does: "go to the overview", run: () => go(link([])) },
		{ key: "L", does: "live on or off", run: () => patch({ live: route().params.get("live") !== "1" }, true) },
		{ key: "?", does: "these keys", run: () => setHelp(true) },
	]);
	return (
		<header class="header">
			<a class="mark" href={link([])} aria-label="clew: overview">
				<svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" aria-hidden="true">
					<circle cx="14" cy="14" r="10" />
					<path d="M6 18c5 3 12 1 16-6M8 8c6-1 12 3 14 9M14 4c-4 5-4 14 1 20" />
					<path d="M22 21c3 2 3 6 7 7" />
				</svg>
				<span>clew</span>
			</a>
			<nav aria-label="Views">
				{VIEWS.map((v) => (
					<a key={v.part} href={link(v.part ? [v.part] : [])} aria-current={here === v.part || (v.part === "" && here === "service") ? "page" : undefined}>
						{v.name}
					</a>
				))}
			</nav>
			<span class="space" />
			<Menu
				label="Window of time"
				text={windowName(r)}
				items={CHOICES.map((c) => ({
					name: c.name,
					on: w.since === c.since && !w.until,
					run: () => patch({ since: c.since, until: null }),
				}))}
			/>
			<button type="button" class="bare" aria-pressed={live} title="Ask again every few seconds (L)" onClick={() => patch({ live: !live }, true)}>
				Live
			</button>
			<Menu
				label="Theme"
				text={shown === "system" ? "Auto" : shown === "light" ? "Light" : "Dark"}
				items={(["system", "light", "dark"] as const).map((t) => ({
					name: t === "system" ? "as the system" : t,
					on: shown === t,
					run: () => {
						setTheme(t);
						setShown(t);
					},
				}))}
			/>
			<button type="button" class="bare wide-only" aria-label="Keys" onClick={() => setHelp(true)}>
				<kbd>?</kbd>
			</button>
			{help && <Help shut={() => setHelp(false)} />}
		</header>
	);
}
