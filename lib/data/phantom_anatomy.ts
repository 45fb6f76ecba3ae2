/**
 * The phantom's thorax as signed distance functions, in millimetres, negative inside. x runs to the
 * right of the image (the patient's left), y to the back, z from the lungs' apex (0) to the feet.
 * Distances are approximate away from the surface; they need only be right near it.
 */

import type { PhiloxStream } from "../random/philox.ts";
import { noise3 } from "./phantom_noise.ts";

/** What varies from patient to patient; lengths in mm. */
export interface Anatomy {
  noiseSeed: number;
  bodyHalfWidth: number;
  bodyHalfDepth: number;
  fat: number;
  wall: number;
  chestPower: number;
  /** z of the tops of the diaphragm, [image left (liver), image right]. */
  domes: [number, number];
  heart: { x: number; y: number; z: number; rx: number; ry: number; rz: number; tilt: number };
  archZ: number;
  carinaZ: number;
  aorta: number;
  mediastinum: number;
  /** HU of the blood: 40 plain, more with contrast medium. */
  blood: number;
  muscleFat: number;
  lungHu: number;
  gravity: number;
  emphysema: number;
  ribPitch: number;
  ribPhase: number;
  ribDrop: number;
  boneHu: number;
  noiseHu: number;
  tableGap: number;
  /** Where the body's axis meets the slice: patients do not lie in the very middle, mm. */
  centre: [x: number, y: number];
}

export function drawAnatomy(random: PhiloxStream): Anatomy {
  const r = (low: number, high: number) => random.range(low, high);
  const bodyHalfWidth = r(142, 170);
  const fat = r(5, 20);
  const bodyHalfDepth = bodyHalfWidth * r(0.67, 0.77);
  return {
    noiseSeed: random.nextUint32(),
    bodyHalfWidth,
    bodyHalfDepth,
    fat,
    wall: r(15, 21),
    chestPower: r(2.1, 2.5),
    domes: [r(174, 194), r(186, 206)],
    heart: {
      x: r(20, 30),
      y: -bodyHalfDepth * r(0.19, 0.29), // it lies on the front wall of the chest
      z: r(158, 176),
      rx: r(50, 62),
      ry: r(38, 47),
      rz: r(52, 64),
      tilt: r(0.3, 0.65),
    },
    archZ: r(52, 64),
    carinaZ: r(78, 92),
    aorta: r(10.5, 14),
    mediastinum: r(22, 29),
    blood: random.uniform() < 0.35 ? r(120, 240) : r(35, 50),
    muscleFat: r(0.1, 0.45),
    lungHu: r(-885, -835),
    gravity: r(20, 70),
    emphysema: random.uniform() < 0.3 ? r(10, 50) : 0,
    ribPitch: r(22, 27),
    ribPhase: r(0, 25),
    ribDrop: r(70, 105),
    boneHu: r(0.8, 1.15),
    noiseHu: r(10, 24),
    tableGap: r(1, 6),
    centre: [r(-8, 8), r(-12, 4)],
  };
}

/** Polynomial smooth minimum: unites two shapes with a fillet of about k. */
export function smin(a: number, b: number, k: number): number {
  const h = Math.max(k - Math.abs(a - b), 0) / k;
  return Math.min(a, b) - h * h * k * 0.25;
}

/** Distance along the ray from the centre to a superellipse; exact on the boundary. */
function superellipse(x: number, y: number, a: number, b: number, power: number): number {
  const radius = Math.hypot(x, y);
  if (radius < 1e-6) return -Math.min(a, b);
  const g = (Math.abs(x / a) ** power + Math.abs(y / b) ** power) ** (1 / power);
  return radius - radius / g;
}

/** As {@link superellipse} of power 2, turned by `angle`. */
export function ellipse(x: number, y: number, a: number, b: number, angle = 0): number {
  const c = Math.cos(angle), s = Math.sin(angle);
  const u = c * x + s * y, v = c * y - s * x;
  const g = Math.hypot(u / a, v / b);
  return g < 1e-6 ? -Math.min(a, b) : Math.hypot(x, y) * (1 - 1 / g);
}

/** Distance to the segment from (ax, ay) to (bx, by). */
export function segment(
  x: number,
  y: number,
  ax: number,
  ay: number,
  bx: number,
  by: number,
): number {
  const dx = bx - ax, dy = by - ay;
  const t = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)));
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}

/** What all pixels of the slice at z share. */
export class SliceAnatomy {
  readonly bodyA: number;
  readonly bodyB: number;
  readonly chestA: number;
  readonly chestB: number;
  readonly chestY = -5;
  readonly spineY: number;
  readonly sternumY: number;
  readonly tracheaX: number;
  readonly tracheaY: number;
  readonly of: Anatomy;
  readonly z: number;

  constructor(of: Anatomy, z: number) {
    this.of = of;
    this.z = z;
    const t = Math.min(1, Math.max(0, (z + 6) / 125));
    const dome = Math.sqrt(1 - (1 - t) ** 2.2);
    this.bodyA = of.bodyHalfWidth * (0.9 + 0.1 * t);
    this.bodyB = of.bodyHalfDepth * (0.88 + 0.12 * t);
    this.chestA = (of.bodyHalfWidth - of.fat - of.wall) * (0.04 + 0.96 * dome);
    this.chestB = (of.bodyHalfDepth - of.fat - of.wall) * (0.25 + 0.75 * dome);
    // The vertebral bodies stand in the chest's back, kyphotic: further back in mid-thorax.
    this.spineY = of.bodyHalfDepth - of.fat - of.wall - 27 - 4 * (1 - dome);
    this.sternumY = this.chestY - this.chestB - 5;
    this.tracheaX = -2 - 0.03 * z;
    this.tracheaY = this.spineY - 34 + 0.04 * z;
  }

  body(x: number, y: number): number {
    const wobble = 3 * noise3(x / 90, y / 90, this.z / 120, this.of.noiseSeed);
    // The back is flattened by the table.
    const b = y > 0 ? this.bodyB * 0.97 : this.bodyB;
    return superellipse(x, y, this.bodyA, b, y > 0 ? 2.55 : 2.25) + wobble;
  }

  /** The chest's cavity: lungs, mediastinum and, below, the domes of the diaphragm. */
  chest(x: number, y: number): number {
    const wobble = 1.5 * noise3(x / 50 + 9, y / 50, this.z / 60, this.of.noiseSeed);
    return superellipse(x, y - this.chestY, this.chestA, this.chestB, this.of.chestPower) + wobble;
  }

  heart(x: number, y: number): number {
    const { heart } = this.of;
    const dz = (this.z - heart.z) / heart.rz;
    if (Math.abs(dz) >= 1) return 1e3;
    const k = Math.sqrt(1 - dz * dz);
    return ellipse(x - heart.x, y - heart.y, heart.rx * k, heart.ry * k, heart.tilt);
  }

  /** Positive above the diaphragm; the side is that of x. */
  diaphragm(x: number, y: number): number {
    const [left, right] = this.of.domes, top = x < 0 ? left : right;
    const xc = x < 0 ? -62 : 66, yc = -18;
    const height = top + (x - xc) ** 2 / 185 + (y - yc) ** 2 / 215;
    // In the plane the edge lies (height − z)/|slope| away; a flat top blurs as a thick slice does.
    const slope = Math.hypot((x - xc) / 92, (y - yc) / 107);
    return (height - this.z) / Math.max(slope, 0.4);
  }

  arch(x: number, y: number): number {
    const dz = this.z - this.of.archZ, r2 = (this.of.aorta + 2) ** 2 - dz * dz;
    if (r2 <= 0) return 1e3;
    return segment(x, y, -8, this.spineY - 58, 21, this.spineY - 14) - Math.sqrt(r2);
  }

  descendingAorta(x: number, y: number): number {
    if (this.z < this.of.archZ) return 1e3;
    const drift = Math.max(0, this.z - 150) * 0.12;
    return Math.hypot(x - 24 + drift, y - this.spineY + 14) - this.of.aorta;
  }

  ascendingAorta(x: number, y: number): number {
    const { archZ, heart } = this.of;
    if (this.z < archZ || this.z > heart.z - 20) return 1e3;
    return Math.hypot(x + 12, y - this.spineY + 62) - this.of.aorta * 1.25;
  }

  /** The pulmonary trunk and its two branches, at the level just below the carina. */
  pulmonaryArtery(x: number, y: number): number {
    const dz = this.z - this.of.carinaZ - 14, r2 = 13 ** 2 - dz * dz;
    if (r2 <= 0) return 1e3;
    const y0 = this.spineY;
    const trunk = segment(x, y, 20, y0 - 72, 16, y0 - 48);
    const branches = Math.min(
      segment(x, y, 16, y0 - 48, 44, y0 - 30) + 2,
      segment(x, y, 16, y0 - 48, -40, y0 - 36) + 3,
    );
    return Math.min(trunk, branches) - Math.sqrt(r2);
  }

  venaCava(x: number, y: number): number {
    if (this.z > this.of.heart.z - 25) return 1e3;
    return Math.hypot(x + 32, y - this.spineY + 58) - 8.5;
  }

  /** All that lies between the lungs. */
  mediastinum(x: number, y: number): number {
    const { z, of } = this, { spineY } = this;
    const front = this.sternumY + 6, middle = spineY - 46;
    const spine = ellipse(x, y - spineY - 4, 25, 23);
    // Wide in the middle and, high up, in front; a thin septum where the lungs meet.
    const width = of.mediastinum * (0.85 + 0.3 * Math.exp(-(((z - 70) / 45) ** 2)));
    const column = ellipse(x, y - middle, width, 42);
    const high = Math.exp(-(((z - 15) / 38) ** 2));
    const reach = Math.min(1, Math.max(0, (middle - y) / (middle - front)));
    const thickness = y > middle ? 12 : 4 + 15 * high + 8 * (1 - reach) + 7 * reach ** 4;
    const bend = 5 * noise3(y / 40, z / 40, 0.5, of.noiseSeed + 2);
    const septum = segment(x - bend, y, 0, front, 0, spineY) - thickness;
    let d = smin(smin(spine, column, 16), septum, 18);
    d = smin(d, this.heart(x, y) - 2, 10);
    d = smin(d, this.arch(x, y) - 2, 6);
    d = smin(d, this.descendingAorta(x, y) - 1.5, 6);
    d = smin(d, this.ascendingAorta(x, y) - 3, 10);
    d = smin(d, this.pulmonaryArtery(x, y) - 2, 8);
    d = smin(d, this.venaCava(x, y) - 3, 10);
    return d + 1.2 * noise3(x / 14, y / 14, z / 20, of.noiseSeed + 1);
  }

  /** Both lungs; the sign of x tells which. */
  lung(x: number, y: number): number {
    const chest = this.chest(x, y);
    if (chest > 12) return chest;
    return SliceAnatomy.lungOf(chest, this.mediastinum(x, y), this.diaphragm(x, y));
  }

  /** The lungs' distance from those of their boundaries: chest wall, mediastinum, diaphragm. */
  static lungOf(chest: number, mediastinum: number, diaphragm: number): number {
    return Math.max(chest + 2.5, -mediastinum, -diaphragm);
  }

  /**
   * Ribs: bars of 12 by 7 mm round the chest that fall towards the front, so that a slice cuts
   * them aslant. Gives the distance and whether it is still bone there or already cartilage.
   */
  rib(x: number, y: number, chest: number): { distance: number; cartilage: boolean } {
    const { ribPitch, ribPhase, ribDrop } = this.of;
    const angle = Math.atan2(Math.abs(x), y - this.chestY + 8); // 0 at the spine, π at the sternum
    const fall = ribDrop * (angle / Math.PI) ** 1.2 * (x < 0 ? 1 : 0.97);
    const u = (this.z - fall + ribPhase) / ribPitch;
    const dz = (u - Math.round(u)) * ribPitch;
    const g = Math.hypot(dz / 6.2, (chest - 5) / 3.7);
    return { distance: (g - 1) * 3.7, cartilage: angle > 2.45 };
  }
}
