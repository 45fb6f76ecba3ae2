/**
 * One step as Chrome's trace-event JSON, which Perfetto (ui.perfetto.dev) and chrome://tracing draw.
 * Source: "Trace Event Format", Google, 2016: complete events ("X"), times in microseconds.
 */

import type { PlannedStep } from "./steps.ts";
import { OPS } from "../ops/mod.ts";

interface CompleteEvent {
  readonly name: string;
  readonly cat: string;
  readonly ph: "X";
  readonly ts: number;
  readonly dur: number;
  readonly pid: 1;
  readonly tid: number;
  readonly args: Readonly<Record<string, string | number>>;
}

interface MetadataEvent {
  readonly name: "process_name" | "thread_name" | "thread_sort_index";
  readonly ph: "M";
  readonly pid: 1;
  readonly tid: number;
  readonly args: Readonly<Record<string, string | number>>;
}

export interface TraceFile {
  readonly displayTimeUnit: "ms";
  readonly otherData: Readonly<Record<string, string | number>>;
  readonly traceEvents: readonly (CompleteEvent | MetadataEvent)[];
}

/** Rows of the drawing: what is nested lies below. */
const ROWS = ["phase", "layer", "kernel"] as const;

interface Span {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

/** Neighbours of one name as one. */
function merged(spans: readonly Span[]): Span[] {
  const all: Span[] = [];
  for (const span of spans) {
    const last = all.at(-1);
    if (last?.name === span.name) all[all.length - 1] = { ...last, end: span.end };
    else all.push(span);
  }
  return all;
}

/** `down_blocks.0.resnets.1.conv2` is of the layer `down_blocks.0.resnets.1`. */
const layerOf = (scope: string) => scope.split(".").slice(0, 4).join(".") || "outside";

/**
 * @param times begin and end of each dispatch of the plan, in nanoseconds (`Executable.timeline`).
 * @param about what else the file says: adapter, model, size.
 */
export function traceFile(
  { graph, plan }: Pick<PlannedStep, "graph" | "plan">,
  times: readonly (readonly [number, number])[],
  about: TraceFile["otherData"],
): TraceFile {
  const micro = (nanoseconds: number) => nanoseconds / 1000;
  const event = (
    row: number,
    { name, begin, end }: Span,
    cat: string,
    args: CompleteEvent["args"] = {},
  ): CompleteEvent => ({
    ...{ name, cat, ph: "X", ts: micro(begin), dur: micro(end - begin), pid: 1, tid: row, args },
  });
  const spans = (name: (i: number) => string) =>
    merged(times.map(([begin, end], i) => ({ name: name(i), begin, end })));
  const { dispatches } = plan;
  const kernels = dispatches.map((d, i) => {
    const [begin, end] = times[i];
    const node = graph.nodes[d.node];
    const { flops, bytes } = OPS[d.op as keyof typeof OPS].cost(
      node.inputs,
      node.outputs,
      node.attrs,
    );
    const name = [d.op, d.scope, d.note].filter(Boolean).join(" ");
    return event(2, { name, begin, end }, d.phase, {
      ...{ op: d.op, layer: d.scope, variant: d.variant, file: plan.shaders[d.shader].file },
      inputs: node.inputs.slice(0, 4).map((t) => `[${t.shape}]`).join(" "),
      workgroups: d.workgroups.join("×"),
      // Of the whole node, which may be several dispatches.
      ...{ flops, bytes },
    });
  });
  return {
    displayTimeUnit: "ms",
    otherData: about,
    traceEvents: [
      { name: "process_name", ph: "M", pid: 1, tid: 0, args: { name: String(about.adapter) } },
      ...ROWS.flatMap((name, tid): MetadataEvent[] => [
        { name: "thread_name", ph: "M", pid: 1, tid, args: { name } },
        { name: "thread_sort_index", ph: "M", pid: 1, tid, args: { sort_index: tid } },
      ]),
      ...spans((i) => dispatches[i].phase).map((s) => event(0, s, "phase")),
      ...spans((i) => layerOf(dispatches[i].scope)).map((s) => event(1, s, "layer")),
      ...kernels,
    ],
  };
}
