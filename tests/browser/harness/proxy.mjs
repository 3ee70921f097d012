// A proxy in front of a service, started with the configuration that docs/proxies/ shows: only names, ports and files
// are exchanged for the test's own.

import { spawn, execFileSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "./service.mjs";
import { until } from "./until.mjs";

const documented = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "docs", "proxies");

/** A proxy and its certificate take a moment; a busy machine some seconds. */
const READY_MS = 20_000;

const KINDS = {
  nginx: {
    file: "nginx.conf",
    main: (folder, site) => `user root;\npid ${folder}/pid;\nerror_log ${folder}/errors;\nevents {}\nhttp {\naccess_log off;\n${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}\n${site}\n}\n`,
    command: (folder, main) => ["nginx", "-p", folder, "-c", main, "-g", "daemon off;"],
  },
  caddy: {
    file: "Caddyfile",
    main: (_, site) => `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${site}`,
    command: (_, main) => ["caddy", "run", "--adapter", "caddyfile", "--config", main],
  },
};

export class Proxy {
  #process;

  static async of(kind) {
    const folder = mkdtempSync(join(tmpdir(), "quayside-proxy-"));
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", join(folder, "key.pem"), "-out", join(folder, "certificate.pem")], { stdio: "pipe" });
    return new Proxy(kind, folder, await freePort());
  }

  constructor(kind, folder, port) {
    Object.assign(this, { kind, folder, port });
  }

  get url() {
    return `https://localhost:${this.port}/learn`;
  }

  #documented() {
    return readFileSync(join(documented, KINDS[this.kind].file), "utf8");
  }

  /** The settings that the file says a service needs behind it, as a file of settings. */
  settings() {
    const block = /The service has these settings:\n#\n((?:#   .*\n|#\n)+)/.exec(this.#documented())[1];
    const text = block.replaceAll(/^#(   )?/gm, "").replace(/^listen = .*\n/m, "").replace("learn.example.org", "localhost");
    const file = join(this.folder, "quayside.toml");
    writeFileSync(file, text);
    return file;
  }

  /** In front of `service`. */
  async start(service) {
    const kind = KINDS[this.kind];
    const site = this.#documented()
      .replaceAll("127.0.0.1:8080", `127.0.0.1:${service.port}`)
      .replace("listen 443 ssl", `listen 127.0.0.1:${this.port} ssl`)
      .replace(/^learn\.example\.org \{/m, `localhost:${this.port} {`)
      .replaceAll(/\/etc\/ssl\/certs\/\S+?\.pem/g, join(this.folder, "certificate.pem"))
      .replaceAll(/\/etc\/ssl\/private\/\S+?\.key/g, join(this.folder, "key.pem"))
      .replaceAll("learn.example.org", "localhost");
    const main = join(this.folder, "main");
    writeFileSync(main, kind.main(this.folder, site));
    const [program, ...args] = kind.command(this.folder, main);
    const log = openSync(join(this.folder, "log"), "a");
    const env = { PATH: process.env.PATH, HOME: this.folder, XDG_DATA_HOME: this.folder, XDG_CONFIG_HOME: this.folder };
    // A group of its own, so that all of its processes can be killed and nobody else's.
    this.#process = spawn(program, args, { stdio: ["ignore", log, log], detached: true, env });
    let broken;
    this.#process.once("error", (error) => (broken = error));
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.ended = ended;
    await until(() => {
      if (broken) throw broken;
      return this.answers();
    }, `${this.kind} answers; it says:\n${this.says()}`, READY_MS).catch((error) => {
      throw new Error(`${error.message}\n${this.says()}`);
    });
    return this;
  }

  says() {
    try {
      return readFileSync(join(this.folder, "log"), "utf8");
    } catch {
      return "";
    }
  }

  /** Whether a page comes through, whoever signed the certificate. */
  async answers() {
    try {
      return execFileSync("openssl", ["s_client", "-quiet", "-connect", `127.0.0.1:${this.port}`, "-servername", "localhost"], { input: `GET /learn/health/ready HTTP/1.1\r\nhost: localhost:${this.port}\r\nconnection: close\r\n\r\n`, stdio: ["pipe", "pipe", "ignore"], timeout: 5000 }).toString().startsWith("HTTP/1.1 200");
    } catch {
      return false;
    }
  }

  /** As hard as can be, with all of its processes. */
  async kill() {
    process.kill(-this.#process.pid, "SIGKILL");
    await this.ended;
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
