/** Compiling on a second core: what is compiled, and that nothing else depends on it. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { benchConfig, benchStep, LoadedStep } from "../../lib/bench/steps.ts";
import { compileAhead, compileJobs } from "../../lib/gpu/compile_ahead.ts";
import { openGpu } from "../../lib/gpu/device.ts";

const gpu = await openGpu();
const { software } = gpu.profile;
gpu.destroy();
const helps = software && navigator.hardwareConcurrency > 1;
const isLlvmpipe = helps && gpu.name.includes("llvmpipe");

Deno.test("each shader of a plan is compiled ahead once, the last first, for its own parameters", () => {
  for (const device of [AUDIT_PROFILES.software, AUDIT_PROFILES.gpu]) {
    const { plan } = benchStep("train", benchConfig(1, 16, "demo"), { device });
    const { jobs, params } = compileJobs(plan);
    const order = [...new Set(plan.dispatches.map((d) => d.shader))];
    assert.deepEqual(jobs.map((j) => j.shader), order.map((i) => plan.shaders[i]).reverse());
    assert.deepEqual([...params], plan.params);
    const [last] = jobs;
    const first = plan.dispatches.find((d) => plan.shaders[d.shader] === last.shader)!;
    first.bindings.forEach((b, i) => {
      const { binding, range, texture } = last.bindings[i];
      assert.equal(binding, b.binding);
      assert.equal(texture, b.texture === undefined ? undefined : plan.textures[b.texture].dtype);
      const isParams = plan.buffers[b.buffer].role === "params";
      assert.deepEqual(range, isParams ? { offset: b.offset, size: b.size } : undefined);
    });
  }
});

Deno.test({
  name: isLlvmpipe
    ? "what is compiled ahead lies in the driver's cache"
    : "skipped: what is compiled ahead lies in the driver's cache (this is not llvmpipe)",
  ignore: !isLlvmpipe,
  async fn() {
    const cache = await Deno.makeTempDir({ prefix: "shaders-" });
    const { stdout, stderr } = await new Deno.Command("deno", {
      args: [
        "run",
        "--no-prompt",
        "--allow-read",
        "--allow-env=INIT_CWD",
        fileURLToPath(new URL("ahead_child.ts", import.meta.url)),
      ],
      env: { MESA_SHADER_CACHE_DIR: cache, NO_COLOR: "1" },
    }).output();
    const text = new TextDecoder().decode(stdout);
    const [, shaders] = text.match(/^(\d+) shaders: compiled/) ??
      assert.fail(text + new TextDecoder().decode(stderr));
    let files = 0;
    const count = async (folder: string): Promise<void> => {
      for await (const { name, isDirectory } of Deno.readDir(folder)) {
        if (isDirectory) await count(`${folder}/${name}`);
        else files++;
      }
    };
    await count(cache);
    // The forward pass of the demo has some twenty; the cache keeps an index besides.
    assert.ok(
      Number(shaders) >= 15 && files >= Number(shaders),
      `${files} files, ${shaders} shaders`,
    );
    await Deno.remove(cache, { recursive: true });
  },
});

Deno.test("a first run with help gives what it gives without, and says when none is needed", async () => {
  const gpu = await openGpu();
  const step = benchStep("forward", benchConfig(1, 16, "demo"), { device: gpu.profile });
  const results: Float32Array[] = [];
  for (const ahead of [false, true]) {
    const loaded = await LoadedStep.load(gpu, step, { ahead });
    await loaded.time();
    results.push(await loaded.executable.read("y"));
    loaded.destroy();
  }
  assert.deepEqual(results[1], results[0]);
  const stopped = compileAhead(gpu, step.plan);
  stopped.stop();
  assert.equal(await stopped.outcome, "not needed");
  const hardware = { ...gpu, profile: { ...gpu.profile, software: false } };
  assert.equal(await compileAhead(hardware, step.plan).outcome, "not needed");
  gpu.destroy();
});

Deno.test("help goes on until the first run is done, however many are submitted meanwhile", async () => {
  const gpu = await openGpu();
  const { queue } = gpu.device;
  const software = { ...gpu, profile: { ...gpu.profile, software: true } };
  const step = benchStep("forward", benchConfig(1, 16, "demo"), { device: gpu.profile });
  const loaded = await LoadedStep.load(software, step, { ahead: true });
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const sent: unknown[] = [];
  const { Worker } = globalThis;
  globalThis.Worker = class {
    postMessage = (message: unknown) => sent.push(message);
    addEventListener() {}
  } as unknown as typeof Worker;
  Object.defineProperty(queue, "onSubmittedWorkDone", { value: () => promise, configurable: true });
  try {
    for (let i = 0; i < 3; i++) {
      loaded.upload();
      loaded.executable.run();
    }
    const isHelped = navigator.hardwareConcurrency > 1;
    assert.deepEqual(sent, isHelped ? [compileJobs(step.plan)] : []);
    resolve(undefined);
    await promise;
    assert.deepEqual(sent.slice(1), isHelped ? ["stop"] : []);
  } finally {
    globalThis.Worker = Worker;
    delete (queue as Partial<GPUQueue>).onSubmittedWorkDone;
  }
  await gpu.idle();
  loaded.destroy();
  gpu.destroy();
});

Deno.test({
  name: helps
    ? "a shader that cannot be compiled ahead is told, and stops nobody"
    : "skipped: a shader that cannot be compiled ahead (no software device, or one core)",
  ignore: !helps,
  async fn() {
    const gpu = await openGpu();
    const { plan } = benchStep("forward", benchConfig(1, 16, "demo"), { device: gpu.profile });
    const broken = { ...plan, shaders: plan.shaders.map((s) => ({ ...s, text: "fn" })) };
    assert.match(await compileAhead(gpu, broken).outcome, /^Cannot compile kernels\//);
    gpu.destroy();
  },
});
