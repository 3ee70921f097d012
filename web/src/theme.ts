// The switch between light and dark. Without this script it is a form that works; with it no page is loaded.

/** Improves every theme switch of the page. */
export function improveThemeSwitch(): void {
  for (const form of document.querySelectorAll<HTMLFormElement>("form[data-theme-switch]")) {
    const button = form.querySelector("button");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const theme = isDark() ? "light" : "dark";
      document.documentElement.dataset.theme = theme;
      if (button) button.value = theme === "dark" ? "light" : "dark";
      // The server writes the cookie, so that the next page is drawn right in its first frame.
      void fetch(form.action, { method: "POST", body: new URLSearchParams({ theme }), redirect: "manual", keepalive: true }).catch(() => {});
    });
  }
}

function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
