/**
 * A built-in phantom of the chest, so that every program here runs without data: thorax slices in
 * HU with their lung and nodule masks, as a function of numbers only. A patient is a thing in
 * space, and slices of it at any z fit together into a series.
 */

import { PhiloxStream } from "../random/philox.ts";
import { drawAnatomy } from "./phantom_anatomy.ts";
import { type Planes, renderSlice, type Scene } from "./phantom_render.ts";
import {
  growTree,
  lungDistance,
  type Point,
  pointInLung,
  type Segment,
} from "./phantom_vessels.ts";

export type { Nodule, Planes } from "./phantom_render.ts";

/** Slices of a patient that {@link phantomSlice} offers; every other one holds a nodule. */
export const PHANTOM_SLICES = 8;
/** Field of view of a slice when no spacing is given, mm. */
export const PHANTOM_FIELD_MM = 350;
const MAX_RADIUS = 15;
/** z of the lungs from the apex, mm, that the slices of phantomSlice are spread over. */
const Z_RANGE = [36, 204] as const;
const BAND = (Z_RANGE[1] - Z_RANGE[0]) / PHANTOM_SLICES;
/** Keeps the phantom's streams apart from other uses of the same seed. */
const STREAM_BASE = 0x7A00 * 2 ** 32;

export interface PhantomSlice extends Planes {
  /** 1 where the slice cuts through a nodule. */
  label: 0 | 1;
}

export interface PhantomPatient extends Scene {
  /**
   * The slice at `zMm` below the lungs' apex (lungs span about 0 to 250), size × size pixels
   * `spacingMm` apart, rows from front to back, columns from the patient's right to left.
   */
  slice(zMm: number, size?: number, spacingMm?: number): Planes;
}

export interface PhantomOptions {
  /** Smallest diameter of a nodule, mm, in [4, 30]; 4 by default. */
  minNoduleMm?: number;
}

/** 1 for the slices of {@link phantomSlice} that hold a nodule: every other one. */
export function phantomLabel(patient: number, slice: number): 0 | 1 {
  // Which parity has them turns from patient to patient, so that z does not give the class away.
  return (patient + slice) % 2 === 0 ? 0 : 1;
}

function centreZ(band: number): number {
  return Z_RANGE[0] + (band + 0.5) * BAND;
}

/**
 * The patient as a thing in space: a pure function of its arguments. Growing the vessels takes some
 * tens of milliseconds; keep the patient if several of its slices are wanted.
 */
export function phantomPatient(
  seed: number,
  patient: number,
  { minNoduleMm = 4 }: PhantomOptions = {},
): PhantomPatient {
  if (!Number.isInteger(patient) || patient < 0 || patient >= 2 ** 24) {
    throw new Error(`Cannot make phantom patient ${patient}: it must be whole and in [0, 2^24)`);
  }
  if (!(minNoduleMm >= 4 && minNoduleMm <= 2 * MAX_RADIUS)) {
    throw new Error(`Cannot make nodules from ${minNoduleMm} mm: it must be in [4, 30]`);
  }
  const stream = (part: number) => new PhiloxStream(seed, STREAM_BASE + patient * 256 + part);
  const anatomy = drawAnatomy(stream(0));
  const distance = lungDistance(anatomy);
  const scene: Scene = { anatomy, vessels: [], bronchi: [], nodules: [] };

  const y0 = -8, carina: Point = [-4, y0 + 6, anatomy.carinaZ];
  for (const side of [-1, 1] as const) {
    const random = stream(side < 0 ? 1 : 2);
    const hilum: Point = [side * 40, y0, anatomy.carinaZ + (side < 0 ? 20 : 14)];
    const vein: Point = [side * 36, y0 - 4, anatomy.carinaZ + 34];
    scene.vessels.push(
      ...growTree(random, distance, hilum, side, 520),
      ...growTree(random, distance, vein, side, 400),
    );
    scene.bronchi.push(...bronchialTree(random, carina, hilum, side));
  }

  const random = stream(3);
  for (let band = 0; band < PHANTOM_SLICES; band++) {
    const z = centreZ(band) + random.range(-1.5, 1.5);
    const low = Math.log(minNoduleMm / 2), high = Math.log(MAX_RADIUS);
    const radius = Math.exp(random.range(low, high));
    const side = random.uniform() < 0.5 ? -1 : 1;
    const hu = random.range(15, 65), lobulation = random.range(0.03, 0.16);
    if (phantomLabel(patient, band) === 0) continue;
    // Nodules touch the pleura at times but are not lost in it; narrow lungs get what fits.
    let centre: Point | null = null;
    for (const depth of [1, 0.75, 0.5, 0.2]) {
      for (const s of [side, -side] as const) {
        centre ??= pointInLung(random, distance, s as -1 | 1, radius * depth, [z, z + 0.01]);
      }
    }
    if (!centre) continue;
    scene.nodules.push({ centre, radius, lobulation, hu, noiseSeed: random.nextUint32() });
  }
  return {
    ...scene,
    slice(zMm, size = 128, spacingMm = PHANTOM_FIELD_MM / size) {
      // Each z has noise of its own: 16 bits of it in steps of 0.01 mm.
      const noise = new PhiloxStream(
        seed,
        STREAM_BASE + 2 ** 33 * 64 + patient * 65536 + (Math.round((zMm + 200) * 100) & 0xFFFF),
      );
      return renderSlice(scene, zMm, size, spacingMm, noise);
    },
  };
}

/** Main bronchus and a few lobar ones. */
function bronchialTree(
  random: PhiloxStream,
  carina: Point,
  hilum: Point,
  side: -1 | 1,
): Segment[] {
  const out: Segment[] = [{ a: [carina[0], carina[1], carina[2] - 6], b: hilum, ra: 6.5, rb: 5 }];
  for (let i = 0; i < 4; i++) {
    const b: Point = [
      hilum[0] + side * random.range(8, 30),
      hilum[1] + random.range(-28, 32),
      hilum[2] + [-32, -6, 22, 48][i] + random.range(-6, 6),
    ];
    out.push({ a: hilum, b, ra: 3.6, rb: 2.2 });
    for (let k = 0; k < 2; k++) {
      const end: Point = [
        b[0] + side * random.range(4, 24),
        b[1] + random.range(-22, 24),
        b[2] + random.range(-18, 26),
      ];
      out.push({ a: b, b: end, ra: 2.2, rb: 1.4 });
    }
  }
  return out;
}

/** The patients last used: slices of one are mostly asked for one after another. */
const recent = new Map<string, PhantomPatient>();
const MAX_RECENT = 4;

/**
 * Slice `slice` of 0 … 7 of a patient, size × size pixels over 350 mm: a pure function of its
 * arguments. Slices with label 1 (every other one) pass through a nodule of 4 to 30 mm, and of at
 * least about 12 pixels where the pixels allow it (64 × 64 upwards), so that it can be seen; the
 * other slices keep clear of all nodules.
 */
export function phantomSlice(
  seed: number,
  patient: number,
  slice: number,
  size = 128,
): PhantomSlice {
  if (!Number.isInteger(slice) || slice < 0 || slice >= PHANTOM_SLICES) {
    throw new Error(`Cannot make phantom slice ${slice}: it must be in [0, ${PHANTOM_SLICES})`);
  }
  if (!Number.isInteger(size) || size < 8 || size > 4096) {
    throw new Error(`Cannot make a phantom slice of ${size} pixels: it must be in [8, 4096]`);
  }
  const spacing = PHANTOM_FIELD_MM / size;
  const minNoduleMm = Math.min(25, Math.max(4, 2.15 * spacing * Math.sqrt(12 / Math.PI)));
  const key = `${seed}/${patient}/${minNoduleMm}`;
  let made = recent.get(key);
  if (!made) made = phantomPatient(seed, patient, { minNoduleMm });
  recent.delete(key);
  recent.set(key, made);
  if (recent.size > MAX_RECENT) recent.delete(recent.keys().next().value!);
  const label = phantomLabel(patient, slice), z = centreZ(slice);
  const nodule = label === 1
    ? made.nodules.find((n) => Math.abs(n.centre[2] - z) < BAND / 2)
    : undefined;
  return { ...made.slice(nodule ? nodule.centre[2] : z, size, spacing), label };
}
