// What a terminal holds, as text.

import type { Terminal } from "@xterm/xterm";

/** The last lines that say something. */
export function lastLines(xterm: Terminal, count: number): string[] {
  const buffer = xterm.buffer.active;
  const lines: string[] = [];
  for (let y = buffer.baseY + buffer.cursorY; y >= 0 && lines.length < count; y--) {
    const text = buffer.getLine(y)?.translateToString(true) ?? "";
    if (text) lines.unshift(text);
  }
  return lines;
}

/** Everything; wrapped lines are whole again. */
export function everything(xterm: Terminal): string {
  const buffer = xterm.buffer.active;
  const lines: string[] = [];
  for (let y = 0; y < buffer.length; y++) {
    const line = buffer.getLine(y);
    if (!line) continue;
    const goesOn = buffer.getLine(y + 1)?.isWrapped ?? false;
    const text = line.translateToString(!goesOn);
    if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  return lines.join("\n").trimEnd();
}
