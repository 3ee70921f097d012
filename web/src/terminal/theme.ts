// Colours of a terminal, as the style sheet has them.

import type { ITheme } from "@xterm/xterm";

/** xterm's theme is the water's tokens. */
export function themeOf(style: CSSStyleDeclaration): ITheme {
  const token = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const hue = (name: string) => token(`ansi-${name}`);
  return {
    background: token("land"),
    foreground: hue("white"),
    cursor: token("edge-rim"),
    cursorAccent: token("on-edge"),
    selectionBackground: token("selection"),
    black: hue("black"),
    red: hue("red"),
    green: hue("green"),
    yellow: hue("yellow"),
    blue: hue("blue"),
    magenta: hue("magenta"),
    cyan: hue("cyan"),
    white: hue("white"),
    brightBlack: hue("dim"),
    brightRed: hue("red"),
    brightGreen: hue("green"),
    brightYellow: hue("yellow"),
    brightBlue: hue("blue"),
    brightMagenta: hue("magenta"),
    brightCyan: hue("cyan"),
    brightWhite: hue("bright"),
    scrollbarSliderBackground: `${token("line-ui")}66`,
    scrollbarSliderHoverBackground: `${token("line-ui")}aa`,
    scrollbarSliderActiveBackground: token("line-ui"),
  };
}

/** What a program's own colours are held to. */
export function contrastOf(style: CSSStyleDeclaration): number {
  return Number(style.getPropertyValue("--term-contrast")) || 4.5;
}
