/** What `deno task bench` measures, as it is written to JSON. */

import type { FirstSteps } from "./first_step.ts";
import type { KernelReport } from "./kernels.ts";
import type { ModelReport } from "./model.ts";
import type { PeerReport } from "./peers.ts";
import type { Peaks } from "./peaks.ts";

export interface BenchReport {
  readonly version: 1;
  /** ISO 8601. */
  readonly date: string;
  readonly command: string;
  readonly adapter: string;
  readonly software: boolean;
  readonly cores: number;
  /** As the system names it. */
  readonly processor: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Whether stored choices of `deno task tune` were used. */
  readonly tuned: boolean;
  readonly exact: boolean;
  readonly seconds: number;
  readonly peaks: Peaks;
  readonly kernels?: KernelReport;
  readonly model?: ModelReport;
  readonly firstSteps?: readonly FirstSteps[];
  readonly peers?: PeerReport;
}
