// What may be pasted into a terminal.

/**
 * Takes out every control character but tab and line ends. xterm.js 6.0.0 passes ESC through, so pasted text
 * could end the shell's bracketed paste and run what follows it.
 */
export function cleanPaste(text: string): string {
  return text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, "");
}

/** How many lines a paste runs in a shell that takes each line's end for an Enter. */
export function lineCount(text: string): number {
  return text.trimEnd().split(/\r\n|\r|\n/).length;
}

/** Names of keys that are longer than a caret and a letter. */
const KEYS: Record<string, string> = { ESC: "\x1b", ESCAPE: "\x1b", TAB: "\t", ENTER: "\r", SPACE: " " };

/**
 * What a text that names keys presses: `^C` → 0x03, `^ESC` → 0x1b. What stands between the names is typed
 * as it is, in a piece of its own.
 */
export function pressed(text: string): string[] {
  const pieces: string[] = [];
  let keys = "";
  for (const word of text.trim().split(/(\^[A-Za-z]{2,}|\^[A-Za-z@[\\\]^_?])/)) {
    const named = /^\^(.+)$/.exec(word)?.[1];
    const key = named === undefined ? undefined : (KEYS[named.toUpperCase()] ?? (named.length === 1 ? withCtrl(named) : undefined));
    if (key !== undefined) {
      keys += key;
    } else if (word.trim() !== "") {
      if (keys) pieces.push(keys);
      keys = "";
      pieces.push(word.trim());
    }
  }
  return keys ? [...pieces, keys] : pieces;
}

/** The control character of a key, as Ctrl makes it: `c` → 0x03. Other text stays as it is. */
export function withCtrl(text: string): string {
  const code = text.toUpperCase().charCodeAt(0);
  if (text.length !== 1) return text;
  if (code === 0x20) return "\x00";
  if (code === 0x3f) return "\x7f";
  return code >= 0x40 && code <= 0x5f ? String.fromCharCode(code & 0x1f) : text;
}
