// The workspace: puts the parts together. Who knows whom is written here and nowhere else.

import { Actions } from "./lesson/actions.js";
import { Api } from "./connection/api.js";
import { Check } from "./lesson/check.js";
import { drawUnderPolicy } from "./terminal/csp.js";
import { byId } from "./dom.js";
import { improveEdge } from "./around/edge.js";
import { Files } from "./lesson/file.js";
import { Find } from "./terminal/find.js";
import { keepFocus } from "./around/focus.js";
import { shortcut } from "./terminal/keys.js";
import { Lesson, bootOf } from "./lesson/lesson.js";
import type { News } from "./connection/live.js";
import { followLook, improveLook } from "./around/look.js";
import { improveMenu } from "./around/menu.js";
import { Notes } from "./around/notes.js";
import { Peek } from "./around/peek.js";
import { Phone } from "./around/phone.js";
import { Quiz } from "./lesson/quiz.js";
import type { Copied } from "./terminal/remote-copy.js";
import { Retry } from "./connection/retry.js";
import { Session } from "./machine/session.js";
import { settings, viewerId } from "./settings.js";
import { improveShortcuts } from "./around/shortcuts.js";
import { improveSheets } from "./around/sheet.js";
import { drawStage, ringStrip } from "./machine/stage.js";
import { Store, hasMachine, initial } from "./state.js";
import { WAITING_MAX } from "./connection/stream.js";
import { Tabs } from "./terminal/tabs.js";
import { Clock } from "./machine/time.js";
import { Transcript } from "./terminal/transcript.js";
import { newId } from "./connection/wire.js";
import { words } from "./words.js";

/** How long a connection may take to answer after a sleep or a change of network. */
const WAKE_PONG_MS = 3_000;

const boot = bootOf(document);
if (!boot) throw new Error("the page has no boot data");

// Browsers hide the nonce from the attribute and keep it in the property.
drawUnderPolicy(document.querySelector<HTMLScriptElement>("script[nonce]")?.nonce ?? "");
improveLook();
improveMenu();
improveEdge(boot.base);

const store = new Store(initial(boot));
const api = new Api(boot);
const notes = new Notes(() => {
  keep();
  peek.draw();
}, () => tabs.inFront?.typed() ?? null);
const retry = new Retry(() => store.update({ lost: retry.state }));
const phone = new Phone(() => tabs);
const tabs: Tabs = new Tabs(store, retry, viewerId(newId), {
  path: (terminal) => api.terminalSocket(store.state.session?.id ?? "", terminal),
  runState: (id, state, code) => actions.runState(id, state, code),
  notice: (code, text) => showNotice(code, text),
  dropped: (bytes) => notes.show("dropped", { is: "warn", ...words.note.dropped(bytes), closes: true }),
  refused: (why) => session.refused(why),
  tooMuch: (bytes) => notes.show("dropped", { is: "warn", ...words.note.tooMuch(bytes, WAITING_MAX), closes: true }),
  leave: (backwards) => (backwards ? tabs.focusTab() : notes.focus() || byId("lesson").focus()),
  modify: (text) => phone.modify(text),
  printed: () => {
    phone.printed();
    peek.printed();
    notes.printed();
  },
  rang: () => ringStrip(),
  copied: (what) => notes.show("clipboard", { is: what.is === "copied" ? "info" : "warn", ...copiedWords(what), closes: true }),
});
const find = new Find(() => tabs.inFront);
new Transcript(() => tabs.inFront);
const actions: Actions = new Actions(store, tabs, () => {
  if (settings.get("focus-after-run") === "on") tabs.inFront?.focus();
});
const check = new Check(store, api);
const files = new Files(store, api, (view) => phone.turn(view), (why) => {
  if (why) notes.show("file", { is: "warn", title: words.file.notWrittenTitle(why.file), text: why.text, closes: true });
  else notes.clear("file");
});
const quiz = new Quiz(store, api);
const lesson = new Lesson(store, {
  arrived: () => {
    actions.draw();
    files.draw();
    quiz.arrived();
  },
  unreachable: () => notes.show("page", { is: "warn", ...words.note.pageUnreachable, closes: true }),
});
const session: Session = new Session(store, api, retry, {
  machine: () => {
    // What was said about the image was said to somebody who waited for it.
    notes.clear("image");
    tabs.openAll(store.state.session?.terminals ?? []);
  },
  gone: () => {
    tabs.closeAll();
    actions.forget();
    files.forget();
    store.update({ check: null });
  },
  news: (news) => onNews(news),
  refused: () => showNotice("reload", words.note.refused),
  failed: (text) => notes.show("restart", { is: "warn", title: words.note.notRestarted, text, closes: true }),
});
const peek = new Peek(store, notes, () => tabs.inFront?.lastLines(2) ?? []);
const keep = keepFocus(() => {
  tabs.inFront?.focus();
  return tabs.inFront !== undefined;
});
new Clock(store, api, notes);
drawStage(store, notes, {
  start: (instead) => void session.start(instead),
  restart: () => void session.restart(),
  leave: () => void session.leave(),
  retry: () => retry.now(),
});
fillMenu();
listenForShortcuts();
followLook(() => {
  tabs.redraw();
  find.redraw();
});
improveShortcuts({
  lesson: () => phone.show("lesson"),
  terminal: () => phone.show("terminal"),
  check: () => document.getElementById("check")?.click(),
});
improveSheets(() => notes.show("page", { is: "warn", ...words.note.sheetUnreachable, closes: true }));
watchNetwork();
store.watch(keep);
if (boot.playable) void session.open();

function onNews(news: News): void {
  switch (news.type) {
    case "check":
      return check.heard(news);
    case "passed":
      return lesson.passed(news.step, words.passedStep(String(news.step)));
    case "script":
      return showScript(news);
    case "image":
      return showImage(news);
    case "notice":
      return notes.show("notice", { is: news.level === "warn" ? "warn" : "info", title: news.text, closes: true });
    case "terminals":
      return tabs.follow(news.terminals);
    case "environment":
    case "phase":
    case "time":
    case "line":
  }
}

function showScript({ page, script, is, seconds, output }: Extract<News, { type: "script" }>): void {
  const about = `script/${page}/${script}`;
  const { preparingPage, preparingText, scriptFailed, scriptFailedText } = words.note;
  if (is === "done") return notes.clear(about);
  if (is === "failed") return notes.show(about, { is: "warn", title: scriptFailed(script), text: scriptFailedText, output, closes: true });
  // While the machine itself is being prepared, the note about that says it.
  if (store.state.phase?.is === "preparing") return;
  notes.show(about, { is: "wait", title: preparingPage, count: words.seconds(Math.round(seconds)), text: preparingText, closes: true });
}

function showImage({ name, is, doing, done, total }: Extract<News, { type: "image" }>): void {
  // Nobody who is on it already needs to hear of it.
  if (name === store.state.session?.environment.image) return notes.clear("image");
  const { imagePreparing, imageReady, imageFailed, changeTo } = words.note;
  const change = (): void => {
    if (!confirm(words.change)) return;
    notes.clear("image");
    void session.change();
  };
  if (is === "preparing") notes.show("image", { is: "wait", ...imagePreparing(doing, done, total), closes: true });
  else if (is === "ready") notes.show("image", { is: "info", ...imageReady, act: { label: changeTo, does: change }, closes: true });
  else notes.show("image", { is: "warn", ...imageFailed, text: doing, closes: true });
}

function showNotice(code: string, text: string): void {
  const reload = { label: words.note.reload, does: () => location.reload() };
  if (code === "reload") notes.show("notice", { is: "warn", title: text, act: reload });
  else notes.show("notice", { is: "info", title: text, closes: true });
}

/** Looks at once whether the connections live when the learner or the network comes back. */
function watchNetwork(): void {
  const wake = (): void => {
    if (document.visibilityState === "hidden") return;
    retry.now();
    tabs.pingAll(WAKE_PONG_MS);
  };
  addEventListener("online", wake);
  addEventListener("focus", wake);
  document.addEventListener("visibilitychange", wake);
  addEventListener("offline", () => {
    tabs.pingAll(WAKE_PONG_MS);
    session.redial();
  });
}

function copiedWords(what: Copied): { title: string; text: string } {
  const { clipboard } = words;
  return what.is === "copied" ? clipboard.copied(what.letters) : clipboard[what.is];
}

/** Keys for what the buttons over the terminals do. */
function listenForShortcuts(): void {
  byId("find-open").addEventListener("click", () => find.open());
  byId("deep").addEventListener("keydown", (event) => {
    const wanted = shortcut(event, tabs.isSplit);
    if (!wanted || !tabs.inFront) return;
    event.preventDefault();
    if (wanted === "find") find.open();
    else if (wanted === "other") tabs.focusOther();
    else tabs.split(wanted === "beside" ? "row" : "column");
  });
}

/** What the menu has beside the looks. Without a script nothing of it would work. */
function fillMenu(): void {
  const menu = byId("menu", HTMLDetailsElement);
  for (const part of menu.querySelectorAll<HTMLElement>(".menu__group[hidden]")) part.hidden = false;
  const reader = byId("reader", HTMLInputElement);
  reader.checked = tabs.readerMode;
  reader.addEventListener("change", () => tabs.setReader(reader.checked));
  const focus = byId("focus-after-run", HTMLInputElement);
  focus.checked = settings.get("focus-after-run") === "on";
  focus.addEventListener("change", () => settings.set("focus-after-run", focus.checked ? "on" : "off"));
  const bell = byId("bell-sound", HTMLInputElement);
  bell.checked = settings.get("bell-sound") === "on";
  bell.addEventListener("change", () => settings.set("bell-sound", bell.checked ? "on" : "off"));
  const afresh = byId("afresh", HTMLButtonElement);
  store.watch((state) => (afresh.disabled = !hasMachine(state)));
  afresh.addEventListener("click", () => {
    menu.open = false;
    menu.querySelector("summary")?.focus();
    if (confirm(words.afresh)) void session.restart();
  });
  byId("leave").addEventListener("click", () => {
    menu.open = false;
    menu.querySelector("summary")?.focus();
    if (confirm(words.leave)) void session.leave();
  });
}
