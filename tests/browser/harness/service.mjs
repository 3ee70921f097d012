// The real service, on a data directory of its own, from its start to the proof that nothing is left of it.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./until.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..", "..");

/** Our own scenarios. */
export const LESSONS = join(here, "..", "lessons");

export const BINARY = process.env.QUAYSIDE_BIN ?? newest(["release", "debug"].flatMap((profile) => [
  join(root, "target", `${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-gnu`, profile, "quayside"),
  join(root, "target", profile, "quayside"),
]));

/** How long the first image of an empty data directory may take, and the learner's, which is unpacked from packages. */
const READY_MS = 30_000;
const IMAGE_MS = 180_000;
/** How long what is left may take to go by itself. */
const GONE_MS = 10_000;

function newest(paths) {
  const there = paths.filter((path) => existsSync(path));
  if (there.length === 0) throw new Error(`no binary; build one with 'cargo build', or name it by QUAYSIDE_BIN (looked for ${paths.join(", ")})`);
  const time = (path) => Number(execFileSync("stat", ["-c", "%Y", path]));
  return there.sort((a, b) => time(b) - time(a))[0];
}

/** Takes a folder over. The service writes no file of an image again, so links do; another file system has copies. */
function take(from, to) {
  if (spawnSync("cp", ["-al", from, to]).status !== 0) execFileSync("cp", ["-a", from, to]);
}

export class Service {
  #process;

  /**
   * `base`: the base path that `args` name; `images`: a data directory whose images are copied instead of made again; `settings`: by the names of their
   * variables, without what these begin with.
   */
  constructor({ host = "127.0.0.1", lessons = LESSONS, images, args = [], settings = {}, data, base = "" } = {}) {
    this.host = host;
    this.lessons = lessons;
    this.args = args;
    this.base = base;
    this.env = { ...process.env, ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [`QUAYSIDE_${name}`, String(value)])) };
    this.data = data ?? mkdtempSync(join(tmpdir(), "quayside-browser-"));
    this.log = join(this.data, "service.log");
    if (images && !data) {
      mkdirSync(join(this.data, "images"));
      take(join(images, "images", "content"), join(this.data, "images"));
    }
  }

  get url() {
    return `http://${this.host}:${this.port}${this.base}`;
  }

  get pid() {
    return this.#process.pid;
  }

  async start() {
    this.port ??= await freePort();
    const log = openSync(this.log, "a");
    const args = ["serve", "--data", this.data, "--listen", `${this.host}:${this.port}`, "--lessons", this.lessons, ...this.args];
    this.#process = spawn(BINARY, args, { stdio: ["ignore", log, log], env: this.env });
    this.ended = new Promise((resolve) => this.#process.once("exit", (code, signal) => resolve({ code, signal })));
    await until(() => fetch(`${this.url}/health/ready`).then((answer) => answer.ok, () => false), "the service is ready", READY_MS);
    return this;
  }

  /** Waits for an image, so that no test meets another machine than it expects. */
  async imageReady(name = "learner") {
    await until(() => this.quayside("image", "ls").stdout.split("\n").some((line) => line.startsWith(`${name} `) && line.includes("ready")), `the image ${name}`, IMAGE_MS);
  }

  quayside(...args) {
    return spawnSync(BINARY, [...args, "--data", this.data], { encoding: "utf8" });
  }

  /** The pid of a part: `web` or `keeper`. */
  part(name) {
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8").trim().split(" ").filter(Boolean);
    return Number(children.find((pid) => commandOf(pid)[1] === name));
  }

  /** Kills a part as hard as can be, and waits until the supervisor has started it again. */
  async killPart(name) {
    const before = this.part(name);
    process.kill(before, "SIGKILL");
    await until(() => this.part(name) && this.part(name) !== before, `another ${name}`);
  }

  /** SIGTERM: the parts end, the sandboxes stay. */
  async terminate() {
    process.kill(this.pid, "SIGTERM");
    return this.ended;
  }

  /** Ends everything, and says what is left: nothing, if all is well. */
  async stop() {
    const stopped = this.quayside("stop");
    await this.ended;
    if (stopped.status !== 0) return [`stop: ${stopped.stderr}`];
    // The kernel gives a loop device back a moment after the last who had its disk mounted.
    await until(() => this.census().length === 0, "nothing is left", GONE_MS).catch(() => {});
    return this.census();
  }

  /** Deletes the data directory; call it when nobody needs the log any more. */
  remove() {
    rmSync(this.data, { recursive: true, force: true });
  }

  /** Everything on this machine that belongs to this data directory and should be gone after a stop. */
  census() {
    const left = [];
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      const words = commandOf(pid);
      if (words.some((word) => word.startsWith(this.data)) && words.some((word) => word.includes("quayside"))) left.push(`process ${pid}: ${words.join(" ")}`);
    }
    const seen = join(this.data, "seen");
    const ids = existsSync(seen) ? new Set(readFileSync(seen, "utf8").trim().split("\n")) : [];
    for (const id of ids) {
      for (const pid of this.processesOf(id)) left.push(`process ${pid} of sandbox ${id}`);
      const groups = spawnSync("find", ["/sys/fs/cgroup", "-type", "d", "-name", id], { encoding: "utf8" }).stdout.trim();
      if (groups) left.push(`cgroups of ${id}: ${groups}`);
    }
    for (const name of ["sandboxes", "disks", "run/shims"]) {
      const path = join(this.data, name);
      // An empty disk is kept as the pattern for the next.
      const entries = existsSync(path) ? readdirSync(path).filter((entry) => !entry.startsWith("template-")) : [];
      if (entries.length > 0) left.push(`${path}: ${entries.join(" ")}`);
    }
    const leases = join(this.data, "leases");
    for (const slot of existsSync(leases) ? readdirSync(leases) : []) {
      // The files stay; a lease is a lock on one.
      if (spawnSync("flock", ["--nonblock", join(leases, slot), "true"]).status !== 0) left.push(`lease ${slot} is held`);
    }
    const loops = spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout.split("\n").filter((line) => line.includes(this.data));
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n").filter((line) => line.includes(this.data));
    return [...left, ...loops.map((line) => `loop device ${line}`), ...mounts.map((line) => `mount ${line}`)];
  }

  /** The sandboxes that run now; the census remembers them. */
  sandboxes() {
    const path = join(this.data, "sandboxes");
    const ids = existsSync(path) ? readdirSync(path) : [];
    if (ids.length > 0) appendFileSync(join(this.data, "seen"), `${ids.join("\n")}\n`);
    return ids;
  }

  /** The pids of a sandbox's shim and of what runs in its groups. */
  processesOf(id) {
    return readdirSync("/proc").filter((pid) => {
      if (!/^\d+$/.test(pid)) return false;
      try {
        // One that has ended and waits to be reaped is not left behind.
        return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(id) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
      } catch {
        return false;
      }
    });
  }

  shimOf(id) {
    return Number(this.processesOf(id).find((pid) => commandOf(pid).includes("shim")));
  }
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").filter(Boolean);
  } catch {
    return [];
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
