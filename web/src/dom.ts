// Finding elements that a template promises.

/** The element with this id and type; its absence is a mistake in a template, not a case to handle. */
export function byId<T extends Element = HTMLElement>(id: string, type?: new () => T): T {
  const element = document.getElementById(id);
  if (!element || (type && !(element instanceof type))) throw new Error(`the page has no #${id}`);
  return element as unknown as T;
}

/** Sets a text only where it differs, so that a live region does not repeat itself. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Whether an element can be seen and reached. Safari has `checkVisibility` from 17.4 on only. */
export function isShown(element: Element): boolean {
  return element.getClientRects().length > 0 && getComputedStyle(element).visibility !== "hidden";
}
