/** Which tensors share memory: views, packed tensors, and states updated in place. */

import type { Registry } from "../graph/op.ts";
import { bytesPer, type Node, sizeOf, sourceName } from "../graph/tensor.ts";
import { type Allocation, allocation, type Place } from "./schedule.ts";

/**
 * Resolves each tensor of `nodes` to its place.
 *
 * - views: the input's memory, at an offset.
 * - packs: every input is produced right inside the packed tensor; nothing is copied.
 * - in-place ops: the output takes over the memory of a state (or of a tensor not used any more).
 *
 * @throws where a packed tensor is an input, a state, or packed twice, and where an old value is
 * read after it was overwritten.
 */
export function resolveAliases(
  nodes: readonly Node[],
  registry: Registry,
): Map<string, Place> {
  const packed = new Map<string, Place>();
  const own = new Map<string, Allocation>();
  const ownOf = (key: string) => {
    const known = own.get(key) ?? allocation(key);
    own.set(key, known);
    return known;
  };
  const aliasOf = ({ op, attrs }: Node) => registry[op]?.alias?.(attrs);
  for (const node of nodes) {
    const pack = aliasOf(node);
    if (pack?.kind !== "pack") continue;
    node.inputs.forEach((t, i) => {
      // A reshape of a computed tensor is placed by placing what it is a view of.
      let base = t;
      while (aliasOf(base.node)?.kind === "view") base = base.node.inputs[0];
      const free = !packed.has(base.key) && sourceName(base.node) === undefined &&
        aliasOf(base.node)?.kind !== "pack" && sizeOf(base.shape) === t.size &&
        !registry[base.node.op].inPlace;
      if (!free) {
        throw new Error(`Cannot pack "${t.node.scope}": ${base.node.op} has its memory elsewhere`);
      }
      packed.set(base.key, {
        allocation: ownOf(`${node.id}:0`),
        offset: pack.offsets[i] * 4,
      });
    });
  }

  const places = new Map<string, Place>();
  const overwritten = new Map<Allocation, { by: Node; old: string }>(); // by its last writer in place
  for (const node of nodes) {
    for (const t of node.inputs) {
      const place = places.get(t.key)!;
      const last = overwritten.get(place.allocation);
      if (last && last.old === t.key) {
        throw new Error(
          `Cannot plan ${node.op} "${node.scope}": it reads a value that ` +
            `${last.by.op} "${last.by.scope}" has overwritten`,
        );
      }
    }
    node.outputs.forEach((_, i) => {
      const key = `${node.id}:${i}`;
      const shared = registry[node.op]?.inPlace?.[i];
      const alias = aliasOf(node);
      if (alias?.kind === "view") {
        const from = places.get(node.inputs[0].key)!;
        places.set(key, {
          allocation: from.allocation,
          offset: from.offset + alias.offset * bytesPer(node.outputs[0].dtype),
        });
      } else if (shared !== undefined) {
        const from = places.get(node.inputs[shared].key)!;
        places.set(key, from);
        overwritten.set(from.allocation, { by: node, old: node.inputs[shared].key });
      } else {
        places.set(key, packed.get(key) ?? { allocation: ownOf(key), offset: 0 });
      }
    });
  }
  return places;
}
