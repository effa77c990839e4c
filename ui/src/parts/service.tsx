// SPDX-License-Identifier: Apache-2.0
import { serviceVar } from "../base/colour";
import "./small.css";

/** A service's name with its colour. */
export function Service(props: { name: string; colour: number | undefined; external?: boolean }) {
	return (
		<span class="service">
			<i style={{ background: serviceVar(props.colour), opacity: props.external ? 0.5 : 1 }} />
			<span class="name" title={props.name}>
				{props.name}
			</span>
		</span>
	);
}
