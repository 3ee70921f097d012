// Terminals as a learner has them: seen from several places, divided, searched, read as text, pasted into, and
// printed to by programs that mean harm.

import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();
const PAGE = "harbour/actions/1";

async function atPrompt(options) {
  const visitor = await Visitor.arrive(service, options);
  await visitor.open(PAGE);
  return visitor;
}

/** The same learner on another device. */
async function elsewhere(visitor, options) {
  const other = await Visitor.arrive(service, options);
  await other.context.addCookies(await visitor.context.cookies());
  await other.go(PAGE);
  await other.connected();
  return other;
}

const field = ".pane[data-front] .xterm-helper-textarea";
const isLooking = (visitor) => visitor.page.locator(".pane[data-front]").evaluate((pane) => pane.hasAttribute("data-looking"));

/** What the shell believes its size is: "rows cols". */
async function sizeOf(visitor, mark) {
  await visitor.type(`echo ${mark}-$(stty size | tr ' ' x)-\n`);
  return (await visitor.sees(new RegExp(`${mark}-(\\d+x\\d+)-`)))[1];
}

/** Gives text to the page as a browser pastes it. */
function paste(visitor, text) {
  return visitor.page.locator(field).evaluate((element, text) => {
    const data = new DataTransfer();
    data.setData("text/plain", text);
    element.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
  }, text);
}

test("two devices: who typed last has the size, the other shows it whole, and the first key takes over", async () => {
  const laptop = await atPrompt();
  const large = await sizeOf(laptop, "large");
  const phone = await elsewhere(laptop, { viewport: { width: 900, height: 500 } });
  await until(() => isLooking(phone), "the second device only looks");
  assert.match(await phone.page.locator(".pane[data-front] .pane__looking").textContent(), /Type here/);
  await laptop.type("echo wide-$(printf '=%.0s' $(seq 1 60))-end\n");
  await phone.sees(/wide-={60}-end/);
  assert.equal(await sizeOf(laptop, "still"), large, "looking changes nothing");
  await phone.shot("terminals-looking-on");
  const small = await sizeOf(phone, "small");
  assert.notEqual(small, large);
  await until(() => isLooking(laptop), "now the first device looks");
  assert.equal(await isLooking(phone), false);
  await phone.context.close();
  await until(async () => !(await isLooking(laptop)), "nobody else types any more");
  assert.equal(await sizeOf(laptop, "again"), large);
  assert.deepEqual(laptop.complaints, []);
  await laptop.leave();
});

test("a program's question is answered once, however many pages show it", async () => {
  const visitor = await atPrompt();
  const second = await visitor.anotherTab();
  await second.go(PAGE);
  await second.connected();
  const ask = "stty -echo -icanon; printf '\\033[c\\033[>c\\033[5n\\033[6n\\033[?25$p\\033P$qm\\033\\\\\\033]11;?\\007'; sleep 2; stty -icanon min 0 time 5; cat -v | tr -d '\\n' | head -c 2000; stty sane; echo; echo asked";
  await visitor.command(`clear; ${ask}`, /^asked$/m, 20_000);
  const answers = (await visitor.screen()).replaceAll("\n", "");
  for (const [what, pattern] of [["what it is", /\^\[\[\?1;2c/g], ["its version", /\^\[\[>0;\d+;0c/g], ["that it is well", /\^\[\[0n/g], ["the cursor", /\^\[\[\d+;\d+R/g], ["a mode", /\^\[\[\?25;\d\$y/g], ["a setting", /\^\[P1\$r/g], ["a colour", /\^\[\]11;rgb:/g]]) {
    assert.equal(answers.match(pattern)?.length, 1, `${what}: ${answers}`);
  }
  // The past is not answered either: a reload types nothing at the prompt.
  await visitor.page.reload();
  await visitor.connected();
  await visitor.command("echo clean-$((1 + 1))", "clean-2");
  assert.doesNotMatch((await visitor.screen()).split("asked").at(-1), /1;2c|0n|rgb:/);
  await visitor.leave();
});

test("a full-screen program comes back as it was when more was printed than is kept", async () => {
  const visitor = await atPrompt();
  await visitor.command("echo below-the-program-$((3 + 4))", "below-the-program-7");
  await visitor.type("printf '\\033[?1049h\\033[?1h\\033[?2004h\\033[?25l'; for n in $(seq 1 30000); do printf '\\033[H\\033[7mtop %06d\\033[m\\033[K\\033[5;10Hrow five %06d\\033[K' $n $n; done; printf '\\033[12;3HLA%s' ST; read -rsn1; printf '\\033[?1049l\\033[?25h\\033[?1l'\n");
  await visitor.sees("LAST", 60_000);
  const before = await visitor.screen();
  await visitor.page.reload();
  await visitor.connected();
  await visitor.sees("LAST", 20_000);
  assert.equal(await visitor.screen(), before);
  assert.match(before, /top 030000\n[\s\S]*row five 030000/);
  await visitor.shot("terminals-picture");
  await visitor.type("q");
  // The bytes that drew the shell's own screen are gone; its picture is not.
  await visitor.prompt();
  await visitor.sees("below-the-program-7");
  await visitor.command("echo back-$((2 + 2))", "back-4");
  await visitor.leave();
});

test("a vim that has drawn more than is kept is there again after a reload", { timeout: 120_000 }, async () => {
  const visitor = await atPrompt();
  await visitor.type("type vim vi less top | cat; echo looked\n");
  const have = (await visitor.sees(/([\s\S]*)^looked$/m))[1];
  const program = ["vim", "vi", "less"].find((name) => new RegExp(`${name} is /`).test(have));
  assert.ok(program, `the image has an editor or a pager: ${have}`);
  await visitor.type(`clear; seq -f 'numbered line %05g of many, and some more to fill it, up to the border on the right' 40000 > /root/long; ${program} /root/long\n`);
  await visitor.sees("numbered line 00001");
  // Page by page, until a megabyte has been drawn.
  for (let n = 0; n < 480; n++) {
    await visitor.page.keyboard.press(program === "less" ? "Space" : "Control+f");
    if (n % 20 === 19) await pause(100);
  }
  let before = "";
  await until(async () => before === (before = await visitor.screen()) && /numbered line \d+/.test(before) && (await pause(300), true) && before === (await visitor.screen()), "it has drawn", 60_000);
  await visitor.page.reload();
  await visitor.connected();
  await visitor.sees(/numbered line \d+/, 20_000);
  await visitor.page.locator(field).focus();
  await until(async () => (await visitor.screen()) === before, "the same screen").catch(async (error) => {
    throw new Error(`${error.message}\nbefore:\n${before}\nafter:\n${await visitor.screen()}`);
  });
  await visitor.page.keyboard.press(program === "less" ? "q" : "Escape");
  // A program that knows Escape as the beginning of a key waits a moment for the rest of it.
  await pause(500);
  if (program !== "less") await visitor.page.keyboard.type(":q!\n");
  await visitor.command("echo back-$((2 + 2))", "back-4");
  await visitor.leave();
});

test("a terminal beside another: by button and by key, the edge moves, and it is all remembered", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  const seen = () => page.locator(".pane:visible").count();
  const half = (number) => page.locator(`#pane-${number}`).boundingBox();
  await page.locator("#split").click();
  assert.equal(await seen(), 2);
  await until(async () => (await half(1)).width < 500, "two halves");
  await visitor.command("echo one-$((1 + 1))", "one-2");
  await page.keyboard.press("Control+Shift+ArrowRight");
  await visitor.prompt();
  await visitor.command("echo two-$((2 + 2)); tty", /two-4[\s\S]*pts\/1/);
  await visitor.shot("terminals-beside");
  const before = (await half(1)).width;
  await page.locator("#halves").focus();
  for (let n = 0; n < 5; n++) await page.keyboard.press("ArrowRight");
  await until(async () => (await half(1)).width > before + 20, "the edge has moved");
  const moved = (await half(1)).width;
  await page.reload();
  await visitor.connected();
  assert.equal(await seen(), 2);
  await until(async () => Math.abs((await half(1)).width - moved) < 3, "as it was");
  await page.locator(field).focus();
  await page.keyboard.press("Control+Shift+O");
  await until(async () => (await half(2)).y > (await half(1)).y + 50, "above each other");
  await visitor.shot("terminals-above-each-other");
  await page.keyboard.press("Control+Shift+O");
  await until(async () => (await seen()) === 1, "one again");
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("finding: counted, back and forth, capitals or not, and Escape gives the keys back", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  await visitor.command("clear; for n in 1 2 3; do echo needle-$n; echo Needle-$n; done; seq 300; echo needle-4", "needle-4");
  await page.keyboard.press("Control+Shift+F");
  await page.keyboard.type("needle-");
  const said = (what) => until(async () => what.test(await page.locator("#find-said").textContent()), `the bar says ${what}`).catch(async (error) => {
    throw new Error(`${error.message}; it says ${await page.locator("#find-said").textContent()}`);
  });
  await said(/^\d of 7$/);
  await page.locator("#find-case").click();
  await said(/^\d of 4$/);
  await page.locator("#find-text").focus();
  const first = await page.locator("#find-said").textContent();
  await page.keyboard.press("Enter");
  await until(async () => (await page.locator("#find-said").textContent()) !== first, "the next one");
  await page.keyboard.press("Shift+Enter");
  await said(new RegExp(first));
  await visitor.shot("terminals-find");
  await page.locator("#find-text").fill("no such thing");
  await said(/nothing found/);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#find").isVisible(), false);
  await page.keyboard.type("echo keys-$((3 + 3))\n");
  await visitor.sees("keys-6");
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("the terminal as text: all of it, copied whole, and Escape goes back", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  await visitor.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await visitor.command("clear; seq -f 'row %g' 200; echo long-$(printf 'x%.0s' $(seq 300))-end", "-end");
  await page.locator("#transcript-open").click();
  const text = await page.locator("#transcript-text").textContent();
  for (const line of ["row 1", "row 200"]) assert.ok(text.split("\n").includes(line), line);
  assert.match(text, /^long-x{300}-end$/m, "a wrapped line is one line");
  await page.locator("#transcript-copy").click();
  await until(async () => (await page.locator("#transcript-copy").textContent()) === "Copied", "copied");
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^row 200$/m);
  await visitor.shot("terminals-as-text");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#transcript").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement?.id), "transcript-open");
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("a paste cannot leave its brackets, and lines for a shell without brackets are asked about once", async () => {
  const visitor = await atPrompt();
  await visitor.type("clear\n");
  await paste(visitor, "echo in\u001b[201~\necho outside-$((7 * 6))\n");
  await pause(500);
  assert.doesNotMatch(await visitor.screen(), /outside-42/);
  await visitor.page.keyboard.press("Control+c");
  await visitor.command("sh", /^#$/m);
  await paste(visitor, "echo a-$((1 + 1))\necho b-$((2 + 2))\n");
  await visitor.sees("b-4");
  assert.equal(visitor.dialogs.filter((words) => /Paste 2 lines/.test(words)).length, 1);
  await paste(visitor, "echo c-$((3 + 3))\necho d-$((4 + 4))\n");
  await visitor.sees("d-8");
  assert.equal(visitor.dialogs.length, 1, "asked once");
  await visitor.leave();
});

test("a program may write into the clipboard of who has just used the page, and never reads it", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  await visitor.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  await visitor.command("printf '\\033]52;c;%s\\007' $(printf 'from a program' | base64)", "$");
  await visitor.noteSays(/14 letters into your clipboard/);
  assert.equal(await clipboard(), "from a program");
  await visitor.command("clear; stty -echo -icanon min 0 time 10; printf '\\033]52;c;?\\007'; cat -v; stty sane; echo; echo asked", /^asked$/m);
  assert.doesNotMatch(await visitor.screen(), /52;c/);
  await visitor.command("printf '\\033]52;c;%s\\007' $(head -c 110000 /dev/zero | base64 -w 0)", "$");
  await visitor.noteSays(/more than 100 kB/);
  await visitor.type("sleep 11; printf '\\033]52;c;%s\\007' $(printf late | base64)\n");
  await visitor.noteSays(/Press a key in the terminal first/, 20_000);
  assert.equal(await clipboard(), "from a program");
  await visitor.leave();
});

test("the bell is seen on a tab and under the terminal, and does not hold anything up", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  await visitor.command("printf '\\a'", "$");
  await until(() => page.locator(".strip__bell").isVisible(), "the strip says so");
  await visitor.shot("terminals-bell-strip");
  await visitor.type("sleep 1; yes $'\\a' | head -c 200000; echo rang-$((1 + 1))\n");
  await page.locator("#tab-new").click();
  await visitor.prompt();
  await until(() => page.locator("#tab-1 .rang").isVisible(), "the tab says so");
  assert.match(await page.locator("#tab-1").textContent(), /the bell rang/);
  await visitor.shot("terminals-bell-tab");
  await page.locator("#tab-1").click();
  await visitor.sees("rang-2", 20_000);
  assert.equal(await page.locator("#tab-1 .rang").isVisible(), false);
  await visitor.leave();
});

test("links: only to the web, and a link whose text says something else is shown before it opens", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  await visitor.command("clear; printf '\\033]8;;https://example.invalid/real\\033\\\\harmless\\033]8;;\\033\\\\ \\033]8;;javascript:alert(1)\\033\\\\script\\033]8;;\\033\\\\\\n'; echo http://127.0.0.1:9/plain", "plain");
  const at = async (text) => {
    const box = await page.locator(".pane[data-front] .xterm-rows > div", { hasText: text }).last().boundingBox();
    return box;
  };
  const row = await at("harmless");
  await page.mouse.move(row.x + 20, row.y + row.height / 2);
  await until(() => page.locator(".pane[data-front] .pane__target").isVisible(), "the target is shown");
  assert.equal(await page.locator(".pane[data-front] .pane__target").textContent(), "https://example.invalid/real");
  const opened = visitor.context.waitForEvent("page");
  await page.mouse.click(row.x + 20, row.y + row.height / 2);
  const window = await opened;
  assert.match(visitor.dialogs.at(-1), /leads to\s+https:\/\/example\.invalid\/real/);
  assert.equal(await window.evaluate(() => globalThis.opener).catch(() => null), null);
  await window.close();
  await page.mouse.move(row.x + 85, row.y + row.height / 2);
  await pause(300);
  await page.mouse.click(row.x + 85, row.y + row.height / 2);
  await pause(300);
  assert.equal(visitor.dialogs.length, 1, "a script is not even asked about");
  await visitor.leave();
});

test("screen reader mode types every letter", async () => {
  const visitor = await atPrompt();
  await visitor.page.locator("#menu summary").click();
  await visitor.page.locator("#reader").check();
  await visitor.page.keyboard.press("Escape");
  await visitor.command("clear; echo héllo-✓-中文-😀-$((6 * 7))", "héllo-✓-中文-😀-42");
  await visitor.leave();
});

test("Escape, then Tab leaves, and leaves nothing behind in the shell", async () => {
  const visitor = await atPrompt();
  await visitor.type("clear\n");
  await visitor.page.keyboard.press("Escape");
  await visitor.page.keyboard.press("Tab");
  assert.equal(await visitor.page.evaluate(() => document.activeElement?.id), "lesson");
  await visitor.page.locator(field).focus();
  await paste(visitor, "echo pasted-$((5 + 5))");
  await visitor.page.keyboard.press("Enter");
  await visitor.sees("pasted-10");
  assert.doesNotMatch(await visitor.screen(), /200~/);
  // An Escape that is meant for the shell still arrives: here Escape and a dot bring the last word.
  await visitor.page.keyboard.press("Escape");
  await visitor.page.keyboard.type(".\n");
  await pause(300);
  await visitor.type("echo alive-$((1 + 1))\n");
  await visitor.sees("alive-2");
  await visitor.leave();
});

const HOSTILE = {
  "lines inserted without end": "printf '\\033[999999999L'",
  "lines scrolled without end": "printf '\\033[999999999S\\033[999999999T'",
  "cells inserted, deleted, erased": "printf '\\033[999999999@\\033[999999999P\\033[999999999X'",
  "a letter repeated": "printf 'x\\033[100000000b'",
  "a flood of the largest counts": "yes $'\\033[65535L\\033[65535S\\033[65535M' | tr -d '\\n' | head -c 30000",
  "titles of twenty megabytes": "printf '\\033]0;'; head -c 20000000 /dev/zero | tr '\\0' t; printf '\\007'",
  "a device string that does not end": "printf '\\033P1$q'; head -c 50000000 /dev/zero | tr '\\0' d; printf '\\033\\\\'",
  "an application string that does not end": "printf '\\033_'; head -c 50000000 /dev/zero | tr '\\0' a; printf '\\033\\\\'",
  "a command string that does not end": "printf '\\033]4;'; head -c 50000000 /dev/zero | tr '\\0' o; printf '\\033\\\\'",
  "a letter under a million accents": "printf e; yes $'\\xcc\\x81' | head -n 300000 | tr -d '\\n'",
  "parameters without end": "printf '\\033['; yes '1;31;' | head -n 400000 | tr -d '\\n'; printf m",
  "margins as wide as the sea": "printf '\\033[?69h\\033[1;999999999s\\033[?69l'",
  "a picture in sixels": "printf '\\033Pq'; yes '#1;2;100;0;0#1!9999999~$-' | head -n 200000 | tr -d '\\n'; printf '\\033\\\\'",
  "the screen erased and switched again and again": "yes $'\\033[2J\\033[?1049h\\033c\\033[?1049l\\033#8' | head -n 2000 | tr -d '\\n'",
};

test("hostile output keeps no page from answering", { timeout: 300_000 }, async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  // How long the page's own thread takes to answer; what a learner's key waits for.
  const answer = async () => {
    const begun = performance.now();
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 0)));
    return performance.now() - begun;
  };
  const idle = [];
  for (let n = 0; n < 20; n++) idle.push(await answer());
  const bound = Math.max(3000, 200 * Math.max(...idle));
  for (const [name, program] of Object.entries(HOSTILE)) {
    await visitor.type(`${program}; printf '\\033[!p\\033[?1049l\\033[r\\033[m'; clear; echo over-$((6 * 7))\n`);
    let worst = 0;
    const begun = performance.now();
    for (;;) {
      worst = Math.max(worst, await answer());
      if ((await visitor.screen()).includes("over-42") || performance.now() - begun > 60_000) break;
    }
    console.log(`${name}: ${(performance.now() - begun).toFixed(0)} ms, the page answered within ${worst.toFixed(0)} ms`);
    await visitor.sees("over-42", 5_000);
    assert.ok(worst < bound, `${name}: ${worst.toFixed(0)} ms, idle ${Math.max(...idle).toFixed(0)} ms`);
    await visitor.command("clear; echo key-$((1 + 1))", "key-2", 20_000);
    await visitor.type("clear\n");
  }
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("a stopped reader, a paste that nobody reads: Ctrl-C arrives, and the other terminal does not notice", async () => {
  const visitor = await atPrompt();
  await visitor.type("sleep 1000\n");
  await pause(300);
  await paste(visitor, "x".repeat(1_000_000));
  await visitor.page.locator("#tab-new").click();
  await visitor.prompt();
  await visitor.command("echo free-$((1 + 1))", "free-2");
  await visitor.page.locator("#tab-1").click();
  await visitor.page.keyboard.press("Control+c");
  await visitor.page.keyboard.press("Control+u");
  await visitor.command("echo through-$((2 + 2))", "through-4", 20_000);
  await visitor.leave();
});

test("a storm of sizes ends in the right one", async () => {
  const visitor = await atPrompt();
  const { page } = visitor;
  for (let n = 0; n < 60; n++) await page.setViewportSize({ width: 900 + ((n * 37) % 500), height: 500 + ((n * 53) % 300) });
  await page.setViewportSize({ width: 1280, height: 800 });
  await pause(400);
  const drawn = await page.locator(".pane[data-front] .xterm-rows > div").count();
  const [rows] = (await sizeOf(visitor, "after")).split("x").map(Number);
  assert.equal(rows, drawn);
  await visitor.leave();
});

test("a phone and the dark have all of it", async () => {
  const phone = await atPrompt({ size: "phone", theme: "dark" });
  await phone.page.locator("[data-view-to=terminal]").tap();
  await phone.command("seq 50; echo phone-$((1 + 1))", "phone-2");
  await phone.page.locator("#find-open").tap();
  await phone.page.keyboard.type("4");
  await pause(500);
  await phone.shot("terminals-phone-find");
  await phone.page.keyboard.press("Escape");
  await phone.page.locator("#transcript-open").tap();
  await phone.shot("terminals-phone-text");
  await phone.page.keyboard.press("Escape");
  await phone.leave();
  const dark = await atPrompt({ theme: "dark" });
  await dark.page.locator("#split").click();
  await dark.command("ls --color /", "etc");
  await dark.page.keyboard.press("Control+Shift+F");
  await dark.page.keyboard.type("etc");
  await pause(500);
  await dark.shot("terminals-dark-beside-find");
  await dark.leave();
});
