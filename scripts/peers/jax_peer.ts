/** The benchmark's peer in jax-js on WebGPU. Its argument is the package, as Deno imports it. */

// deno-lint-ignore-file no-explicit-any

import { floats, type Ops, serve, type Setup, sinusoids, unet, type Work } from "./unet.ts";

const jax: any = await import(Deno.args[0]);
const { numpy: np, lax, nn, jit, valueAndGrad } = jax;

let setup: Setup;
let params: Record<string, any>;
let job: { work: Work; run: () => Promise<void> };
let result: any;

/**
 * Arrays are counted references that every function uses up; whatever may be used again is passed
 * as `.ref`. Traced under jit, what is left over costs nothing.
 */
function opsOf(parameters: Record<string, any>): Ops<any> {
  const shape = (x: any): number[] => x.shape;
  const channels = (x: any) => x.ref.reshape([1, shape(x)[0], 1, 1]);
  const silu = (x: any) => nn.silu(x.ref);
  const conv = (x: any, w: any, b: any, stride: number, padding: number) => {
    const pads = [[padding, padding], [padding, padding]];
    const y = lax.convGeneralDilated(x.ref, w.ref, [stride, stride], pads);
    return y.add(channels(b));
  };
  const linear = (x: any, w: any, b: any) => np.matmul(x.ref, np.transpose(w.ref)).add(b.ref);
  return {
    parameter: (name) => parameters[name],
    conv,
    groupNorm(x, w, b, groups, eps, active) {
      const [n, c, height, width] = shape(x);
      const g = x.ref.reshape([n, groups, (c / groups) * height * width]);
      const centred = g.ref.sub(np.mean(g, 2, { keepdims: true }));
      const variance = np.mean(np.square(centred.ref), 2, { keepdims: true });
      const normal = centred.div(np.sqrt(variance.add(eps))).reshape([n, c, height, width]);
      const y = normal.mul(channels(w)).add(channels(b));
      return active ? nn.silu(y) : y;
    },
    linear,
    silu,
    add: (a, b) => a.ref.add(b.ref),
    addChannel: (x, y) => x.ref.add(y.ref.reshape([...shape(y), 1, 1])),
    concat: (a, b) => np.concatenate([a.ref, b.ref], 1),
    upsample(x) {
      const [n, c, height, width] = shape(x);
      const wide = np.broadcastTo(x.ref.reshape([n, c, height, 1, width, 1]), [
        n,
        c,
        height,
        2,
        width,
        2,
      ]);
      return wide.reshape([n, c, 2 * height, 2 * width]);
    },
    attention(q, k, v, heads) {
      const [n, c, height, width] = shape(q);
      const split = (x: any) => x.ref.reshape([n * heads, c / heads, height * width]);
      const rows = (x: any) => np.transpose(split(x), [0, 2, 1]);
      const scores = np.matmul(rows(q), split(k)).mul(1 / Math.sqrt(c / heads));
      const y = np.matmul(nn.softmax(scores, 2), rows(v));
      return np.transpose(y, [0, 2, 1]).reshape([n, c, height, width]);
    },
    project: (x, w, b) => conv(x, w.ref.reshape([...shape(w), 1, 1]), b, 1, 0),
    channels: (x) => shape(x)[1],
  };
}

const array = (data: Float32Array, shape: readonly number[]) => np.array(data).reshape([...shape]);

const copyOf = (tree: Record<string, any>) =>
  Object.fromEntries(Object.entries(tree).map(([name, x]) => [name, x.ref]));

function forwardStep({ batch, size, t }: Work, sample: Float32Array) {
  const { unet: config } = setup;
  const { flip_sin_to_cos: flip, freq_shift: shift, block_out_channels: [dim] } = config;
  const forward = jit((p: any, x: any, time: any) => unet(opsOf(p), config, x, time));
  const x = array(sample, [batch, sample.length / batch / size / size, size, size]);
  const time = array(sinusoids(t, dim, flip, shift), [batch, dim]);
  return async () => {
    result?.dispose();
    result = forward(copyOf(params), x.ref, time.ref);
    await jax.blockUntilReady(result);
  };
}

/** noise, forward, mean square, gradients of all, AdamW. */
function trainingStep({ batch, size, t }: Work) {
  const { unet: config } = setup;
  const { flip_sin_to_cos: flip, freq_shift: shift, block_out_channels: [dim] } = config;
  const pixels = (n: number) => Float32Array.from({ length: n }, () => 2 * Math.random() - 1);
  const lossOf = (p: any, x: any, time: any, noise: any) => {
    const y = unet(opsOf(p), config, x, time);
    return np.mean(np.square((y as any).sub(noise)));
  };
  const [lr, b1, b2, eps, decay] = [1e-5, 0.9, 0.999, 1e-8, 0.01];
  const step = jit((p: any, m: any, v: any, x: any, time: any, noise: any, count: any) => {
    const [loss, grads] = valueAndGrad(lossOf)(copyOf(p), x, time, noise);
    const next: Record<string, any>[] = [{}, {}, {}];
    const left = (beta: number) => np.subtract(1, np.power(beta, count.ref));
    const [c1, c2] = [left(b1), left(b2)];
    for (const name of Object.keys(p)) {
      const g = grads[name];
      const m1 = m[name].mul(b1).add(g.ref.mul(1 - b1));
      const v1 = v[name].mul(b2).add(np.square(g).mul(1 - b2));
      const update = m1.ref.div(c1.ref).div(np.sqrt(v1.ref.div(c2.ref)).add(eps));
      next[0][name] = p[name].mul(1 - lr * decay).sub(update.mul(lr));
      next[1][name] = m1;
      next[2][name] = v1;
    }
    return [loss, ...next];
  });
  let [p, m, v] = [copyOf(params), {}, {}] as Record<string, any>[];
  for (const [name, x] of Object.entries(params)) {
    m[name] = np.zeros(x.shape);
    v[name] = np.zeros(x.shape);
  }
  let count = 0;
  const time = array(sinusoids(t, dim, flip, shift), [batch, dim]);
  return async () => {
    const x = array(pixels(batch * 3 * size * size), [batch, 3, size, size]);
    const noise = array(pixels(batch * size * size), [batch, 1, size, size]);
    let loss: any;
    [loss, p, m, v] = step(p, m, v, x, time.ref, noise, np.array(++count));
    await jax.blockUntilReady([...Object.values(p)].map((a: any) => a.ref));
    loss.dispose();
  };
}

await serve({
  async setup(given) {
    setup = given;
    const devices = await jax.init("webgpu");
    if (!devices.includes("webgpu")) throw new Error("it has no WebGPU device");
    jax.defaultDevice("webgpu");
    const flat = await floats(`${given.folder}/weights.bin`);
    params = Object.fromEntries(given.specs.map(({ name, shape, offset }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [name, array(flat.slice(offset, offset + size), shape)];
    }));
    return { version: Deno.args[0].replace(/^npm:/, "") };
  },
  async prepare(work) {
    const run = work.what === "forward"
      ? forwardStep(work, await floats(`${setup.folder}/sample.bin`))
      : trainingStep(work);
    job = { work, run };
    await run();
  },
  run: () => job.run(),
  output: async () => await result.ref.data(),
});
