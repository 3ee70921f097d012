// What a page looks like, in numbers: rectangles, what sticks out, and contrast of what is really drawn; and axe.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// Its rules are WCAG 2 A and AA, and best practices.
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * Violations, each with the first elements; xterm.js's helpers are not ours to name. Colours that the system forces
 * are not in the computed styles from which axe judges contrast. In a phone's view of the terminal alone the lesson,
 * with its heading, is one tap away.
 */
export async function axe(page, { forced = false, terminalAlone = false } = {}) {
  // As an init script would be, past the page's policy.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(AXE);
  const rules = {
    "color-contrast": { enabled: !forced },
    "landmark-one-main": { enabled: !terminalAlone },
    "page-has-heading-one": { enabled: !terminalAlone },
  };
  const { violations } = await page.evaluate((options) => globalThis.axe.run({ exclude: [".xterm-helpers"] }, options), { resultTypes: ["violations"], rules });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).slice(0, 4).join(" | ")}`);
}

/** `{ id: "x y width height" }` of the elements with these selectors. */
export function rectangles(page, selectors) {
  return page.evaluate((wanted) => Object.fromEntries(wanted.map((selector) => {
    const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
    return [selector, [x, y, width, height].map((n) => Math.round(n)).join(" ")];
  })), selectors);
}

/** Every line and column of the terminals that can be seen lies within its pane, padding aside. */
export function terminalsFit(page) {
  return page.evaluate(() => [...document.querySelectorAll(".pane:not([data-looking])")].filter((pane) => getComputedStyle(pane).visibility === "visible").every((pane) => {
    const screen = pane.querySelector(".xterm-screen")?.getBoundingClientRect();
    if (!screen) return true;
    const { paddingBottom } = getComputedStyle(pane);
    const { right, bottom } = pane.getBoundingClientRect();
    return screen.right <= right + 0.5 && screen.bottom <= bottom - Number.parseFloat(paddingBottom) + 0.5;
  }));
}

/** What is wider than the window, or sticks out of a bar. */
export function overflow(page) {
  return page.evaluate(() => {
    const found = [];
    const name = (element) => `${element.localName}${element.id ? `#${element.id}` : ""}.${element.className}`;
    if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
    for (const bar of document.querySelectorAll(".bar, .turn__do, .quay__water, .tabs, .strip, .note, .wait, .find, .act, .menu__list, .switch, .toc a")) {
      if (!bar.checkVisibility({ visibilityProperty: true })) continue;
      const { left, right } = bar.getBoundingClientRect();
      for (const child of bar.children) {
        const own = child.getBoundingClientRect();
        if (child.clientWidth > 0 && getComputedStyle(child).overflowX === "visible" && child.scrollWidth > child.clientWidth + 1) found.push(`what is in ${name(child)} sticks out of it`);
        if (own.width > 0 && getComputedStyle(child).position !== "absolute" && (own.right > right + 1 || own.left < left - 1)) found.push(`${name(child)} sticks out of ${name(bar)}`);
      }
    }
    const [bar, land, back] = [".work > .bar", ".land", ".turn .back"].map((it) => document.querySelector(it));
    if (bar && bar.getBoundingClientRect().bottom > land.getBoundingClientRect().top + 1) found.push("the bar lies over the lesson");
    for (const part of back ? [back, ...back.querySelectorAll(".long, .short")] : []) {
      // A long title may end in dots, a letter of it is none.
      if (part.clientWidth > 0 && part.clientWidth < 60 && part.scrollWidth > part.clientWidth + 1) found.push("the name of the page before is cut");
    }
    return found;
  });
}

/**
 * Every text that can be seen against what is behind it (4.5), every icon and every border by which a control is
 * known (3). Disabled controls are exempt, and so is the dimmed terminal of a lost connection.
 */
export function contrast(page) {
  return page.evaluate(() => {
    const numbers = (color) => {
      const found = color.match(/-?[\d.]+(e-?\d+)?/g)?.map(Number) ?? [0, 0, 0, 0];
      const scale = color.startsWith("color(") ? 255 : 1;
      return [found[0] * scale, found[1] * scale, found[2] * scale, found[3] ?? 1];
    };
    const over = (top, under) => [...[0, 1, 2].map((n) => top[n] * top[3] + under[n] * (1 - top[3])), 1];
    const behind = (element) => {
      const layers = [];
      for (let at = element; at; at = at.parentElement) {
        const style = getComputedStyle(at);
        // A pattern has no one colour; the marks are measured in the tokens.
        if (style.backgroundImage !== "none") return null;
        const color = numbers(style.backgroundColor);
        if (color[3] > 0) layers.push(color);
        if (color[3] === 1) break;
      }
      return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
    };
    const light = (color) => {
      const [r, g, b] = color.slice(0, 3).map((n) => (n / 255 <= 0.04045 ? n / 255 / 12.92 : ((n / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
    const exempt = (element) => element.closest(":disabled, [aria-disabled=true], .sr, .skip, .stage[data-late], .xterm-helpers, noscript, option");
    const seen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !exempt(element);
    const faint = (element) => {
      let all = 1;
      for (let at = element; at; at = at.parentElement) all *= Number(getComputedStyle(at).opacity);
      return all;
    };
    const found = new Set();
    const judge = (what, element, color, under, least) => {
      if (!under) return;
      const drawn = over([...color.slice(0, 3), color[3] * faint(element)], under);
      const is = ratio(drawn, under);
      if (is < least) found.add(`${what} ${is.toFixed(2)} < ${least} in ${element.closest("[id]")?.id ?? ""} ${element.localName}.${element.className}`);
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const { data, parentElement: element } = texts.currentNode;
      if (!data.trim() || !seen(element) || getComputedStyle(element).fontSize === "0px") continue;
      judge(`text ${JSON.stringify(data.trim().slice(0, 24))}`, element, numbers(getComputedStyle(element).color), behind(element), 4.5);
    }
    for (const icon of document.querySelectorAll(".i")) {
      const color = numbers(getComputedStyle(icon).backgroundColor);
      // A spinner is a ring, and its words stand beside it.
      if (seen(icon) && color[3] > 0 && icon.getBoundingClientRect().width > 0) judge("icon", icon, color, behind(icon.parentElement), 3);
    }
    for (const control of document.querySelectorAll(".btn:not(.btn--quiet, .act *, .tabs *), .choice > button")) {
      const style = getComputedStyle(control);
      const border = numbers(style.borderLeftColor);
      if (!seen(control) || border[3] === 0 || style.borderLeftWidth === "0px") continue;
      judge(`border of ${JSON.stringify(control.textContent.trim().slice(0, 24))}`, control, border, behind(control.parentElement), 3);
    }
    return [...found];
  });
}
