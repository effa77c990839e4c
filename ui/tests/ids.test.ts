// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { traceNamed } from "../src/base/ids";

const trace = "0af7651916cd43dd8448eb211c80319c";

it.each([
	[trace, null],
	[` ${trace.toUpperCase()}\n`, null],
	[`00-${trace}-b7ad6b7169203331-01`, "b7ad6b7169203331"],
	[`traceparent: 00-${trace}-b7ad6b7169203331-01`, "b7ad6b7169203331"],
])("reads %j", (text, span) => expect(traceNamed(text)).toEqual({ trace, span }));

it.each(["", "db.system", trace.slice(1), `${trace}0`, `http.url=${trace}`])("leaves %j alone", (text) => expect(traceNamed(text)).toBeNull());
