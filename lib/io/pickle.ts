/**
 * A pickle reader that cannot run anything. It knows the opcodes of protocol 2 that `torch.save`
 * writes, and hands every GLOBAL, call and persistent id to the caller, who allows a fixed list.
 * Reference: CPython `Lib/pickletools.py`.
 */

import { InputError } from "../errors.ts";
import { LIMITS } from "./limits.ts";

/** A class or function that the pickle names; nothing is looked up. */
export class Global {
  constructor(readonly module: string, readonly name: string) {}
  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** Python's list; tuples are plain arrays. */
export class PyList {
  items: PyValue[] = [];
}

/** Python's dict and OrderedDict. */
export class PyDict {
  entries = new Map<PyValue, PyValue>();
}

/** Whatever `reduce` and `persistent` of the caller make. */
export abstract class Built {}

export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Global
  | PyList
  | PyDict
  | Built
  | PyValue[];

export interface PickleHooks {
  /** The globals that may be named, as "module.name". */
  allowed: ReadonlySet<string>;
  /**
   * Result of calling an allowed global.
   * @param hold to be told of how many items the result holds, before it is made.
   */
  call(callee: Global, args: PyValue[], hold: (items: number) => void): PyValue;
  persistent(id: PyValue): PyValue;
}

const MARK = Symbol("mark");
const { bytes: MAX_PICKLE, opcodes: MAX_OPCODES, held: MAX_HELD, text: MAX_TEXT } = LIMITS.pickle;

/**
 * Reads the one pickle that starts at `start`.
 *
 * @returns its value and where it ends
 * @throws InputError naming `name` for a truncated or malformed pickle, an unknown opcode, and a
 *   global that is not allowed.
 */
export function readPickle(
  bytes: Uint8Array,
  start: number,
  name: string,
  hooks: PickleHooks,
): { value: PyValue; end: number } {
  const reader = new Reader(bytes, start, name);
  const stack: (PyValue | typeof MARK)[] = [];
  const memo = new Map<number, PyValue>();
  const fail = (why: string) => reader.fail(why);
  // A list may be put in a thousand others, or be copied as often: what counts is not what a pickle
  // says but what it makes.
  let opcodes = 0, held = 0;
  const hold = (items: number) => {
    held += items;
    if (held > MAX_HELD) {
      throw fail(`its pickle's lists and dicts hold more than ${MAX_HELD} items`);
    }
  };
  const pop = (): PyValue => {
    const value = stack.pop();
    if (value === undefined || value === MARK) throw fail("its pickle takes from an empty stack");
    return value;
  };
  const top = (): PyValue => {
    const value = pop();
    stack.push(value);
    return value;
  };
  const popToMark = (): PyValue[] => {
    const at = stack.lastIndexOf(MARK);
    if (at < 0) throw fail("its pickle has no mark where it needs one");
    const items = stack.slice(at + 1) as PyValue[];
    stack.length = at;
    hold(items.length);
    return items;
  };
  const store = (into: PyValue, pairs: PyValue[]) => {
    if (!(into instanceof PyDict)) throw fail("its pickle sets an item of what is no dict");
    if (pairs.length % 2) throw fail("its pickle has a key without a value");
    for (let i = 0; i < pairs.length; i += 2) into.entries.set(pairs[i], pairs[i + 1]);
  };
  const append = (into: PyValue, items: PyValue[]) => {
    if (!(into instanceof PyList)) throw fail("its pickle appends to what is no list");
    for (const item of items) into.items.push(item);
  };
  const recall = (index: number) => {
    const value = memo.get(index);
    if (value === undefined) throw fail(`its pickle recalls memo ${index}, which was not stored`);
    return value;
  };

  for (;;) {
    if (reader.at - start > MAX_PICKLE) throw fail(`its pickle is longer than ${MAX_PICKLE} bytes`);
    if (++opcodes > MAX_OPCODES) throw fail(`its pickle has more than ${MAX_OPCODES} opcodes`);
    const code = reader.byte();
    switch (code) {
      case 0x80: { // PROTO
        const version = reader.byte();
        if (version > 2) throw fail(`its pickle is of protocol ${version}, 2 is read`);
        break;
      }
      case 0x2e: // STOP
        return { value: pop(), end: reader.at };
      case 0x28: // MARK
        stack.push(MARK);
        break;
      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        stack.push(code === 0x88);
        break;
      case 0x4a: // BININT
        stack.push(reader.integer(4) | 0);
        break;
      case 0x4b: // BININT1
        stack.push(reader.byte());
        break;
      case 0x4d: // BININT2
        stack.push(reader.integer(2));
        break;
      case 0x8a: // LONG1
        stack.push(reader.long());
        break;
      case 0x47: // BINFLOAT
        stack.push(reader.float());
        break;
      case 0x58: // BINUNICODE
        stack.push(reader.text(reader.integer(4)));
        break;
      case 0x54: // BINSTRING
        stack.push(reader.text(reader.integer(4)));
        break;
      case 0x55: // SHORT_BINSTRING
        stack.push(reader.text(reader.byte()));
        break;
      case 0x63: { // GLOBAL
        const found = new Global(reader.line(), reader.line());
        if (!hooks.allowed.has(found.path)) {
          throw fail(`its pickle asks for "${found.path}"; only tensors are read, nothing is run`);
        }
        stack.push(found);
        break;
      }
      case 0x52: { // REDUCE
        const args = pop(), callee = pop();
        if (!(callee instanceof Global) || !Array.isArray(args)) {
          throw fail("its pickle calls what is no function");
        }
        stack.push(hooks.call(callee, args, hold));
        break;
      }
      case 0x51: // BINPERSID
        stack.push(hooks.persistent(pop()));
        break;
      case 0x62: { // BUILD: torch hangs `_metadata` on a state dict; it is dropped, not applied
        pop();
        if (!(top() instanceof PyDict)) throw fail("its pickle sets attributes of what is no dict");
        break;
      }
      case 0x7d: // EMPTY_DICT
        stack.push(new PyDict());
        break;
      case 0x5d: // EMPTY_LIST
        stack.push(new PyList());
        break;
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        break;
      case 0x74: // TUPLE
        stack.push(popToMark());
        break;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: { // TUPLE3
        hold(code - 0x84);
        const items = Array.from({ length: code - 0x84 }, pop).reverse();
        stack.push(items);
        break;
      }
      case 0x73: { // SETITEM
        const value = pop(), key = pop();
        hold(2);
        store(top(), [key, value]);
        break;
      }
      case 0x75: { // SETITEMS
        const pairs = popToMark();
        store(top(), pairs);
        break;
      }
      case 0x61: { // APPEND
        const item = pop();
        hold(1);
        append(top(), [item]);
        break;
      }
      case 0x65: { // APPENDS
        const items = popToMark();
        append(top(), items);
        break;
      }
      case 0x71: // BINPUT
        memo.set(reader.byte(), top());
        break;
      case 0x72: // LONG_BINPUT
        memo.set(reader.integer(4), top());
        break;
      case 0x68: // BINGET
        stack.push(recall(reader.byte()));
        break;
      case 0x6a: // LONG_BINGET
        stack.push(recall(reader.integer(4)));
        break;
      default:
        throw fail(
          `its pickle has opcode 0x${code.toString(16).padStart(2, "0")} at byte ` +
            `${reader.at - 1}, which no file of tensors needs`,
        );
    }
  }
}

const DECODER = new TextDecoder();

/** Bounds-checked little-endian reading. */
class Reader {
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array, public at: number, readonly name: string) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  fail(why: string): InputError {
    return new InputError(`Cannot read "${this.name}": ${why}`);
  }

  #take(count: number): number {
    const from = this.at;
    if (count > this.bytes.length - from) {
      throw this.fail(`truncated: ${count} bytes are needed at byte ${from}`);
    }
    this.at += count;
    return from;
  }

  byte(): number {
    return this.bytes[this.#take(1)];
  }

  integer(size: 2 | 4): number {
    const from = this.#take(size);
    return size === 2 ? this.#view.getUint16(from, true) : this.#view.getUint32(from, true);
  }

  float(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  long(): number | bigint {
    const size = this.byte();
    if (size > 16) throw this.fail(`its pickle has an integer of ${size} bytes`);
    const from = this.#take(size);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = value << 8n | BigInt(this.bytes[from + i]);
    if (size > 0) value = BigInt.asIntN(8 * size, value);
    return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value;
  }

  text(length: number): string {
    const from = this.#take(length);
    if (length > MAX_TEXT) throw this.fail(`its pickle has a text of ${length} bytes`);
    return DECODER.decode(this.bytes.subarray(from, from + length));
  }

  line(): string {
    const length = this.bytes.subarray(this.at, this.at + 201).indexOf(0x0a);
    if (length < 0) throw this.fail("its pickle names a global without an end");
    const text = this.text(length);
    this.at++;
    return text;
  }
}
