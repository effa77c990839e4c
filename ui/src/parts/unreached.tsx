// SPDX-License-Identifier: Apache-2.0
// One word for all questions that do not reach the server; over the page's foot, so that nothing moves.
import { clock, MS } from "../base/format";
import { ping, useUnreached } from "../base/reach";
import "./state.css";

export function Unreached() {
	const since = useUnreached();
	if (since === null) return null;
	return (
		<div class="unreached" role="alert">
			<span>
				<b class="error">The server does not answer</b> since {clock(since * MS)}. Is <code>clew server</code> still running? What is shown stays, and is asked for again when it is back.
			</span>
			<button type="button" onClick={() => void ping()}>
				Try now
			</button>
		</div>
	);
}
