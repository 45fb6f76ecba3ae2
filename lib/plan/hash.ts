/** SHA-256 of texts, shaders and plans, by WebCrypto: in Deno and in browsers alike. */

import type { Plan, PlanShader } from "./plan.ts";

/** In hexadecimal digits. */
export async function sha256(data: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Of all that decides what a pipeline computes: final text, constants and binding layout. */
export const shaderHash = ({ text, constants, layout }: PlanShader): Promise<string> =>
  sha256(JSON.stringify([text, Object.entries(constants).sort(), layout]));

/** Of the whole Plan, shaders by their text; the order of keys does not matter. */
export const planHash = (plan: Plan): Promise<string> => sha256(canonical(plan));

/** JSON with sorted keys and without spaces: equal for equal values. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${canonical(v)}`).join(",")}}`;
}
