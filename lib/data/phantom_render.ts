/** From anatomy to Hounsfield units: one slice of the phantom. */

import type { PhiloxStream } from "../random/philox.ts";
import { type Anatomy, ellipse, segment, SliceAnatomy } from "./phantom_anatomy.ts";
import { noise3 } from "./phantom_noise.ts";
import { paintSegments, type Point, type Segment } from "./phantom_vessels.ts";

/** A lobulated ball. */
export interface Nodule {
  centre: Point;
  /** Mean radius, mm. */
  radius: number;
  /** Share of the radius by which the surface undulates. */
  lobulation: number;
  hu: number;
  noiseSeed: number;
}

export interface Scene {
  anatomy: Anatomy;
  vessels: Segment[];
  bronchi: Segment[];
  nodules: Nodule[];
}

export interface Planes {
  /** HU. */
  ct: Float32Array;
  /** 0 or 1; vessels and nodules in the lungs belong to them. */
  lungMask: Uint8Array;
  /** 0 or 1. */
  noduleMask: Uint8Array;
}

const AIR = -1000;
const clamp01 = (t: number) => Math.min(1, Math.max(0, t));

/** Signed distance to a nodule's surface, mm. */
function noduleDistance(nodule: Nodule, x: number, y: number, z: number): number {
  const { centre, radius, lobulation, noiseSeed } = nodule;
  const dx = x - centre[0], dy = y - centre[1], dz = z - centre[2];
  const away = Math.hypot(dx, dy, dz);
  if (away > radius * (1 + lobulation) + 4) return away - radius * (1 + lobulation);
  // The undulation is a function of direction, so that the surface stays closed.
  const k = 1.1 / Math.max(away, 1e-3);
  return away - radius * (1 + lobulation * noise3(dx * k + 7, dy * k, dz * k, noiseSeed));
}

/** Lung tissue: darker in front, mottled, with lobules too fine to be seen one by one. */
function lungHu(a: Anatomy, x: number, y: number, z: number): number {
  const seed = a.noiseSeed + 20;
  let hu = a.lungHu + a.gravity * (y / 90) + 16 * noise3(x / 38, y / 38, z / 38, seed);
  hu += 14 * noise3(x / 9, y / 9, z / 9, seed + 1) + 16 * noise3(x / 4, y / 4, z / 4, seed + 2);
  if (a.emphysema > 0) {
    const holes = noise3(x / 12, y / 12, z / 12, seed + 3);
    if (holes > 0.1) hu -= a.emphysema * (holes - 0.1) * 2.5;
  }
  return hu;
}

/** Fat with its septa, or muscle with fat between its bundles. */
function wallHu(s: SliceAnatomy, x: number, y: number, body: number): number {
  const a = s.of, seed = a.noiseSeed + 40;
  const fat = -108 + 12 * noise3(x / 6, y / 6, s.z / 8, seed);
  // The flanks are thin, back and front a little thicker.
  const thickness = a.fat * (0.75 + 0.5 * Math.abs(y) / s.bodyB) +
    3 * noise3(x / 40, y / 40, s.z / 50, seed + 1);
  const muscle = clamp01((-body - thickness) / 2.5);
  const bundles = noise3(x / 17, y / 9, s.z / 30, seed + 2) +
    0.5 * noise3(x / 6, y / 5, s.z / 14, seed + 3);
  const streak = clamp01((bundles - (1 - 2 * a.muscleFat)) * 5);
  const flesh = 52 + 8 * noise3(x / 5, y / 5, s.z / 8, seed + 4) - 125 * streak;
  return fat + muscle * (flesh - fat);
}

/** Adds bone with a dense rim: `d` is the distance to its surface. */
function boneOver(hu: number, d: number, px: number, scale: number, texture: number): number {
  const cover = clamp01(0.5 - d / px);
  if (cover === 0) return hu;
  const rim = clamp01((d + 3.4) / Math.max(1.6, px * 0.6));
  return hu + cover * (scale * (170 + 60 * texture + 430 * rim) - hu);
}

/** Liver on the image's left, spleen and stomach on its right. */
function belowDiaphragm(s: SliceAnatomy, x: number, y: number): number {
  const seed = s.of.noiseSeed + 60, texture = 5 * noise3(x / 8, y / 8, s.z / 8, seed);
  const vein = Math.abs(noise3(x / 26, y / 26, s.z / 26, seed + 1));
  if (x < 18) return 62 + texture + (vein < 0.06 ? (s.of.blood - 30) * 0.15 : 0);
  const spleen = ellipse(x - 88, y - 40, 42, 30, 0.9);
  const stomach = ellipse(x - 62, y + 12, 40, 30, 0.3);
  if (spleen < 0) return 52 + texture;
  if (stomach < 0) {
    const gas = clamp01((-stomach - 3) / 3) * clamp01((-10 - y) / 3);
    return 30 + texture - 985 * gas;
  }
  return -95 + 2 * texture;
}

/** What lies between the lungs: fat, the heart, vessels, trachea and oesophagus. */
function mediastinumHu(s: SliceAnatomy, x: number, y: number, px: number): number {
  const { of: a, z } = s, seed = a.noiseSeed + 80;
  let hu = -85 + 25 * noise3(x / 7, y / 7, z / 9, seed);
  const over = (d: number, value: number) => {
    const cover = clamp01(0.5 - d / Math.max(px, 1.2));
    hu += cover * (value - hu);
  };
  // Nodes, thymus, small vessels: soft tissue in the fat.
  over(6 * (noise3(x / 11, y / 11, z / 16, seed + 1) - 0.12), 35);
  over(ellipse(x - 6, y - s.spineY + 22, 8, 5.5), 32); // oesophagus
  const heart = s.heart(x, y);
  over(heart, -70); // fat round it
  over(heart + 3.5, 48);
  const chamber = noise3(x / 34 + 3, y / 34, z / 40, seed + 2);
  if (a.blood > 80) over(Math.max(heart + 12, 30 * (chamber - 0.25)), a.blood * 0.9);
  for (const d of [s.venaCava(x, y), s.ascendingAorta(x, y), s.pulmonaryArtery(x, y)]) {
    over(d, a.blood);
  }
  over(Math.min(s.arch(x, y), s.descendingAorta(x, y)), a.blood);
  if (z < a.archZ) {
    // Above the arch: the three great arteries and the two veins.
    const y0 = s.spineY - 48;
    for (
      const [cx, cy, r] of [[-14, -8, 6], [5, -6, 4.5], [17, 8, 5], [-26, -12, 7], [20, -14, 6]]
    ) {
      over(Math.hypot(x - cx, y - y0 - cy) - r, a.blood);
    }
  }
  if (z < a.carinaZ) {
    const trachea = ellipse(x - s.tracheaX, y - s.tracheaY, 8.5, 8);
    over(trachea - 1.6, 25);
    over(trachea, -985);
  }
  return hu;
}

/** Vertebra, ribs, sternum and shoulder blades. */
function bones(s: SliceAnatomy, x: number, y: number, chest: number, hu: number, px: number) {
  const { of: a, z, spineY } = s, scale = a.boneHu;
  const texture = noise3(x / 3, y / 3, z / 3, a.noiseSeed + 100);
  if (chest > 0) {
    const { distance, cartilage } = s.rib(x, y, chest);
    if (cartilage) hu += clamp01(0.5 - distance / px) * (95 - hu);
    else hu = boneOver(hu, distance, px, scale, texture);
    const sternum = ellipse(x, y - s.sternumY, z < 40 ? 24 : 17, 5.2);
    if (z < 165) hu = boneOver(hu, sternum, px, 0.62 * scale, texture);
    if (z < 118) {
      // Shoulder blades: thin plates behind and beside the ribs, thicker at their outer edge.
      const k = 1 - z / 150, side = Math.abs(x);
      const cx = s.chestA * 0.62 + 22, cy = s.chestB * 0.72 + 14;
      const blade = segment(side, y, cx - 26 * k, cy + 15 * k, cx + 30 * k, cy - 16 * k) - 2.6;
      const edge = Math.hypot(side - cx - 30 * k, y - cy + 16 * k) - 6 * k;
      hu = boneOver(hu, Math.min(blade, edge), px, scale, texture);
    }
  }
  if (y < spineY - 25 || Math.abs(x) > 48) return hu;
  // A vertebra every 24 mm with a disc between.
  const phase = ((z / 24) % 1 + 1) % 1, disc = phase < 0.2;
  const body = ellipse(x, y - spineY, 17, 13.5);
  hu = disc ? hu + clamp01(0.5 - body / px) * (95 - hu) : boneOver(hu, body, px, scale, texture);
  const side = Math.abs(x), canalY = spineY + 20.5;
  const arch = Math.abs(Math.hypot(x * 0.9, y - canalY) - 11) - 2.8;
  const spinous = segment(x, y, 0, canalY + 12, 0, canalY + 30) - 3.2;
  let d = phase > 0.15 && phase < 0.75 ? Math.min(arch, spinous) : spinous + (disc ? 1.4 : 0.4);
  if (phase > 0.35 && phase < 0.7) {
    d = Math.min(d, segment(side, y, 10, canalY - 1, 36, canalY + 4) - 4);
  }
  hu = boneOver(hu, d, px, scale, texture);
  const canal = Math.hypot(x * 0.9, y - canalY) - 8;
  return hu + clamp01(0.5 - canal / px) * ((canal < -3 ? 38 : 8) - hu);
}

/** The couch: a shallow tray of a thin dense shell. */
function tableHu(s: SliceAnatomy, x: number, y: number, px: number): number {
  if (Math.abs(x) > 205) return AIR;
  const top = s.of.bodyHalfDepth * 0.97 + s.of.tableGap + 4 - (x / 150) ** 2 * 7;
  const shell = Math.abs(y - top) - 1.1, under = Math.abs(y - top - 20 + (x / 150) ** 2 * 9) - 1.1;
  const cover = clamp01(0.5 - Math.min(shell, under) / px) * Math.min(1, 2.2 / px);
  const foam = y > top && y < top + 20 - (x / 150) ** 2 * 9 ? -960 : AIR;
  return foam + cover * (-150 - foam);
}

/** Renders the slice at z; `random` draws the scanner's noise only. */
export function renderSlice(
  scene: Scene,
  z: number,
  size: number,
  spacing: number,
  random: PhiloxStream,
): Planes {
  const { anatomy: a } = scene, s = new SliceAnatomy(a, z), count = size * size;
  const ct = new Float32Array(count), lungMask = new Uint8Array(count);
  const noduleMask = new Uint8Array(count);
  const px = Math.max(spacing, 0.8), half = (size - 1) / 2;
  const vessel = new Float32Array(count), airway = new Float32Array(count);
  const wall = new Float32Array(count);
  paintSegments(scene.vessels, z, size, spacing, px, a.centre, vessel);
  paintSegments(scene.bronchi, z, size, spacing, px, a.centre, airway);
  const walls = scene.bronchi.map((b) => ({ ...b, ra: b.ra + 1.2, rb: b.rb + 1 }));
  paintSegments(walls, z, size, spacing, px, a.centre, wall);
  const near = scene.nodules.filter((n) => Math.abs(z - n.centre[2]) < n.radius * 1.5 + 2);

  for (let j = 0; j < size; j++) {
    for (let i = 0; i < size; i++) {
      const at = j * size + i, x = (i - half) * spacing - a.centre[0];
      const y = (j - half) * spacing - a.centre[1];
      const body = s.body(x, y), bodyCover = clamp01(0.5 - body / px);
      let hu = bodyCover < 1 ? tableHu(s, x, y, px) : 0;
      if (bodyCover > 0) {
        const chest = s.chest(x, y);
        let inside = chest > 0 ? wallHu(s, x, y, body) : 0;
        if (body > -2.2) inside = 20; // skin
        let lung = 1e3;
        if (chest <= px) {
          const below = s.diaphragm(x, y), between = s.mediastinum(x, y);
          lung = SliceAnatomy.lungOf(chest, between, below);
          if (lung > -px) {
            let soft = 45; // pleura and intercostal muscle
            if (chest <= -3) {
              const abdomen = below < 0 && between > -8;
              soft = abdomen ? belowDiaphragm(s, x, y) : mediastinumHu(s, x, y, px);
            }
            inside += clamp01(0.5 - chest / px) * (soft - inside);
          }
        }
        if (lung > -2) inside = bones(s, x, y, chest, inside, px);
        const lungCover = clamp01(0.5 - lung / px);
        if (lungCover > 0) inside += lungCover * (lungHu(a, x, y, z) - inside);
        if (lung < 0) {
          lungMask[at] = 1;
          const tissue = Math.max(wall[at] * 0.9, vessel[at]) * lungCover;
          inside += tissue * (Math.min(a.blood, 90) - inside);
          inside += airway[at] * (-970 - inside);
          for (const nodule of near) {
            const d = noduleDistance(nodule, x, y, z);
            const texture = 10 * noise3(x / 4, y / 4, z / 4, nodule.noiseSeed + 1);
            inside += clamp01(0.5 - d / px) * lungCover * (nodule.hu + texture - inside);
            if (d < 0) noduleMask[at] = 1;
          }
        } else if (chest < 0 && s.heart(x, y) > 2) {
          inside += airway[at] * (-980 - inside);
        }
        hu += bodyCover * (inside - hu);
      }
      ct[at] = hu;
    }
  }
  addScannerNoise(ct, size, a.noiseHu, random);
  return { ct, lungMask, noduleMask };
}

/** Normal noise, correlated over a pixel as a reconstruction filter leaves it, sd `hu`. */
function addScannerNoise(ct: Float32Array, size: number, hu: number, random: PhiloxStream) {
  const white = Float32Array.from(ct, () => random.normal());
  for (let j = 0; j < size; j++) {
    const up = Math.max(0, j - 1) * size, down = Math.min(size - 1, j + 1) * size, row = j * size;
    for (let i = 0; i < size; i++) {
      const side = white[row + Math.max(0, i - 1)] + white[row + Math.min(size - 1, i + 1)];
      const mean = white[row + i] + 0.35 * (side + white[up + i] + white[down + i]);
      // 1 + 4·0.35² = 1.49 is the variance of the sum.
      ct[row + i] = Math.max(-1024, ct[row + i] + hu * mean / Math.sqrt(1.49));
    }
  }
}
