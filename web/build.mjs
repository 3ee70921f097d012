// Builds web/dist: bundles with a hash in each name, and manifest.json from plain names to hashed ones.
// `node build.mjs` takes about a second; the server embeds the result.

import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

/** Third-party work that reaches the browser: its licence stands beside it. */
const shipped = ["@xterm/xterm", "@xterm/addon-fit", "@xterm/addon-search", "@xterm/addon-unicode11", "@xterm/addon-web-links", "@xterm/addon-webgl", "@fontsource-variable/literata"];

await rm(dist, { recursive: true, force: true });
await mkdir(dist);

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/page.ts", "src/workspace.ts", "styles/page.css", "styles/workspace.css"],
  outdir: "dist",
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  loader: { ".woff2": "file" },
  minify: true,
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});

/** Plain name → what to load: `path`, and for a script the chunks that it imports at once. */
const manifest = {};
for (const [path, output] of Object.entries(metafile.outputs)) {
  if (!output.entryPoint) continue;
  const name = basename(output.entryPoint).replace(/\.ts$/, ".js");
  const imports = output.imports.filter((it) => it.kind === "import-statement").map((it) => basename(it.path));
  manifest[name] = { path: basename(path), imports };
}
for (const [path, output] of Object.entries(metafile.outputs)) {
  const [input] = Object.keys(output.inputs);
  if (extname(path) === ".woff2") manifest[basename(input)] = { path: basename(path), imports: [] };
}
for (const name of await readdir(join(here, "static"))) {
  const hash = createHash("sha256").update(await readFile(join(here, "static", name))).digest("hex").slice(0, 8).toUpperCase();
  const hashed = `${basename(name, extname(name))}-${hash}${extname(name)}`;
  await cp(join(here, "static", name), join(dist, hashed));
  manifest[name] = { path: hashed, imports: [] };
}

const licences = await Promise.all(shipped.map(async (name) => {
  const text = await readFile(join(here, "node_modules", name, "LICENSE"), "utf8");
  return `${name}\n\n${text.trim()}\n`;
}));
const text = licences.join("\n\n");
const licenceName = `licences-${createHash("sha256").update(text).digest("hex").slice(0, 8).toUpperCase()}.txt`;
await writeFile(join(dist, licenceName), text);
manifest["licences.txt"] = { path: licenceName, imports: [] };

await writeFile(join(dist, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
