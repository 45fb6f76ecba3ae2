/** What `bench kernels`, `bench steps` and `bench submit` write: schema.json says the same for others. */

import type { Block, Flag, Summary } from "./blocks.ts";
import type { Peaks } from "./peaks.ts";
import { median, quantile } from "./statistics.ts";

export const RESULT_FORMAT = "lung-ddpm-webgpu/bench";
export const RESULT_VERSION = 1;

/** How a row was timed: around each dispatch by the device, or many runs in a row by the host. */
export type Clock = "timestamps" | "batches";

export interface ResultRow extends Summary {
  /** Op, types of the inputs, attributes and variant: the same work in another file has the same key. */
  readonly key: string;
  readonly op: string;
  readonly variant: string;
  /** `x 8×32×128×128, w 64×32×3×3, stride 1` */
  readonly shape: string;
  /** Where in the model, the first of `count` places; empty for shapes of one's own. */
  readonly scope: string;
  readonly count: number;
  readonly dispatches: number;
  /** False where it rounds otherwise than the plain sum (Winograd). */
  readonly exact: boolean;
  /** Hash of all that it runs: texts, constants, parameters, grids. */
  readonly kernel: string;
  readonly clock: Clock;
  readonly cache: "warm" | "cold";
  /** In the order of time; each with what its samples say, their number, and the fixed kernels beside. */
  readonly trace: readonly {
    readonly median: number;
    readonly p20: number;
    readonly samples: number;
    readonly compute: number;
    readonly copy: number;
  }[];
  readonly flags: readonly Flag[];
  /** Of one run: operations, a multiply-add counted as two; fewest bytes. */
  readonly flops: number;
  readonly bytes: number;
  readonly gflops: number;
  readonly gigabytes: number;
  /** Operations a byte. */
  readonly intensity: number;
  /** Shares of the peaks, and of the lower of the two at this intensity. */
  readonly ofCompute: number;
  readonly ofCopy: number;
  readonly ofRoof: number;
  /** ‖gpu − float64‖ / ‖float64‖ of the same kernel on a small image; null: not checked. */
  readonly error: number | null;
  readonly tolerance: number | null;
}

/** A whole step of a model. */
export interface StepResult {
  readonly model: string;
  readonly kind: "train" | "sample" | "forward";
  readonly batch: number;
  readonly size: number;
  readonly precision: "f32" | "f16";
  readonly parameters: number;
  readonly dispatches: number;
  /** On the device. */
  readonly bytes: number;
  readonly median: number;
  readonly p20: number;
  readonly p80: number;
  readonly samples: number;
  readonly gflops: number;
}

export interface Machine {
  readonly adapter: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly software: boolean;
  /** Of the processor, as the system names it; empty where that cannot be asked. */
  readonly processor: string;
  readonly cores: number;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** Deno or a browser, with versions. */
  readonly runtime: Readonly<Record<string, string>>;
  /** Whether subgroup operations compile and run, and how wide subgroups are said to be. */
  readonly subgroups: {
    readonly works: boolean;
    readonly why: string;
    readonly least: number | null;
    readonly most: number | null;
  };
}

export interface BenchResult {
  readonly format: typeof RESULT_FORMAT;
  readonly version: typeof RESULT_VERSION;
  /** ISO 8601. */
  readonly date: string;
  readonly program: string;
  readonly machine: Machine;
  /** What was asked for; no path is in it. */
  readonly options: Readonly<Record<string, string | number | boolean>>;
  readonly seconds: number;
  readonly peaks: Omit<Peaks, "lowest"> & { readonly lowest: Peaks["lowest"] };
  readonly rows: readonly ResultRow[];
  readonly steps?: readonly StepResult[];
  /** Form → variants as `./run tune` found them, fastest first. */
  readonly tuned?: Readonly<Record<string, readonly string[]>>;
  /** How the adapter rounds, bit for bit: see lib/probes. */
  readonly probes?: {
    readonly fingerprint: string;
    readonly list: readonly {
      readonly name: string;
      readonly verdict: string;
      readonly digest: string;
    }[];
  };
}

/** The trace of a row: samples themselves are too many to keep. */
export const traceOf = (blocks: readonly Block[]): ResultRow["trace"] =>
  blocks.map(({ times, calibration: { compute, copy } }) => ({
    median: median(times),
    p20: quantile(times, 0.2),
    samples: times.length,
    compute,
    copy,
  }));
