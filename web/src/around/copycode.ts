// The button that copies a resume code. Without this script it is not there, and the code can be selected.

import { copyText } from "../clipboard.js";
import { setText } from "../dom.js";
import { words } from "../words.js";

const SAID_MS = 2_000;

/** Improves the copy button in `within`, if a code is shown there. */
export function improveCopy(within: ParentNode): void {
  const button = within.querySelector<HTMLButtonElement>("[data-copy]");
  const says = button?.querySelector("[data-copy-says]");
  if (!button || !says) return;
  button.hidden = false;
  const usual = says.textContent ?? "";
  button.addEventListener("click", async () => {
    const copied = await copyText(button.dataset.copy ?? "");
    setText(says, copied ? words.action.copied : words.action.notCopied);
    setTimeout(() => setText(says, usual), SAID_MS);
  });
}
