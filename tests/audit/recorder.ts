/**
 * Wraps GPUDevice: everything that reaches it is written down, and what no Plan lists is told. What
 * a wrapped object hands out that could reach the device (queue, encoder, pass) is wrapped too.
 */

import type { Executable } from "../../lib/gpu/runtime.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Plan, PlanSlot } from "../../lib/gpu/plan.ts";
import { STAGING_WIDTH } from "../../lib/gpu/staging.ts";

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
  "createTexture",
  "createQuerySet",
  "pushErrorScope",
  "popErrorScope",
  "addEventListener",
  "removeEventListener",
  "onSubmittedWorkDone",
  "destroy",
]);

export class Recorder {
  readonly events: Event[] = [];
  /** Calls that no Plan can stand for, as `queue.writeTexture`. */
  readonly strange: string[] = [];
  readonly buffers: { readonly buffer: object; readonly label: string; usage: number }[] = [];
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
            : `${binding}:texture`
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
          text: `stage ${this.#number(from.buffer)}+${from.offset} ${size}`,
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
   * What happened since the event `from` that the Plan of the executable does not list. `first` is
   * the number of the first buffer that the executable made.
   */
  unlisted({ plan }: Executable, first: number, from: number): string[] {
    const whole = expected(plan, first);
    const place = (buffer: object) => this.#number(buffer) - first;
    const listed = (table: Readonly<Record<string, PlanSlot>>, at: Omit<Range, "kind">) =>
      Object.values(table).some((s) =>
        s.buffer === place(at.buffer) && s.offset === at.offset && s.bytes === at.bytes
      );
    const problems = this.strange.map((name) => `${name} was called`);
    for (const event of this.events.slice(from)) {
      if (event.kind === "write") {
        if (!listed({ ...plan.inputs, ...plan.states }, event)) {
          problems.push(`upload of ${event.bytes} bytes to buffer ${place(event.buffer)}`);
        }
        continue;
      }
      const { commands } = event;
      if (commands.every((c) => c.readBack)) {
        for (const { from } of commands) {
          if (!listed({ ...plan.outputs, ...plan.states, ...plan.inputs }, from!)) {
            problems.push(`read-back of ${from!.bytes} bytes from buffer ${place(from!.buffer)}`);
          }
        }
        continue;
      }
      const texts = commands.map((c) => c.text);
      const i = texts.findIndex((t, k) => t !== whole[k]);
      if (i >= 0) problems.push(`command ${i} is not the Plan's: ${texts[i].slice(0, 100)}`);
      else if (texts.length < whole.length) problems.push(`commands missing from ${texts.length}`);
    }
    return problems;
  }
}

interface Range {
  readonly kind: string;
  readonly buffer: object;
  readonly offset: number;
  readonly bytes: number;
}

/** All commands of one run of a Plan, as the recorder writes them. */
function expected(plan: Plan, first: number): string[] {
  const commands: string[] = [];
  const row = STAGING_WIDTH * 16;
  for (const d of plan.dispatches) {
    for (const s of d.stage) {
      const rows = Math.floor(s.size / row), rest = s.size % row / 16;
      const buffer = first + s.buffer;
      if (rows) commands.push(`stage ${buffer}+${s.offset} ${STAGING_WIDTH},${rows}`);
      if (rest) commands.push(`stage ${buffer}+${s.offset + rows * row} ${rest},1`);
    }
    const group = d.bindings.map((b) =>
      b.texture === undefined
        ? `${b.binding}:${first + b.buffer}+${b.offset}/${b.size}`
        : `${b.binding}:texture`
    );
    const { text, constants } = plan.shaders[d.shader];
    commands.push(
      `dispatch ${d.workgroups} ${group.join(" ")} ${text} ${JSON.stringify(constants)}`,
    );
  }
  for (const { from, to } of plan.copies) {
    commands.push(
      `copy ${first + from.buffer}+${from.offset}/${from.bytes} ` +
        `to ${first + to.buffer}+${to.offset}`,
    );
  }
  return commands;
}
