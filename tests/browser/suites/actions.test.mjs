// Commands that are run and texts that are copied by a click, with their true states.

import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

async function atActions(options) {
  const visitor = await Visitor.arrive(service, options);
  await visitor.open("harbour/actions/1");
  return visitor;
}

test("an action says done, failed with its code, or only sent", async () => {
  const visitor = await atActions();
  await visitor.run("echo works");
  await visitor.isAction("echo works", "done");
  await visitor.sees("works-42");
  assert.match(await visitor.says("echo works"), /^\d\d:\d\d$/);
  assert.equal(await visitor.action("echo works").locator(".go").textContent(), "Again");
  await visitor.run("(exit 3)");
  await visitor.isAction("(exit 3)", "failed");
  assert.equal(await visitor.says("(exit 3)"), "exit 3");
  await visitor.run("echo in-line");
  await visitor.isAction("echo in-line", "done");
  await visitor.shot("actions-done-failed");
  // A shell without marks: what is typed into it is sent, and never said to be done.
  await visitor.run("sh");
  await visitor.isAction("sh", "running");
  await visitor.run("echo works");
  await visitor.isAction("echo works", "sent");
  await visitor.run("^D");
  await visitor.isAction("^D", "sent");
  await visitor.prompt();
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("a double click types once", async () => {
  const visitor = await atActions();
  await visitor.action("echo works").locator(".go").dblclick();
  await visitor.isAction("echo works", "done");
  await pause(500);
  await visitor.command("clear; echo ran=$(wc -l < /root/ran)", "ran=1");
  await visitor.run("echo works");
  await visitor.isAction("echo works", "done");
  await visitor.command("clear; echo ran=$(wc -l < /root/ran)", "ran=2");
  await visitor.leave();
});

test("what runs can be stopped, and interrupted by the next", async () => {
  const visitor = await atActions();
  await visitor.run("sleep 300");
  await visitor.isAction("sleep 300", "running");
  await until(async () => (await visitor.action("sleep 300").locator(".go").textContent()) === "Stop", "Stop is offered");
  await visitor.shot("action-running");
  await visitor.action("sleep 300").locator(".go").click();
  await visitor.isAction("sleep 300", "failed");
  assert.equal(await visitor.says("sleep 300"), "exit 130");
  await visitor.type("sleep 300\n");
  await visitor.run("after-the-interrupt");
  await visitor.isAction("after-the-interrupt", "done");
  await visitor.sees(/\^C[\s\S]*\nafter-the-interrupt/);
  // A key as an action.
  await visitor.type("sleep 300\n");
  await pause(300);
  await visitor.run("^C");
  await visitor.isAction("^C", "sent");
  await visitor.command("echo free-$((1 + 1))", "free-2");
  await visitor.leave();
});

test("several lines are done when the last of them is, and as it was", async () => {
  const visitor = await atActions();
  await visitor.run("cd /tmp");
  await visitor.isAction("cd /tmp", "failed");
  assert.equal(await visitor.says("cd /tmp"), "exit 5");
  await visitor.run("for n in");
  await visitor.isAction("for n in", "done");
  await visitor.leave();
});

test("an action for terminal 2 opens it and types there", async () => {
  const visitor = await atActions();
  assert.equal(await visitor.says("in-two"), "Terminal 2");
  await visitor.run("in-two");
  await visitor.isAction("in-two", "done");
  assert.equal(await visitor.page.locator("#tab-2").getAttribute("aria-selected"), "true");
  await visitor.sees("in-two-2");
  await visitor.page.locator("#tab-1").click();
  await pause(200);
  assert.doesNotMatch(await visitor.screen(), /in-two/);
  await visitor.leave();
});

test("a text that shall not be run is left at the prompt, and lines and tabs arrive as they are", async () => {
  const visitor = await atActions();
  await visitor.run("left-for-you");
  await visitor.isAction("left-for-you", "sent");
  await visitor.sees(/\$ echo left-for-you$/);
  await visitor.type("\n");
  await visitor.sees(/\nleft-for-you\n/);
  await visitor.run("for n in");
  await visitor.isAction("for n in", "done");
  await visitor.sees("line 3");
  await visitor.leave();
});

test("a program that fills the screen turns run actions off, and says why", async () => {
  const visitor = await atActions();
  await visitor.run("less /etc");
  await visitor.isAction("echo works", "off");
  assert.match(await visitor.action("echo works").locator(".go").getAttribute("title"), /fills the screen/);
  await visitor.type("q");
  await visitor.isAction("echo works", "idle");
  await visitor.isAction("less /etc", "done");
  await visitor.leave();
});

test("copy puts exactly the text into the clipboard", async () => {
  const visitor = await atActions({ permissions: ["clipboard-read", "clipboard-write"] });
  const clipboard = () => visitor.page.evaluate(() => navigator.clipboard.readText());
  await visitor.action("copy me").locator(".act__copy").click();
  assert.equal(await clipboard(), "copy me: ünï ✓");
  assert.equal(await visitor.says("copy me"), "copied");
  await visitor.action("in-line copy").click();
  assert.equal(await clipboard(), "in-line copy");
  assert.equal(await visitor.page.locator("#lesson code", { hasText: /^plain$/ }).locator("xpath=ancestor::button").count(), 0);
  await visitor.leave();
});

test("a click during a lost connection is not run, and what was pressed before is run once", async () => {
  const visitor = await atActions();
  await visitor.run("echo works");
  await visitor.isAction("echo works", "done");
  await visitor.context.setOffline(true);
  await visitor.page.evaluate(() => dispatchEvent(new Event("offline")));
  await visitor.noteSays(/Connection lost/, 20_000);
  assert.equal(await visitor.action("(exit 3)").getAttribute("data-is"), "off");
  await visitor.action("echo works").locator(".go").click({ force: true });
  await visitor.type("echo typed-while-away\n");
  await visitor.shot("connection-lost");
  await visitor.context.setOffline(false);
  await visitor.connected();
  await visitor.command("clear; echo ran=$(wc -l < /root/ran)", "ran=1");
  assert.doesNotMatch(await visitor.screen(), /typed-while-away/);
  await visitor.leave();
});

test("states are still there after paging on and back", async () => {
  const visitor = await atActions();
  await visitor.run("echo works");
  await visitor.isAction("echo works", "done");
  await visitor.next();
  await visitor.page.goBack();
  await visitor.isAction("echo works", "done");
  await visitor.command("echo still-$((1 + 1))", "still-2");
  await visitor.leave();
});

test("a prompt of one's own is still a prompt, and a command behind it is done", async () => {
  const visitor = await atActions();
  await visitor.command("export PS1='mine $ '", "mine $");
  await visitor.run("echo works");
  await visitor.isAction("echo works", "done");
  await visitor.run("(exit 3)");
  await visitor.isAction("(exit 3)", "failed");
  await visitor.leave();
});
