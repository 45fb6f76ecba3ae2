/**
 * Wraps GPUDevice: everything that reaches it is written down, and what no Plan lists is told. What
 * a wrapped object hands out that could reach the device (queue, encoder, pass) is wrapped too.
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import type { Plan, PlanSlot } from "../../lib/plan/plan.ts";
import { STAGING_WIDTH, stagingRowBytes } from "../../lib/plan/staging_layout.ts";

type Event =
  | { readonly kind: "write"; readonly buffer: object; readonly offset: number; bytes: number }
  | { readonly kind: "submit"; readonly commands: readonly Command[] };

interface Command {
  /** `dispatch`, `buffer to buffer`, `buffer to texture`. */
  readonly kind: string;
  readonly text: string;
  /** For copies between buffers. */
  readonly from?: { readonly buffer: object; readonly offset: number; readonly bytes: number };
  readonly readBack?: boolean;
}

/** Methods that only make or describe things, and do no work on the device. */
const HARMLESS = new Set([
  "createBindGroupLayout",
  "createPipelineLayout",
  "createQuerySet",
  "pushErrorScope",
  "popErrorScope",
  "addEventListener",
  "removeEventListener",
  "onSubmittedWorkDone",
  "destroy",
]);

/** A Plan that was loaded: which of the device's buffers and textures are its own. */
export interface Loaded {
  readonly plan: Plan;
  /** Number, among all that the device made, of each buffer of the plan. */
  readonly buffers: readonly number[];
  /** Of its first texture. */
  readonly texture: number;
}

export class Recorder {
  readonly events: Event[] = [];
  /** Calls that no Plan can stand for, as `queue.writeTexture`. */
  readonly strange: string[] = [];
  readonly buffers: { readonly buffer: object; readonly label: string; usage: number }[] = [];
  /** How many textures the device has made. */
  textures = 0;
  readonly #names = new Map<object, string>();
  readonly #texts = new Map<object, string>();

  /** The device, watched. */
  watch(gpu: Gpu): Gpu {
    return { ...gpu, device: this.#device(gpu.device), isLost: false };
  }

  #wrap<T extends object>(
    name: string,
    target: T,
    methods: Record<string, (...args: never[]) => unknown>,
  ): T {
    return new Proxy(target, {
      get: (_, key) => {
        const value = Reflect.get(target, key, target);
        if (typeof value !== "function" || typeof key === "symbol") {
          return key === "queue" ? this.#queue(value as GPUQueue) : value;
        }
        if (methods[key]) return methods[key];
        if (!HARMLESS.has(key)) this.strange.push(`${name}.${key}`);
        return value.bind(target);
      },
    });
  }

  #device(device: GPUDevice): GPUDevice {
    return this.#wrap("device", device, {
      createBuffer: (spec: GPUBufferDescriptor) => {
        const buffer = device.createBuffer(spec);
        this.buffers.push({ buffer, label: spec.label ?? "", usage: spec.usage });
        return buffer;
      },
      createTexture: (spec: GPUTextureDescriptor) => {
        const texture = device.createTexture(spec), name = `texture ${this.textures++}`;
        this.#names.set(texture, name);
        const createView = texture.createView.bind(texture);
        // The object itself, since the device takes no other.
        texture.createView = (view) => {
          const made = createView(view);
          this.#names.set(made, name);
          return made;
        };
        return texture;
      },
      createShaderModule: (spec: GPUShaderModuleDescriptor) => {
        const module = device.createShaderModule(spec);
        this.#texts.set(module, spec.code);
        return module;
      },
      createComputePipelineAsync: async (spec: GPUComputePipelineDescriptor) => {
        const pipeline = await device.createComputePipelineAsync(spec);
        const constants = JSON.stringify(spec.compute.constants ?? {});
        this.#names.set(pipeline, `${this.#texts.get(spec.compute.module)} ${constants}`);
        return pipeline;
      },
      createBindGroup: (spec: GPUBindGroupDescriptor) => {
        const group = device.createBindGroup(spec);
        const entries = [...spec.entries].map(({ binding, resource }) =>
          "buffer" in resource
            ? `${binding}:${this.#number(resource.buffer)}+${resource.offset}/${resource.size}`
            : `${binding}:${this.#names.get(resource)}`
        );
        this.#names.set(group, entries.join(" "));
        return group;
      },
      createCommandEncoder: () => this.#encoder(device.createCommandEncoder()),
    });
  }

  #number = (buffer: object) => this.buffers.findIndex((b) => b.buffer === buffer);

  #queue(queue: GPUQueue): GPUQueue {
    return this.#wrap("queue", queue, {
      writeBuffer: (buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>) => {
        this.events.push({ kind: "write", buffer, offset, bytes: data.byteLength });
        queue.writeBuffer(buffer, offset, data);
      },
      submit: (lists: GPUCommandBuffer[]) => {
        const commands = lists.flatMap((l) => this.#recorded.get(l) ?? []);
        this.events.push({ kind: "submit", commands });
        queue.submit(lists);
      },
    });
  }

  readonly #recorded = new Map<object, Command[]>();

  #encoder(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const commands: Command[] = [];
    return this.#wrap("encoder", encoder, {
      beginComputePass: (spec?: GPUComputePassDescriptor) =>
        this.#pass(encoder.beginComputePass(spec), commands),
      copyBufferToBuffer: (a: GPUBuffer, at: number, b: GPUBuffer, to: number, bytes: number) => {
        const readBack = Boolean(b.usage & GPUBufferUsage.MAP_READ);
        commands.push({
          kind: "buffer to buffer",
          text: `copy ${this.#number(a)}+${at}/${bytes} to ${this.#number(b)}+${to}`,
          from: { buffer: a, offset: at, bytes },
          readBack,
        });
        encoder.copyBufferToBuffer(a, at, b, to, bytes);
      },
      copyBufferToTexture: (
        from: GPUTexelCopyBufferInfo,
        to: GPUTexelCopyTextureInfo,
        size: number[],
      ) => {
        commands.push({
          kind: "buffer to texture",
          text: `stage ${this.#number(from.buffer)}+${from.offset} ${size} to ` +
            `${this.#names.get(to.texture)} at ${to.origin ?? "0,0"}`,
        });
        encoder.copyBufferToTexture(from, to, size);
      },
      finish: () => {
        const list = encoder.finish();
        this.#recorded.set(list, commands);
        return list;
      },
    });
  }

  #pass(pass: GPUComputePassEncoder, commands: Command[]): GPUComputePassEncoder {
    let pipeline = "none", group = "none";
    return this.#wrap("pass", pass, {
      setPipeline: (p: GPUComputePipeline) => {
        pipeline = this.#names.get(p) ?? "unknown";
        pass.setPipeline(p);
      },
      setBindGroup: (index: number, g: GPUBindGroup) => {
        group = this.#names.get(g) ?? "unknown";
        pass.setBindGroup(index, g);
      },
      dispatchWorkgroups: (...n: [number, number, number]) => {
        commands.push({ kind: "dispatch", text: `dispatch ${n} ${group} ${pipeline}` });
        pass.dispatchWorkgroups(...n);
      },
      end: () => pass.end(),
    });
  }

  /**
   * Where Plans that were loaded in this order have their buffers: states of one name are shared.
   *
   * @param from number of the first buffer and texture made for them.
   */
  static loaded(plans: readonly Plan[], from = { buffer: 0, texture: 0 }): Loaded[] {
    let { buffer, texture } = from;
    const states = new Map<string, number>();
    return plans.map((plan) => {
      const buffers = plan.buffers.map(({ role, name }) => {
        const shared = role === "state" ? states.get(name) : undefined;
        if (shared !== undefined) return shared;
        if (role === "state") states.set(name, buffer);
        return buffer++;
      });
      const loaded = { plan, buffers, texture };
      texture += plan.textures.length;
      return loaded;
    });
  }

  /** What happened since the event `from` that no Plan lists. */
  unlisted(all: readonly Loaded[], from: number): string[] {
    const whole = all.flatMap((loaded) => {
      const every = expected(loaded, false);
      const prepared = expected(loaded, true);
      return prepared.length < every.length ? [every, prepared] : [every];
    });
    const listed = (tables: (plan: Plan) => Readonly<Record<string, PlanSlot>>, at: Range) =>
      all.some(({ plan, buffers }) =>
        Object.values(tables(plan)).some((s) =>
          buffers[s.buffer] === this.#number(at.buffer) && s.offset === at.offset &&
          s.bytes === at.bytes
        )
      );
    const written = (plan: Plan) => ({ ...plan.inputs, ...plan.states });
    const read = (plan: Plan) => ({ ...plan.outputs, ...plan.states, ...plan.inputs });
    const problems = this.strange.map((name) => `${name} was called`);
    for (const event of this.events.slice(from)) {
      if (event.kind === "write") {
        if (!listed(written, event)) {
          problems.push(`upload of ${event.bytes} bytes to buffer ${this.#number(event.buffer)}`);
        }
        continue;
      }
      const { commands } = event;
      if (commands.every((c) => c.readBack)) {
        for (const { from } of commands) {
          if (!listed(read, from!)) {
            const buffer = this.#number(from!.buffer);
            problems.push(`read-back of ${from!.bytes} bytes from buffer ${buffer}`);
          }
        }
        continue;
      }
      const texts = commands.map((c) => c.text);
      // How far it is what each Plan would send; the nearest one is told.
      const differs = whole.map((w) => {
        const i = texts.findIndex((t, k) => t !== w[k]);
        return i >= 0 ? i : texts.length < w.length ? texts.length : Infinity;
      });
      const far = Math.max(...differs);
      if (far < texts.length) {
        problems.push(`command ${far} is not the Plan's: ${texts[far].slice(0, 100)}`);
      } else if (far < Infinity) problems.push(`commands missing from ${far}`);
    }
    return problems;
  }
}

interface Range {
  readonly buffer: object;
  readonly offset: number;
  readonly bytes: number;
}

/** All commands of one run of a Plan, as the recorder writes them; `prepared`: what runs once has run. */
function expected({ plan, buffers, texture }: Loaded, prepared: boolean): string[] {
  const commands: string[] = [];
  for (const d of plan.dispatches) {
    if (prepared && d.once) continue;
    for (const s of d.stage) {
      if (prepared && s.once) continue;
      const row = stagingRowBytes(plan.textures[s.texture].dtype);
      const texel = row / STAGING_WIDTH;
      const from = buffers[s.buffer], to = `texture ${texture + s.texture}`;
      // To the end of a begun row, whole rows, and what is left.
      const start = s.at ?? 0, head = Math.min(s.size, (row - start % row) % row);
      const rows = Math.floor((s.size - head) / row), rest = s.size - head - rows * row;
      const first = Math.floor(start / row) + Number(head > 0);
      const push = (bytes: number, extent: string, x: number, y: number) =>
        commands.push(`stage ${from}+${s.offset + bytes} ${extent} to ${to} at ${x},${y}`);
      if (head) push(0, `${head / texel},1`, start % row / texel, first - 1);
      if (rows) push(head, `${STAGING_WIDTH},${rows}`, 0, first);
      if (rest) push(head + rows * row, `${rest / texel},1`, 0, first + rows);
    }
    const group = d.bindings.map((b) =>
      b.texture === undefined
        ? `${b.binding}:${buffers[b.buffer]}+${b.offset}/${b.size}`
        : `${b.binding}:texture ${texture + b.texture}`
    );
    const { text, constants } = plan.shaders[d.shader];
    commands.push(
      `dispatch ${d.workgroups} ${group.join(" ")} ${text} ${JSON.stringify(constants)}`,
    );
  }
  for (const { from, to } of plan.copies) {
    commands.push(
      `copy ${buffers[from.buffer]}+${from.offset}/${from.bytes} ` +
        `to ${buffers[to.buffer]}+${to.offset}`,
    );
  }
  return commands;
}
