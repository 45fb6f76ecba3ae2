/**
 * The benchmark's peer in onnxruntime-web on WebGPU: the model written as ONNX, forward only.
 * Arguments: its package, and protobufjs, with which the model is encoded.
 */

// deno-lint-ignore-file no-explicit-any

import { floats, type Ops, serve, type Setup, sinusoids, unet, type Work } from "./unet.ts";

const ort: any = await import(Deno.args[0]);
const { default: protobuf }: any = await import(Deno.args[1]);

/** onnx/onnx.proto, as far as it is needed here: type and number, "…[]" where repeated. */
const MESSAGES: Record<string, Record<string, [type: string, id: number]>> = {
  Model: { irVersion: ["int64", 1], graph: ["Graph", 7], opsetImport: ["Opset[]", 8] },
  Opset: { domain: ["string", 1], version: ["int64", 2] },
  Graph: {
    node: ["Node[]", 1],
    name: ["string", 2],
    initializer: ["Tensor[]", 5],
    input: ["Value[]", 11],
    output: ["Value[]", 12],
  },
  Node: {
    input: ["string[]", 1],
    output: ["string[]", 2],
    opType: ["string", 4],
    attribute: ["Attribute[]", 5],
  },
  Attribute: {
    name: ["string", 1],
    f: ["float", 2],
    i: ["int64", 3],
    s: ["bytes", 4],
    ints: ["int64[]", 8],
    type: ["int32", 20],
  },
  Tensor: {
    dims: ["int64[]", 1],
    dataType: ["int32", 2],
    name: ["string", 8],
    rawData: ["bytes", 9],
  },
  Value: { name: ["string", 1], type: ["Type", 2] },
  Type: { tensorType: ["TensorType", 1] },
  TensorType: { elemType: ["int32", 1], shape: ["Shape", 2] },
  Shape: { dim: ["Dimension[]", 1] },
  Dimension: { dimValue: ["int64", 1] },
};
const FLOAT = 1, INT64 = 7; // TensorProto.DataType
const ATTRIBUTE = { f: 1, i: 2, s: 3, ints: 7 }; // AttributeProto.AttributeType

const nested = Object.fromEntries(
  Object.entries(MESSAGES).map(([name, fields]) => [name, {
    fields: Object.fromEntries(
      Object.entries(fields).map(([field, [type, id]]) => [field, {
        id,
        type: type.replace("[]", ""),
        ...(type.endsWith("[]") ? { rule: "repeated" } : {}),
      }]),
    ),
  }]),
);
const Model = protobuf.Root.fromJSON({ nested }).lookupType("Model");

/** A value of the graph. */
interface Value {
  readonly name: string;
  readonly shape: readonly number[];
}

type Attributes = Record<string, number | string | readonly number[]>;

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

const attribute = ([name, value]: [string, Attributes[string]]) => {
  const [field, held] = Array.isArray(value)
    ? ["ints", value] as const
    : typeof value === "string"
    ? ["s", new TextEncoder().encode(value)] as const
    : Number.isInteger(value)
    ? ["i", value] as const
    : ["f", value] as const;
  return { name, [field]: held, type: ATTRIBUTE[field] };
};

const valueInfo = ({ name, shape }: Value) => {
  const dim = shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType: FLOAT, shape: { dim } } } };
};

/** Collects nodes and constants as the model is written down. */
class Builder implements Ops<Value> {
  readonly #nodes: Record<string, unknown>[] = [];
  readonly #constants = new Map<string, Record<string, unknown>>();

  constructor(private readonly flat: Float32Array, private readonly specs: Setup["specs"]) {}

  #node(op: string, shape: readonly number[], inputs: Value[], attributes: Attributes = {}): Value {
    const name = `${op}_${this.#nodes.length}`;
    this.#nodes.push({
      input: inputs.map((v) => v.name),
      output: [name],
      opType: op,
      attribute: Object.entries(attributes).map(attribute),
    });
    return { name, shape };
  }

  #constant(
    name: string,
    data: Float32Array | BigInt64Array,
    dims: readonly number[] = [data.length],
  ): Value {
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const dataType = data instanceof Float32Array ? FLOAT : INT64;
    this.#constants.set(name, { name, dims, dataType, rawData });
    return { name, shape: dims };
  }

  #reshape(x: Value, shape: readonly number[]): Value {
    const sizes = BigInt64Array.from(shape, BigInt);
    return this.#node("Reshape", shape, [x, this.#constant(`shape ${shape}`, sizes)]);
  }

  #transpose(x: Value, perm: readonly number[]): Value {
    return this.#node("Transpose", perm.map((i) => x.shape[i]), [x], { perm });
  }

  parameter(name: string): Value {
    const { shape, offset } = this.specs.find((s) => s.name === name)!;
    return this.#constant(name, this.flat.slice(offset, offset + sizeOf(shape)), shape);
  }

  conv(x: Value, w: Value, b: Value, stride: number, padding: number): Value {
    const [n, , height, width] = x.shape;
    const [co, , k] = w.shape;
    const out = (side: number) => Math.floor((side + 2 * padding - k) / stride) + 1;
    return this.#node("Conv", [n, co, out(height), out(width)], [x, w, b], {
      kernel_shape: [k, k],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
      dilations: [1, 1],
      group: 1,
    });
  }

  groupNorm(x: Value, w: Value, b: Value, groups: number, eps: number, silu: boolean): Value {
    const [n, c] = x.shape;
    const ones = new Float32Array(groups).fill(1);
    const g = this.#node("InstanceNormalization", [n, groups, sizeOf(x.shape) / n / groups], [
      this.#reshape(x, [n, groups, sizeOf(x.shape) / n / groups]),
      this.#constant(`ones ${groups}`, ones),
      this.#constant(`zeros ${groups}`, new Float32Array(groups)),
    ], { epsilon: eps });
    const channel = (v: Value) => this.#reshape(v, [1, c, 1, 1]);
    const scaled = this.#node("Mul", x.shape, [this.#reshape(g, x.shape), channel(w)]);
    const y = this.#node("Add", x.shape, [scaled, channel(b)]);
    return silu ? this.silu(y) : y;
  }

  linear(x: Value, w: Value, b: Value): Value {
    return this.#node("Gemm", [x.shape[0], w.shape[0]], [x, w, b], { transB: 1 });
  }

  silu(x: Value): Value {
    return this.#node("Mul", x.shape, [x, this.#node("Sigmoid", x.shape, [x])]);
  }

  add(a: Value, b: Value): Value {
    return this.#node("Add", a.shape, [a, b]);
  }

  addChannel(x: Value, y: Value): Value {
    return this.add(x, this.#reshape(y, [...y.shape, 1, 1]));
  }

  concat(a: Value, b: Value): Value {
    const [n, c, height, width] = a.shape;
    return this.#node("Concat", [n, c + b.shape[1], height, width], [a, b], { axis: 1 });
  }

  upsample(x: Value): Value {
    const [n, c, height, width] = x.shape;
    const scales = this.#constant("scales", new Float32Array([1, 1, 2, 2]));
    const none: Value = { name: "", shape: [] };
    return this.#node("Resize", [n, c, 2 * height, 2 * width], [x, none, scales], {
      mode: "nearest",
      coordinate_transformation_mode: "asymmetric",
      nearest_mode: "floor",
    });
  }

  attention(q: Value, k: Value, v: Value, heads: number): Value {
    const [n, c, height, width] = q.shape;
    const [d, pixels] = [c / heads, height * width];
    const columns = (x: Value) => this.#reshape(x, [n * heads, d, pixels]);
    const rows = (x: Value) => this.#transpose(columns(x), [0, 2, 1]);
    const scale = this.#constant(`scale ${d}`, new Float32Array([1 / Math.sqrt(d)]));
    const square = [n * heads, pixels, pixels];
    const products = this.#node("MatMul", square, [rows(q), columns(k)]);
    const scores = this.#node("Mul", square, [products, scale]);
    const weights = this.#node("Softmax", square, [scores], { axis: -1 });
    const y = this.#node("MatMul", [n * heads, pixels, d], [weights, rows(v)]);
    return this.#reshape(this.#transpose(y, [0, 2, 1]), [n, c, height, width]);
  }

  project(x: Value, w: Value, b: Value): Value {
    return this.conv(x, this.#reshape(w, [...w.shape, 1, 1]), b, 1, 0);
  }

  channels(x: Value): number {
    return x.shape[1];
  }

  encode(inputs: readonly Value[], output: Value): Uint8Array {
    return Model.encode(Model.fromObject({
      irVersion: 8,
      opsetImport: [{ domain: "", version: 17 }],
      graph: {
        name: "unet",
        node: this.#nodes,
        initializer: [...this.#constants.values()],
        input: inputs.map(valueInfo),
        output: [valueInfo(output)],
      },
    })).finish();
  }
}

let setup: Setup;
let weights: Float32Array;
let session: any;
let run: () => Promise<void>;
let result: Float32Array;

await serve({
  async setup(given) {
    setup = given;
    ort.env.wasm.numThreads = 1; // what is not computed by the GPU is next to nothing
    ort.env.logLevel = "error";
    weights = await floats(`${given.folder}/weights.bin`);
    return { version: Deno.args.map((name) => name.replace(/^npm:/, "")).join(", ") };
  },
  async prepare({ what, batch, size, t }: Work) {
    if (what !== "forward") throw new Error("it cannot train");
    const { unet: config, folder } = setup;
    const { flip_sin_to_cos: flip, freq_shift: shift, block_out_channels: [dim] } = config;
    const sample = await floats(`${folder}/sample.bin`);
    const shape = [batch, sample.length / batch / size / size, size, size];
    const x: Value = { name: "sample", shape };
    const time: Value = { name: "time", shape: [batch, dim] };
    const builder = new Builder(weights, setup.specs);
    const y = unet(builder, config, x, time);
    await session?.release();
    session = await ort.InferenceSession.create(builder.encode([x, time], y), {
      executionProviders: ["webgpu"],
      // Rather an error than a model of which the processor computes a part.
      extra: { session: { disable_cpu_ep_fallback: "1" } },
    });
    const feeds = {
      sample: new ort.Tensor("float32", sample, shape),
      time: new ort.Tensor("float32", sinusoids(t, dim, flip, shift), time.shape),
    };
    run = async () => {
      const outputs = await session.run(feeds);
      result = outputs[y.name].data;
    };
    await run();
  },
  run: () => run(),
  output: () => Promise.resolve(result),
});
