/** The model once, for every JavaScript library that can stand beside this project. */

/** diffusers' UNet2DModel configuration, as far as the seed model varies it. */
export interface PeerUnet {
  readonly block_out_channels: readonly number[];
  readonly layers_per_block: number;
  readonly norm_num_groups: number;
  readonly norm_eps: number;
  readonly attention_head_dim: number | null;
  readonly add_attention: boolean;
  readonly out_channels: number;
}

/** What a library must be able to do. Tensors are [N,C,H,W], or as the library likes them. */
export interface Ops<T> {
  /** A parameter by diffusers' name. */
  parameter(name: string): T;
  conv(x: T, weight: T, bias: T, stride: number, padding: number): T;
  /** With SiLU after it if asked for. */
  groupNorm(x: T, weight: T, bias: T, groups: number, eps: number, silu: boolean): T;
  /** x [N,K], weight [M,K]. */
  linear(x: T, weight: T, bias: T): T;
  silu(x: T): T;
  add(a: T, b: T): T;
  /** x + y [N,C] over all pixels. */
  addChannel(x: T, y: T): T;
  /** Along channels. */
  concat(a: T, b: T): T;
  upsample(x: T): T;
  /** Softmax attention over all pixels; q, k, v as x, heads a division of the channels. */
  attention(q: T, k: T, v: T, heads: number): T;
  /** A linear layer over channels at every pixel. */
  project(x: T, weight: T, bias: T): T;
  channels(x: T): number;
}

/** models/unets/unet_2d.py for DownBlock2D, UNetMidBlock2D and UpBlock2D. */
export function unet<T>(ops: Ops<T>, config: PeerUnet, x: T, sinusoid: T): T {
  const { norm_num_groups: groups, norm_eps: eps, block_out_channels: widths } = config;
  const p = (name: string) =>
    [ops.parameter(`${name}.weight`), ops.parameter(`${name}.bias`)] as const;
  const conv = (name: string, x: T, stride = 1, padding = 1) =>
    ops.conv(x, ...p(name), stride, padding);
  const norm = (name: string, x: T, silu: boolean) =>
    ops.groupNorm(x, ...p(name), groups, eps, silu);
  const linear = (name: string, x: T) => ops.linear(x, ...p(name));

  const hidden = ops.silu(linear("time_embedding.linear_1", sinusoid));
  const time = ops.silu(linear("time_embedding.linear_2", hidden));
  const resnet = (name: string, x: T, out: number): T => {
    let h = conv(`${name}.conv1`, norm(`${name}.norm1`, x, true));
    h = ops.addChannel(h, linear(`${name}.time_emb_proj`, time));
    h = conv(`${name}.conv2`, norm(`${name}.norm2`, h, true));
    const shortcut = ops.channels(x) === out ? x : conv(`${name}.conv_shortcut`, x, 1, 0);
    return ops.add(h, shortcut);
  };
  const attention = (name: string, x: T): T => {
    const h = norm(`${name}.group_norm`, x, false);
    const [q, k, v] = ["to_q", "to_k", "to_v"].map((n) => ops.project(h, ...p(`${name}.${n}`)));
    const heads = ops.channels(x) / (config.attention_head_dim ?? ops.channels(x));
    const y = ops.attention(q, k, v, heads);
    return ops.add(ops.project(y, ...p(`${name}.to_out.0`)), x);
  };

  let h = conv("conv_in", x);
  const skips = [h];
  widths.forEach((out, level) => {
    for (let i = 0; i < config.layers_per_block; i++) {
      skips.push(h = resnet(`down_blocks.${level}.resnets.${i}`, h, out));
    }
    if (level < widths.length - 1) {
      skips.push(h = conv(`down_blocks.${level}.downsamplers.0.conv`, h, 2));
    }
  });
  const middle = widths.at(-1)!;
  h = resnet("mid_block.resnets.0", h, middle);
  if (config.add_attention) h = attention("mid_block.attentions.0", h);
  h = resnet("mid_block.resnets.1", h, middle);
  widths.toReversed().forEach((out, level) => {
    for (let i = 0; i <= config.layers_per_block; i++) {
      h = resnet(`up_blocks.${level}.resnets.${i}`, ops.concat(h, skips.pop()!), out);
    }
    if (level < widths.length - 1) {
      h = conv(`up_blocks.${level}.upsamplers.0.conv`, ops.upsample(h));
    }
  });
  return conv("conv_out", norm("conv_norm_out", h, true));
}

/** diffusers' get_timestep_embedding with flip_sin_to_cos: cosines, then sines; [N, dim]. */
export function sinusoids(t: readonly number[], dim: number, flip: boolean, shift: number) {
  const half = dim / 2;
  const values = new Float32Array(t.length * dim);
  t.forEach((step, n) => {
    for (let i = 0; i < half; i++) {
      const angle = step * Math.exp(-Math.log(10000) * i / (half - shift));
      values[n * dim + i + (flip ? half : 0)] = Math.sin(angle);
      values[n * dim + i + (flip ? 0 : half)] = Math.cos(angle);
    }
  });
  return values;
}

export interface Setup {
  readonly unet: PeerUnet & { readonly flip_sin_to_cos: boolean; readonly freq_shift: number };
  readonly specs: readonly { name: string; shape: readonly number[]; offset: number }[];
  readonly folder: string;
}

export interface Work {
  readonly what: "forward" | "train";
  readonly batch: number;
  readonly size: number;
  readonly t: readonly number[];
}

/** What a peer's process does when it is asked. */
export interface Actions {
  setup(setup: Setup): Promise<{ version: string }>;
  /** Gets ready and runs once or twice, until the time has settled. */
  prepare(work: Work): Promise<void>;
  /** Returns when the device is done. */
  run(): Promise<void>;
  /** [N,C,H,W] of the last forward pass. */
  output(): Promise<Float32Array>;
}

const MARK = "@bench ";

/** Answers questions on standard input, a line of JSON each, until it ends. */
export async function serve(actions: Actions): Promise<void> {
  let folder = "";
  const answer = async (question: Record<string, unknown>): Promise<Record<string, unknown>> => {
    switch (question.do) {
      case "setup":
        folder = question.folder as string;
        return await actions.setup(question as unknown as Setup);
      case "prepare":
        await actions.prepare(question as unknown as Work);
        return {};
      case "run": {
        const count = Number(question.count);
        const start = performance.now();
        for (let i = 0; i < count; i++) await actions.run();
        return { milliseconds: (performance.now() - start) / count };
      }
      default: {
        const values = Float32Array.from(await actions.output());
        await Deno.writeFile(`${folder}/output.bin`, new Uint8Array(values.buffer));
        return {};
      }
    }
  };
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const reply = await answer(JSON.parse(line)).catch((error) => ({ error: String(error) }));
      console.log(MARK + JSON.stringify(reply));
    }
  }
}

/** Weights and input as the benchmark wrote them. */
export async function floats(path: string): Promise<Float32Array<ArrayBuffer>> {
  return new Float32Array((await Deno.readFile(path)).buffer);
}
