// What this browser remembers. A browser that refuses to (a private window) has the defaults.

export const settings = {
  get(name: string): string | null {
    try {
      return localStorage.getItem(`quayside.${name}`);
    } catch {
      return null;
    }
  },

  set(name: string, value: string): void {
    try {
      localStorage.setItem(`quayside.${name}`, value);
    } catch {
      // Then it holds until the page is left.
    }
  },
};

const VIEWER = "quayside.viewer";

/**
 * This tab's viewer id, the same after a reload. While the page is open the id is not in the tab's storage, so
 * that a duplicated tab, which gets a copy of the storage, makes an id of its own: two viewers with one id
 * would number their input over each other.
 */
export function viewerId(make: () => string): string {
  let id: string;
  try {
    id = sessionStorage.getItem(VIEWER) ?? make();
    sessionStorage.removeItem(VIEWER);
    addEventListener("pagehide", () => sessionStorage.setItem(VIEWER, id));
    addEventListener("pageshow", (event) => event.persisted && sessionStorage.removeItem(VIEWER));
  } catch {
    id = make();
  }
  return id;
}
