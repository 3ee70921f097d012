// How wide a letter is, and how many marks stand on one.
//
// Programs ask their C library, which has known emoji as two columns wide since Unicode 9; xterm.js's own table
// is of version 6. And a letter with a million accents, which costs a program nothing to print, would be laid out
// by the browser as one.

import { Unicode11Addon } from "@xterm/addon-unicode11";
import type { IUnicodeVersionProvider, Terminal } from "@xterm/xterm";

/** Marks on one letter; the longest honest emoji, a family of four with skins, has ten. */
export const MARKS_MAX = 16;

const VERSION = "11, few marks";

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
    wcwidth: (letter) => table.wcwidth(letter),
    charProperties(letter, before) {
      const width = table.wcwidth(letter);
      const [marks, widthBefore] = [before >> 3, (before >> 1) & 3];
      if (width !== 0 || before === 0 || widthBefore === 0) return packed(0, width, false);
      // One too many stands in a column of its own.
      return marks < MARKS_MAX ? packed(marks + 1, widthBefore, true) : packed(0, 1, false);
    },
  };
}
