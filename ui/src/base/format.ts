// SPDX-License-Identifier: Apache-2.0
// Figures as people say them. Durations and times are nanoseconds everywhere in the page.

export const US = 1e3;
export const MS = 1e6;
export const S = 1e9;
export const MINUTE = 60 * S;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const THIN = "\u2009"; // between groups of digits and before units

/** Up to three significant digits, never an exponent, no zeros that say nothing: 0.042, 3.21, 32.1, 321, 10. */
function three(x: number): string {
	const text = x >= 99.95 ? x.toFixed(0) : x >= 9.995 ? x.toFixed(1) : x >= 0.9995 ? x.toFixed(2) : x === 0 ? "0" : x.toPrecision(2);
	return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** "850 ns", "3.2 ms", "1.25 s", "1 m 04 s", "2 h 03 m", "3 d 04 h". */
export function duration(ns: number): string {
	const sign = ns < 0 ? "−" : "";
	const n = Math.abs(ns);
	const two = (v: number) => String(Math.floor(v)).padStart(2, "0");
	if (n < 1e3) return `${sign}${Math.round(n)}${THIN}ns`;
	if (n < 999.5 * US) return `${sign}${three(n / US)}${THIN}µs`;
	if (n < 999.5 * MS) return `${sign}${three(n / MS)}${THIN}ms`;
	if (n < MINUTE) return `${sign}${three(n / S)}${THIN}s`;
	if (n < HOUR) return `${sign}${Math.floor(n / MINUTE)}${THIN}m ${two((n % MINUTE) / S)}${THIN}s`;
	if (n < DAY) return `${sign}${Math.floor(n / HOUR)}${THIN}h ${two((n % HOUR) / MINUTE)}${THIN}m`;
	return `${sign}${Math.floor(n / DAY)}${THIN}d ${two((n % DAY) / HOUR)}${THIN}h`;
}

/** "1 234 567" with thin spaces; fractions only below ten. */
export function count(n: number): string {
	if (!Number.isFinite(n)) return "–";
	const text = Math.abs(n) < 10 && !Number.isInteger(n) ? String(Number(n.toFixed(1))) : String(Math.round(n));
	return text.replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** Requests: "12 /min" where it is less than one a second, "34 /s", "1 200 /s". */
export function rate(perSecond: number): string {
	if (perSecond > 0 && perSecond < 0.9995) return `${three(perSecond * 60)}${THIN}/min`;
	return `${perSecond < 100 ? three(perSecond) : count(perSecond)}${THIN}/s`;
}

/** Rates that stand below one another, all in one unit: that of the highest. */
export function rates(perSecond: readonly number[]): (perSecond: number) => string {
	const high = Math.max(0, ...perSecond);
	if (high < 0.9995) return (r) => `${three(r * 60)}${THIN}/min`;
	return (r) => `${r < 100 ? three(r) : count(r)}${THIN}/s`;
}

/** A share of one: "0", "0.03 %", "4.2 %", "37 %". */
export function percent(share: number): string {
	if (share === 0) return "0";
	const p = share * 100;
	if (Math.abs(p) < 0.005) return `<${THIN}0.01${THIN}%`;
	// Not all is not "100 %".
	if (p >= 99.5 && p < 100) return p >= 99.95 ? `>${THIN}99.9${THIN}%` : `${p.toFixed(1)}${THIN}%`;
	return `${Math.abs(p) >= 9.95 ? p.toFixed(0) : String(Number(p.toPrecision(2)))}${THIN}%`;
}

/** "1.2 MB", decimal. */
export function bytes(n: number): string {
	const units = ["B", "kB", "MB", "GB", "TB"];
	let i = 0;
	while (n >= 999.5 && i < units.length - 1) {
		n /= 1000;
		i++;
	}
	return `${three(n)}${THIN}${units[i]}`;
}

const pad = (n: number, w = 2) => String(n).padStart(w, "0");

/** Absolute local time, to the millisecond: "2026-03-04 05:06:07.089". */
export function absolute(ns: number): string {
	const d = new Date(ns / MS);
	return (
		`${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ` +
		`${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}.${pad(d.getMilliseconds(), 3)}`
	);
}

export const isToday = (ns: number, now = Date.now()) => new Date(now).toDateString() === new Date(ns / MS).toDateString();

/** The time of day, with the date when it is not today's. */
export function clock(ns: number, now = Date.now()): string {
	const d = new Date(ns / MS);
	const today = isToday(ns, now);
	const time = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
	return today ? time : `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${time}`;
}

/** Round durations between two powers of ten: 1, 10, 100; of a short stretch 1, 2, 5, too. */
export function logMarks(lo: number, hi: number): number[] {
	const out: number[] = [];
	for (let d = Math.floor(lo); d <= hi; d++) for (const m of hi - lo < 2.5 ? [1, 2, 5] : [1]) out.push(m * 10 ** d);
	return out.filter((ns) => Math.log10(ns) >= lo && Math.log10(ns) <= hi);
}

const STEPS = [1e6, 2e6, 5e6, 1e7, 2e7, 5e7, 1e8, 2e8, 5e8, S, 2 * S, 5 * S, 10 * S, 15 * S, 30 * S, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY];

/** Marks for an axis of time, at round local times: "14:05", "14:05:10", "14:05:10.250", with the day where it begins. */
export function timeMarks(since: number, until: number, most: number): { ns: number; text: string }[] {
	const length = Math.max(1, until - since);
	const step = STEPS.find((s) => length / s <= most) ?? Math.ceil(length / most / DAY) * DAY;
	const shift = new Date(since / MS).getTimezoneOffset() * MINUTE;
	const out: { ns: number; text: string }[] = [];
	let day = "";
	for (let at = Math.ceil((since - shift) / step) * step + shift; at <= until; at += step) {
		const text = absolute(at + 5e5);
		const date = text.slice(5, 10);
		const time = step >= DAY ? "" : text.slice(11, step < S ? 23 : step < MINUTE ? 19 : 16);
		const isNew = date !== day && (day !== "" || step >= DAY);
		out.push({ ns: at, text: isNew ? `${date} ${time}`.trim() : time });
		day = date;
	}
	return out;
}

/** "12 s ago", "4 m ago". */
export function ago(ns: number, now = Date.now()): string {
	const gone = now * MS - ns;
	if (gone < 1.5 * S) return "now";
	if (gone < 90 * S) return `${Math.round(gone / S)}${THIN}s ago`;
	if (gone < 90 * MINUTE) return `${Math.round(gone / MINUTE)}${THIN}m ago`;
	if (gone < 36 * HOUR) return `${Math.round(gone / HOUR)}${THIN}h ago`;
	return `${Math.round(gone / DAY)}${THIN}d ago`;
}

/** Reads "20ms", "1.5s", "3 m", "250us", "800ns" into nanoseconds; null: not a duration. */
export function parseDuration(text: string): number | null {
	const m = /^\s*([0-9]*\.?[0-9]+)\s*(ns|us|µs|ms|s|m|min|h|d)\s*$/.exec(text);
	if (!m) return null;
	const unit: Record<string, number> = { ns: 1, us: US, "µs": US, ms: MS, s: S, m: MINUTE, min: MINUTE, h: HOUR, d: DAY };
	return Number(m[1]) * (unit[m[2] as string] as number);
}

/** The local time zone, said once in the page's foot: "Europe/Berlin (UTC+01:00)". */
export function zone(): string {
	const minutes = -new Date().getTimezoneOffset();
	const sign = minutes < 0 ? "−" : "+";
	const abs = Math.abs(minutes);
	const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
	if (name === "UTC") return name;
	return `${name} (UTC${sign}${pad(Math.floor(abs / 60))}:${pad(abs % 60)})`;
}
