// The way in with a code. A link brings the code in its fragment, which browsers send to nobody: it is taken out of
// the address and posted, as if it had been typed.

export function improveCodeForm(): void {
  const form = document.querySelector<HTMLFormElement>("form[data-code-form]");
  const field = form?.querySelector<HTMLInputElement>("input[name=code]");
  if (!form || !field) return;
  const take = (): void => {
    const code = location.hash.slice(1);
    if (!code) return;
    history.replaceState(null, "", location.pathname);
    field.value = decode(code);
    form.requestSubmit();
  };
  // A link that is followed while the page is open loads nothing.
  addEventListener("hashchange", take);
  take();
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
