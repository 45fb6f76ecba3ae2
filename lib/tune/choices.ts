/** Which variants of the kernels are the fastest, as measured, for the planner. */

import type { Variant } from "../graph/op.ts";
import type { Node } from "../graph/tensor.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { formKey, formOf } from "./check.ts";

/** Of one form (op, shapes, attributes). */
export interface Choice {
  /** Fastest first; those that computed wrongly are not among them. */
  readonly variants: readonly {
    readonly name: string;
    readonly milliseconds: number;
    /** Hash of what it ran: other kernels need other measurements. */
    readonly kernel: string;
  }[];
}

export type Choices = Readonly<Record<string, Choice>>;

/** FNV-1a of 53 bits, as hexadecimal: tells texts apart, nothing more. */
export function hashText(text: string): string {
  let a = 0x811c9dc5, b = 0x1000193;
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193) >>> 0;
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b) >>> 0;
  }
  return a.toString(16).padStart(8, "0") + b.toString(16).padStart(8, "0");
}

/** Of all that a variant runs: texts, constants, parameters, grids. */
export const kernelHash = (variant: Variant): string => hashText(JSON.stringify(variant.build()));

/** A planner's choice by measurements; what was not measured takes the first variant offered. */
export function chooseBy(choices: Choices): NonNullable<PlanOptions["choose"]> {
  return (node: Node, variants: readonly Variant[]) => {
    if (variants.length < 2) return variants[0];
    // An `--exact` plan offers fewer variants than were measured: the fastest of those offered.
    for (const { name, kernel } of choices[formKey(formOf(node))]?.variants ?? []) {
      const variant = variants.find((v) => v.name === name);
      if (variant && kernelHash(variant) === kernel) return variant;
    }
    return variants[0];
  };
}
