// What a terminal answers when a program asks it: what it is, where the cursor stands, which colours it has.
// The answer is typed into the shell. Of several pages that show one terminal only one may give it, and none
// while the past is drawn: "1;2c" at a prompt is an answer that nobody asked for.

import type { Terminal } from "@xterm/xterm";

/** The queries that xterm.js 6 answers, as it registers them. */
const CONTROL = [
  { final: "c" },
  { prefix: ">", final: "c" },
  { final: "n" },
  { prefix: "?", final: "n" },
  { intermediates: "$", final: "p" },
  { prefix: "?", intermediates: "$", final: "p" },
  { final: "t" },
];
const COLOURS = [4, 10, 11, 12];

/** Reports of the mouse and of the focus: the terminal says them by itself, and not to every page's program. */
const REPORT = /^\x1b\[(?:[IO]$|M|<)/;

/** Lets `xterm` answer only while `may` says so. */
export function answerOnlyIf(xterm: Terminal, may: () => boolean): void {
  const swallow = (): boolean => !may();
  for (const query of CONTROL) xterm.parser.registerCsiHandler(query, swallow);
  xterm.parser.registerDcsHandler({ intermediates: "$", final: "q" }, swallow);
  for (const colour of COLOURS) xterm.parser.registerOscHandler(colour, (text) => text.includes("?") && swallow());
}

export function isReport(text: string): boolean {
  return REPORT.test(text);
}
