// From page to page of a lesson without losing the terminal. The links work by themselves; with this script
// only the lesson and the foot are exchanged, and the address with them.

import { byId } from "../dom.js";
import type { Boot, Store } from "../state.js";

/** What differs between two pages of a scenario. */
const PARTS = ["steps", "lesson", "turn"];

export class Lesson {
  private asked = 0;
  private shown = pathOf(location.href);

  constructor(
    private readonly store: Store,
    private readonly on: { arrived(): void; unreachable(): void },
  ) {
    document.addEventListener("click", (event) => this.onClick(event));
    addEventListener("popstate", () => {
      // A link to a part of this very page has been followed: the browser scrolls by itself.
      if (pathOf(location.href) !== this.shown) void this.go(location.href, false);
    });
    this.prepare();
  }

  /** The server says that a step has passed: its number gets its tick. */
  passed(step: number, label: string): void {
    const { boot } = this.store.state;
    const link = byId("steps").querySelector(`[data-page="${step}"]`);
    link?.toggleAttribute("data-passed", true);
    link?.setAttribute("aria-label", label);
    if (boot.page === String(step)) this.store.update({ boot: { ...boot, passed: true } });
  }

  private onClick(event: MouseEvent): void {
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!plain || !(event.target instanceof Element)) return;
    const link = event.target.closest<HTMLAnchorElement>("a[data-page]");
    if (!link) return;
    event.preventDefault();
    void this.go(link.href, true);
  }

  private async go(href: string, push: boolean): Promise<void> {
    const asked = ++this.asked;
    const page = await fetchPage(href);
    // Overtaken by a later click.
    if (asked !== this.asked) return;
    if (!page) return this.on.unreachable();
    const boot = bootOf(page);
    if (boot?.scenario !== this.store.state.boot.scenario) {
      // Another kind of page: let the browser show what is there.
      location.assign(href);
      return;
    }
    if (push) history.pushState(null, "", href);
    this.shown = pathOf(href);
    for (const id of PARTS) exchange(id, page);
    document.title = page.title;
    this.prepare();
    this.store.update({ boot, check: null });
    byId("lesson").scrollTop = 0;
    document.getElementById("heading")?.focus({ preventScroll: true });
    this.on.arrived();
  }

  /** Long lines scroll sideways, also from the keyboard; in a long row of steps the one that is here is in sight. */
  private prepare(): void {
    byId("steps").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    for (const block of byId("lesson").querySelectorAll<HTMLElement>("pre, .scroll")) {
      if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
    }
  }
}

/** An address without its fragment. */
function pathOf(href: string): string {
  return href.split("#")[0] ?? href;
}

/** What the server wrote into a page for this script. */
export function bootOf(page: Document): Boot | null {
  const text = page.getElementById("boot")?.textContent;
  return text ? (JSON.parse(text) as Boot) : null;
}

/** Puts the new page's part where the old one is, keeping the element: it scrolls and is listened to. */
function exchange(id: string, page: Document): void {
  const from = page.getElementById(id);
  const to = byId(id);
  if (!from) return;
  to.replaceChildren(...from.childNodes);
  for (const [name, value] of Object.entries(from.dataset)) to.dataset[name] = value;
}

/**
 * The page at an address; null: the server did not answer. By XMLHttpRequest, as it hands over a parsed
 * document: no string becomes HTML in this page (Trusted Types).
 */
function fetchPage(href: string): Promise<Document | null> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", href);
    request.responseType = "document";
    request.onload = () => resolve(request.responseXML ?? new Document());
    request.onerror = () => resolve(null);
    request.send();
  });
}
