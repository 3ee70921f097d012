// How wide a letter is, and how many marks stand on one.
//
// Programs ask their C library, and where page and library disagree, a line being edited falls apart: the machines'
// (glibc 2.36) is of Unicode 14, the add-on's table of version 11, xterm.js's own of 6. And a letter with a million accents, which costs a program nothing to print, would be laid out
// by the browser as one.

import { Unicode11Addon } from "@xterm/addon-unicode11";
import type { IUnicodeVersionProvider, Terminal } from "@xterm/xterm";

/** Marks on one letter; the longest honest emoji, a family of four with skins, has ten. */
export const MARKS_MAX = 16;

const VERSION = "14, few marks";

/**
 * Where glibc 2.36 says another width than the add-on: first and last letter, and the width. Between them are letters
 * that it does not know. A test in Chromium asks the library in a machine for every letter that it knows.
 */
const NEWER: readonly (readonly [number, number, 0 | 1 | 2])[] = [
  [0x600, 0x605, 1], [0x6dd, 0x6dd, 1], [0x70f, 0x70f, 1], [0x898, 0x89f, 0], [0x8ca, 0x8d2, 0], [0x8e2, 0x8e2, 1],
  [0xb55, 0xb55, 0], [0xc3c, 0xc3c, 0], [0xd81, 0xd81, 0], [0x1734, 0x1734, 1], [0x180f, 0x180f, 0],
  [0x1abf, 0x1ace, 0], [0x1dfa, 0x1dfa, 0], [0x31bb, 0x31bf, 2], [0x3248, 0x324f, 2], [0x4dc0, 0x4dff, 2],
  [0xa82c, 0xa82c, 0], [0xd7b0, 0xd7fb, 0], [0x10eab, 0x10eac, 0], [0x10f82, 0x10f85, 0], [0x11070, 0x11070, 0],
  [0x11073, 0x11074, 0], [0x110bd, 0x110bd, 1], [0x110c2, 0x110c2, 0], [0x110cd, 0x110cd, 1], [0x111cf, 0x111cf, 0],
  [0x1193b, 0x1193c, 0], [0x1193e, 0x1193e, 0], [0x11943, 0x11943, 0], [0x16fe4, 0x16fe4, 0], [0x16ff0, 0x16ff1, 2],
  [0x18af3, 0x1affe, 2], [0x1b11f, 0x1b122, 2], [0x1cf00, 0x1cf46, 0], [0x1e2ae, 0x1e2ae, 0], [0x1f6d6, 0x1f6df, 2],
  [0x1f6fb, 0x1f6fc, 2], [0x1f7f0, 0x1f7f0, 2], [0x1f90c, 0x1f90c, 2], [0x1f93b, 0x1f93b, 1], [0x1f946, 0x1f946, 1],
  [0x1f972, 0x1f972, 2], [0x1f977, 0x1f979, 2], [0x1f9a3, 0x1f9a4, 2], [0x1f9ab, 0x1f9ad, 2], [0x1f9cb, 0x1f9cc, 2],
  [0x1fa74, 0x1fa74, 2], [0x1fa7b, 0x1fa7c, 2], [0x1fa83, 0x1fa86, 2], [0x1fa96, 0x1faf6, 2],
];

/** How many columns the machines' C library gives a letter. */
export function widthOf(letter: number, table: IUnicodeVersionProvider): 0 | 1 | 2 {
  let [low, high] = [0, NEWER.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const [first, last, width] = NEWER[middle]!;
    if (letter < first) high = middle;
    else if (letter > last) low = middle + 1;
    else return width;
  }
  return table.wcwidth(letter);
}

export function measureLetters(xterm: Terminal): void {
  xterm.unicode.register(fewMarks(unicode11()));
  xterm.unicode.activeVersion = VERSION;
}

/** The add-on's table, which it gives only to a terminal. */
function unicode11(): IUnicodeVersionProvider {
  let table: IUnicodeVersionProvider | undefined;
  const unicode = { register: (provider: IUnicodeVersionProvider) => (table = provider) };
  new Unicode11Addon().activate({ unicode } as unknown as Terminal);
  if (!table) throw new Error("the add-on registered no table");
  return table;
}

/** xterm.js packs what it knows of a letter: whether it joins the one before, its width, and a state of ours. */
function fewMarks(table: IUnicodeVersionProvider): IUnicodeVersionProvider {
  const packed = (marks: number, width: number, joins: boolean): number => (marks << 3) | (width << 1) | (joins ? 1 : 0);
  return {
    version: VERSION,
    wcwidth: (letter) => widthOf(letter, table),
    charProperties(letter, before) {
      const width = widthOf(letter, table);
      const [marks, widthBefore] = [before >> 3, (before >> 1) & 3];
      if (width !== 0 || before === 0 || widthBefore === 0) return packed(0, width, false);
      // One too many stands in a column of its own.
      return marks < MARKS_MAX ? packed(marks + 1, widthBefore, true) : packed(0, 1, false);
    },
  };
}
