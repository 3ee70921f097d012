// A terminal's connection without a browser: the frames of runtime/src/shim/wire.rs, for what no page would send.

import { randomBytes } from "node:crypto";
import WebSocket from "ws";
import { until } from "./until.mjs";

/** After so many drawn bytes a page acknowledges. */
const ACK_EVERY = 64 * 1024;

export const SUBPROTOCOL = "quayside.2";

export function attachFrame(viewer = randomBytes(16), { have = 0n, cols = 120, rows = 40, restart = 0, version = 1 } = {}) {
  const frame = Buffer.alloc(31);
  frame.writeUInt8(3, 0);
  frame.writeUInt8(version, 1);
  viewer.copy(frame, 2);
  frame.writeBigUInt64LE(have, 18);
  frame.writeUInt16LE(cols, 26);
  frame.writeUInt16LE(rows, 28);
  frame.writeUInt8(restart, 30);
  return frame;
}

/** Connections that a failed test may have left: they would keep this process alive. */
const open = new Set();

export function closeWires() {
  for (const wire of open) wire.close();
}

export class Wire {
  received = [];
  bytes = 0;
  opened = false;

  /** `answer`: the status of a refused upgrade; `code`, `reason`: how the connection was closed. */
  constructor(service, path, { origin = service.url, cookie, protocol = SUBPROTOCOL, host } = {}) {
    const headers = { ...(cookie && { cookie }), ...(origin && { origin }), ...(host && { host }) };
    this.socket = new WebSocket(`${service.url.replace("http", "ws")}/${path}`, protocol, { headers, perMessageDeflate: false });
    this.acked = 0n;
    this.offset = 0n;
    this.numbered = 0n;
    this.taken = 0n;
    open.add(this);
    this.socket.on("open", () => (this.opened = true));
    this.socket.on("unexpected-response", (_, response) => {
      this.answer = response.statusCode;
      response.destroy();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", (code, reason) => {
      open.delete(this);
      Object.assign(this, { code, reason: String(reason) });
    });
    this.socket.on("message", (data, binary) => binary && this.#obey(data));
  }

  #obey(data) {
    if (data[0] === 0) {
      this.bytes += data.length - 1;
      this.offset += BigInt(data.length - 1);
      (this.onOutput ?? ((bytes) => this.received.push(bytes)))(data.subarray(1));
      if (this.offset - this.acked >= ACK_EVERY && !this.deaf) this.#ack();
    } else if (data[0] === 1) {
      this.attached = { offset: data.readBigUInt64LE(1), replay: data.readBigUInt64LE(9), lost: data.readBigUInt64LE(17), input: data.readBigUInt64LE(25) };
      this.offset = this.acked = this.attached.offset;
      this.numbered = this.taken = this.attached.input;
    } else if (data[0] === 5) {
      this.taken = data.readBigUInt64LE(1);
    }
  }

  #ack() {
    const frame = Buffer.alloc(9);
    frame.writeUInt8(2, 0);
    frame.writeBigUInt64LE(this.offset, 1);
    this.acked = this.offset;
    this.socket.send(frame);
  }

  async attach(options) {
    await until(() => this.opened || this.answer || this.code, "the connection is answered");
    this.socket.send(attachFrame(options?.viewer, options));
    await until(() => this.attached || this.code, "attached");
    return this;
  }

  type(bytes) {
    const text = Buffer.from(bytes);
    const frame = Buffer.alloc(9 + text.length);
    frame.writeUInt8(0, 0);
    frame.writeBigUInt64LE(this.numbered, 1);
    text.copy(frame, 9);
    this.numbered += BigInt(text.length);
    this.socket.send(frame);
  }

  /** Types more than a window: as a page would, as far as it is acknowledged. */
  async paste(bytes, piece = 16 * 1024) {
    for (let at = 0; at < bytes.length; at += piece) {
      await until(() => this.numbered - this.taken < 200_000n, "input is taken", 30_000);
      this.type(bytes.subarray(at, at + piece));
    }
  }

  get text() {
    return Buffer.concat(this.received).toString();
  }

  sees(what, within = 10_000) {
    return until(() => (typeof what === "string" ? this.text.includes(what) : what.exec(this.text)), `the wire brings ${what}; it brought ${this.bytes} bytes`, within);
  }

  closed(within = 15_000) {
    return until(() => this.code ?? this.answer, "the connection is closed", within);
  }

  close() {
    this.socket.terminate();
  }
}
