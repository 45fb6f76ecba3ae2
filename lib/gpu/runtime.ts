/**
 * Replays Plans. Everything that reaches a GPUDevice goes through this file, `pipelines.ts` and
 * `device.ts`.
 */

import { InputError } from "../errors.ts";
import { compileAhead } from "./compile_ahead.ts";
import type { Gpu } from "./device.ts";
import { pipelineFor } from "./pipelines.ts";
import { type Plan, planBytes, type PlanSlot, type PlanStage } from "../plan/plan.ts";
import { texelCopies } from "../plan/staging.ts";
import {
  STAGED_FORMATS,
  STAGING_PITCH,
  stagingPitchBytes,
  stagingRowBytes,
} from "../plan/staging_layout.ts";

/** What inputs and states are written from. */
export type TypedData = Float32Array | Int32Array | Uint32Array | Uint16Array;

/** How a plan is loaded. */
export interface LoadOptions {
  /** State name → a state of an executable loaded before, whose memory it uses. */
  readonly share?: Readonly<Record<string, { from: Executable; state: string }>>;
  /** Fill arena and textures with NaN first: what is read before it is written, or outside, shows. */
  readonly poison?: boolean;
  /** Called as pipelines get ready. */
  readonly onPipeline?: (done: number, total: number) => void;
  /** The first whole run compiles on two cores where it can; see `compile_ahead.ts`. */
  readonly ahead?: boolean;
}

/** Arguments of copyBufferToTexture. */
interface Copy {
  readonly source: GPUTexelCopyBufferInfo;
  readonly target: GPUTexelCopyTextureInfo;
  readonly extent: [number, number];
}

interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  readonly stage: readonly Copy[];
  /** The copies of `stage` that every run makes. */
  readonly again: readonly Copy[];
  readonly once: boolean;
}

/**
 * How often each buffer was written to, by whichever executable: states are shared, and what was
 * made of one (see `value_numbering.ts`) must be made anew.
 */
const writes = new WeakMap<GPUBuffer, number>();
const wrote = (buffer: GPUBuffer) => writes.set(buffer, (writes.get(buffer) ?? 0) + 1);

/** NaN as one f32 and as two f16. */
const NAN_WORD = 0x7fc07fc0;

const noMemory = (name: string) => new Error(`"${name}" has no memory of its own`);

function copyToTextures(encoder: GPUCommandEncoder, copies: readonly Copy[]): void {
  for (const { source, target, extent } of copies) {
    encoder.copyBufferToTexture(source, target, extent);
  }
}

/**
 * A plan with its pipelines, buffers and bind groups: ready to run any number of times.
 *
 * @example
 * ```ts
 * import { Executable, f32, Graph, openGpu, OPS, plan, silu } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * g.output("y", silu(g.input("x", f32(3))));
 * const gpu = await openGpu();
 * const step = await Executable.load(gpu, plan(g, OPS, { device: gpu.profile }));
 * step.write("x", Float32Array.of(-1, 0, 1));
 * step.run();
 * await step.read("y"); // [-0.269, 0, 0.731]
 * step.destroy();
 * gpu.destroy();
 * ```
 */
export class Executable {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** What it runs. */
  readonly plan: Plan;
  readonly #steps: Step[] = [];
  readonly #buffers: GPUBuffer[] = [];
  readonly #owned: GPUBuffer[] = [];
  readonly #textures: GPUTexture[] = [];
  readonly #staging = new Map<number, GPUBuffer[]>();
  /** States that a run changes. */
  readonly #changed = new Set<GPUBuffer>();
  /** States that what runs once depends on, and their writes when it ran. */
  readonly #constant = new Map<GPUBuffer, number>();
  #done = 0;
  #isAhead: boolean;

  private constructor(gpu: Gpu, plan: Plan, isAhead: boolean) {
    this.gpu = gpu;
    this.plan = plan;
    this.#isAhead = isAhead;
  }

  /** Compiles the shaders and allocates the memory of a plan. */
  static async load(gpu: Gpu, plan: Plan, options: LoadOptions = {}): Promise<Executable> {
    const most = gpu.device.limits.maxBufferSize;
    for (const { name, bytes } of plan.buffers) {
      if (bytes <= most) continue;
      throw new InputError(
        `Cannot allocate ${name}: ${bytes} bytes, the device allows ${most}: take a smaller batch ` +
          "or image",
      );
    }
    const self = new Executable(gpu, plan, options.ahead ?? false);
    let done = 0;
    const compiled = await Promise.all(plan.shaders.map(async (shader) => {
      const pipeline = await pipelineFor(gpu, shader);
      options.onPipeline?.(++done, plan.shaders.length);
      return pipeline;
    }));
    self.#allocate(options);
    for (const d of plan.dispatches) {
      self.#steps.push({
        pipeline: compiled[d.shader],
        bindGroup: gpu.device.createBindGroup({
          label: `${d.op} ${d.scope}`,
          layout: compiled[d.shader].getBindGroupLayout(0),
          entries: d.bindings.map((b) => ({
            binding: b.binding,
            resource: b.texture === undefined
              ? { buffer: self.#buffers[b.buffer], offset: b.offset, size: b.size }
              : self.#textures[b.texture].createView(),
          })),
        }),
        workgroups: d.workgroups,
        stage: self.#copiesOf(d.stage),
        again: self.#copiesOf(d.stage.filter((s) => !s.once)),
        once: d.once ?? false,
      });
    }
    self.#watchStates();
    gpu.check();
    return self;
  }

  #allocate({ share = {}, poison }: LoadOptions): void {
    const { device } = this.gpu;
    for (const { dtype, rows } of this.plan.textures) {
      const texture = device.createTexture({
        label: "staging",
        size: [STAGING_PITCH, rows],
        format: STAGED_FORMATS[dtype],
        usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST |
          GPUTextureUsage.COPY_SRC,
      });
      if (poison) {
        const bytesPerRow = stagingPitchBytes(dtype);
        const words = new Uint32Array(bytesPerRow * rows / 4)
          .fill(dtype === "f16" ? 0x7e007e00 : 0x7fc00000);
        device.queue.writeTexture({ texture }, words, { bytesPerRow }, [STAGING_PITCH, rows]);
      }
      this.#textures.push(texture);
    }
    for (const spec of this.plan.buffers) {
      const shared = spec.role === "state" ? share[spec.name] : undefined;
      if (shared) {
        const slot = shared.from.plan.states[shared.state];
        const buffer = shared.from.#buffers[slot?.buffer];
        if (!buffer || buffer.size !== spec.bytes) {
          throw new Error(
            `Cannot share state "${spec.name}" with "${shared.state}": ` +
              `${buffer?.size ?? "no"} bytes, required ${spec.bytes}`,
          );
        }
        this.#buffers.push(buffer);
        continue;
      }
      const buffer = device.createBuffer({
        label: spec.name,
        size: spec.bytes,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC |
          GPUBufferUsage.COPY_DST,
      });
      if (poison && spec.role === "arena") {
        device.queue.writeBuffer(buffer, 0, new Uint32Array(spec.bytes / 4).fill(NAN_WORD));
      }
      if (spec.role === "params") {
        device.queue.writeBuffer(buffer, 0, new Uint32Array(this.plan.params));
      }
      this.#buffers.push(buffer);
      this.#owned.push(buffer);
    }
  }

  #watchStates(): void {
    const { buffers, copies, dispatches, shaders } = this.plan;
    const isState = (buffer: number) => buffers[buffer].role === "state";
    for (const { bindings, once, shader } of dispatches) {
      for (const { binding, buffer } of bindings) {
        if (!isState(buffer)) continue;
        const entry = shaders[shader].layout.find((e) => e.binding === binding);
        if (entry?.access === "read_write") this.#changed.add(this.#buffers[buffer]);
        if (once) this.#constant.set(this.#buffers[buffer], -1);
      }
    }
    for (const { to } of copies) this.#changed.add(this.#buffers[to.buffer]);
  }

  /** Whether what runs once has run, and its states are as they were then. */
  get #isPrepared(): boolean {
    return [...this.#constant].every(([buffer, seen]) => (writes.get(buffer) ?? 0) === seen);
  }

  #slot(name: string): PlanSlot {
    const slot = this.plan.inputs[name] ?? this.plan.states[name] ?? this.plan.outputs[name] ??
      this.plan.tensors[name];
    if (!slot) throw new Error(`The plan has no input, state or output "${name}"`);
    return slot;
  }

  /** Dispatches of the step that have been run. */
  get done(): number {
    return this.#done;
  }

  /** Whether it has been copied to a texture of its own, in which it stays. */
  #isHome({ home }: PlanSlot): boolean {
    return home !== undefined && this.#done > home.dispatch;
  }

  /** Sets an input or a state (or, for audits, any tensor by its key). */
  write(name: string, data: TypedData): void {
    const slot = this.#slot(name);
    if (slot.pieces) throw noMemory(name);
    if (data.byteLength !== slot.bytes) {
      throw new Error(
        `Cannot write "${name}": ${data.byteLength} bytes, required ${slot.bytes} ` +
          `for [${slot.shape}]`,
      );
    }
    wrote(this.#buffers[slot.buffer]);
    // Whole words; the buffer has room for them.
    const padded = data.byteLength % 4 ? Uint16Array.from([...data as Uint16Array, 0]) : data;
    this.gpu.device.queue.writeBuffer(
      this.#buffers[slot.buffer],
      slot.offset,
      padded as Float32Array<ArrayBuffer>,
    );
  }

  /**
   * Encodes and submits one whole step, or the dispatches [from, to) of it. Does not wait. A whole
   * step leaves out what runs once, when it has run.
   */
  run(from: number = 0, to: number = this.#steps.length): void {
    this.gpu.check();
    const isWhole = from === 0 && to === this.#steps.length;
    const isPrepared = isWhole && this.#isPrepared;
    const ahead = isWhole && this.#isAhead ? compileAhead(this.gpu, this.plan) : undefined;
    const encoder = this.gpu.device.createCommandEncoder();
    let pass = encoder.beginComputePass();
    let last: GPUComputePipeline | undefined;
    for (let i = from; i < to; i++) {
      const step = this.#steps[i];
      if (isPrepared && step.once) continue;
      const stage = isPrepared ? step.again : step.stage;
      if (stage.length) {
        pass.end();
        copyToTextures(encoder, stage);
        pass = encoder.beginComputePass();
        last = undefined;
      }
      if (step.pipeline !== last) pass.setPipeline(last = step.pipeline);
      pass.setBindGroup(0, step.bindGroup);
      pass.dispatchWorkgroups(...step.workgroups);
    }
    pass.end();
    if (to === this.#steps.length) {
      for (const c of this.plan.copies) {
        const [source, target] = [this.#buffers[c.from.buffer], this.#buffers[c.to.buffer]];
        encoder.copyBufferToBuffer(source, c.from.offset, target, c.to.offset, c.from.bytes);
      }
    }
    this.gpu.device.queue.submit([encoder.finish()]);
    if (ahead) {
      this.#isAhead = false;
      // Deno blocks here until it is done, as it would at the next submit.
      this.gpu.device.queue.onSubmittedWorkDone().then(ahead.stop, ahead.stop);
    }
    this.#done = to;
    this.#ran(isWhole);
  }

  /** Notes what a run has changed, and, where it was whole, that what runs once has run. */
  #ran(isWhole: boolean): void {
    for (const buffer of this.#changed) wrote(buffer);
    if (!isWhole) return;
    for (const buffer of this.#constant.keys()) {
      this.#constant.set(buffer, writes.get(buffer) ?? 0);
    }
  }

  #copiesOf(stage: readonly PlanStage[]): Copy[] {
    return stage.flatMap(({ buffer, texture, ...range }) => {
      const { dtype } = this.plan.textures[texture];
      const bytesPerRow = stagingRowBytes(dtype);
      return texelCopies(range, dtype).map(({ offset, origin, extent }): Copy => ({
        source: { buffer: this.#buffers[buffer], offset, bytesPerRow },
        target: { texture: this.#textures[texture], origin: [...origin] },
        extent: [...extent],
      }));
    });
  }

  /** Reads an f32 or f16 input, state, output or tensor back; waits for the work before it. */
  async read(name: string): Promise<Float32Array<ArrayBuffer>> {
    const bytes = await this.readBytes(name);
    const isHalf = this.#slot(name).dtype === "f16";
    return isHalf ? Float32Array.from(new Float16Array(bytes)) : new Float32Array(bytes);
  }

  /**
   * The bytes behind a name, where the step stands. Staging buffers are kept and used again.
   *
   * @throws of a tensor without memory of its own that is in no texture yet.
   */
  async readBytes(name: string): Promise<ArrayBuffer> {
    const slot = this.#slot(name);
    const isHome = this.#isHome(slot);
    if (slot.pieces && !isHome) throw noMemory(name);
    const { device } = this.gpu;
    const unit = isHome ? 16 : 4; // bytes of a texel, bytes that can be copied
    const size = Math.ceil(slot.bytes / unit) * unit;
    const idle = this.#staging.get(size) ?? [];
    this.#staging.set(size, idle);
    const staging = idle.pop() ??
      device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = device.createCommandEncoder();
    if (isHome) {
      const { texture } = slot.home!;
      const { dtype } = this.plan.textures[texture];
      const bytesPerRow = stagingRowBytes(dtype);
      for (const { offset, origin, extent } of texelCopies({ offset: 0, size }, dtype)) {
        encoder.copyTextureToBuffer(
          { texture: this.#textures[texture], origin: [...origin] },
          { buffer: staging, offset, bytesPerRow },
          [...extent],
        );
      }
    } else encoder.copyBufferToBuffer(this.#buffers[slot.buffer], slot.offset, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const bytes = staging.getMappedRange().slice(0, slot.bytes);
    staging.unmap();
    idle.push(staging);
    this.gpu.check();
    return bytes;
  }

  /**
   * Runs the step with a timestamp around every dispatch and the copies before it.
   *
   * @param runs of the whole step, one after the other, with one wait.
   * @returns nanoseconds per dispatch, run by run.
   * @throws where the device has no `timestamp-query`.
   */
  async profile(runs = 1): Promise<number[]> {
    return (await this.timeline(runs)).map(([begin, end]) => end - begin);
  }

  /** The same as beginning and end of each, in nanoseconds from the first beginning on. */
  async timeline(runs = 1): Promise<[begin: number, end: number][]> {
    const { device, profile } = this.gpu;
    if (!profile.features.includes("timestamp-query")) {
      throw new Error("Cannot profile: the device has no timestamp-query");
    }
    const stamps: bigint[] = [];
    const all = Array.from({ length: runs }, () => this.#steps).flat();
    const CHUNK = 1024; // a query set holds at most 4,096
    for (let from = 0; from < all.length; from += CHUNK) {
      const steps = all.slice(from, from + CHUNK);
      const count = 2 * steps.length;
      const queries = device.createQuerySet({ type: "timestamp", count });
      const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
      const resolved = device.createBuffer({ size: count * 8, usage });
      const staging = device.createBuffer({
        size: count * 8,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      const encoder = device.createCommandEncoder();
      steps.forEach((step, i) => {
        const begin = { querySet: queries, beginningOfPassWriteIndex: 2 * i };
        const end = { querySet: queries, endOfPassWriteIndex: 2 * i + 1 };
        if (step.stage.length) {
          encoder.beginComputePass({ timestampWrites: begin }).end();
          copyToTextures(encoder, step.stage);
        }
        const pass = encoder.beginComputePass({
          timestampWrites: step.stage.length ? end : { ...begin, ...end },
        });
        pass.setPipeline(step.pipeline);
        pass.setBindGroup(0, step.bindGroup);
        pass.dispatchWorkgroups(...step.workgroups);
        pass.end();
      });
      encoder.resolveQuerySet(queries, 0, count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, count * 8);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      stamps.push(...new BigUint64Array(staging.getMappedRange().slice(0)));
      for (const b of [resolved, staging]) b.destroy();
      queries.destroy();
    }
    this.#done = this.#steps.length;
    this.#ran(true);
    this.gpu.check();
    const at = (i: number) => Number(stamps[i] - stamps[0]);
    return all.map((_, i) => [at(2 * i), at(2 * i + 1)]);
  }

  /** Bytes that the plan holds on the device. */
  get bytes(): number {
    return planBytes(this.plan);
  }

  /** Frees the memory, except what it shares with others. */
  destroy(): void {
    for (const t of this.#textures) t.destroy();
    for (const b of [...this.#owned, ...[...this.#staging.values()].flat()]) b.destroy();
  }
}
