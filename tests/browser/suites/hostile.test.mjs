// What must not get through: other sites, other learners, broken frames, paths that lead out, and hostile text.

import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";
import { Wire, attachFrame } from "../harness/wire.mjs";

const service = shared();

async function atPrompt(options) {
  const visitor = await Visitor.arrive(service, options);
  await visitor.open("harbour/actions/1");
  return { visitor, path: await visitor.terminalPath(), cookie: await visitor.cookies() };
}

/** The answer's status, for a path exactly as written and headers exactly as given. */
function ask(method, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const asked = request({ host: service.host, port: service.port, method, path, headers }, (answer) => {
      const body = [];
      answer.on("data", (bytes) => body.push(bytes));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(body).toString() }));
    });
    asked.once("error", reject).end();
  });
}

test("a WebSocket from another origin, from none, or for another host is refused", async () => {
  const { visitor, path, cookie } = await atPrompt();
  const hosts = [{ origin: "http://evil.example" }, { origin: null }, { origin: service.url.replace("http", "https") }, { origin: `${service.url}.evil.example` }, { origin: "null" }, { origin: "http://evil.example", host: "evil.example" }];
  for (const headers of hosts) {
    const wire = new Wire(service, path, { cookie, ...headers });
    await wire.closed();
    assert.ok(wire.answer >= 400 && wire.answer < 500 && !wire.opened, `${JSON.stringify(headers)}: ${wire.answer}`);
  }
  const right = await new Wire(service, path, { cookie }).attach();
  assert.ok(right.attached, "our own origin is let in");
  right.close();
  await visitor.leave();
});

test("a missing or foreign cookie finds no session", async () => {
  const { visitor, path } = await atPrompt();
  const { visitor: stranger, cookie: theirs } = await atPrompt();
  for (const cookie of [undefined, theirs, `learner=${"0".repeat(64)}`, "learner=x", "learner="]) {
    const wire = new Wire(service, path, { cookie });
    await wire.closed();
    assert.ok([401, 403, 404].includes(wire.answer), `${cookie}: ${wire.answer}`);
    const view = await ask("GET", `/${path.replace(/\/terminals.*/, "")}`, cookie ? { cookie } : {});
    assert.ok([401, 403, 404].includes(view.status), `${view.status}`);
    const leave = await ask("POST", `/${path.replace(/\/terminals.*/, "/leave")}`, { origin: service.url, ...(cookie && { cookie }) });
    assert.ok([401, 403, 404].includes(leave.status), `${leave.status}`);
  }
  await visitor.command("echo unharmed-$((1 + 1))", "unharmed-2");
  await visitor.leave();
  await stranger.leave();
});

test("broken, foreign and oversized frames end their own connection, and nothing else", async () => {
  const { visitor, path, cookie } = await atPrompt();
  const cases = {
    "no frame that says who looks": Buffer.from([0, 1, 2]),
    "an unknown opcode": Buffer.from([200]),
    "an empty frame": Buffer.alloc(0),
    "another version": attachFrame(undefined, { version: 99 }),
    "half an attach": attachFrame().subarray(0, 12),
    "text": "hello",
    "a frame without end": Buffer.alloc(4 * 1024 * 1024),
  };
  for (const [what, frame] of Object.entries(cases)) {
    const wire = new Wire(service, path, { cookie });
    await until(() => wire.opened, "opened");
    wire.socket.send(frame);
    await wire.closed();
    assert.ok(wire.code >= 1002, `${what}: ${wire.code} ${wire.reason}`);
  }
  for (const [what, frame] of Object.entries({ "a short resize": Buffer.from([1, 2]), "a short ack": Buffer.from([2, 0]), "an unknown opcode": Buffer.from([77, 1]), "input without a number": Buffer.from([0, 9]) })) {
    const wire = await new Wire(service, path, { cookie }).attach();
    wire.socket.send(frame);
    await wire.closed();
    assert.ok(wire.code >= 1002, `${what}: ${wire.code} ${wire.reason}`);
  }
  // Not even WebSocket: bytes without a mask, in the middle of nothing.
  await new Promise((resolve) => {
    const raw = connect(service.port, service.host, () => {
      raw.write(`GET /${path} HTTP/1.1\r\nHost: ${service.host}:${service.port}\r\nOrigin: ${service.url}\r\nCookie: ${cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: quayside.2\r\n\r\n`);
      setTimeout(() => raw.write(Buffer.alloc(1024, 0xff)), 200);
    });
    raw.on("data", () => {});
    raw.on("error", resolve);
    raw.on("close", resolve);
  });
  // A page of another version is told to reload, which only a connection can do; what is no page of ours is refused.
  const stale = new Wire(service, path, { cookie, protocol: "quayside.99" });
  await stale.closed();
  assert.deepEqual([stale.code, stale.bytes], [4426, 0], stale.reason);
  const foreign = new Wire(service, path, { cookie, protocol: "chat" });
  await foreign.closed();
  assert.deepEqual([foreign.answer, foreign.opened], [400, false]);
  for (const number of ["0", "999", "-1", "x"]) {
    const nowhere = new Wire(service, path.replace(/1$/, number), { cookie });
    await nowhere.closed();
    assert.ok([400, 404].includes(nowhere.answer), `terminal ${number}: ${nowhere.answer}`);
  }
  await visitor.command("echo unharmed-$((1 + 1))", "unharmed-2");
  assert.equal(await visitor.strip(), "Connected");
  await visitor.leave();
});

test("a POST without our origin changes nothing", async () => {
  const { visitor, path, cookie } = await atPrompt();
  const leave = `/${path.replace(/\/terminals.*/, "/leave")}`;
  for (const headers of [{ cookie }, { cookie, origin: "http://evil.example" }, { cookie, origin: "null" }]) {
    for (const target of [leave, "/harbour/actions/start", "/look"]) {
      const { status } = await ask("POST", target, headers);
      assert.ok(status >= 400 && status < 500, `${target}: ${status}`);
    }
  }
  const other = await ask("GET", "/", { host: "evil.example" });
  assert.ok(other.status >= 400 && other.status < 500, `another host: ${other.status}`);
  await visitor.command("echo unharmed-$((1 + 1))", "unharmed-2");
  await visitor.leave();
});

test("no path leads out of a lesson's folder, or to what is not a picture", async () => {
  const base = "/harbour/cargo/file/";
  const picture = await ask("GET", `${base}harbour/cargo/square.png`);
  const found = picture.status === 200 ? picture : await ask("GET", `${base}cargo/square.png`);
  assert.equal(found.headers["content-type"], "image/png");
  for (const path of ["harbour/cargo/secret.txt", "cargo/secret.txt", "cargo/index.json", "../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "%2fetc%2fpasswd", "/etc/passwd", "cargo/..%5c..%5cetc%5cpasswd", "cargo/square.png%00.txt", "cargo/%ff.png", "../../package.json", "."]) {
    const answer = await ask("GET", base + path);
    assert.ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.status}`);
    assert.doesNotMatch(answer.body, /root:x:|not for the web/);
  }
});

test("every answer carries the headers that protect a page", async () => {
  for (const path of ["/", "/harbour/actions/1", "/nowhere/at/all", "/health/live"]) {
    const { headers } = await ask("GET", path);
    assert.match(headers["content-security-policy"], /frame-ancestors 'none'/, path);
    assert.doesNotMatch(headers["content-security-policy"], /unsafe-eval|unsafe-inline/, path);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["referrer-policy"], "same-origin");
    assert.equal(headers["cross-origin-opener-policy"], "same-origin");
  }
  const page = await ask("GET", "/harbour/actions/1");
  assert.match(page.headers["content-security-policy"], /require-trusted-types-for 'script'/);
  const start = await ask("POST", "/harbour/actions/start", { origin: service.url, accept: "application/json", "content-type": "application/x-www-form-urlencoded", "content-length": 0 });
  assert.equal(start.status, 200, start.body);
  assert.match(String(start.headers["set-cookie"]), /learner=[0-9a-f]{64};.*HttpOnly.*SameSite=Lax|learner=[^;]{40,};.*(HttpOnly|SameSite=Lax).*(HttpOnly|SameSite=Lax)/);
  const { id } = JSON.parse(start.body);
  await ask("POST", `/api/sessions/${id}/leave`, { origin: service.url, cookie: String(start.headers["set-cookie"]).split(";")[0] });
});

test("a pasted end-of-paste does not run what follows it", async () => {
  const { visitor } = await atPrompt();
  await visitor.page.locator(".pane[data-front] .xterm-helper-textarea").focus();
  await visitor.page.evaluate(() => {
    const data = new DataTransfer();
    data.setData("text/plain", "echo pasted\x1b[201~\ntouch /root/attacked\n\x9b201~\ntouch /root/attacked\n");
    document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  });
  await visitor.sees("echo pasted");
  await pause(500);
  await visitor.type("\x03");
  await visitor.command("clear; ls /root/attacked; echo looked", /No such file[\s\S]*looked/);
  await visitor.leave();
});

/** What a program may write there, and how the page says so, is in `terminals`. */
test("what a program prints can neither read the clipboard nor answer into the shell", async () => {
  const { visitor } = await atPrompt({ permissions: ["clipboard-read", "clipboard-write"] });
  await visitor.page.evaluate(() => navigator.clipboard.writeText("a secret of the learner"));
  const title = await visitor.page.title();
  await visitor.command(String.raw`cat > /root/ask.sh <<'X'
stty raw -echo
printf '\033]52;c;?\007\033[21t\033]0;attacked\007'
IFS= read -r -t 1 -d '' answer
stty sane
printf 'answer=%q.\n' "$answer"
X
clear; bash /root/ask.sh`);
  await visitor.sees(/answer=''\./);
  assert.equal(await visitor.page.title(), title);
  assert.equal(await visitor.page.evaluate(() => navigator.clipboard.readText()), "a secret of the learner");
  await visitor.leave();
});

test("what the past asked is not answered when it is drawn again", async () => {
  const { visitor } = await atPrompt();
  // Live, a query is answered, and cat shows the answer; in the replay it must not be answered again.
  await visitor.command(String.raw`printf '\033[c\033[6n\033[5n'; sleep 1; echo; echo asked-$((1 + 1))`, "asked-2");
  await visitor.type("\x03");
  await visitor.command("clear; tty; touch /root/mark", "/dev/pts/0");
  await visitor.page.reload();
  await visitor.sees("/dev/pts/0");
  await pause(1000);
  await visitor.command("echo clean-$((1 + 1))", /\$ echo clean-\$\(\(1 \+ 1\)\)\nclean-2/);
  assert.doesNotMatch((await visitor.screen()).split("clean-2")[0].split("\n").at(-2) ?? "", /\d+;\d+[cR]/);
  await visitor.leave();
});
