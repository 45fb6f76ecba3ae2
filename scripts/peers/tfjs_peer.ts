/** The benchmark's peer in TensorFlow.js on WebGPU. Arguments: its package, its backend's package. */

// deno-lint-ignore-file no-explicit-any

import { floats, type Ops, serve, type Setup, sinusoids, unet, type Work } from "./unet.ts";

// The library looks for a browser's or Node's globals when it is loaded.
(globalThis as any).window ??= globalThis;
const tf: any = await import(Deno.args[0]);
await import(Deno.args[1]);

let setup: Setup;
const params = new Map<string, any>();
let run: () => Promise<void>;
let result: any;

/** Images are [N,H,W,C] here: the backend convolves no others. */
const ops: Ops<any> = {
  parameter: (name) => params.get(name),
  conv: (x, w, b, stride, padding) =>
    tf.add(tf.conv2d(x, w, stride, padding ? padding : "valid", "NHWC"), b),
  groupNorm(x, w, b, groups, eps, active) {
    const [n, height, width, c] = x.shape;
    const g = tf.reshape(x, [n, height * width, groups, c / groups]);
    const centred = tf.sub(g, tf.mean(g, [1, 3], true));
    const variance = tf.mean(tf.square(centred), [1, 3], true);
    const normal = tf.reshape(tf.div(centred, tf.sqrt(tf.add(variance, eps))), x.shape);
    const y = tf.add(tf.mul(normal, w), b);
    return active ? tf.mul(y, tf.sigmoid(y)) : y;
  },
  linear: (x, w, b) => tf.add(tf.matMul(x, w, false, true), b),
  silu: (x) => tf.mul(x, tf.sigmoid(x)),
  add: (a, b) => tf.add(a, b),
  addChannel: (x, y) => tf.add(x, tf.reshape(y, [y.shape[0], 1, 1, y.shape[1]])),
  concat: (a, b) => tf.concat([a, b], 3),
  upsample: (x) => tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]),
  attention(q, k, v, heads) {
    const [n, height, width, c] = q.shape;
    const split = (x: any) =>
      tf.transpose(tf.reshape(x, [n, height * width, heads, c / heads]), [0, 2, 1, 3]);
    const scores = tf.mul(tf.matMul(split(q), split(k), false, true), 1 / Math.sqrt(c / heads));
    const y = tf.matMul(tf.softmax(scores), split(v));
    return tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [n, height, width, c]);
  },
  project(x, w, b) {
    const [n, height, width, c] = x.shape;
    const y = ops.linear(tf.reshape(x, [n * height * width, c]), w, b);
    return tf.reshape(y, [n, height, width, w.shape[0]]);
  },
  channels: (x) => x.shape[3],
};

/** Waits for the device: reading one number back is the only sure way. */
async function settle(x: any): Promise<void> {
  const one = tf.tidy(() => tf.slice(tf.reshape(x, [-1]), 0, 1));
  await one.data();
  one.dispose();
}

function timeOf({ batch, t }: Work): any {
  const { flip_sin_to_cos: flip, freq_shift: shift, block_out_channels: [dim] } = setup.unet;
  return tf.tensor2d(sinusoids(t, dim, flip, shift), [batch, dim]);
}

function forwardStep(work: Work, sample: Float32Array): () => Promise<void> {
  const { batch, size } = work;
  const planes = tf.tensor4d(sample, [batch, sample.length / batch / size / size, size, size]);
  const x = tf.transpose(planes, [0, 2, 3, 1]);
  const time = timeOf(work);
  return async () => {
    result?.dispose();
    result = tf.tidy(() => unet(ops, setup.unet, x, time));
    await settle(result);
  };
}

function trainingStep(work: Work): () => Promise<void> {
  const { batch, size } = work;
  const time = timeOf(work);
  // Its AdamW is Adam: the decay of the weights is left out.
  const optimizer = tf.train.adam(1e-5);
  return async () => {
    const loss = optimizer.minimize(() => {
      const noise = tf.randomNormal([batch, size, size, 1]);
      const x = tf.concat([tf.randomUniform([batch, size, size, 2], -1, 1), noise], 3);
      return tf.mean(tf.square(tf.sub(unet(ops, setup.unet, x, time), noise)));
    }, true);
    await settle(loss);
    await settle(params.get("conv_in.weight"));
    loss.dispose();
  };
}

await serve({
  async setup(given) {
    setup = given;
    if (!await tf.setBackend("webgpu")) throw new Error("it has no WebGPU backend");
    await tf.ready();
    const flat = await floats(`${given.folder}/weights.bin`);
    for (const { name, shape, offset } of given.specs) {
      const size = shape.reduce((a, b) => a * b, 1);
      const values = tf.tensor(flat.slice(offset, offset + size), [...shape]);
      // [Co,Ci,Kh,Kw] → [Kh,Kw,Ci,Co]
      const placed = shape.length === 4 ? tf.transpose(values, [2, 3, 1, 0]) : values;
      params.set(name, tf.variable(placed, true, name));
    }
    return { version: Deno.args.map((name) => name.replace(/^npm:/, "")).join(", ") };
  },
  async prepare(work) {
    run = work.what === "forward"
      ? forwardStep(work, await floats(`${setup.folder}/sample.bin`))
      : trainingStep(work);
    await run();
  },
  run: () => run(),
  output: async () => await tf.transpose(result, [0, 3, 1, 2]).data(),
});
