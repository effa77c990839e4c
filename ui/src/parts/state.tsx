// SPDX-License-Identifier: Apache-2.0
// What is shown instead of an answer: nothing yet, an error, the place that an answer will take.
import type { ComponentChildren } from "preact";
import type { ApiError } from "../base/api";
import "./state.css";

/** No data: says what to do about it. */
export function Empty(props: { title: string; children: ComponentChildren }) {
	return (
		<div class="say" role="status">
			<h2>{props.title}</h2>
			{props.children}
		</div>
	);
}

/** The first data of all. */
export function EmptyStore() {
	return (
		<Empty title="No traces yet">
			<p>Trace a program that you start, or processes that run; nothing in them has to change:</p>
			<pre>{`clew run --server -- ./my-service\nclew record --server --pid 1234\nclew record --server --cgroup /system.slice/my.service`}</pre>
			<p class="quiet">
				OpenTelemetry senders may use this address too: OTLP/gRPC on port 4317, OTLP/HTTP on port 4318.
			</p>
		</Empty>
	);
}

/** What failed, and a way to try again. What was there before stays on the page below it. */
export function Failure(props: { error: ApiError; retry?: () => void }) {
	return (
		<div class="note" role="alert">
			<span class="error">{props.error.message}</span>
			{props.retry && (
				<button type="button" onClick={props.retry}>
					Try again
				</button>
			)}
		</div>
	);
}

/** Rows that will be there in a moment: the same height, so that nothing jumps. Not shown yet, they keep the place. */
export function Bones(props: { rows: number; height?: number; shown: boolean }) {
	return (
		<div aria-hidden="true" style={{ visibility: props.shown ? "visible" : "hidden" }}>
			{Array.from({ length: props.rows }, (_, i) => (
				<div key={i} style={{ height: `${props.height ?? 28}px`, paddingTop: "8px" }}>
					<span class="bone" style={{ width: `${90 - ((i * 17) % 40)}%` }} />
				</div>
			))}
		</div>
	);
}
