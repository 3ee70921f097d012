// Starts the real service, plays every suite in real Chromium against it, stops it and counts what is left.
//
//   npm test                      every suite
//   npm test -- reconnect layout  those alone
//
// QUAYSIDE_BIN names the binary, CHROMIUM the browser, QUAYSIDE_IMAGES a data directory whose images are taken over,
// QUAYSIDE_ONLY a pattern of the tests to play.

import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { BINARY, Service } from "./harness/service.mjs";

/** The longest suite kills and restarts things, and waits for each. */
const SUITE_MS = 10 * 60_000;

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const names = readdirSync(join(here, "suites")).filter((name) => name.endsWith(".test.mjs") && (wanted.length === 0 || wanted.some((it) => name.startsWith(it))));
if (process.getuid() !== 0) throw new Error("the service needs root here: run the suite with sudo");

const begun = Date.now();
process.env.QUAYSIDE_SHOTS ??= mkdtempSync(join(tmpdir(), "quayside-shots-"));
console.log(`binary ${BINARY}\nscreenshots ${process.env.QUAYSIDE_SHOTS}`);
const service = new Service({ images: process.env.QUAYSIDE_IMAGES });
await service.start();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    console.log(`left behind: ${(await service.stop()).join(", ") || "nothing"}`);
    process.exit(130);
  });
}
await service.imageReady();
console.log(`service ${service.url}, data ${service.data}, ready after ${seconds(begun)}\n`);
process.env.QUAYSIDE_URL = service.url;
process.env.QUAYSIDE_DATA = service.data;

let passed = 0;
let failed = 0;
let skipped = 0;
const stream = run({ files: names.map((name) => join(here, "suites", name)), concurrency: 1, timeout: SUITE_MS, ...(process.env.QUAYSIDE_ONLY && { testNamePatterns: process.env.QUAYSIDE_ONLY }) });
const isTest = ({ nesting, details }) => nesting === 0 && details.type !== "suite";
stream.on("test:pass", (event) => isTest(event) && (event.skip === undefined ? passed++ : skipped++));
stream.on("test:fail", (event) => isTest(event) && failed++);
await new Promise((resolve) => stream.compose(spec).on("end", resolve).pipe(process.stdout));

const left = await service.stop();
for (const thing of left) console.log(`left behind: ${thing}`);
failed += left.length > 0 ? 1 : 0;
if (failed > 0) console.log(`the service's log: ${service.log}`);
else service.remove();
console.log(`\n${seconds(begun)}, ${skipped} skipped; screenshots in ${process.env.QUAYSIDE_SHOTS}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
