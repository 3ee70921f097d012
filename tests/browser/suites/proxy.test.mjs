// Behind nginx and behind Caddy, as docs/proxies/ configures them: https, below a base path, and the proxy may die.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Proxy } from "../harness/proxy.mjs";
import { Service } from "../harness/service.mjs";
import { pause, until } from "../harness/until.mjs";
import { Visitor, closeBrowser } from "../harness/visitor.mjs";

after(closeBrowser);

for (const kind of ["nginx", "caddy"]) {
  test(`a lesson below /learn behind ${kind}, through the end of the proxy and its return`, async () => {
    const proxy = await Proxy.of(kind);
    const service = new Service({ images: process.env.QUAYSIDE_DATA, base: "/learn", args: ["--config", proxy.settings()] });
    await service.start();
    await service.imageReady();
    await proxy.start(service);
    try {
      // What a visitor does is done by the proxy's address; what is counted is the service's.
      const front = Object.create(service, { url: { value: proxy.url } });
      const visitor = await Visitor.arrive(front, { ignoreHTTPSErrors: true });
      await visitor.open("harbour/walk");
      assert.match(visitor.page.url(), /^https:\/\/localhost:\d+\/learn\/harbour\/walk\/intro$/);
      assert.equal(await visitor.page.evaluate(() => isSecureContext), true);
      const cookie = (await visitor.context.cookies()).find(({ name }) => name.includes("learner"));
      assert.deepEqual([cookie.name, cookie.path, cookie.secure, cookie.httpOnly], ["__Secure-learner", "/learn/", true, true]);
      await visitor.command("echo through-$((6 * 7))", "through-42");
      await visitor.next();
      assert.equal((await visitor.check())[0], "failed");
      await visitor.run("touch /root/rope");
      await visitor.isAction("touch /root/rope", "done");
      assert.equal((await visitor.check())[0], "passed");

      await proxy.kill();
      await until(async () => (await visitor.strip()) !== "Connected", "the page notices");
      await pause(1500);
      await proxy.start(service);
      await visitor.connected(40_000);
      await visitor.sees("through-42");
      await visitor.command("echo back-$((6 * 7))", "back-42");
      assert.equal((await visitor.screen()).match(/^back-42$/gm).length, 1, "typed once");

      await visitor.go("harbour/walk");
      await until(() => visitor.page.url().startsWith(`${proxy.url}/harbour/walk/`), "a redirect stays below the base path");
      await visitor.go("");
      await visitor.shot(`proxy-${kind}`);
      assert.match(await visitor.page.title(), /./);
      assert.deepEqual(visitor.complaints, []);
      await visitor.context.close();
    } finally {
      await proxy.kill();
      const left = await service.stop();
      service.remove();
      proxy.remove();
      assert.deepEqual(left, []);
    }
  });
}
