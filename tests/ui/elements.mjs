// SPDX-License-Identifier: Apache-2.0
// What the tests of several views do and find on the page.
import { text } from "./page.mjs";

/** A drag over an element, by shares of its width and height. */
export async function drag(page, locator, [x1, y1], [x2, y2]) {
	const b = await locator.boundingBox();
	const at = (x, y) => [b.x + x * b.width, b.y + y * b.height];
	await page.mouse.move(...at(x1, y1));
	await page.mouse.down();
	await page.mouse.move(...at((x1 + x2) / 2, (y1 + y2) / 2), { steps: 4 });
	await page.mouse.move(...at(x2, y2), { steps: 4 });
	await page.mouse.up();
}

/** How many traces the search says that there are. */
export const found = async (page) => Number(/([\d ]+) (newest )?traces?,/.exec(await text(page.locator(".top")))?.[1].replaceAll(" ", ""));

/** The part of a view below a heading. */
export const section = (page, title) => page.locator("section").filter({ has: page.getByRole("heading", { name: title }) });

// ---- of a trace ----

export const row = (page, n) => page.locator(".span-row").nth(n);
export const selected = (page) => page.locator(".span-row.is-selected");
export const selectedFailed = (page) => page.locator(".span-row.is-selected .error");
