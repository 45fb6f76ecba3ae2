/** Gradients that the graph says are zero are those that float64 finds to be zero, in every kind of model. */

import assert from "node:assert/strict";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import type { Tensor } from "../../lib/graph/tensor.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { unet2DConfig } from "../../lib/nn/config.ts";
import { lostTensors, zeroGradients } from "../../lib/nn/lost.ts";
import { FlatParameters } from "../../lib/nn/parameters.ts";
import { unet2D, unet2DParameters } from "../../lib/nn/unet_2d.ts";
import { addChannel } from "../../lib/ops/channel/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { groupNorm, groupNormApplyOp, groupNormStats } from "../../lib/ops/group_norm/op.ts";
import { mse } from "../../lib/ops/mse/op.ts";
import { OPS } from "../../lib/ops/mod.ts";

interface Shape {
  readonly channels: number[];
  readonly groups: number;
  readonly size: [number, number];
  readonly attention?: number[];
  readonly [option: string]: unknown;
}

const MODELS: Record<string, Shape> = {
  "one channel a group": { channels: [4, 8], groups: 4, size: [4, 6] },
  "one level, one channel a group": { channels: [4], groups: 4, size: [3, 2] },
  "a 1×1 lowest level, two channels a group": { channels: [4, 8], groups: 4, size: [2, 2] },
  "a 1×1 lowest level, one channel a group there": { channels: [4, 4], groups: 4, size: [2, 2] },
  "a single pixel": { channels: [4], groups: 4, size: [1, 1] },
  "a single pixel, two channels a group": {
    ...{ channels: [4], groups: 2, size: [1, 1], norm_eps: 0.1 },
  },
  "attention in a level of one channel a group": {
    ...{ channels: [4, 4], groups: 4, size: [4, 4], attention: [0, 1], layers_per_block: 2 },
  },
  "a 1×1 level of three, no attention": {
    ...{ channels: [4, 4, 8], groups: 2, size: [4, 4], add_attention: false },
  },
  "one group": { channels: [4, 8], groups: 1, size: [4, 4], attention: [1] },
};

function configOf({ channels, groups, size, attention = [], ...options }: Shape) {
  const down = channels.map((_, i) => attention.includes(i) ? "AttnDownBlock2D" : "DownBlock2D");
  return unet2DConfig({
    sample_size: size,
    out_channels: 1,
    block_out_channels: channels,
    norm_num_groups: groups,
    down_block_types: down,
    up_block_types: down.toReversed().map((name) => name.replace("Down", "Up")),
    attention_head_dim: 4,
    layers_per_block: 1,
    ...options,
  }, "test");
}

/** Names whose gradient float64 finds to be nothing but rounding. */
function zeroInFloat64(config: ReturnType<typeof configOf>, [height, width]: [number, number]) {
  const layout = unet2DParameters(config), graph = new Graph();
  const sample = graph.input("sample", { shape: [2, 3, height, width], dtype: "f32" });
  const timestep = graph.input("timestep", { shape: [2], dtype: "i32" });
  const source = new FlatParameters(
    graph.state("params", { shape: [layout.size], dtype: "f32" }),
    layout,
  );
  const y = unet2D(config, source, sample, timestep);
  const loss = mse(y, graph.input("target", y));
  const wrt = [sample, ...layout.specs.map(({ name }) => source.views.get(name)!)];
  const found = gradients(graph, OPS, loss, graph.input("one", loss), wrt);
  let state = 7;
  const noise = (count: number, scale = 1) =>
    Float64Array.from({ length: count }, () => {
      state = Math.imul(state, 1664525) + 1013904223 | 0;
      return scale * state / 2 ** 31;
    });
  const values = interpret(graph, OPS, {
    sample: noise(sample.size),
    timestep: [7, 431],
    params: noise(layout.size),
    target: noise(y.size),
    one: [1],
  });
  const norm = (i: number) => Math.hypot(...values.value(found[i]));
  const names = layout.specs.map(({ name }) => name);
  return {
    parameters: names.filter((_, i) => norm(i + 1) < 1e-13),
    smallest: Math.min(...names.map((_, i) => norm(i + 1)).filter((v) => v >= 1e-13)),
    sample: norm(0) < 1e-13,
  };
}

for (const [label, shape] of Object.entries(MODELS)) {
  Deno.test(`zero by construction, in the graph and in float64: ${label}`, () => {
    const config = configOf(shape);
    const goal = zeroInFloat64(config, shape.size);
    assert.ok(goal.smallest > 1e-11, `${goal.smallest} is hard to tell from zero`);
    const { parameters, sample } = zeroGradients(config, ...shape.size);
    assert.deepEqual([...parameters.keys()].toSorted(), goal.parameters.toSorted());
    assert.equal(sample, goal.sample);
  });
}

Deno.test("what a last group norm of one channel a group takes away: conv2 and the shortcut too", () => {
  const { parameters } = zeroGradients(configOf(MODELS["one level, one channel a group"]), 3, 2);
  for (const name of ["conv2.bias", "conv_shortcut.bias", "time_emb_proj.weight", "conv1.bias"]) {
    assert.ok(parameters.has(`up_blocks.0.resnets.1.${name}`), name);
  }
  assert.match(
    parameters.get("up_blocks.0.resnets.1.conv2.bias")!,
    /conv_norm_out has one channel/,
  );
  assert.match(parameters.get("mid_block.attentions.0.to_k.bias")!, /softmax of mid_block/);
});

Deno.test("a second reader, other groups or foreign statistics keep a constant", () => {
  const graph = new Graph(), image = { shape: [1, 4, 3, 3], dtype: "f32" } as const;
  const vector = { shape: [4], dtype: "f32" } as const;
  const v = graph.input("v", { shape: [1, 4], dtype: "f32" });
  const x = addChannel(graph.input("x", image), v);
  const [weight, bias] = [graph.input("weight", vector), graph.input("bias", vector)];
  const norm = (of: Tensor, groups = 4) => groupNorm(of, weight, bias, { groups, eps: 1e-5 });
  const kernel = graph.input("kernel", { shape: [4, 4, 3, 3], dtype: "f32" });
  const padded = norm(conv2d(x, kernel, { padding: 1 }));
  const others = groupNormStats(graph.input("z", image), { groups: 4, eps: 1e-5 });
  const inputs = [x, others, weight, bias];
  const foreign = graph.append(groupNormApplyOp, inputs, { groups: 4, silu: false })[0];
  // What is no output is read by nothing, and does not count.
  const of = (...outputs: Tensor[]) => lostTensors(graph, outputs).get(v.key)?.what;
  const alone = norm(x);
  assert.equal(of(alone), "all");
  for (const outputs of [[alone, x], [norm(x, 2)], [padded], [foreign], [alone, padded]]) {
    assert.equal(of(...outputs), undefined);
  }
});
