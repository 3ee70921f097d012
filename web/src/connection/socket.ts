// A WebSocket that comes back: it is dialled again until it is closed on purpose, or the server says that
// there is nothing to come back to.

import type { Retry } from "./retry.js";
import { SUBPROTOCOL } from "./wire.js";

/** A dial that has not been answered by then is given up. */
const DIAL_MS = 10_000;

/** Close codes with which the server says: do not come back. server/src/terminal/mod.rs has the same. */
const OVER = 4410;
const OTHER_VERSION = 4426;

/** Why a connection will not come back. */
export type Final = "over" | "version";

export interface Listener {
  opened(): void;
  received(data: ArrayBuffer | string): void;
  /** The connection is gone, or was never there. */
  closed(): void;
  /** It will not be dialled again; `closed` came just before. */
  refused(why: Final): void;
}

export class Socket {
  private socket: WebSocket | undefined;
  private readonly dial = () => this.open();

  /** `path` is relative to the page. */
  constructor(
    private readonly path: string,
    private readonly retry: Retry,
    private readonly listener: Listener,
  ) {}

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  open(): void {
    if (this.socket) return;
    const url = new URL(this.path, document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    const giveUp = setTimeout(() => this.drop(), DIAL_MS);
    socket.onopen = () => {
      clearTimeout(giveUp);
      this.retry.remove(this.dial);
      this.listener.opened();
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => this.listener.received(event.data);
    socket.onclose = ({ code }) => {
      clearTimeout(giveUp);
      if (this.socket !== socket) return;
      const why = code === OVER ? "over" : code === OTHER_VERSION ? "version" : null;
      if (why) this.refused(why);
      else this.lost();
    };
  }

  send(data: Uint8Array<ArrayBuffer>): void {
    if (this.isOpen) this.socket?.send(data);
  }

  /** Gives this connection up for lost and dials again: it does not answer, or its other end must be told anew. */
  drop(): void {
    const socket = this.socket;
    if (!socket) return;
    silence(socket);
    this.lost();
  }

  /** Closes it for good. */
  close(): void {
    this.retry.remove(this.dial);
    const socket = this.socket;
    if (!socket) return;
    this.socket = undefined;
    silence(socket);
  }

  private refused(why: Final): void {
    this.socket = undefined;
    this.retry.remove(this.dial);
    this.listener.closed();
    this.listener.refused(why);
  }

  private lost(): void {
    this.socket = undefined;
    this.listener.closed();
    this.retry.add(this.dial);
  }
}

function silence(socket: WebSocket): void {
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
}
