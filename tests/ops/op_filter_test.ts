/** What `OP=…` tests, and that a filter of nothing does not pass. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { OPS } from "../../lib/ops/mod.ts";
import { opsToTest } from "./op_filter.ts";

const names = (filter?: string) => [...opsToTest(filter).keys()];

Deno.test("an op is tested with every op that its gradient emits", () => {
  assert.deepEqual(names("silu"), ["silu", "silu_backward"]);
  const conv = names("conv2d");
  for (const name of ["conv2d", "conv2d_backward_data", "conv2d_backward_weight"]) {
    assert.ok(conv.includes(name), `${name} among ${conv}`);
  }
  const norm = names("group_norm_apply");
  assert.ok(norm.includes("group_norm_data_gradient"), norm.join());
  assert.deepEqual(names("silu!"), ["silu"]);
  assert.deepEqual(names("silu!, mse!").sort(), ["mse", "silu"]);
});

Deno.test("every backward op is among those that some forward op brings", () => {
  const backward = Object.keys(OPS).filter((name) => /_backward/.test(name));
  const brought = new Set(
    Object.keys(OPS).filter((name) => !/_backward/.test(name)).flatMap((name) => names(name)),
  );
  assert.deepEqual(backward.filter((name) => !brought.has(name)), []);
});

Deno.test("no filter means all ops; a name that is none is an error", () => {
  assert.equal(names(undefined).length, Object.keys(OPS).length);
  for (const filter of ["sillu", "", "silu,", "silu,conv", "Silu"]) {
    assert.throws(() => opsToTest(filter), /no op "/, filter);
  }
});

Deno.test("OP=sillu: the tests of ops fail, and name what there is", async () => {
  for (const file of ["ops_test.ts", "half_test.ts"]) {
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args: ["test", "--no-check", "--allow-read", "--allow-env=OP"]
        .concat(fileURLToPath(new URL(file, import.meta.url))),
      env: { OP: "sillu", NO_COLOR: "1" },
    }).output();
    assert.notEqual(code, 0);
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.match(text, /no op "sillu"; there is .*silu/);
  }
});
