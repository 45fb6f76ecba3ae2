/** The filter `OP=conv2d,silu`: these ops, and every op that their gradients are made of. */

import { caseGraph } from "../../lib/audit/cases.ts";
import { gradients } from "../../lib/graph/autograd.ts";
import type { OpDef } from "../../lib/graph/op.ts";
import { OPS } from "../../lib/ops/mod.ts";

const registry: Record<string, OpDef> = OPS;

/** The ops that the gradients of an op's cases are made of. */
function gradientOps(def: OpDef): string[] {
  if (def.vjp === "non-differentiable") return [];
  return def.cases.flatMap((test) => {
    const { graph, inputs, outputs: [y] } = caseGraph(def, test);
    const seed = graph.input("seed", y), before = graph.nodes.length;
    for (const t of inputs.filter((t) => t.dtype === "f32")) {
      try {
        gradients(graph, OPS, y, seed, [t]);
      } catch (error) {
        // Not every input has a gradient, and fused ops have none.
        if (!/no influence|a fused/.test((error as Error).message)) throw error;
      }
    }
    return graph.nodes.slice(before).map((node) => node.op);
  }).filter((name) => !["input", "state"].includes(name));
}

/**
 * @param filter names separated by commas, `NAME!` for an op without those of its gradient; nothing for
 *   all ops.
 * @throws Error naming what is no op: a filter that matches nothing must not pass.
 */
export function opsToTest(filter = Deno.env.get("OP")): Map<string, OpDef> {
  if (filter === undefined) return new Map(Object.entries(registry));
  const wanted = new Set<string>();
  for (const text of filter.split(",")) {
    const name = text.trim().replace(/!$/, "");
    const def = registry[name];
    if (!def) {
      throw new Error(
        `OP=${filter}: no op "${name}"; there is ${Object.keys(registry).join(", ")}`,
      );
    }
    wanted.add(name);
    if (!text.trim().endsWith("!")) { for (const op of gradientOps(def)) wanted.add(op); }
  }
  return new Map(Object.entries(registry).filter(([name]) => wanted.has(name)));
}
