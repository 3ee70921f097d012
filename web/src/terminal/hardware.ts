// Drawing by the graphics card, where there is one. On a processor that only plays at being one (SwiftShader,
// llvmpipe) WebGL draws 8 MB/s and the DOM 50.

import type { Terminal } from "@xterm/xterm";

const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render|virgl/i;

let card: boolean | undefined;

/** Whether this browser draws WebGL by hardware; asked once. */
function hasCard(): boolean {
  card ??= isHardware(rendererName());
  return card;
}

/** Unknown is no: a guess would cost more than it gains. */
export function isHardware(renderer: string | null): boolean {
  return renderer !== null && renderer !== "" && !SOFTWARE.test(renderer);
}

function rendererName(): string | null {
  try {
    const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
    if (!gl) return null;
    const names = gl.getExtension("WEBGL_debug_renderer_info");
    const name: unknown = gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
    gl.getExtension("WEBGL_lose_context")?.loseContext();
    return typeof name === "string" ? name : null;
  } catch {
    return null;
  }
}

/** A terminal drawn by the card, until it is let go or the card is lost: then by the DOM again. */
export class Hardware {
  private addon: { dispose(): void } | undefined;
  private wanted = false;

  constructor(private readonly xterm: Terminal) {}

  /** Browsers have some sixteen of these for a page, so only what is seen has one. */
  async use(seen: boolean): Promise<void> {
    this.wanted = seen;
    if (!seen || !hasCard()) return this.letGo();
    if (this.addon) return;
    try {
      const { WebglAddon } = await import("@xterm/addon-webgl");
      if (!this.wanted || this.addon) return;
      const addon = new WebglAddon();
      addon.onContextLoss(() => this.letGo());
      this.xterm.loadAddon(addon);
      this.addon = addon;
    } catch {
      this.letGo();
    }
  }

  private letGo(): void {
    this.addon?.dispose();
    this.addon = undefined;
  }
}
