// The author's page follows the files: it is asked for again and again, and shown anew when it says something else.

const EVERY_MS = 2000;

export function followFaults(): void {
  const note = document.querySelector<HTMLElement>("[data-follows]");
  const main = document.getElementById("main");
  if (!note || !main) return;
  note.hidden = false;
  const before = wordsIn(main);
  setInterval(() => {
    if (document.visibilityState === "hidden") return;
    const request = new XMLHttpRequest();
    // Parsed by the browser: no string becomes HTML in this page.
    request.responseType = "document";
    request.open("GET", location.href);
    request.onload = () => {
      const now = request.responseXML?.getElementById("main");
      if (request.status === 200 && (!now || wordsIn(now) !== before)) location.reload();
    };
    request.send();
  }, EVERY_MS);
}

/** What a page says, whichever parts of it are shown. */
function wordsIn(main: Element): string {
  return main.textContent?.replace(/\s+/g, " ") ?? "";
}
