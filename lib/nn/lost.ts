/** What no output of a graph depends on, whatever the data: read off the graph, backwards. */

import { Graph } from "../graph/graph.ts";
import { attrsOf } from "../graph/op.ts";
import { type Node, sizeOf, type Tensor } from "../graph/tensor.ts";
import { conv2dOp } from "../ops/conv2d/op.ts";
import { groupNormApplyOp, groupNormStatsOp } from "../ops/group_norm/op.ts";
import type { UNet2DConfig } from "./config.ts";
import { FlatParameters } from "./parameters.ts";
import { unet2D, unet2DParameters } from "./unet_2d.ts";

/** How much of a tensor goes lost on every way to the outputs, and what takes it away. */
export interface Lost {
  /** A number added to all pixels of a channel of an image, or everything. */
  readonly what: "constants" | "all";
  readonly why: string;
}

const ALL = (why: string): Lost => ({ what: "all", why });

/**
 * Goes through the forward nodes from the last to the first. What is lost of a tensor is the least of
 * what each node that reads it loses, given what is lost of that node's result:
 * - a group norm of one channel a group subtracts the channel's mean; with a single pixel that is all;
 * - the softmax of an attention takes away a number added to all scores of a query, so what adds the
 *   same to all keys; with a single key it is 1 whatever the scores are;
 * - sums, 1×1 convolutions, biases and weighted means carry a constant on as a constant.
 *
 * An op that is not known here loses its inputs only where all of its result is lost.
 *
 * @param outputs what counts. @returns key of a tensor → what of it is lost; absent: nothing.
 */
export function lostTensors(graph: Graph, outputs: readonly Tensor[]): Map<string, Lost> {
  const lost = new Map<string, Lost>();
  const seen = new Set(outputs.map((t) => t.key));
  const nothing = new Set(seen);
  const statsOnly = statisticsOfNorms(graph);
  for (const node of graph.nodes.filter((n) => n.phase === "forward").toReversed()) {
    // A result that nothing reads is lost by itself.
    const results = node.outputs.map((type, i) => {
      const key = `${node.id}:${i}`;
      if (!seen.has(key)) return ALL("nothing reads it");
      const of = nothing.has(key) ? undefined : lost.get(key);
      // The one pixel of a channel is all of the channel.
      const isPixel = of && type.shape.length === 4 && type.shape[2] * type.shape[3] === 1;
      return isPixel ? ALL(of.why) : of;
    });
    results.forEach((of, i) => of && lost.set(`${node.id}:${i}`, of));
    if (statsOnly.has(node.id)) continue;
    node.inputs.forEach((t, i) => {
      const now = lossOf(node, i, results, statsOnly);
      const before = seen.has(t.key) ? nothing.has(t.key) ? undefined : lost.get(t.key) : now;
      seen.add(t.key);
      if (!now || !before) {
        nothing.add(t.key);
        lost.delete(t.key);
      } else lost.set(t.key, before.what === "constants" ? before : now);
    });
  }
  return lost;
}

/** Statistics that only group norms of the same tensor read: part of those, counted there. */
function statisticsOfNorms(graph: Graph): Set<number> {
  const found = new Set<number>();
  const readers = new Map<number, Node[]>();
  for (const node of graph.nodes) {
    if (node.phase !== "forward") continue;
    for (const { node: { id } } of node.inputs) readers.set(id, [...readers.get(id) ?? [], node]);
  }
  for (const node of graph.nodes) {
    const { id, inputs } = node;
    const stats = attrsOf(node, groupNormStatsOp);
    const isPart = stats &&
      (readers.get(id) ?? []).every((reader) =>
        attrsOf(reader, groupNormApplyOp)?.groups === stats.groups &&
        reader.inputs[0].key === inputs[0].key && reader.inputs[1].node.id === id
      );
    if (isPart) found.add(id);
  }
  return found;
}

/** What of its i-th input a node loses. */
function lossOf(
  node: Node,
  i: number,
  results: readonly (Lost | undefined)[],
  statsOnly: ReadonlySet<number>,
): Lost | undefined {
  const all = results.every((of) => of?.what === "all") ? results[0] : undefined;
  if (all) return all;
  const [out] = results;
  /** A constant of the input is one of the result. */
  const asConstants = out;
  /** All of the input is a constant of the result. */
  const wholly = out && ALL(out.why);
  switch (node.op) {
    case "add":
      return asConstants;
    case "add_channel":
      return i === 0 ? asConstants : wholly;
    case "conv2d": {
      const { padding, extras = [] } = attrsOf(node, conv2dOp)!;
      const isPointwise = sizeOf(node.inputs[1].shape.slice(2)) === 1 &&
        padding.every((side) => side === 0);
      if (i === 0) return isPointwise ? asConstants : undefined;
      return extras[i - 2] === "bias" ? wholly : undefined;
    }
    case "conv2d_upsampled":
      return i === 2 ? wholly : undefined;
    case "group_norm_apply": {
      const [x, stats] = node.inputs;
      const { groups } = attrsOf(node, groupNormApplyOp)!;
      const isAlone = groups === x.shape[1] && statsOnly.has(stats.node.id);
      const isPixel = sizeOf(x.shape.slice(2)) === 1;
      const why = `the group norm ${node.scope} has one channel a group and subtracts its mean`;
      if (!isAlone) return undefined;
      if (isPixel && (i === 0 || i === 2)) return ALL(why); // the weight too: it multiplies 0
      return i === 0 ? { what: "constants", why } : undefined;
    }
    case "attention": {
      const [, k] = node.inputs, isSingle = sizeOf(k.shape.slice(2)) === 1;
      const why = isSingle
        ? `the softmax of ${node.scope} over a single key is 1`
        : `the softmax of ${node.scope} takes a number added to all scores away`;
      if (i === 2) return asConstants;
      if (isSingle) return ALL(why);
      return i === 1 ? { what: "constants", why } : undefined;
    }
    default:
      return undefined;
  }
}

/**
 * Parameters of a model whose gradient is zero in exact arithmetic whatever the data, and why; an
 * optimizer only turns the rounding noise of theirs into steps. `sample`: the input's is zero too.
 */
export function zeroGradients(
  config: UNet2DConfig,
  height: number,
  width: number,
): { readonly parameters: ReadonlyMap<string, string>; readonly sample: boolean } {
  const layout = unet2DParameters(config);
  const graph = new Graph();
  const shape = [1, config.in_channels, height, width];
  const sample = graph.input("sample", { shape, dtype: "f32" });
  const timestep = graph.input("timestep", { shape: [1], dtype: "i32" });
  const params = graph.state("params", { shape: [layout.size], dtype: "f32" });
  const source = new FlatParameters(params, layout);
  const lost = lostTensors(graph, [unet2D(config, source, sample, timestep)]);
  const parameters = new Map<string, string>();
  for (const { name } of layout.specs) {
    const of = lost.get(source.views.get(name)!.key);
    if (of?.what === "all") parameters.set(name, of.why);
  }
  return { parameters, sample: lost.get(sample.key)?.what === "all" };
}
