/**
 * Reads the tensors of a PyTorch `.pth` file, in both of its forms: the zip archive of PyTorch 1.6
 * and later, and the older sequence of pickles. Files are taken as hostile: only tensors are built.
 * Reference: torch/serialization.py (`_load`, `_legacy_load`).
 */

import { InputError } from "../errors.ts";
import { requireDense } from "./disk.ts";
import { LIMITS } from "./limits.ts";
import { Built, type Global, type PickleHooks, PyDict, PyList, type PyValue } from "./pickle.ts";
import { readPickle } from "./pickle.ts";
import { readFileBounded } from "./read.ts";
import { fromBfloat16 } from "./safetensors.ts";
import { listStoredZip } from "./stored_zip.ts";

export type TorchData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array;

export interface TorchTensor {
  shape: number[];
  /** In C order. Half and bfloat16 are widened to float32; bool is 0 and 1. */
  data: TorchData;
}

type Make = (buffer: ArrayBuffer, offset: number, count: number) => TorchData;
/** Storage class: bytes per element, and the array over its bytes, or over a copy that is wider. */
const STORAGES: Record<string, [size: number, make: Make]> = {
  FloatStorage: [4, (b, at, count) => new Float32Array(b, at, count)],
  DoubleStorage: [8, (b, at, count) => new Float64Array(b, at, count)],
  HalfStorage: [2, (b, at, count) => new Float32Array(new Float16Array(b, at, count))],
  BFloat16Storage: [2, (b, at, count) => fromBfloat16(new Uint16Array(b, at, count))],
  LongStorage: [8, (b, at, count) => new BigInt64Array(b, at, count)],
  IntStorage: [4, (b, at, count) => new Int32Array(b, at, count)],
  ShortStorage: [2, (b, at, count) => new Int16Array(b, at, count)],
  CharStorage: [1, (b, at, count) => new Int8Array(b, at, count)],
  ByteStorage: [1, (b, at, count) => new Uint8Array(b, at, count)],
  BoolStorage: [1, (b, at, count) => new Uint8Array(b, at, count)],
};

const MAX_NAME = 512;

const ALLOWED = new Set([
  "collections.OrderedDict",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_parameter",
  ...Object.keys(STORAGES).map((name) => `torch.${name}`),
]);

class Storage extends Built {
  data: TorchData | null = null;
  constructor(readonly type: string, readonly key: string, readonly count: number) {
    super();
  }
}

class View extends Built {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: number[],
    readonly strides: number[],
  ) {
    super();
  }
}

/**
 * Tensors by name. A dict inside a dict (as `{"state_dict": …}`) gives "outer.inner" names.
 * Anything that is no tensor (epoch numbers, settings) is left out.
 *
 * @throws InputError naming `name` and the reason: not such a file, truncated, compressed, a global
 *   other than what tensors need, a tensor that reaches outside its storage or unrolls to more than
 *   it holds.
 */
export function parseTorch(bytes: Uint8Array, name: string): Map<string, TorchTensor> {
  const zipped = bytes[0] === 0x50 && bytes[1] === 0x4b; // "PK"
  const root = zipped ? parseZip(bytes, name) : parseLegacy(bytes, name);
  const tensors = new Map<string, TorchTensor>();
  // Each tensor that is not its storage as it stands is a copy: bound what all copies may take.
  const budget = { left: 2 * bytes.length };
  // Dicts that hold one another would be walked for ever.
  const most = LIMITS.pickle.tensors;
  let visits = 0;
  const collect = (dict: PyDict, prefix: string, depth: number) => {
    for (const [key, value] of dict.entries) {
      if (++visits > most) throw unreadable(name, `more than ${most} entries`);
      if (typeof key !== "string") continue;
      if (prefix.length + key.length > MAX_NAME) {
        throw unreadable(name, `a tensor's name is of more than ${MAX_NAME} characters: ${key}`);
      }
      if (value instanceof View) tensors.set(prefix + key, materialise(value, name, budget));
      else if (value instanceof PyDict && depth < 3) collect(value, `${prefix}${key}.`, depth + 1);
    }
  };
  if (!(root instanceof PyDict)) throw unreadable(name, "it holds no dict of tensors");
  collect(root, "", 0);
  if (tensors.size === 0) throw unreadable(name, "it holds no tensor");
  return tensors;
}

/** Reads a file of at most `maxBytes`. Tensors are views of its bytes where alignment allows. */
export async function readTorch(
  path: string,
  maxBytes: number = LIMITS.torch.file,
): Promise<Map<string, TorchTensor>> {
  requireDense(path);
  return parseTorch(await readFileBounded(path, maxBytes), path);
}

function unreadable(name: string, why: string): InputError {
  return new InputError(`Cannot read "${name}": ${why}`);
}

function parseZip(bytes: Uint8Array, name: string): PyValue {
  const entries = listStoredZip(bytes, name);
  const pickle = [...entries.keys()].find((path) => /^[^/]+\/data\.pkl$/.test(path));
  if (!pickle) throw unreadable(name, "no data.pkl inside: not a file of torch.save");
  const folder = pickle.slice(0, -"data.pkl".length);
  const order = entries.get(`${folder}byteorder`);
  if (order && new TextDecoder().decode(order) !== "little") {
    throw unreadable(name, "it was written on a big-endian machine");
  }
  const storages = new Map<string, Storage>();
  const { value } = readPickle(
    entries.get(pickle)!,
    0,
    name,
    hooks(name, storages, (storage) => {
      const data = entries.get(`${folder}data/${storage.key}`);
      if (!data) throw unreadable(name, `storage "${storage.key}" is missing`);
      fill(storage, data, name);
    }),
  );
  return value;
}

/** For a message. Tuples that share tuples would be written out for ever. */
function described(value: PyValue): string {
  return typeof value === "object" ? "(no text and no number)" : `"${value}"`;
}

const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;

function parseLegacy(bytes: Uint8Array, name: string): PyValue {
  const refuse = { allowed: new Set<string>(), call: () => null, persistent: () => null };
  if (bytes[0] !== 0x80) throw unreadable(name, "not a file of torch.save");
  const magic = readPickle(bytes, 0, name, refuse);
  if (magic.value !== LEGACY_MAGIC) throw unreadable(name, "not a file of torch.save");
  const version = readPickle(bytes, magic.end, name, refuse);
  if (version.value !== 1001) {
    throw unreadable(name, `protocol ${described(version.value)}, not 1001`);
  }
  const system = readPickle(bytes, version.end, name, refuse);
  if (
    system.value instanceof PyDict && system.value.entries.get("little_endian") === false
  ) throw unreadable(name, "it was written on a big-endian machine");
  const storages = new Map<string, Storage>();
  const body = readPickle(bytes, system.end, name, hooks(name, storages, () => {}));
  const keys = readPickle(bytes, body.end, name, refuse);
  if (!(keys.value instanceof PyList)) throw unreadable(name, "its list of storages is missing");
  let at = keys.end;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const key of keys.value.items) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (!storage) throw unreadable(name, `it lists storage ${described(key)}, which nothing uses`);
    if (storage.data) throw unreadable(name, `it lists storage "${key}" twice`);
    if (at + 8 > bytes.length) throw unreadable(name, `truncated before storage "${key}"`);
    const count = view.getBigInt64(at, true);
    if (count !== BigInt(storage.count)) {
      throw unreadable(name, `storage "${key}" has ${count} elements, ${storage.count} announced`);
    }
    const end = at + 8 + storage.count * STORAGES[storage.type][0];
    fill(storage, bytes.subarray(at + 8, end), name);
    at = end;
  }
  return body.value;
}

function hooks(
  name: string,
  storages: Map<string, Storage>,
  found: (storage: Storage) => void,
): PickleHooks {
  return {
    allowed: ALLOWED,
    call: (callee, args, hold) => call(callee, args, name, hold),
    persistent(id) {
      // ("storage", torch.FloatStorage, key, location, count[, view metadata])
      const [kind, type, key, , count, view] = Array.isArray(id) ? id : [];
      const storageType = isGlobal(type) && type.module === "torch" ? STORAGES[type.name] : null;
      if (
        kind !== "storage" || !storageType || typeof key !== "string" || !natural(count) ||
        (view !== null && view !== undefined)
      ) throw unreadable(name, "its pickle has a persistent id that is no storage");
      const known = storages.get(key);
      const typeName = (type as Global).name;
      if (known) {
        if (known.type === typeName && known.count === count) return known;
        throw unreadable(name, `storage "${key}" is announced in two ways`);
      }
      const storage = new Storage(typeName, key, count);
      storages.set(key, storage);
      found(storage);
      return storage;
    },
  };
}

function isGlobal(value: PyValue | undefined): value is Global {
  return typeof value === "object" && value !== null && "path" in value;
}

function natural(value: PyValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function call(
  callee: Global,
  args: PyValue[],
  name: string,
  hold: (items: number) => void,
): PyValue {
  if (callee.path === "collections.OrderedDict") {
    const dict = new PyDict();
    if (args.length === 0) return dict;
    // Python 2 wrote OrderedDict([[key, value], …]).
    const list = args[0];
    if (args.length === 1 && list instanceof PyList) {
      hold(list.items.length);
      for (const item of list.items) {
        const pair = item instanceof PyList ? item.items : item;
        if (!Array.isArray(pair) || pair.length !== 2) {
          throw unreadable(name, "its pickle has an OrderedDict that is not of pairs");
        }
        dict.entries.set(pair[0], pair[1]);
      }
      return dict;
    }
  }
  if (callee.path === "torch._utils._rebuild_parameter" && args[0] instanceof View) return args[0];
  if (callee.path === "torch._utils._rebuild_tensor_v2") {
    const [storage, offset, shape, strides] = args;
    if (
      storage instanceof Storage && natural(offset) && Array.isArray(shape) &&
      Array.isArray(strides) && shape.length === strides.length && shape.length <= 16 &&
      shape.every(natural) && strides.every(natural)
    ) return new View(storage, offset, shape as number[], strides as number[]);
  }
  throw unreadable(name, `its pickle calls ${callee.path} with arguments it does not take`);
}

function fill(storage: Storage, bytes: Uint8Array, name: string) {
  const [size, make] = STORAGES[storage.type];
  const needed = storage.count * size;
  if (bytes.length !== needed) {
    throw unreadable(
      name,
      `storage "${storage.key}" has ${bytes.length} bytes, ${storage.count} elements of ` +
        `${storage.type} take ${needed} (truncated?)`,
    );
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  storage.data = make(aligned.buffer as ArrayBuffer, aligned.byteOffset, storage.count);
}

/** The view's elements in C order; the storage itself where it is the view as it stands. */
function materialise(
  { storage, offset, shape, strides }: View,
  name: string,
  budget: { left: number },
): TorchTensor {
  const source = storage.data;
  if (!source) throw unreadable(name, `storage "${storage.key}" is not in the file`);
  const count = shape.reduce((a, b) => a * b, 1);
  // A tensor larger than its storage is one number repeated by strides of 0: no weight is.
  if (count > source.length) {
    throw unreadable(name, `a tensor [${shape}] of a storage of ${source.length} elements`);
  }
  if (count === 0) return { shape: [...shape], data: source.subarray(0, 0) };
  const last = shape.reduce((sum, length, i) => sum + (length - 1) * strides[i], offset);
  if (last >= source.length) {
    throw unreadable(name, `a tensor [${shape}] reaches outside its storage`);
  }
  let dense = 1;
  const contiguous = shape.every((_, k) => {
    const i = shape.length - 1 - k;
    const fits = shape[i] === 1 || strides[i] === dense;
    dense *= shape[i];
    return fits;
  });
  if (contiguous) return { shape: [...shape], data: source.subarray(offset, offset + count) };
  budget.left -= count * Math.max(4, source.BYTES_PER_ELEMENT); // small ones take as long
  if (budget.left < 0) throw unreadable(name, "its tensors unroll to more than twice the file");
  const out = new (source.constructor as new (length: number) => TorchData)(count);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0, at = offset; i < count; i++) {
    out[i] = source[at];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return { shape: [...shape], data: out };
}
