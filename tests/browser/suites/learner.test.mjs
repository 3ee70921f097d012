// Learners without accounts: two tabs, two devices, a code from one to the other, codes that are none, and being forgotten.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

/** Opens the sheet over the lesson. */
async function sheet(visitor) {
  await visitor.page.locator("#menu summary").click();
  await visitor.page.locator("#menu a[data-sheet]").click();
  await visitor.page.locator("#dialog[open] h1").waitFor();
}

/** Makes a code in the sheet, and closes it. */
async function makeCode(visitor) {
  await sheet(visitor);
  await visitor.page.locator("#dialog").getByRole("button", { name: /Make (a|another) code/ }).click();
  const code = await visitor.page.locator("#dialog [data-copy]").getAttribute("data-copy");
  await visitor.page.keyboard.press("Escape");
  return code;
}

async function typeCode(visitor, code) {
  await visitor.go("resume");
  await visitor.page.getByLabel("Your code").fill(code);
  await visitor.page.getByRole("button", { name: "Look it up" }).click();
}

async function comeWith(visitor, code) {
  await typeCode(visitor, code);
  await visitor.page.getByRole("button", { name: "Yes, go on here" }).click();
  await visitor.page.waitForURL(`${service.url}/`);
}

const heading = (visitor) => visitor.page.locator("main h1").innerText();

test("two devices with one cookie have one machine, and hear of each other", async () => {
  const one = await Visitor.arrive(service);
  await one.open("harbour/walk/1");
  const two = await Visitor.arrive(service, { storageState: await one.context.storageState() });
  await two.open("harbour/walk/1");
  assert.equal((await two.session()).id, (await one.session()).id);
  await two.command("echo from-two-$((1 + 1))", "from-two-2");
  await one.sees("from-two-2");
  // Each reads where it likes.
  await two.next();
  assert.match(one.page.url(), /harbour\/walk\/1$/);
  assert.match(two.page.url(), /harbour\/walk\/2$/);
  const steps = () => two.page.locator("#steps [data-passed]").count();
  const before = await steps();
  await one.run("touch");
  await one.isAction("touch", "done");
  assert.equal((await one.check())[0], "passed");
  await until(async () => (await steps()) > before, "the other device has the tick");
  await one.page.locator("#menu summary").click();
  await one.page.locator("#leave").click();
  await until(async () => (await two.page.locator("#stage").innerText()).includes("You left"), "the other device is told");
  await two.context.close();
  await one.leave();
});

test("two lessons opened at once by a browser that was never here are one learner's", async () => {
  const one = await Visitor.arrive(service);
  const two = await one.anotherTab();
  await Promise.all([one.go("harbour/actions/1"), two.go("harbour/walk/1")]);
  await Promise.all([one.prompt(), two.prompt()]);
  await one.command("echo one-$((1 + 1))", "one-2");
  await two.command("echo two-$((1 + 1))", "two-2");
  service.sandboxes();
  assert.notEqual((await one.session()).id, (await two.session()).id);
  await one.go("");
  assert.match(await one.page.locator("main").innerText(), /step 1 of/);
  await two.page.reload();
  await two.sees("two-2");
  const id = (await two.session()).id;
  await one.context.request.post(`${service.url}/api/sessions/${id}/leave`, { headers: { origin: service.url } });
  await one.go("harbour/actions/1");
  await one.leave();
});

test("a code brings progress and a living terminal to a fresh browser, over the lesson and without a word in any address", async () => {
  const school = await Visitor.arrive(service);
  await school.open("harbour/actions/1");
  await school.command("echo kept-$((40 + 2))", "kept-42");
  await sheet(school);
  await school.shot("elsewhere-sheet");
  assert.match(await school.page.locator("#dialog").innerText(), /You are [a-z]+-[a-z]+/);
  await school.page.locator("#dialog").getByRole("button", { name: "Make a code" }).click();
  const letters = await school.page.locator("#dialog .code__letters").innerText();
  await school.shot("elsewhere-code");
  const code = await school.page.locator("#dialog [data-copy]").getAttribute("data-copy");
  assert.equal(letters.replace(/[^0-9A-Z]/g, ""), code.replaceAll("-", ""));
  await school.page.keyboard.press("Escape");
  // Closing is told by an event of its own, a moment after the key.
  await until(async () => !(await school.page.content()).includes(code), "a closed sheet has forgotten the code");
  assert.match(school.page.url(), /harbour\/actions\/1$/, "nobody left the lesson");
  await school.command("echo typed-$((1 + 1))", "typed-2");

  const home = await Visitor.arrive(service, { size: "phone", theme: "dark" });
  const addresses = [];
  home.page.on("request", (request) => addresses.push(request.url(), request.headers().referer ?? ""));
  // As a phone's camera opens it.
  await home.page.goto(`${service.url}/resume#${code}`);
  await until(async () => (await heading(home)) === "Is this you?", "whose progress it is");
  await home.shot("resume-confirm");
  assert.match(await home.page.locator(".who").innerText(), /1 machine running.*Actions/s);
  assert.ok(!home.page.url().includes(code));
  await home.page.getByRole("button", { name: "Yes, go on here" }).click();
  await home.page.waitForURL(`${service.url}/`);
  assert.deepEqual(addresses.map((address) => address.split("#")[0]).filter((sent) => sent.includes(code)), []);
  assert.match(await home.page.locator("main").innerText(), /Your machine is still running/);
  await home.page.getByRole("link", { name: /^Continue/ }).click();
  await home.sees("typed-2", 20_000);
  await home.sees("kept-42");
  await home.page.getByRole("tab", { name: /Terminal/ }).first().click();
  await home.command("echo at-home-$((1 + 1))", "at-home-2");
  await school.sees("at-home-2");

  // It worked once.
  const late = await Visitor.arrive(service);
  await typeCode(late, code);
  assert.match(await late.page.locator("#typed-says").innerText(), /used already/);
  await late.context.close();
  assert.deepEqual([...school.complaints, ...home.complaints], []);
  await home.context.close();
  await school.leave();
});

test("two who worked apart become one: both machines in reach, ticks of both", async () => {
  const one = await Visitor.arrive(service);
  const two = await Visitor.arrive(service);
  await one.open("harbour/walk/1");
  await one.command("echo first-$((1 + 1))", "first-2");
  await two.open("harbour/walk/1");
  await two.command("echo second-$((1 + 1))", "second-2");
  await two.run("touch");
  await two.isAction("touch", "done");
  assert.equal((await two.check())[0], "passed");
  const code = await makeCode(one);
  await typeCode(two, code.toLowerCase().replaceAll("-", " "));
  assert.match(await two.page.locator("main").innerText(), /What this browser has .* is added to it/s);
  await two.page.getByRole("button", { name: "Yes, go on here" }).click();
  await two.page.waitForURL(`${service.url}/`);
  await two.shot("catalogue-merged");
  assert.match(await two.page.locator(".aside").innerText(), /begun/);
  await one.page.reload();
  await one.sees("first-2");
  await until(async () => (await one.page.locator('#steps [data-page="1"][data-passed]').count()) === 1, "the tick of the other");
  await two.page.getByRole("button", { name: "Go on in this machine" }).click();
  await two.sees("second-2", 20_000);
  await two.leave();
  await one.leave();
});

test("wrong codes say what is wrong, and many are held up", async () => {
  const visitor = await Visitor.arrive(service);
  const says = () => visitor.page.locator("#typed-says").innerText();
  await typeCode(visitor, "K7QM4");
  assert.match(await says(), /This has 5/);
  assert.equal(await visitor.page.getByLabel("Your code").inputValue(), "K7QM4", "it can be mended");
  await typeCode(visitor, "00000-00000-00001");
  assert.match(await says(), /There is a typo in it/);
  await visitor.shot("resume-typo");
  await typeCode(visitor, "00000-00000-00000");
  assert.match(await says(), /Nobody has this code/);
  let tries = 1;
  for (; tries < 100 && !(await visitor.page.locator("main").innerText()).includes("Try again in"); tries++) await typeCode(visitor, "00000-00000-00000");
  assert.ok(tries > 10 && tries < 100, `held up after ${tries}`);
  await visitor.shot("resume-held-up");
  // Others in the same room have the same address; the limit gives back one in ten seconds.
  await visitor.context.close();
});

test("a code that has expired says until when it worked", async () => {
  const owner = await Visitor.arrive(service);
  await owner.open("harbour/actions/1");
  const code = await makeCode(owner);
  // The clock cannot be turned; the store can.
  const store = join(service.data, "web", "quayside.db");
  execFileSync("python3", ["-c", "import sqlite3,sys; d=sqlite3.connect(sys.argv[1], timeout=10); d.execute(\"UPDATE resume_code SET expires_ms = 86400000 WHERE ended IS NULL\"); d.commit()", store]);
  const late = await Visitor.arrive(service);
  await until(async () => {
    await typeCode(late, code);
    return !(await late.page.locator("main").innerText()).includes("Too many");
  }, "the limit of the test before gives back a try", 30_000);
  assert.match(await late.page.locator("#typed-says").innerText(), /expired.*2 January 1970/s);
  await late.context.close();
  await owner.leave();
});

test("without a script a code is made, typed and redeemed, and a browser forgets", async () => {
  const owner = await Visitor.arrive(service);
  await owner.open("harbour/actions/1");
  const plain = { javaScriptEnabled: false };
  const tab = await Visitor.arrive(service, { ...plain, storageState: await owner.context.storageState() });
  await tab.go("elsewhere");
  await tab.page.getByRole("button", { name: /Make (a|another) code/ }).click();
  const code = (await tab.page.locator(".code__letters span:not(.sr)").allInnerTexts()).join("-");
  assert.match(code, /^[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{5}$/);
  const other = await Visitor.arrive(service, plain);
  await until(async () => {
    await typeCode(other, code);
    return (await heading(other)) === "Is this you?";
  }, "the code is looked up", 30_000);
  await other.page.getByRole("button", { name: "Yes, go on here" }).click();
  assert.match(await other.page.locator("main").innerText(), /Welcome back/);
  await other.go("elsewhere");
  assert.equal(await other.page.getByRole("button", { name: /^Take/ }).count(), 1);

  await other.go("forget");
  assert.match(await heading(other), /^Forget [a-z]+-[a-z]+\?$/);
  await other.page.getByRole("button", { name: "Forget everything" }).click();
  assert.match(await heading(other), /See what a container really is/);
  assert.deepEqual(await other.context.cookies(), []);
  await until(async () => (await owner.page.locator("#stage").innerText()).includes("You left"), "the machine has ended");
  await owner.go("");
  assert.match(await heading(owner), /See what a container really is/, "nobody knows the other device either");
  for (const { context } of [tab, other, owner]) await context.close();
});
