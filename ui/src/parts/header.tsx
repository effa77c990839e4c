// SPDX-License-Identifier: Apache-2.0
// What is on every view: where one is, the window of time, live, search, help.
import { useEffect, useRef, useState } from "preact/hooks";
import { activeKeys, type Key, useKeys } from "../base/keys";
import { go, link, patch, type Route, route, useRoute } from "../base/route";
import { setTheme, theme, type Theme } from "../base/theme";
import { Menu } from "./menu";
import { WindowMenu } from "./window_menu";
import "./header.css";

const VIEWS = [
	{ part: "", name: "Overview" },
	{ part: "search", name: "Search" },
	{ part: "map", name: "Map" },
	{ part: "compare", name: "Compare" },
];

/** Views of a stretch of time; a trace has its own. */
function isOfTime(r: Route): boolean {
	const here = r.parts[0] ?? "";
	return here === "compare" ? ["from_ns", "failed", "at_least_ns"].some((p) => r.params.has(p)) : here !== "trace";
}

/** Views that can follow what comes in. */
const isLive = (r: Route) => isOfTime(r) && r.parts[0] !== "compare";

const SHOWN: Record<string, string> = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

/** Keys that do the same stand in one line. */
function together(keys: Key[]): { does: string; keys: string[] }[] {
	const out = new Map<string, string[]>();
	for (const k of keys) out.set(k.does, [...(out.get(k.does) ?? []), k.key]);
	return [...out].map(([does, list]) => ({ does, keys: list }));
}

function Help(props: { shut: () => void }) {
	const ref = useRef<HTMLDialogElement>(null);
	useEffect(() => ref.current?.showModal(), []);
	return (
		<dialog ref={ref} onClose={props.shut} aria-labelledby="help-title">
			<h2 id="help-title">Keys</h2>
			{activeKeys().map((g) => (
				<section key={g.of}>
					<h3>{g.of}</h3>
					<dl>
						{together(g.keys).map((k) => [
							<dt key={k.does}>
								{k.keys.map((x) => (
									<kbd key={x}>{SHOWN[x] ?? x}</kbd>
								))}
							</dt>,
							<dd key={`${k.does}-`}>{k.does}</dd>,
						])}
					</dl>
				</section>
			))}
			<form method="dialog">
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
	useKeys("Everywhere", [
		{ key: "/", does: "search", run: () => go(link(["search"])) },
		{ key: "g", does: "go to the overview", run: () => go(link([])) },
		{ key: "L", does: "live on or off", run: () => isLive(route()) && patch({ live: route().params.get("live") !== "1" }, true) },
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
			{isOfTime(r) && <WindowMenu />}
			{isLive(r) && (
				<button type="button" class="bare live" aria-pressed={live} title="Show what comes in (L)" onClick={() => patch({ live: !live }, true)}>
					Live
				</button>
			)}
			<Menu
				label="Theme"
				text={shown === "system" ? "as the system" : shown}
				sign={
					<svg class="theme-sign" viewBox="0 0 14 14" aria-hidden="true">
						<circle cx="7" cy="7" r="5.5" fill="none" stroke="currentColor" stroke-width="1.4" />
						<path d="M7 1.5a5.5 5.5 0 0 0 0 11z" />
					</svg>
				}
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
