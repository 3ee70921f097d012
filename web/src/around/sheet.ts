// A page of ours as a sheet over the lesson: the link leads to the page where there is no script, and with it the
// page's `#sheet` is shown here, so that nobody leaves the terminal. Forms in it are posted and answered here, too.

import { improveCopy } from "./copycode.js";
import { byId } from "../dom.js";
import { words } from "../words.js";

const dialog = byId("dialog", HTMLDialogElement);
const body = byId("dialog-body");

export function improveSheets(unreachable: () => void): void {
  document.addEventListener("click", (event) => {
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[data-sheet]") : null;
    if (!plain || !link) return;
    event.preventDefault();
    // The menu closes behind it, and the dialog gives the focus back to what had it: not to a link in a closed menu.
    const menu = link.closest("details");
    menu?.querySelector("summary")?.focus();
    menu?.removeAttribute("open");
    void show("GET", link.href).then((shown) => shown || unreachable());
  });
  body.addEventListener("submit", (event) => {
    if (!(event.target instanceof HTMLFormElement)) return;
    event.preventDefault();
    const form = event.target;
    for (const button of form.querySelectorAll("button")) button.disabled = true;
    void show("POST", form.action).then((shown) => {
      if (shown) return;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
      say(words.sheet.unreachable);
    });
  });
  byId("dialog-close").addEventListener("click", () => dialog.close());
  // A code does not stay in a page where it is not seen.
  dialog.addEventListener("close", () => body.replaceChildren());
}

/** Shows the sheet that the server answers with. `false`: it did not answer. */
async function show(method: "GET" | "POST", href: string): Promise<boolean> {
  const page = await ask(method, href);
  const sheet = page?.getElementById("sheet") ?? page?.querySelector("main");
  if (!sheet) return false;
  body.replaceChildren(sheet);
  improveCopy(body);
  if (!dialog.open) dialog.showModal();
  const heading = body.querySelector<HTMLElement>("h1");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus();
  return true;
}

function say(text: string): void {
  const note = document.createElement("p");
  note.setAttribute("role", "alert");
  note.textContent = text;
  body.firstElementChild?.append(note);
}

/** By XMLHttpRequest, which hands over a parsed document: no string becomes HTML in this page (Trusted Types). */
function ask(method: string, href: string): Promise<Document | null> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open(method, href);
    request.responseType = "document";
    request.setRequestHeader("accept", "text/html");
    request.onload = () => resolve(request.responseXML);
    request.onerror = () => resolve(null);
    request.send();
  });
}
