// What xterm.js needs to draw under the page's content security policy, for which it has no options.

/** Call it before the first terminal, with the nonce of the page. */
export function drawUnderPolicy(nonce: string): void {
  giveNonceToStyles(nonce);
  styleSpansByProperty();
}

/** xterm.js makes `<style>` elements with sizes and colours; one without the nonce is refused. */
function giveNonceToStyles(nonce: string): void {
  const create = document.createElement.bind(document);
  document.createElement = ((name: string, options?: ElementCreationOptions) => {
    const element = create(name, options);
    if (element instanceof HTMLStyleElement) element.nonce = nonce;
    return element;
  }) as typeof document.createElement;
}

/**
 * Its DOM renderer writes true colours, and colours that it made brighter for the contrast, as style attributes,
 * which the policy refuses; the same text by way of the CSSOM is allowed.
 */
function styleSpansByProperty(): void {
  HTMLSpanElement.prototype.setAttribute = function (name: string, value: string): void {
    if (name === "style") this.style.cssText = value;
    else Element.prototype.setAttribute.call(this, name, value);
  };
}
