// SPDX-License-Identifier: Apache-2.0
// A button that opens a list below it: arrows move in it, Escape and a click elsewhere close it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import "./menu.css";

export interface Choice {
	name: string;
	on: boolean;
	run: () => void;
}

export function Menu(props: { label: string; text: string; sign?: ComponentChildren; items: Choice[]; foot?: (shut: () => void) => ComponentChildren }) {
	const [open, setOpen] = useState(false);
	const box = useRef<HTMLDivElement>(null);
	const button = useRef<HTMLButtonElement>(null);
	const shut = () => {
		setOpen(false);
		button.current?.focus();
	};
	useEffect(() => {
		if (!open) return undefined;
		const elsewhere = (e: Event) => {
			if (!box.current?.contains(e.target as Node)) setOpen(false);
		};
		addEventListener("pointerdown", elsewhere);
		addEventListener("focusin", elsewhere);
		const items = box.current?.querySelector(".list") as HTMLElement;
		(items.querySelector<HTMLElement>('[aria-checked="true"]') ?? items.querySelector<HTMLElement>("button"))?.focus();
		return () => {
			removeEventListener("pointerdown", elsewhere);
			removeEventListener("focusin", elsewhere);
		};
	}, [open]);
	const key = (e: KeyboardEvent) => {
		if (!open) return;
		const items = [...(box.current?.querySelectorAll<HTMLElement>("[role=menuitemradio]") ?? [])];
		const at = items.indexOf(document.activeElement as HTMLElement);
		if (e.key === "Escape") shut();
		else if (at < 0) return; // the fields below the list have keys of their own
		else if (e.key === "ArrowDown") items[(at + 1) % items.length]?.focus();
		else if (e.key === "ArrowUp") items[(at + items.length - 1) % items.length]?.focus();
		else if (e.key === "Home") items[0]?.focus();
		else if (e.key === "End") items[items.length - 1]?.focus();
		else return;
		e.preventDefault();
	};
	return (
		<div class="menu" ref={box} onKeyDown={key}>
			<button ref={button} type="button" class="bare" aria-expanded={open} aria-haspopup="menu" aria-label={`${props.label}: ${props.text}`} onClick={() => setOpen(!open)}>
				{props.sign ?? props.text}
				{/* Drawn: a sign of a font would have the browser look through all fonts for it. */}
				<svg class="caret" viewBox="0 0 8 5" aria-hidden="true">
					<path d="M0 0h8L4 5z" />
				</svg>
			</button>
			{open && (
				<div class="drop">
					<div class="list" role="menu" aria-label={props.label}>
						{props.items.map((i) => (
							<button
								key={i.name}
								type="button"
								role="menuitemradio"
								aria-checked={i.on}
								onClick={() => {
									shut();
									i.run();
								}}
							>
								{i.name}
							</button>
						))}
					</div>
					{props.foot?.(shut)}
				</div>
			)}
		</div>
	);
}
