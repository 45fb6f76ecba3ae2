/** A series' SEG and RTSTRUCT objects: its nodules and lungs, where no XML and no mask files say them. */

import { basename } from "node:path";
import { InputError } from "../../errors.ts";
import { readMaskObject } from "../dicom/mask_object.ts";
import type { Region } from "../dicom/mask_grid.ts";
import type { CtVolume } from "../dicom/series.ts";
import { LEFT, RIGHT } from "../lung_mask.ts";
import { type Findings, noFindings } from "./findings.ts";
import { isNodule, type Side, sideOf } from "./region_names.ts";
import type { AnnotationState, SeriesJob, SeriesSettings } from "./types.ts";

export interface ObjectMasks {
  /** `read` where an object holds nodules, or its maker looked for them by a name the user gave. */
  state: AnnotationState;
  /** Each object is a reader. */
  readers: { file: string; nodules: Region[] }[];
  lungs: { file: string; region: Region; side: Side }[];
}

/** What the objects hold, before anything is laid on the slices. */
export async function readObjects(job: SeriesJob, told: string[]): Promise<ObjectMasks> {
  const { noduleRois, lungRois } = job.settings;
  const out: ObjectMasks = { state: "none", readers: [], lungs: [] };
  const others: string[] = [];
  let broken = false;
  for (const path of job.objects ?? []) {
    try {
      const { regions } = await readMaskObject(path);
      const nodules = regions.filter((region) => isNodule(region, noduleRois));
      if (nodules.length > 0) out.readers.push({ file: path, nodules });
      for (const region of regions) {
        const side = nodules.includes(region) ? null : sideOf(region, lungRois);
        if (side) out.lungs.push({ file: path, region, side });
        else if (!nodules.includes(region)) others.push(region.name);
      }
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      told.push(error.message);
      broken = true;
    }
  }
  if (out.readers.length > 0) out.state = "read";
  else if (broken) out.state = "unreadable";
  else if (others.length > 0) {
    const names = [...new Set(others)].slice(0, 12).map((name) => `"${name}"`).join(", ");
    told.push(
      `none of its regions is known as a nodule: ${names}; name those that are with --nodule-roi`,
    );
  }
  return out;
}

interface Mark {
  reader: number;
  /** Indices of its voxels. */
  voxels: number[];
}

/**
 * The objects' nodules on the volume: regions that overlap are one nodule; a voxel counts where enough
 * of the objects that mark the nodule have it.
 */
export function objectFindings(
  volume: CtVolume,
  { readers }: ObjectMasks,
  { consensus, minReaders }: Pick<SeriesSettings, "consensus" | "minReaders">,
  told: string[],
): Findings {
  const { rows, columns, pixelSpacing: [dy, dx], sliceSpacing } = volume, area = rows * columns;
  const marks: Mark[] = [];
  for (const [reader, { file, nodules }] of readers.entries()) {
    for (const region of nodules) {
      const mask = drawn(region, file, volume, told);
      if (!mask) return noFindings("unreadable", area);
      const voxels: number[] = [];
      for (let i = 0; i < mask.length; i++) if (mask[i]) voxels.push(i);
      if (voxels.length > 0) marks.push({ reader, voxels });
      else told.push(`"${region.name}" of "${basename(file)}" holds no voxel`);
    }
  }
  const all = new Uint8Array(volume.hu.length), smallSlices = new Set<number>();
  const nodules: Findings["nodules"] = [];
  const mm3 = dx * dy * (sliceSpacing || 1);
  for (const members of overlapping(marks)) {
    const count = new Map<number, Set<number>>();
    for (const { reader, voxels } of members) {
      for (const voxel of voxels) {
        const own = count.get(voxel);
        if (own) own.add(reader);
        else count.set(voxel, new Set([reader]));
      }
    }
    const looked = new Set(members.map(({ reader }) => reader)).size;
    const agreed = [...count].filter(([, own]) => own.size >= consensus * looked - 1e-9)
      .map(([voxel]) => voxel);
    const slices = new Set(agreed.map((voxel) => Math.floor(voxel / area)));
    if (looked < minReaders) {
      for (const slice of slices) smallSlices.add(slice);
      continue;
    }
    for (const voxel of agreed) all[voxel] = 1;
    const volumeMm3 = agreed.reduce(
          (sum, voxel) => sum + (volume.thickness?.[Math.floor(voxel / area)] ?? sliceSpacing ?? 1),
          0,
        ) * dx * dy || agreed.length * mm3;
    const diameterMm = Math.cbrt(6 * volumeMm3 / Math.PI);
    nodules.push({
      entry: { readers: looked, volumeMm3, diameterMm, slices: slices.size, characteristics: null },
      slices,
    });
  }
  return {
    ...noFindings("read", area),
    nodules,
    plane: (slice) => all.slice(slice * area, (slice + 1) * area),
    smallSlices,
    marks: marks.length,
  };
}

/** Labels of the lungs, 1 right and 2 left, or null where the objects do not hold both. */
export function objectLungs(
  volume: CtVolume,
  { lungs }: ObjectMasks,
  told: string[],
): Uint8Array | null {
  const sides = new Set(lungs.map(({ side }) => side));
  if (!sides.has("both") && !(sides.has("right") && sides.has("left"))) {
    if (lungs.length > 0) told.push("its objects hold one lung alone: lungs are found by rules");
    return null;
  }
  const labels = new Uint8Array(volume.hu.length);
  for (const part of ["both", "right", "left"] as const) {
    for (const { file, region, side } of lungs) {
      if (side !== part) continue;
      const mask = drawn(region, file, volume, told);
      if (!mask) return null;
      for (let i = 0; i < mask.length; i++) if (mask[i]) labels[i] = part === "left" ? LEFT : RIGHT;
    }
  }
  return labels;
}

function drawn(
  region: Region,
  file: string,
  volume: CtVolume,
  told: string[],
): Uint8Array | null {
  const mask = new Uint8Array(volume.hu.length);
  try {
    region.draw(volume, mask);
    return mask;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    told.push(`"${region.name}" of "${basename(file)}" cannot be used: ${reason}`);
    return null;
  }
}

/** Marks that share a voxel, and those that share one with these. */
function overlapping(marks: readonly Mark[]): Mark[][] {
  const parent = marks.map((_, i) => i);
  const find = (i: number): number => parent[i] === i ? i : parent[i] = find(parent[i]);
  const owner = new Map<number, number>();
  for (const [index, { voxels }] of marks.entries()) {
    for (const voxel of voxels) {
      const other = owner.get(voxel);
      if (other === undefined) owner.set(voxel, index);
      else parent[find(index)] = find(other);
    }
  }
  return [...Map.groupBy(marks, (_, index) => find(index)).values()];
}
