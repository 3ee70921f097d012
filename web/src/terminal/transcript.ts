// A terminal as plain text: to read with a screen reader, to select across pages, to take along.

import { copyText } from "../clipboard.js";
import { byId, setText } from "../dom.js";
import type { Terminal } from "./terminal.js";
import { words } from "../words.js";

export class Transcript {
  private readonly dialog = byId("transcript", HTMLDialogElement);
  private readonly text = byId("transcript-text");
  private readonly copy = byId("transcript-copy", HTMLButtonElement);
  private terminal: Terminal | undefined;

  constructor(private readonly inFront: () => Terminal | undefined) {
    byId("transcript-open").addEventListener("click", () => this.open());
    byId("transcript-again").addEventListener("click", () => this.draw());
    byId("transcript-close").addEventListener("click", () => this.dialog.close());
    this.copy.addEventListener("click", () => void this.copyAll());
    // Whoever came from the terminal goes back there; the browser itself returns others to what they pressed.
    this.dialog.addEventListener("close", () => setText(this.text, ""));
  }

  /** Opens over the page; Escape closes it, and the browser gives the focus back. */
  open(): void {
    this.terminal = this.inFront();
    if (!this.terminal) return;
    setText(byId("transcript-title"), words.transcript.title(this.terminal.number));
    this.draw();
    this.dialog.showModal();
    this.text.focus();
    this.text.scrollTop = this.text.scrollHeight;
  }

  private draw(): void {
    const text = this.terminal?.transcript() ?? "";
    setText(this.text, text || words.transcript.empty);
    setText(byId("transcript-lines"), text ? words.transcript.lines(text.split("\n").length) : "");
    setText(this.copy, words.transcript.copy);
    this.text.scrollTop = this.text.scrollHeight;
  }

  private async copyAll(): Promise<void> {
    const { copied, notCopied } = words.transcript;
    const done = await copyText(this.terminal?.transcript() ?? "", this.dialog);
    setText(this.copy, done ? copied : notCopied);
  }
}
