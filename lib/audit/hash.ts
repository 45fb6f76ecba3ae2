/** SHA-256 of texts, shaders and plans. */

import { createHash } from "node:crypto";
import type { Plan, PlanShader } from "../gpu/plan.ts";

export const sha256 = (data: string | Uint8Array): string =>
  createHash("sha256").update(data).digest("hex");

/** Of all that decides what a pipeline computes: final text, constants and binding layout. */
export const shaderHash = ({ text, constants, layout }: PlanShader): string =>
  sha256(JSON.stringify([text, Object.entries(constants).sort(), layout]));

/** Of the whole Plan, shaders by their text; the order of keys does not matter. */
export const planHash = (plan: Plan): string => sha256(canonical(plan));

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join(",")}}`;
}
