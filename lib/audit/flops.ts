/** Our totals beside an independent count: PyTorch's flop counter (tests/reference/make_flops.py). */

import torch from "./torch_flops.json" with { type: "json" };
import type { AuditDispatch, AuditReport } from "./report.ts";

/** Largest accepted difference; ours counts the additions of biases too, PyTorch's does not. */
export const FLOPS_TOLERANCE = 0.01;

export interface FlopsComparison {
  readonly what: string;
  readonly ours: number;
  readonly torch: number;
  /** ours / torch − 1. */
  readonly difference: number;
  /** False where both count different algorithms, with the reason in `what`. */
  readonly bound: boolean;
}

/** Empty where nothing was recorded for the preset. */
export function compareFlops(report: AuditReport): FlopsComparison[] {
  const counts = torch.counts as Record<
    string,
    { batch: number; side: number; total: number; by_op: Record<string, number> }
  >;
  const forward = counts[`${report.preset}-forward`];
  const whole = counts[`${report.preset}-${report.step}`];
  if (!forward || !whole || whole.batch !== report.batch) return [];
  // PyTorch convolves the doubled image: nine products for each pixel and channel, ours four.
  const flops = ({ op, flops }: AuditDispatch) =>
    op.startsWith("conv2d_upsampled") ? flops * 9 / 4 : flops;
  const sum = (test: RegExp, phase?: string) =>
    report.dispatches.filter((d) => test.test(d.op) && (!phase || d.phase === phase))
      .reduce((total, d) => total + flops(d), 0);
  const layers = /^(conv2d|linear)(?!.*bias)/;
  const row = (what: string, ours: number, theirs: number, bound = true): FlopsComparison => ({
    what,
    ours,
    torch: theirs,
    difference: ours / theirs - 1,
    bound,
  });
  const attention = (c: typeof whole) => c.by_op["aten.bmm"];
  const rows = [
    row(
      "convolutions and linear layers, forward",
      sum(layers, "forward"),
      (forward.total - attention(forward)) * whole.batch,
    ),
    row(
      "attention, forward",
      sum(/^attention$/, "forward"),
      attention(forward) * whole.batch,
    ),
  ];
  if (report.step !== "train") return rows;
  const ours = sum(/^attention_backward$/);
  const theirs = attention(whole) - attention(forward) * whole.batch;
  return [
    ...rows,
    row(
      "convolutions and linear layers, forward and backward",
      sum(layers),
      whole.total - attention(whole),
    ),
    // The kernels keep no T×T matrix: queries' and keys' gradients each form it again.
    row("attention, backward (ours forms the scores again, twice)", ours, theirs, false),
    row(
      "all of these, without that repetition",
      sum(layers) + sum(/^attention$/, "forward") + theirs,
      whole.total,
    ),
  ];
}
