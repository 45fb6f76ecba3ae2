/** Smooth random fields in space: functions of (seed, point), the same on every machine. */

/** 32-bit integer mix (murmur3's finalizer) of lattice point and seed. */
function hash(x: number, y: number, z: number, seed: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ Math.imul(z, 0x9e3779b1) ^ seed;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const at = (x: number, y: number, z: number, seed: number) => hash(x, y, z, seed) / 2 ** 31 - 1;
const mix = (a: number, b: number, t: number) => a + t * (b - a);
const fade = (t: number) => t * t * (3 - 2 * t);

/** Value noise in [-1, 1]: one value a lattice point, smooth between; feature size 1. */
export function noise3(x: number, y: number, z: number, seed: number): number {
  const x0 = Math.floor(x), y0 = Math.floor(y), z0 = Math.floor(z);
  const u = fade(x - x0), v = fade(y - y0), w = fade(z - z0);
  const a = mix(at(x0, y0, z0, seed), at(x0 + 1, y0, z0, seed), u);
  const b = mix(at(x0, y0 + 1, z0, seed), at(x0 + 1, y0 + 1, z0, seed), u);
  const c = mix(at(x0, y0, z0 + 1, seed), at(x0 + 1, y0, z0 + 1, seed), u);
  const d = mix(at(x0, y0 + 1, z0 + 1, seed), at(x0 + 1, y0 + 1, z0 + 1, seed), u);
  return mix(mix(a, b, v), mix(c, d, v), w);
}
