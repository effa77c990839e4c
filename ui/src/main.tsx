// SPDX-License-Identifier: Apache-2.0
import { render } from "preact";
import { Component, type ComponentChildren } from "preact";
import "./style/theme.css";
import "./style/base.css";
import "./style/controls.css";
import "./style/frame.css";
import "./base/theme";
import { zone } from "./base/format";
import { link, useRoute } from "./base/route";
import { Header } from "./parts/header";
import { Empty } from "./parts/state";
import { Overview } from "./views/overview";
import { Compare } from "./views/compare/compare";
import { MapView } from "./views/map/map";
import { PatternView } from "./views/pattern/pattern";
import { Search } from "./views/search/search";
import { Service } from "./views/service/service";
import { Trace } from "./views/trace/trace";

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
	return (
		<>
			<Header />
			<main>
				<Guard of={r.parts.join("/")}>
					<View />
				</Guard>
			</main>
			<footer class="foot">
				<span>Times are of {zone()}</span>
			</footer>
		</>
	);
}

const root = document.getElementById("page");
if (root) {
	root.textContent = ""; // the header that index.html shows until now: the same is drawn at once
	render(<Page />, root);
}
