// What may be pasted into a terminal.

/**
 * Takes out every control character but tab and line ends. xterm.js 6.0.0 passes ESC through, so pasted text
 * could end the shell's bracketed paste and run what follows it.
 */
export function cleanPaste(text: string): string {
  return text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, "");
}

/** The control character of a key, as Ctrl makes it: `c` → 0x03. Other text stays as it is. */
export function withCtrl(text: string): string {
  const code = text.toUpperCase().charCodeAt(0);
  if (text.length !== 1) return text;
  if (code === 0x20) return "\x00";
  if (code === 0x3f) return "\x7f";
  return code >= 0x40 && code <= 0x5f ? String.fromCharCode(code & 0x1f) : text;
}
