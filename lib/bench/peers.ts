/** Other programs that run the same model, each in a process of its own, taking turns with ours. */

import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { relativeError } from "../tune/check.ts";
import { type Budget, stepsInRow, type Timing, timing } from "./statistics.ts";
import { benchConfig, benchNoise, benchStep, benchWeights, LoadedStep } from "./steps.ts";

export interface PeerSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Environment variables beside, or instead of, those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Which batches it is asked for; none where it takes too long to be asked. */
  readonly batches: { readonly forward: readonly number[]; readonly train: readonly number[] };
  /** Seconds that it may take to get ready; with less left it is not asked. */
  readonly needs: number;
  /** Seconds without an answer after which it is given up. */
  readonly patience: number;
}

export interface PeerRow {
  readonly what: "forward" | "train";
  readonly batch: number;
  readonly size: number;
  readonly name: string;
  readonly time?: Timing;
  /** Its time over ours: above 1, ours is faster. */
  readonly ratio?: number;
  /** Until the first result: compilation and warm-up. */
  readonly firstMilliseconds?: number;
  /** Most memory that the work needed beyond what the loaded program holds. */
  readonly peakBytes?: number;
  /** ‖its output − ours‖ / ‖ours‖ with the same weights and input. */
  readonly difference?: number;
  readonly failed?: string;
}

export interface PeerReport {
  readonly rows: readonly PeerRow[];
  readonly versions: Readonly<Record<string, string>>;
}

type Answer = Record<string, unknown>;

/** Lines of JSON to and from a process; what else it prints on standard output is passed over. */
export class Peer {
  /** Why it is asked no more. */
  failed?: string;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncGenerator<string>;
  readonly #lastWord: Promise<string>;

  constructor(readonly spec: PeerSpec) {
    try {
      this.#process = new Deno.Command(spec.command, {
        args: [...spec.args],
        env: spec.env,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      throw new InputError(
        `Cannot start ${spec.name}: ${(error as Error).message}; --python names another program`,
      );
    }
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = lines(this.#process.stdout);
    this.#lastWord = lastLine(this.#process.stderr);
  }

  /** @throws on an error that it tells, and where it dies or is given up. */
  async ask(question: Answer): Promise<Answer> {
    await this.#writer.write(new TextEncoder().encode(JSON.stringify(question) + "\n"));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<never>((_, reject) => {
      const give = () => reject(new Error(`no answer within ${this.spec.patience} s`));
      timer = setTimeout(give, 1000 * this.spec.patience);
    });
    try {
      const answer = await Promise.race([this.#answer(), patience]);
      if (typeof answer.error === "string") throw new Error(answer.error);
      return answer;
    } catch (error) {
      // A late answer would be taken for that to the next question.
      if (!/^\w*Error: /.test((error as Error).message)) this.failed = (error as Error).message;
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #answer(): Promise<Answer> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error(["it ended", await this.#lastWord].filter(Boolean).join(": "));
      if (value.startsWith(MARK)) return JSON.parse(value.slice(MARK.length));
    }
  }

  end(): void {
    this.#writer.abort().catch(() => {});
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

/** What an answer's line starts with. */
const MARK = "@bench ";

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

/** The last line that is not empty: of an error, what it was. */
async function lastLine(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let last = "";
  for await (const line of lines(stream)) last = line.trim() || last;
  return last.slice(0, 200);
}

const ROUNDS = 8;
const FEWEST = 2;

export interface PeerOptions {
  readonly size: number;
  /** A folder of ours for weights and outputs. */
  readonly folder: string;
  readonly onProgress?: (what: string) => void;
}

/** Times forward passes and training steps of all, in turns. */
export async function benchPeers(
  gpu: Gpu,
  options: PlanOptions,
  specs: readonly PeerSpec[],
  budget: Budget,
  { size, folder, onProgress = () => {} }: PeerOptions,
): Promise<PeerReport> {
  const { unet } = benchConfig(1, size);
  const layout = unet2DParameters(unet);
  const weights = benchWeights(layout);
  await Deno.writeFile(`${folder}/weights.bin`, new Uint8Array(weights.buffer));
  const versions: Record<string, string> = {};
  const rows: PeerRow[] = [];
  const peers: Peer[] = [];
  try {
    for (const spec of specs) {
      onProgress(`starting ${spec.name}`);
      const peer = new Peer(spec);
      try {
        const answer = await peer.ask({ do: "setup", unet, specs: layout.specs, folder });
        versions[spec.name] = String(answer.version);
        peers.push(peer);
      } catch (error) {
        peer.end();
        const failed = (error as Error).message;
        rows.push({ what: "forward", batch: 1, size, name: spec.name, failed });
      }
    }
    const jobs = (["forward", "train"] as const).flatMap((what) =>
      [1, 8].map((batch) => ({ what, batch, size }))
    );
    for (const [i, job] of jobs.entries()) {
      onProgress(`${job.what}, batch ${job.batch}`);
      const part = budget.part(1 / (jobs.length - i));
      rows.push(
        ...await benchJob(gpu, options, peers, { all: budget, part }, job, folder, onProgress),
      );
    }
  } finally {
    for (const peer of peers) peer.end();
  }
  return { rows, versions };
}

type Job = Pick<PeerRow, "what" | "batch" | "size">;

interface Runner {
  readonly name: string;
  /** Milliseconds of a step, so many in a row. */
  run(count: number): Promise<number>;
  readonly times: number[];
  /** Steps in a row; not known before the first turn. */
  inRow?: number;
  more: Partial<PeerRow>;
}

async function benchJob(
  gpu: Gpu,
  options: PlanOptions,
  peers: readonly Peer[],
  budget: { readonly all: Budget; readonly part: Budget },
  job: Job,
  folder: string,
  onProgress: (what: string) => void,
): Promise<PeerRow[]> {
  const { what, batch, size } = job;
  const start = performance.now();
  const config = benchConfig(batch, size), { unet } = config;
  const loaded = await LoadedStep.load(gpu, benchStep(what, config, options));
  await loaded.time();
  const firstMilliseconds = performance.now() - start;
  await loaded.requireFinite();
  const ours: Runner = {
    name: OURS,
    run: (count) => loaded.time(count),
    times: [],
    more: { firstMilliseconds, peakBytes: loaded.bytes },
  };
  const y = what === "forward" ? await loaded.executable.read("y") : undefined;
  const rows: PeerRow[] = [];
  const runners = [ours];
  if (y) {
    const input = benchNoise(batch * unet.in_channels * size * size);
    await Deno.writeFile(`${folder}/sample.bin`, new Uint8Array(input.buffer));
  }
  const t = Array.from({ length: batch }, (_, i) => i * 101 % 1000);
  for (const peer of peers) {
    const { name, batches } = peer.spec;
    if (!batches[what].includes(batch)) continue;
    const why = peer.failed ?? (budget.all.left < peer.spec.needs ? "no time left" : undefined);
    if (why) {
      rows.push({ ...job, name, failed: why });
      continue;
    }
    onProgress(`${what}, batch ${batch}: ${name}`);
    try {
      const before = performance.now();
      await peer.ask({ do: "prepare", what, batch, size, t });
      const more: Partial<PeerRow> = { firstMilliseconds: performance.now() - before };
      if (y) {
        await peer.ask({ do: "output" });
        const bytes = await Deno.readFile(`${folder}/output.bin`);
        const difference = relativeError(new Float32Array(bytes.buffer), y);
        runners.push(runner(peer, { ...more, difference }));
      } else runners.push(runner(peer, more));
    } catch (error) {
      rows.push({ ...job, name, failed: (error as Error).message });
    }
  }
  for (let round = 0; round < ROUNDS && (round <= FEWEST || budget.part.left > 0); round++) {
    for (const r of runners) {
      // One that takes much longer than ours is measured less often.
      const slow = r.times.length >= FEWEST && r.times[0] > 4 * ours.times[0];
      if (slow && round > 2 * FEWEST) continue;
      try {
        const time = await r.run(r.inRow ?? 1);
        // The first turn of a short step, alone, only tells how many make a row.
        const isShort = r.inRow === undefined && stepsInRow(time) > 1;
        r.inRow ??= stepsInRow(time);
        if (!isShort) r.times.push(time);
      } catch (error) {
        r.more = { failed: (error as Error).message };
      }
    }
  }
  loaded.destroy();
  const own = timing(ours.times);
  for (const { name, times, more } of runners) {
    const time = times.length ? timing(times) : undefined;
    const ratio = time && time.median / own.median;
    rows.push({ ...job, name, time, ratio, ...more });
  }
  // Ours first, then as they were started; a failed one keeps its place.
  const order = [OURS, ...peers.map((p) => p.spec.name)];
  return rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
}

/** How this program is called in the tables. */
export const OURS = "this project";

function runner(peer: Peer, more: Partial<PeerRow>): Runner {
  const self: Runner = {
    name: peer.spec.name,
    times: [],
    more,
    async run(count) {
      const { milliseconds, peakBytes } = await peer.ask({ do: "run", count });
      if (typeof peakBytes === "number") self.more = { ...self.more, peakBytes };
      return milliseconds as number;
    },
  };
  return self;
}
