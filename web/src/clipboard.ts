// Copying, also where the browser has no clipboard API: on plain http, which is how a class reaches a teacher's laptop.

/** `within`: where a field may be put that can have the focus; an open dialog lets nothing outside it have that. */
export async function copyText(text: string, within: HTMLElement = document.body): Promise<boolean> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused or not focused: the old way may still work.
    }
  }
  return copyBySelection(text, within);
}

/** What is in the clipboard, where a page may ask: not on plain http. */
export async function readText(): Promise<string | null> {
  try {
    return (await navigator.clipboard?.readText()) ?? null;
  } catch {
    return null;
  }
}

function copyBySelection(text: string, within: HTMLElement): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "sr";
  field.setAttribute("aria-hidden", "true");
  const focused = document.activeElement;
  within.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  }
}
