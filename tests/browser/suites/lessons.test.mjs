// Scenarios as their authors meant them: scripts, files, checks, hints, both dialects, and what is missing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { shared } from "../harness/shared.mjs";
import { until } from "../harness/until.mjs";
import { Visitor } from "../harness/visitor.mjs";

const service = shared();

test("a walk from the intro to the finish", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/walk");
  assert.match(visitor.page.url(), /walk\/intro$/);
  await visitor.sees("berth seven");
  await visitor.shot("walk-intro");
  await visitor.next();
  // The yellow button is Check, until it has passed.
  const yellow = () => visitor.page.evaluate(() => [...document.querySelectorAll("#turn .btn")].filter((it) => getComputedStyle(it).backgroundColor === "rgb(245, 185, 21)").map((it) => it.textContent.trim()));
  await until(async () => (await yellow()).join() === "Check", "Check is yellow");
  const [failed, why] = await visitor.check();
  assert.equal(failed, "failed");
  assert.match(why, /Looked for the file \/root\/rope, and found none\./);
  await visitor.shot("check-failed");
  await visitor.page.getByText("A hint").click();
  assert.match(await visitor.page.locator("details.more").first().innerText(), /makes an empty file/);
  await visitor.page.getByText("The solution").click();
  assert.match(await visitor.page.locator("details.more").last().innerText(), /touch \/root\/rope/);
  await visitor.run("touch /root/rope");
  await visitor.isAction("touch /root/rope", "done");
  const [passed, found] = await visitor.check();
  assert.equal(passed, "passed");
  assert.match(found, /Found \/root\/rope\./);
  await until(async () => (await yellow()).join() === "Next", "Next is yellow");
  assert.equal(await visitor.page.locator('#steps [data-page="1"]').getAttribute("data-passed"), "");
  await visitor.shot("check-passed");
  await visitor.next();
  // Step 2's own script has been typed into the same shell, where the intro's variable lives.
  await visitor.sees("second script");
  await visitor.run("echo $BERTH");
  await visitor.sees(/\nseven\n/);
  await visitor.next();
  await visitor.page.locator("#check:enabled").click();
  await until(async () => /Checking, [2-9] s/.test(await visitor.page.locator("#says").textContent()), "the seconds are counted");
  await visitor.shot("check-running");
  await visitor.page.locator("#check").click();
  await until(async () => /Stopped/.test(await visitor.page.locator("#says").textContent()), "the check is stopped");
  assert.equal((await visitor.check())[0], "passed");
  await visitor.next();
  assert.match(visitor.page.url(), /walk\/finish$/);
  assert.match(await visitor.page.locator("#lesson").innerText(), /3 steps, every check passed/);
  await visitor.shot("finish");
  // The catalogue knows.
  await visitor.go("");
  assert.match(await visitor.page.locator("a[href$='harbour/walk']").first().innerText(), /passed/);
  await visitor.shot("catalogue-back");
  assert.deepEqual(visitor.complaints, []);
  await visitor.go("harbour/walk/1");
  await visitor.leave();
});

test("files are placed before any script runs, and a slow background is said", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("harbour/slow");
  await visitor.noteSays(/Preparing your machine, \d+ s/, 20_000);
  await visitor.shot("preparing");
  await visitor.sees("all-is-ready", 20_000);
  await until(async () => !/Preparing/.test((await visitor.note()) ?? ""), "the note about preparing goes");
  // A missing asset is said, and harms nothing.
  await visitor.command("clear; cat /srv/greeting; ls -l /usr/local/bin/greet.sh; ls -d /srv/deep/leaf.txt /srv/tree/deep/leaf.txt", "good-morning");
  await visitor.sees(/-rwx.*\/usr\/local\/bin\/greet\.sh/);
  await visitor.sees(/\n\/srv\/tree\/deep\/leaf\.txt/);
  await visitor.next();
  await visitor.run("cat /srv/greeting");
  await visitor.isAction("cat /srv/greeting", "done");
  await visitor.command("clear; cat /srv/stepped /var/log/killercoda/background0_stdout.log; echo end", "stepped");
  await visitor.leave();
});

test("a background script that fails shows its output", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/leaky");
  await visitor.noteSays(/background script failed/);
  const note = await visitor.note();
  assert.match(note, /exit code 4/);
  assert.match(note, /pumping/);
  assert.match(note, /the bilge is full/);
  await visitor.shot("background-failed");
  // It says so again to who comes back.
  await visitor.page.reload();
  await visitor.noteSays(/the bilge is full/);
  await visitor.page.locator("#note-close").click();
  assert.equal(await visitor.note(), null);
  await visitor.next();
  assert.match(await visitor.page.locator("#lesson").innerText(), /absent\.sh, is missing/);
  assert.equal(await visitor.page.locator("#check").count(), 0);
  await visitor.next();
  const [is, words] = await visitor.check(60_000);
  assert.equal(is, "broken");
  assert.match(words, /30 s|seconds/);
  await visitor.shot("check-broken");
  await visitor.leave();
});

test("a Katacoda scenario plays as it is", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("jetty/old");
  await visitor.sees("typed-by-code");
  await visitor.run("echo katacoda");
  await visitor.isAction("echo katacoda", "done");
  await visitor.next();
  await visitor.command("clear; cat /tmp/data /opt/plank.txt", "from-course-data\noak");
  assert.equal((await visitor.check())[0], "failed");
  await visitor.page.getByText("The solution").click();
  await visitor.page.locator("details.more").last().locator(".go").click();
  await until(async () => (await visitor.check())[0] === "passed", "the check passes");
  await visitor.leave();
});

test("pictures: ours is shown, one elsewhere is a link, a lost one says so", async () => {
  const visitor = await Visitor.arrive(service);
  const elsewhere = [];
  visitor.page.on("request", (request) => request.url().startsWith(service.url) || elsewhere.push(request.url()));
  await visitor.open("harbour/cargo");
  assert.equal(await visitor.page.locator("#text img").evaluateAll((all) => all.map((it) => `${it.naturalWidth}×${it.naturalHeight}`).join()), "120×80");
  assert.equal(await visitor.page.getByRole("link", { name: "a map of the harbour" }).getAttribute("href"), "https://pictures.example.net/map.png");
  assert.match(await visitor.page.locator("#text").innerText(), /a lost picture.*missing/);
  assert.deepEqual(elsewhere, []);
  await visitor.shot("pictures");
  await visitor.leave();
});

test("markdown of every kind, and a link within the page", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.open("harbour/writing");
  const text = visitor.page.locator("#text");
  assert.equal(await text.locator("blockquote.alert").count(), 5);
  assert.equal(await text.locator("span.task").count(), 2);
  assert.equal(await text.locator("table td").count(), 4);
  assert.equal(await text.locator("pre.code mark").innerText(), "  - ketch");
  assert.equal(await visitor.page.evaluate(() => document.querySelectorAll("#text h1, #text script, #text [onerror]").length), 1, "the title is the only h1");
  await visitor.shot("writing-top");
  assert.ok(await visitor.page.evaluate(() => { const land = document.getElementById("lesson"); return land.scrollWidth <= land.clientWidth; }), "nothing is wider than the lesson");
  await visitor.command("echo before-$((1 + 1))", "before-2");
  await text.getByRole("link", { name: "end", exact: true }).click();
  await until(() => visitor.page.evaluate(() => { const box = document.getElementById("lesson-the-end").getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight; }), "the end is in view");
  await visitor.page.waitForTimeout(300);
  assert.ok(await visitor.page.evaluate(() => document.getElementById("lesson").scrollTop > 100), "and stays there");
  await visitor.shot("writing-end");
  await visitor.page.goBack();
  await visitor.sees("before-2");
  await text.locator("summary").click();
  await visitor.run("from-the-details");
  await visitor.isAction("from-the-details", "done");
  assert.doesNotMatch(await visitor.page.title(), /attacked/);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("a lesson for a whole machine says by name, and once, why it is not started", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("harbour/whole");
  const asides = await visitor.page.locator("aside.lacks").allInnerTexts();
  assert.equal(asides.length, 1, asides.join(" / "));
  assert.match(asides[0], /cannot run here[\s\S]*pvcreate, lvs and lvcreate/);
  await visitor.next();
  assert.match(await visitor.page.locator("aside.lacks--fatal").innerText(), /volume groups/);
  assert.deepEqual(visitor.complaints, []);
  await visitor.leave();
});

test("what is missing is named before the start, and at its place", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("harbour/wishes");
  const before = await visitor.page.locator("aside.lacks").innerText();
  for (const what of [/editor/, /second machine|machine 2/, /spaceship:9/, /Docker/, /systemd/, /internet/, /port/]) assert.match(before, what);
  await visitor.shot("lacks-before");
  await visitor.prompt();
  await visitor.next();
  const lacks = await visitor.page.locator("#text .lack").evaluateAll((all) => all.map((it) => it.dataset.lack).sort());
  assert.deepEqual([...new Set(lacks)], ["host2", "port"]);
  const onThisPage = await visitor.page.locator("aside.lacks").innerText();
  for (const what of [/Docker/, /systemd/, /internet/]) assert.match(onThisPage, what);
  await visitor.shot("lacks-at-their-place");
  await visitor.leave();
});

test("a scenario that cannot run here says so, and can be read", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("");
  assert.match(await visitor.page.locator("a[href$='harbour/cluster']").innerText(), /cannot run here/);
  await visitor.go("harbour/cluster");
  assert.match(await visitor.page.locator("#main").innerText(), /This lesson cannot run here[\s\S]*Kubernetes cluster/);
  assert.match(await visitor.page.locator("#deep").innerText(), /No machine for this lesson/);
  await visitor.shot("cannot-run-here");
  await visitor.next();
  assert.deepEqual(visitor.complaints, []);
  await visitor.context.close();
});

test("a broken scenario says where, and harms nobody else", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("");
  assert.match(await visitor.page.locator("a[href$='harbour/torn']").innerText(), /has an error/);
  await visitor.go("harbour/torn");
  assert.match(await visitor.page.locator("#main").innerText(), /torn\/index\.json:4:36/);
  await visitor.shot("broken-scenario");
  await visitor.open("harbour/cargo");
  await visitor.leave();
});

test("a course has the titles and the order of its structure.json", async () => {
  const visitor = await Visitor.arrive(service);
  await visitor.go("");
  const titles = await visitor.page.locator("#harbour .toc__what strong").allInnerTexts();
  assert.deepEqual(titles.slice(0, 3), ["A walk along the quay", "Actions", "Slow"]);
  await visitor.context.close();
});
