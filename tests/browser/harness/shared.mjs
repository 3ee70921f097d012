// The service that run.mjs has started, as a suite sees it.

import { after } from "node:test";
import { Service } from "./service.mjs";
import { closeBrowser } from "./visitor.mjs";
import { closeWires } from "./wire.mjs";

export function shared() {
  const url = process.env.QUAYSIDE_URL;
  if (!url) throw new Error("the suites are started by 'npm test', which starts the service");
  const { hostname, port } = new URL(url);
  const service = new Service({ host: hostname, data: process.env.QUAYSIDE_DATA });
  service.port = Number(port);
  after(closeWires);
  after(closeBrowser);
  return service;
}
