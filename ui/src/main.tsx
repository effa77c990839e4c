// SPDX-License-Identifier: Apache-2.0
import { Component, type ComponentChildren, render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import "./style/theme.css";
import "./style/base.css";
import "./style/controls.css";
import "./style/frame.css";
import "./base/theme";
import { askEarly } from "./base/api";
import { zone } from "./base/format";
import { link, type Route, route, useRoute } from "./base/route";
import { Header } from "./parts/header";
import { LeftOut } from "./parts/left_out";
import { Empty } from "./parts/state";
import { Unreached } from "./parts/unreached";
import { Overview, overviewAsks } from "./views/overview";
import { Compare } from "./views/compare/compare";
import { mapAsks, MapView } from "./views/map/map";
import { patternAsks, PatternView } from "./views/pattern/pattern";
import { Search, searchAsks } from "./views/search/search";
import { Service, serviceAsks } from "./views/service/service";
import { Trace, traceAsks } from "./views/trace/trace";

/** A mistake of ours in one view leaves the rest of the page alive, and says so. */
class Guard extends Component<{ of: string; children: ComponentChildren }, { error: Error | null }> {
	override state = { error: null as Error | null };
	static override getDerivedStateFromError(error: Error) {
		return { error };
	}
	override componentDidUpdate(before: { of: string }) {
		if (before.of !== this.props.of && this.state.error) this.setState({ error: null });
	}
	override render() {
		if (!this.state.error) return this.props.children;
		return (
			<Empty title="This view failed">
				<p>
					It is a mistake in the page: <code>{this.state.error.message}</code>. The data are untouched.
				</p>
				<p>
					<a class="act" href={link([])}>
						Go to the overview
					</a>
				</p>
			</Empty>
		);
	}
}

/** What the view of an address will ask, by what it calls it. */
function asksOf(r: Route): Record<string, string | null> {
	const [view = "", name, , pattern] = r.parts;
	if (view === "") return overviewAsks(r);
	if (view === "search") return searchAsks(r);
	if (view === "map") return mapAsks(r);
	if (view === "trace" && name) return traceAsks(r, name);
	if (view === "service" && name) return pattern ? patternAsks(r, name, pattern) : serviceAsks(r, name);
	return {};
}

function View() {
	const { parts } = useRoute();
	switch (parts[0] ?? "") {
		case "":
			return <Overview />;
		case "search":
			return <Search />;
		case "map":
			return <MapView />;
		case "compare":
			return <Compare />;
		case "service":
			if (parts[1] && parts[2] === "pattern" && parts[3]) return <PatternView key={parts[3]} service={parts[1]} id={parts[3]} />;
			if (parts[1] && parts.length === 2) return <Service key={parts[1]} name={parts[1]} />;
			break;
		case "trace":
			if (parts[1]) return <Trace key={parts[1]} id={parts[1]} />;
			break;
	}
	return (
		<Empty title="There is nothing here">
			<p>
				The address <code>/{parts.join("/")}</code> names no view.{" "}
				<a class="act" href={link([])}>
					Go to the overview
				</a>
				.
			</p>
		</Empty>
	);
}

function Page() {
	const r = useRoute();
	const view = r.parts.join("/");
	const main = useRef<HTMLElement>(null);
	const begun = useRef(false);
	// The link that led here has gone with its view: who listens, or goes by Tab, begins at the new one.
	useEffect(() => {
		if (begun.current && document.activeElement === document.body) main.current?.focus({ preventScroll: true });
		begun.current = true;
	}, [view]);
	return (
		<>
			<Header />
			<main ref={main} tabIndex={-1}>
				<LeftOut of={JSON.stringify([r.parts, [...r.params]])} />
				<Guard of={view}>
					<View />
				</Guard>
			</main>
			<footer class="foot">
				<span>Times are of {zone()}</span>
			</footer>
			<Unreached />
		</>
	);
}

const root = document.getElementById("page");
if (root) {
	askEarly(Object.values(asksOf(route())));
	root.textContent = ""; // the header that index.html shows until now: the same is drawn at once
	render(<Page />, root);
}
