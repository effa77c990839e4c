// SPDX-License-Identifier: Apache-2.0
// `npm run dev` serves the page with the API of a clew server (CLEW_SERVER, default http://127.0.0.1:16686);
// `npm run build` makes dist/, which the build of clew puts into the binary.
import { defineConfig } from "vite";

const server = process.env["CLEW_SERVER"] ?? "http://127.0.0.1:16686";

export default defineConfig({
	base: "/",
	build: {
		target: "es2022",
		assetsDir: "assets",
		// Nothing inline: the server's content security policy allows no inline script or style.
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
		cssCodeSplit: false,
		reportCompressedSize: true,
	},
	server: { proxy: { "/api": server, "/metrics": server } },
});
