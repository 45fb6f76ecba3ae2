/** `.pth` files: what they hold, what hostile ones get, and the checks around weights. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { InputError } from "../../lib/errors.ts";
import { readSafetensors } from "../../lib/io/safetensors_file.ts";
import { parseTorch, readTorch } from "../../lib/io/torch_pickle.ts";
import { copyWeights, downloadWeights } from "../../lib/metrics/download.ts";
import { checkWeights, loadWeights, type WeightsFile } from "../../lib/metrics/weights.ts";
import { fixture } from "./shared.ts";

for (const form of ["zip", "legacy"]) {
  Deno.test(`.pth, ${form} form: every tensor as PyTorch has it`, async () => {
    const actual = await readTorch(fixture(`tensors_${form}.pth`));
    const { tensors } = await readSafetensors(fixture("tensors.safetensors"));
    assert.deepEqual([...actual.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, { shape, data }] of tensors) {
      assert.deepEqual(actual.get(name)!.shape, shape, name);
      assert.deepEqual([...actual.get(name)!.data].map(Number), [...data].map(Number), name);
    }
  });

  Deno.test(`.pth, ${form} form: cut off anywhere it is refused`, async () => {
    const bytes = await Deno.readFile(fixture(`tensors_${form}.pth`));
    for (let length = 0; length < bytes.length; length += 37) {
      assert.throws(() => parseTorch(bytes.slice(0, length), "cut.pth"), InputError);
    }
  });

  Deno.test(`.pth, ${form} form: no flipped bit makes it fail other than clearly`, async () => {
    const bytes = await Deno.readFile(fixture(`tensors_${form}.pth`));
    for (let i = 0; i < bytes.length; i += 3) {
      const broken = bytes.slice();
      broken[i] ^= 1 << (i % 8);
      try {
        parseTorch(broken, "flipped.pth");
      } catch (error) {
        assert.ok(error instanceof InputError, `byte ${i}: ${error}`);
      }
    }
  });
}

Deno.test("hostile .pth files are refused, by name, and nothing runs", async () => {
  const refused: [string, RegExp][] = [
    ["attack_system", /asks for "posix\.system"; only tensors are read, nothing is run/],
    ["attack_eval", /asks for "__builtin__\.eval"/],
    ["attack_legacy", /asks for "posix\.system"/],
    ["attack_deflate", /is compressed/],
  ];
  for (const [name, reason] of refused) {
    await assert.rejects(readTorch(fixture(`${name}.pth`)), (error: Error) => {
      assert.ok(error instanceof InputError && error.message.includes(`${name}.pth`));
      assert.match(error.message, reason);
      return true;
    });
  }
  assert.ok(!existsSync("attack-ran"));
});

/** A legacy file whose body is `opcodes`, with one float storage "0" of two elements. */
function legacy(...opcodes: (number | string | number[])[]): Uint8Array {
  const bytes = (parts: (number | string | number[])[]) =>
    parts.flatMap((part) => typeof part === "string" ? [...new TextEncoder().encode(part)] : part);
  const long = [0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  return Uint8Array.from(bytes([
    [0x80, 2, ...long, 0x2e, 0x80, 2, 0x4d, 0xe9, 3, 0x2e, 0x80, 2, 0x7d, 0x2e, 0x80, 2],
    ...opcodes,
    [0x2e, 0x80, 2, 0x5d, 0x28, 0x55, 1, 0x30, 0x65, 0x2e],
    [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40],
  ]));
}

/** {"w": a tensor of the storage with these sizes and strides (each below 256)} */
function tensor(
  offset: number,
  shape: number[],
  strides: number[],
): (number | string | number[])[] {
  const tuple = (values: number[]) => [0x28, ...values.flatMap((value) => [0x4b, value]), 0x74];
  return [
    [0x7d, 0x55, 1, 0x77, 0x63],
    "torch._utils\n_rebuild_tensor_v2\n",
    [0x28, 0x28, 0x55, 7],
    "storage",
    [0x63],
    "torch\nFloatStorage\n",
    [0x55, 1, 0x30, 0x55, 3],
    "cpu",
    [0x4b, 2, 0x4e, 0x74, 0x51, 0x4b, offset],
    tuple(shape),
    tuple(strides),
    [0x89, 0x7d, 0x74, 0x52, 0x73],
  ];
}

Deno.test("bombs and lies inside a pickle are refused", () => {
  const read = (...opcodes: (number | string | number[])[]) =>
    parseTorch(legacy(...opcodes), "bomb.pth");
  assert.deepEqual([...read(...tensor(0, [2], [1])).get("w")!.data], [1, 2]);

  assert.throws(() => read(...tensor(0, [255, 255, 255], [0, 0, 0])), /of a storage of 2 elements/);
  assert.throws(() => read(...tensor(1, [2], [1])), /reaches outside its storage/);
  assert.throws(() => read(...tensor(0, [2], [9])), /reaches outside its storage/);
  assert.throws(() => read([0x58, 0xff, 0xff, 0xff, 0xff]), /truncated/); // a string of 4 GiB
  assert.throws(() => read([0x8a, 255, 0]), /integer of 255 bytes/);
  assert.throws(() => read([0x6a, 1, 0, 0, 0x80]), /recalls memo 2147483649/);
  assert.throws(() => read([0x74]), /no mark/);
  assert.throws(() => read([0x93]), /opcode 0x93/); // STACK_GLOBAL
  assert.throws(() => read([0x80, 4]), /protocol 4/);
  assert.throws(() => read([0x63], "torch\nload\n"), /asks for "torch\.load"/);
  assert.throws(() => read([0x63], "torch.FloatStorage\nx\n"), /asks for "torch\.FloatStorage\.x"/);
  assert.throws(
    () => read([0x7d, 0x55, 1, 0x77, 0x63], "torch._utils\n_rebuild_tensor_v2\n", [0x29, 0x52]),
    /with arguments it does not take/,
  );
  // A dict that holds itself is walked a fixed number of times.
  const own = read(...tensor(0, [2], [1]), [0x71, 0, 0x55, 1, 0x73, 0x68, 0, 0x73]);
  assert.deepEqual([...own.keys()].sort(), ["s.s.s.w", "s.s.w", "s.w", "w"]);
  assert.throws(() => parseTorch(Uint8Array.of(1, 2, 3), "x.pth"), /not a file of torch\.save/);
});

const CONTENT = new TextEncoder().encode("the weights");
const ENTRY: WeightsFile = {
  id: "lpips",
  file: "w.pth",
  url: "https://github.com/w.pth",
  bytes: CONTENT.length,
  sha256: "", // set below
  what: "a test",
};
ENTRY.sha256 = Array.from(
  new Uint8Array(await crypto.subtle.digest("SHA-256", CONTENT)),
  (byte) => byte.toString(16).padStart(2, "0"),
).join("");

Deno.test("downloads keep only the exact file, from allowed hosts", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/w.pth`;
    const seen: string[] = [];
    const serve = (content: Uint8Array, redirect?: string) => (url: string) => {
      seen.push(url);
      return Promise.resolve(
        redirect && seen.length === 1
          ? new Response(null, { status: 302, headers: { location: redirect } })
          : new Response(content.slice()),
      );
    };
    const nothingKept = () => assert.deepEqual([...Deno.readDirSync(folder)], []);
    const get = (serving: ReturnType<typeof serve>) => {
      seen.length = 0;
      return downloadWeights(ENTRY, path, () => {}, serving);
    };

    const changed = CONTENT.slice();
    changed[3] ^= 1;
    await assert.rejects(get(serve(changed)), /SHA-256 [0-9a-f]{64}, it has .*nothing was kept/);
    await assert.rejects(get(serve(CONTENT.slice(2))), /9 bytes came, it has 11/);
    await assert.rejects(get(serve(new Uint8Array(50))), /more than its 11 bytes came/);
    await assert.rejects(
      get(serve(CONTENT, "https://evil.example/w")),
      /evil\.example is not a host/,
    );
    await assert.rejects(get(serve(CONTENT, "http://github.com/w")), /http:\/\/github\.com is not/);
    await assert.rejects(
      get(() => Promise.resolve(new Response(null, { status: 404 }))),
      /github\.com answered 404/,
    );
    await assert.rejects(get(() => Promise.reject(new Error("no route"))), /no route.*--from FILE/);
    nothingKept();

    await get(serve(CONTENT, "https://release-assets.githubusercontent.com/x"));
    assert.deepEqual(seen[1], "https://release-assets.githubusercontent.com/x");
    assert.deepEqual(await Deno.readFile(path), CONTENT);
    await checkWeights(path, ENTRY);
    await Deno.writeFile(path, changed);
    await assert.rejects(checkWeights(path, ENTRY), /Refused .*w\.pth.*SHA-256/);
    await assert.rejects(copyWeights(ENTRY, path, `${folder}/y.pth`), /SHA-256/);
    assert.ok(!existsSync(`${folder}/y.pth`));

    assert.equal(await loadWeights("lpips", folder), null);
    await Deno.writeFile(`${folder}/lpips-alex-v0.1.pth`, changed);
    await assert.rejects(loadWeights("lpips", folder), /Refused .*11 bytes.*6009/);
    await Deno.writeFile(`${folder}/lpips-alex-v0.1.pth`, new Uint8Array(6009));
    await assert.rejects(loadWeights("lpips", folder), /Refused .*SHA-256/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
