/**
 * Numeric probes: what a device makes of some forty WGSL expressions. Below WGSL a compiler may fuse a
 * multiplication with an addition, a driver may flush subnormal numbers, a chip has an exp of its own:
 * the specification allows it (docs/below_wgsl.md). The probes' results are a fingerprint of all of them.
 */

import { createHash } from "node:crypto";
import type { Gpu } from "../gpu/device.ts";
import { Executable } from "../gpu/runtime.ts";
import type { Plan, PlanSlot } from "../plan/plan.ts";
import { PhiloxStream } from "../random/philox.ts";
import { floatOf, ulpOf } from "./float.ts";
import { F16_PROBES, F32_PROBES, type Probe } from "./probes.ts";
import f16Text from "./probe_f16.wgsl" with { type: "text" };
import f32Text from "./probe_f32.wgsl" with { type: "text" };

export interface ProbeResult {
  readonly name: string;
  /** What it looks at: `a · b + c`. */
  readonly about: string;
  /** What was seen: `fused to one rounding`, or the largest error in ULP and what is allowed. */
  readonly verdict: string;
  /** Largest error against float64, of functions. */
  readonly ulp?: number;
  /** Whether WGSL's specification allows what was seen. */
  readonly allowed: boolean;
  /** First 16 digits of the SHA-256 of all result words, little-endian. */
  readonly digest: string;
}

export interface ProbeReport {
  /** SHA-256 of `name digest`, a line a probe: the same where all results are, bit for bit. */
  readonly fingerprint: string;
  readonly probes: readonly ProbeResult[];
}

/** Samples of each probe; the .wgsl files say the same. */
const SAMPLES = 1024;
const WORKGROUP = 64;
const NAN = 0x7fc00000;

/** NaN has many bit patterns, and which one it is means nothing. */
const canonical = (word: number) => Number.isNaN(floatOf(word)) ? NAN : word;

function operandsOf(probes: readonly Probe[]): Uint32Array<ArrayBuffer> {
  const x = new Uint32Array(probes.length * 4 * SAMPLES);
  probes.forEach((probe, p) => {
    const stream = new PhiloxStream(1, p); // the same numbers on every device
    const random = () => stream.nextUint32() / 2 ** 32;
    for (let i = 0; i < SAMPLES; i++) {
      probe.operands(random, i).forEach((word, k) => x[(4 * p + k) * SAMPLES + i] = word);
    }
  });
  return x;
}

/** A Plan of one dispatch, which needs no graph. */
function probePlan(file: string, text: string, count: number): Plan {
  const slot = (buffer: number, shape: number[]): PlanSlot => ({
    ...{ dtype: "u32", shape, buffer, offset: 0 },
    bytes: 4 * shape.reduce((a, b) => a * b),
  });
  const x = slot(0, [count, 4, SAMPLES]), y = slot(1, [count, SAMPLES]);
  return {
    buffers: [{ bytes: x.bytes, role: "input", name: "x" }, {
      ...{ bytes: y.bytes, role: "arena", name: "y" },
    }],
    textures: [],
    shaders: [{
      ...{ file, text },
      constants: { WORKGROUP },
      layout: [{ binding: 0, access: "read" }, { binding: 1, access: "read_write" }],
    }],
    dispatches: [{
      shader: 0,
      bindings: [
        { binding: 0, name: "x", buffer: 0, offset: 0, size: x.bytes },
        { binding: 1, name: "y", buffer: 1, offset: 0, size: y.bytes },
      ],
      workgroups: [SAMPLES / WORKGROUP, count, 1],
      stage: [],
      node: 0,
      op: "probe",
      scope: file,
      phase: "forward",
      variant: "",
      note: "",
    }],
    params: [],
    inputs: { x },
    states: {},
    outputs: { y },
    copies: [],
    tensors: {},
  };
}

/** What the results of one probe say. @param x [4, SAMPLES]. @param y [SAMPLES]. */
export function judge(probe: Probe, x: Uint32Array, y: Uint32Array): ProbeResult {
  const { name, about, exact, allowed, limit, readings } = probe;
  const words = probe.givesWords ? y : y.map(canonical);
  const bytes = new DataView(new ArrayBuffer(4 * SAMPLES));
  words.forEach((word, i) => bytes.setUint32(4 * i, word, true));
  const digest = createHash("sha256").update(new Uint8Array(bytes.buffer)).digest("hex").slice(
    0,
    16,
  );
  const operand = (k: number, i: number) => {
    const word = x[k * SAMPLES + i];
    return probe.ofWords ? word : floatOf(word);
  };
  if (readings) {
    const found = Object.entries(readings).find(([, reading]) =>
      words.every((word, i) => {
        const [a, b, c, d] = [0, 1, 2, 3].map((k) => operand(k, i));
        const wanted = reading(a, b, c, d) >>> 0;
        return word === (probe.givesWords ? wanted : canonical(wanted));
      })
    );
    const verdict = found?.[0] ?? `none of: ${Object.keys(readings).join(", ")}`;
    return { name, about, verdict, allowed: found !== undefined, digest };
  }
  let ulp = 0, isAllowed = true;
  for (let i = 0; i < SAMPLES; i++) {
    const [a, b] = [operand(0, i), operand(1, i)];
    const wanted = exact!(a, b), error = Math.abs(floatOf(words[i]) - wanted);
    // A NaN where a number should be is as wrong as can be.
    ulp = Math.max(ulp, Number.isNaN(error) ? Infinity : error / ulpOf(wanted));
    if (allowed && !(error <= allowed(a, wanted))) isAllowed = false;
  }
  const bound = limit ? ` (WGSL: ${limit})` : "";
  return { name, about, verdict: `${ulp.toFixed(2)} ULP${bound}`, ulp, allowed: isAllowed, digest };
}

async function runProbes(
  gpu: Gpu,
  file: string,
  text: string,
  probes: readonly Probe[],
): Promise<ProbeResult[]> {
  const exe = await Executable.load(gpu, probePlan(file, text, probes.length), { poison: true });
  try {
    const x = operandsOf(probes);
    exe.write("x", x);
    exe.run();
    const y = new Uint32Array(await exe.readBytes("y"));
    return probes.map((probe, p) =>
      judge(
        probe,
        x.subarray(4 * p * SAMPLES, 4 * (p + 1) * SAMPLES),
        y.subarray(p * SAMPLES, (p + 1) * SAMPLES),
      )
    );
  } finally {
    exe.destroy();
  }
}

/**
 * Runs all probes that the device can: a fraction of a second.
 *
 * @param gpu without a guard of its shaders: the probes are in no lock.
 *
 * @example
 * ```ts
 * const gpu = await openGpu();
 * const { fingerprint, probes } = await probeDevice(gpu);
 * probes.find((p) => p.name === "contraction")!.verdict; // "each operation rounded"
 * ```
 */
export async function probeDevice(gpu: Gpu): Promise<ProbeReport> {
  const probes = await runProbes(gpu, "lib/probes/probe_f32.wgsl", f32Text, F32_PROBES);
  if (gpu.profile.features.includes("shader-f16")) {
    probes.push(...await runProbes(gpu, "lib/probes/probe_f16.wgsl", f16Text, F16_PROBES));
  }
  return { fingerprint: fingerprintOf(digestsOf({ probes })), probes };
}

/** Name → digest: what is kept of a report. */
export const digestsOf = ({ probes }: Pick<ProbeReport, "probes">): Record<string, string> =>
  Object.fromEntries(probes.map(({ name, digest }) => [name, digest]));

/** SHA-256 of `name digest`, a line each, in the order of the names given. */
export function fingerprintOf(digests: Readonly<Record<string, string>>): string {
  const lines = Object.entries(digests).map(([name, digest]) => `${name} ${digest}\n`);
  return createHash("sha256").update(lines.join("")).digest("hex");
}

/** Names of the probes whose results are others, or that one of the two lacks. */
export function differingProbes(
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]);
}
