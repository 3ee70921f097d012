// What a learner chose about the looks: theme, size, water. Without this script the menu's form does the same;
// with it no page is loaded, and what is drawn by script is told.

/** What a page has without a cookie, and so without an attribute; look.rs has the same. */
const USUAL: Record<string, string> = { theme: "system", size: "normal", water: "night" };

/** What else changes how things are drawn. The widths are those at which a terminal's letters change. */
const QUERIES = [
  "(prefers-color-scheme: dark)",
  "(prefers-contrast: more)",
  "(forced-colors: active)",
  "(min-width: 1400px)",
  "(max-width: 1023px)",
];

const followers: (() => void)[] = [];

/** Calls `draw` after every change of the looks. */
export function followLook(draw: () => void): void {
  followers.push(draw);
}

/** Improves every form about the looks on this page. */
export function improveLook(): void {
  document.addEventListener("submit", (event) => {
    const { target: form, submitter: button } = event;
    if (!(form instanceof HTMLFormElement) || form.dataset.look === undefined || !(button instanceof HTMLButtonElement)) return;
    event.preventDefault();
    // The quick switch turns to what the page is not, whatever the system prefers.
    const value = button.dataset.themeSwitch === undefined ? button.value : isDark() ? "light" : "dark";
    choose(button.name, value);
    // The server writes the cookie, so that the next page is drawn right in its first frame.
    void fetch(form.action, { method: "POST", body: new URLSearchParams({ [button.name]: value }), redirect: "manual", keepalive: true }).catch(() => {});
  });
  for (const query of QUERIES) matchMedia(query).addEventListener("change", tell);
}

function choose(name: string, value: string): void {
  const { dataset } = document.documentElement;
  if (value === USUAL[name]) delete dataset[name];
  else dataset[name] = value;
  for (const button of document.querySelectorAll<HTMLButtonElement>(`[data-look] [name="${name}"][aria-pressed]`)) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
  tell();
}

function tell(): void {
  for (const draw of followers) draw();
}

function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
