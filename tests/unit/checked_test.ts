/** Files of a checkpoint are read only where their SHA-256 is the one that was written down. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { InputError } from "../../lib/errors.ts";
import { checkedReader } from "../../lib/io/checked.ts";

Deno.test("a file without a hash, or with another one, is refused; as is one that grew", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(folder, "unet"));
    const path = join(folder, "unet", "weights"), bytes = new Uint8Array([1, 2, 3]);
    await Deno.writeFile(path, bytes);
    const hash = createHash("sha256").update(bytes).digest("hex");
    const read = (hashes: Record<string, unknown>, most = 3) =>
      checkedReader(folder, hashes, "state.json")(path, most);
    assert.deepEqual(await read({ "unet/weights": hash }), bytes);
    const refused = (hashes: Record<string, unknown>, why: RegExp) =>
      assert.rejects(read(hashes), (error) => {
        assert.ok(error instanceof InputError);
        assert.ok(error.message.startsWith(path));
        assert.match(error.message, why);
        return true;
      });
    const none = /state\.json has no SHA-256 of it/;
    await refused({}, none);
    await refused({ weights: hash }, none);
    await refused({ "unet/weights": null }, none);
    await refused({ "unet/weights": 7 }, none);
    // What every object has is not what was written down.
    await refused(Object.create({ "unet/weights": hash }), none);
    await refused({ "unet/weights": "" }, /is not the one in state\.json/);
    await refused({ "unet/weights": hash.toUpperCase() }, /is not the one/);
    await refused({ "unet/weights": hash.replace(/^./, "x") }, /is not the one/);
    await assert.rejects(read({ "unet/weights": hash }, 2), InputError);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
