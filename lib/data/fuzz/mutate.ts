/** Damage for untrusted-input tests: seeded, so that a finding can be had again by its number. */

import { PhiloxStream } from "../../random/philox.ts";

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0xfe];
const INTERESTING_32 = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x10000, 0xffff];

/** A damaged copy of `bytes`: a function of it, the seed and the number. */
export function mutate(bytes: Uint8Array, seed: number, number: number): Uint8Array {
  const random = new PhiloxStream(seed, number);
  const below = (n: number) => Math.floor(random.uniform() * n);
  let out = bytes.slice();
  for (let rounds = 1 + below(4); rounds > 0; rounds--) out = once(out, below);
  return out;
}

function once(bytes: Uint8Array, below: (n: number) => number): Uint8Array<ArrayBuffer> {
  const out = bytes.slice();
  if (out.length === 0) return out;
  // Headers are short and matter most: half of the damage goes there.
  const at = below(2) === 0 ? below(Math.min(out.length, 600)) : below(out.length);
  switch (below(9)) {
    case 0:
      out[at] ^= 1 << below(8);
      return out;
    case 1:
      out[at] = INTERESTING[below(INTERESTING.length)];
      return out;
    case 2:
      return out.slice(0, at);
    case 3: {
      const length = Math.min(out.length - at, 1 + below(64));
      return joined(out.subarray(0, at), out.subarray(at + length));
    }
    case 4: { // a piece twice
      const length = Math.min(out.length - at, 1 + below(256));
      return joined(out.subarray(0, at + length), out.subarray(at));
    }
    case 5: { // a length or a count
      const view = new DataView(out.buffer);
      const value = INTERESTING_32[below(INTERESTING_32.length)];
      if (at + 4 <= out.length) view.setUint32(at, value, below(2) === 0);
      return out;
    }
    case 6: {
      const length = Math.min(out.length - at, 1 + below(32));
      for (let i = 0; i < length; i++) out[at + i] = below(256);
      return out;
    }
    case 7: { // one piece over another
      const from = below(out.length), length = Math.min(64, out.length - at, out.length - from);
      out.copyWithin(at, from, from + length);
      return out;
    }
    default: { // text: a number becomes another
      let digit = at;
      while (digit < out.length && !(out[digit] >= 0x30 && out[digit] <= 0x39)) digit++;
      if (digit < out.length) out[digit] = 0x30 + below(10);
      return out;
    }
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
