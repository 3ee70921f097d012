// Programs that people use, on the terminal that they have: editors and pagers whose window changes in the middle,
// keys of every keyboard, the mouse, and letters that take two columns or none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();
const LARGE = { width: 1280, height: 800 };
const SMALL = { width: 1000, height: 560 };

async function atPrompt() {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/actions/1");
  return visitor;
}

/** Gives the machine a file without typing it. */
async function write(visitor, path, text) {
  await visitor.type(`base64 -d > ${path} <<< ${Buffer.from(text).toString("base64")}; clear\n`);
  await visitor.prompt();
}

async function resize(visitor, size) {
  const rows = () => visitor.page.locator(".pane[data-front] .xterm-rows > div").count();
  const before = await rows();
  await visitor.page.setViewportSize(size);
  await until(async () => (await rows()) !== before, "another number of rows");
}

const row = (visitor, text) => visitor.page.locator(".pane[data-front] .xterm-rows > div", { hasText: text }).last().boundingBox();
const clipboard = (visitor) => visitor.page.evaluate(() => navigator.clipboard.readText());

/** Says what it is given, byte by byte, until a Q. */
const BYTES = `
import os, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
print("listening", end="\\r\\n", flush=True)
while (got := os.read(0, 4096)) != b"Q":
    print("got", repr(got)[2:-1], end="\\r\\n", flush=True)
termios.tcsetattr(0, termios.TCSADRAIN, before)
`;

/** Prints every letter that the C library knows and asks the terminal how far the cursor went; eight beside an "a" each. */
const WIDTHS = `
import ctypes, os, re, tty
libc = ctypes.CDLL("libc.so.6")
libc.setlocale(6, b"C.UTF-8")
tty.setraw(0)
out = os.fdopen(1, "w", buffering=1 << 16, encoding="utf-8", newline="")
wrong, known = [], 0
def column():
    answer = b""
    while not answer.endswith(b"R"):
        answer += os.read(0, 64)
    return int(re.search(rb";(\\d+)R", answer)[1]) - 1
def takes(letters):
    out.write("\\r" + "".join("a" + chr(letter) for letter in letters) + "\\x1b[6n\\r\\x1b[K")
    out.flush()
    return column()
def wanted(letters):
    return sum(1 + libc.wcwidth(letter) for letter in letters)
bulk = [(0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xd800, 0xf8ff), (0x17000, 0x18cd5)]
letters = [it for it in range(0xa0, 0x20000) if libc.wcwidth(it) >= 0 and not any(first < it < last for first, last in bulk)]
for at in range(0, len(letters), 16):
    some = letters[at:at + 16]
    if takes(some) != wanted(some):
        wrong += [f"{it:x}" for it in some if takes([it]) != wanted([it])]
os.system("stty sane")
out.write(f"\\r\\n{len(letters)} letters, wrong: {' '.join(wrong[:40]) or 'none'} of {len(wrong)}.\\r\\n")
out.flush()
`;

test("page and C library agree on the width of every letter", { timeout: 180_000 }, async () => {
  const visitor = await atPrompt();
  await write(visitor, "/tmp/widths.py", WIDTHS);
  await visitor.type("python3 /tmp/widths.py\n");
  const [, count, wrong] = await visitor.sees(/(\d+) letters, wrong: ([^.]*)\./, 150_000);
  assert.ok(Number(count) > 10_000, count);
  assert.equal(wrong, "none of 0");
  // What that is for: a line with such letters in it can be edited.
  await visitor.type("clear; echo 🫠🪿中文ééx");
  for (let n = 0; n < 5; n++) await visitor.page.keyboard.press("ArrowLeft");
  await visitor.page.keyboard.type("_");
  await visitor.page.keyboard.press("Enter");
  await visitor.prompt();
  assert.match(await visitor.screen(), /^🫠🪿_中文éé?x$/m);
  await visitor.leave();
});

test("keys of every keyboard reach the program as it expects them", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  const cdp = await visitor.context.newCDPSession(page);
  await write(visitor, "/tmp/bytes.py", BYTES);
  await visitor.command("python3 /tmp/bytes.py", "listening");
  let number = 0;
  const gives = async (what, press, bytes) => {
    number += 1;
    await page.keyboard.type(`<${number}:`);
    await press();
    await page.keyboard.type(">");
    const all = (screen) => screen.replaceAll("\n", "").replaceAll("got ", "");
    const got = await visitor.sees(new RegExp(`<${number}:(.*)>$`), 5000, all).catch((error) => assert.fail(`${what}: ${error.message}`));
    assert.equal(got[1], bytes, what);
  };
  const keys = {
    "Control+a": "\\x01", "Control+c": "\\x03", "Control+z": "\\x1a", "Control+\\": "\\x1c", "Control+]": "\\x1d", "Control+6": "\\x1e", "Control+/": "\\x1f",
    "Control+Space": "\\x00", "Control+Backspace": "\\x08", Backspace: "\\x7f", "Control+ArrowLeft": "\\x1b[1;5D", "Alt+b": "\\x1bb", "Alt+.": "\\x1b.",
    "Alt+Backspace": "\\x1b\\x7f", "Alt+ArrowLeft": "\\x1b[1;3D", "Shift+Tab": "\\x1b[Z", Home: "\\x1b[H", PageUp: "\\x1b[5~", Delete: "\\x1b[3~", F1: "\\x1bOP", F5: "\\x1b[15~", F10: "\\x1b[21~",
  };
  for (const [key, bytes] of Object.entries(keys)) await gives(key, () => page.keyboard.press(key), bytes);
  // AltGr gives a letter, and no Ctrl or Alt with it.
  const altgr = { key: "@", code: "KeyQ", windowsVirtualKeyCode: 81 };
  await gives("AltGr", async () => {
    await cdp.send("Input.dispatchKeyEvent", { type: "keyDown", text: "@", ...altgr });
    await cdp.send("Input.dispatchKeyEvent", { type: "keyUp", ...altgr });
  }, "@");
  const compose = async (key, steps, text) => {
    await cdp.send("Input.dispatchKeyEvent", { type: "rawKeyDown", key, code: "KeyN", windowsVirtualKeyCode: 229 });
    for (const step of steps) await cdp.send("Input.imeSetComposition", { text: step, selectionStart: step.length, selectionEnd: step.length });
    if (text) await cdp.send("Input.insertText", { text });
    // xterm.js looks at what a composition has left once the browser is done with it.
    await pause(100);
  };
  await gives("a dead key", () => compose("Dead", ["^"], "ê"), "\\xc3\\xaa");
  await gives("an input method", () => compose("Process", ["n", "ni", "ni'hao"], "你好"), "\\xe4\\xbd\\xa0\\xe5\\xa5\\xbd");
  await gives("an input method that was left", () => compose("Process", ["n", "ni", ""], null), "");
  await gives("a table of emoji", async () => { await cdp.send("Input.insertText", { text: "🫠" }); await pause(100); }, "\\xf0\\x9f\\xab\\xa0");
  await page.keyboard.type("Q");
  await visitor.prompt();
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("AltGr on Windows, which browsers there tell as Ctrl and Alt, gives a letter", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.context.addInitScript(() => Object.defineProperty(navigator, "platform", { get: () => "Win32" }));
  await visitor.open("harbour/actions/1");
  const cdp = await visitor.context.newCDPSession(visitor.page);
  await visitor.type("echo alt");
  for (const [key, code, windowsVirtualKeyCode] of [["@", "KeyQ", 81], ["{", "Digit7", 55], ["|", "IntlBackslash", 226]]) {
    const press = { key, code, windowsVirtualKeyCode, modifiers: 3 };
    if (key === "|") await visitor.type("'");
    await cdp.send("Input.dispatchKeyEvent", { type: "keyDown", text: key, ...press });
    await cdp.send("Input.dispatchKeyEvent", { type: "keyUp", ...press });
  }
  await visitor.type("'\n");
  await visitor.sees(/^alt@\{\|$/m);
  await visitor.leave();
});

test("vim, less, top and tmux whose window changes in the middle, and the shell as it was behind each", { timeout: 120_000 }, async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  await visitor.command("clear; seq 300 > /tmp/f; echo before-$((1 + 1))", "before-2");
  await visitor.type("vi /tmp/f\n");
  await visitor.sees(/^20$/m);
  await resize(visitor, SMALL);
  await page.keyboard.type("150GOhéllo 中文 🫠");
  await visitor.sees(/^héllo 中文 🫠$/m);
  await resize(visitor, LARGE);
  await visitor.sees(/^héllo 中文 🫠\n150$/m);
  await page.keyboard.press("Escape");
  await pause(500);
  await page.keyboard.type(":wq\n");
  await visitor.sees("before-2");
  await visitor.command("clear; sed -n 150p /tmp/f", /^héllo 中文 🫠$/m);
  await visitor.type("seq 5000 | less\n");
  await visitor.sees(/^20$/m);
  await page.keyboard.type("/4321\n");
  await visitor.sees(/^4321$/m);
  await resize(visitor, SMALL);
  await visitor.sees(/^4321$/m);
  await page.keyboard.type("q");
  await visitor.sees(/^héllo 中文 🫠$/m);
  await visitor.type("clear; top -d 1\n");
  await visitor.sees("PID USER");
  await resize(visitor, LARGE);
  await visitor.sees(/PID USER[\s\S]*top/);
  await page.keyboard.type("q");
  await visitor.prompt();
  await visitor.command("clear; tmux new -s one", "[one]");
  await page.keyboard.press("Control+b");
  await page.keyboard.type("%");
  await visitor.sees("│");
  await resize(visitor, SMALL);
  await visitor.command("echo beside-$((3 + 4))", /│.*beside-7/);
  await page.keyboard.press("Control+b");
  await page.keyboard.type("d");
  await visitor.sees("detached");
  await visitor.command("tmux kill-server; stty size", /^\d+ \d+$/m);
  await visitor.leave();
});

test("the mouse: reported where a program asks, else words and wrapped lines are copied as they are", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  await visitor.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await write(visitor, "/tmp/bytes.py", BYTES);
  await visitor.command("printf '\\033[?1000h\\033[?1006h'; python3 /tmp/bytes.py", "listening");
  const line = await row(visitor, "listening");
  await page.mouse.click(line.x + 40, line.y + line.height / 2);
  await visitor.sees(/got \\x1b\[<0;\d+;\d+M[\s\S]*\\x1b\[<0;\d+;\d+m/);
  await page.keyboard.down("Shift");
  await page.mouse.dblclick(line.x + 20, line.y + line.height / 2);
  await page.keyboard.up("Shift");
  await page.keyboard.press("Control+Shift+C");
  await until(async () => (await clipboard(visitor)) === "listening", "Shift selects all the same");
  await page.mouse.wheel(0, -100);
  await visitor.sees(/got \\x1b\[<64;\d+;\d+M/);
  await page.keyboard.type("Q");
  await visitor.prompt();
  await visitor.command("printf '\\033[?1000l\\033[?1006l'; clear; echo /usr/local/some-file.txt and-more; echo lo''ng-$(printf 'x%.0s' $(seq 300))-en''d", "-end");
  const words = await row(visitor, "some-file");
  await page.mouse.dblclick(words.x + 60, words.y + words.height / 2);
  await page.keyboard.press("Control+Shift+C");
  await until(async () => (await clipboard(visitor)) === "/usr/local/some-file.txt", "the word");
  await visitor.sees(/^long-x+$/m);
  const long = await row(visitor, "long-x");
  await page.mouse.move(long.x + 1, long.y + long.height / 2);
  await page.mouse.down();
  await page.mouse.move(long.x + long.width - 3, long.y + long.height * 1.5, { steps: 5 });
  await page.mouse.up();
  await page.keyboard.press("Control+c");
  await until(async () => /^long-x{100,}$/.test(await clipboard(visitor)), "a wrapped line is one line");
  // The same key without a selection is an interrupt again.
  await visitor.type("sleep 60\n");
  await page.keyboard.press("Control+c");
  await visitor.sees(/\^C\n.*\$$/);
  await visitor.leave();
});

test("lines of ten thousand columns, colours of every kind, and a title that stays the program's", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  const title = await page.title();
  await visitor.command("clear; head -c 200000 /dev/zero | tr '\\0' w; echo; printf '\\033]0;not <b>ours\\007'; echo en''d", "end", 20_000);
  assert.equal(await page.title(), title);
  await visitor.command("clear; printf '\\033[38;2;255;100;0mtr''ue\\033[m \\033[48;5;19mind''exed\\033[m\\n'", "true");
  const style = (text, name) => page.evaluate(([text, name]) => [...document.querySelectorAll(".pane[data-front] .xterm-rows span")].filter((it) => it.textContent === text).map((it) => getComputedStyle(it)[name])[0], [text, name]);
  assert.equal(await style("true", "color"), "rgb(255, 100, 0)");
  assert.equal(await style("indexed", "backgroundColor"), "rgb(0, 0, 175)");
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});
