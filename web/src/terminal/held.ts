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

/** The line with the cursor, from its beginning to a letter behind it. */
export function typed({ buffer: { active }, element, cols, rows }: Terminal): DOMRect | null {
  const row = active.baseY + active.cursorY - active.viewportY;
  const screen = element?.querySelector(".xterm-screen")?.getBoundingClientRect();
  if (!screen || row < 0 || row >= rows) return null;
  const height = screen.height / rows;
  return new DOMRect(screen.left, screen.top + row * height, (screen.width / cols) * (active.cursorX + 2), height);
}
