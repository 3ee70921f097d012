// The log at its most talkative, in both formats: ids on what concerns somebody, and nothing that is anybody's secret.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { Service } from "../harness/service.mjs";
import { Visitor, closeBrowser } from "../harness/visitor.mjs";

after(closeBrowser);

for (const format of ["text", "json"]) {
  test(`nothing typed, shown or secret is in a ${format} log at trace level`, async () => {
    const service = new Service({ images: process.env.QUAYSIDE_DATA, args: ["--log-level", "trace", "--log-format", format] });
    await service.start();
    await service.imageReady();
    const secrets = { typed: "ufxqtyped", shown: "ufxqshown", query: "ufxqquery" };
    let cookie;
    let session;
    try {
      const visitor = await Visitor.arrive(service);
      await visitor.open("harbour/actions/1");
      // Shown, but never typed in one piece.
      await visitor.command(`: ${secrets.typed}; printf 'ufxq%s\\n' shown`, /^ufxqshown$/m);
      await visitor.go(`harbour/actions/1?token=${secrets.query}`);
      await visitor.prompt();
      await visitor.context.request.post(`${service.url}/nothing?token=${secrets.query}`);
      session = (await visitor.session()).id;
      cookie = (await visitor.context.cookies()).find(({ name }) => name === "learner").value;
      await visitor.leave();
    } finally {
      const left = await service.stop();
      assert.deepEqual(left, []);
    }
    const log = readFileSync(service.log, "utf8");
    for (const [what, secret] of Object.entries({ ...secrets, cookie })) assert.ok(!log.includes(secret), `what is ${what} is in the log: ${log.split("\n").find((line) => line.includes(secret))}`);
    const lines = log.trim().split("\n");
    assert.ok(lines.filter((line) => line.includes("answered")).length > 10, "each request has its line");
    const launched = lines.find((line) => line.includes("launched") && line.includes(session));
    assert.ok(launched, "the launch has the session's id");
    const begun = lines.find((line) => line.includes("a session begins") && line.includes(session));
    if (format === "json") {
      const objects = lines.map((line) => JSON.parse(line));
      assert.match(JSON.stringify(JSON.parse(begun).spans), /"request":"[0-9a-f]{12}"/);
      assert.ok(objects.some(({ message, sandbox }) => /launched/.test(message) && sandbox), "the keeper's line has the sandbox's id");
      assert.ok(objects.some(({ message, why }) => message === "the session is over" && why), "no field stands in the place of a line's words");
    } else {
      assert.match(begun, /request="[0-9a-f]{12}"/);
    }
    service.remove();
  });
}
