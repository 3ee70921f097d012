// Links in what a program prints. Their text may say anything; where they lead is shown before anybody goes.

import { WebLinksAddon } from "@xterm/addon-web-links";
import type { ILinkHandler, Terminal } from "@xterm/xterm";
import { words } from "../words.js";

/** What is shown of a target; the browser shows the rest. */
const SHOWN_MAX = 200;

/** Shows where a link leads at the pane's lower edge, and opens it when it is clicked. */
export class Links {
  private readonly target = document.createElement("div");

  constructor(pane: HTMLElement) {
    this.target.className = "pane__target";
    this.target.hidden = true;
    pane.append(this.target);
  }

  /** Addresses that stand in the text: what is read is where they lead. */
  find(xterm: Terminal): void {
    const hover = (_event: MouseEvent, uri: string): void => this.show(uri);
    xterm.loadAddon(new WebLinksAddon((_event, uri) => open(uri), { hover, leave: () => this.hide() }));
  }

  /** Links by OSC 8, whose text is the program's choice: the learner says yes to the address. */
  readonly handler: ILinkHandler = {
    activate: (_event, uri) => {
      if (isWeb(uri) && confirm(words.terminal.openLink(short(uri)))) open(uri);
    },
    hover: (_event, uri) => this.show(uri),
    leave: () => this.hide(),
  };

  private show(uri: string): void {
    this.target.textContent = isWeb(uri) ? short(uri) : words.terminal.noLink(short(uri));
    this.target.hidden = false;
  }

  private hide(): void {
    this.target.hidden = true;
  }
}

/** http and https only. */
function isWeb(uri: string): boolean {
  try {
    return ["http:", "https:"].includes(new URL(uri).protocol);
  } catch {
    return false;
  }
}

/** No way back to this page for what is opened. */
function open(uri: string): void {
  if (isWeb(uri)) window.open(uri, "_blank", "noopener,noreferrer");
}

function short(uri: string): string {
  return uri.length > SHOWN_MAX ? `${uri.slice(0, SHOWN_MAX)}…` : uri;
}
