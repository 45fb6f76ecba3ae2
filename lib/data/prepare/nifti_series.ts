/** A volume's file with, perhaps, a mask of its nodules, in the place of a DICOM series. */

import { basename } from "node:path";
import { InputError } from "../../errors.ts";
import { contentExcess } from "../../io/disk.ts";
import { HU_FLOOR } from "../dicom/pixels.ts";
import type { CtSlice, CtVolume } from "../dicom/series.ts";
import {
  axialTurn,
  cross,
  dot,
  type Geometry,
  gridDifference,
  spacingOf,
  type Turn,
  turnGeometry,
  turnValues,
  type Vec3,
} from "../geometry.ts";
import { components3d } from "../lung/components.ts";
import { filesOf, readVolume } from "../volume.ts";
import { type Findings, noFindings } from "./findings.ts";
import { maskOf, type MaskRule } from "./labels.ts";
import type { Oriented } from "./turned.ts";
import { fillSphere, slicesOf } from "./spheres.ts";
import type { SeriesJob, SeriesSettings, VolumeSource } from "./types.ts";

/** A component larger than this, mm, is hardly a nodule. */
const LARGE = 100;

/**
 * Without a file of nodules the findings' state is `none`.
 * @throws InputError naming the file and the reason.
 */
export async function loadNiftiSeries(
  source: VolumeSource,
  { seriesUid, patient, settings }: Pick<SeriesJob, "seriesUid" | "patient" | "settings">,
): Promise<{ oriented: Oriented; findings: Findings; notes: string[]; told: string[] }> {
  const file = await readVolume(source.volume, "stored"), turn = axialTurn(file);
  const excess = contentExcess(file.values.length, filesOf(source.volume));
  if (excess) throw new InputError(`Cannot read "${source.volume}": ${excess}`);
  if (!turn) {
    throw new InputError(
      `Cannot read "${source.volume}": its axes are oblique: more than 26° off the patient's`,
    );
  }
  const grid = turnGeometry(file, turn), hu = turnValues(file.values, file.size, turn);
  const { size: [columns, rows, count], axes, origin } = grid;
  const [dx, dy, dz] = spacingOf(grid);
  const unit = (n: 0 | 1 | 2, mm: number) => axes[n].map((v) => v / mm) as Vec3;
  const [row, column] = [unit(0, dx), unit(1, dy)], normal = cross(row, column);
  for (let i = 0; i < hu.length; i++) if (hu[i] < HU_FLOOR) hu[i] = HU_FLOOR;
  const slices = Array.from({ length: count }, (_, i): CtSlice => {
    const position = origin.map((v, n) => v + i * axes[2][n]) as Vec3;
    return {
      file: source.volume,
      sopInstance: `${seriesUid}.${i}`,
      instanceNumber: i + 1,
      z: dot(position, normal),
      position,
    };
  });
  const volume: CtVolume = {
    patientId: patient,
    studyUid: "",
    seriesUid,
    rows,
    columns,
    pixelSpacing: [dy, dx],
    sliceSpacing: dz,
    row,
    column,
    normal,
    slices,
    hu,
    rejected: [],
    notes: [],
    told: [],
  };
  const oriented = { volume, turn, stored: file.size }, notes: string[] = [];
  const told = file.notes.map((note) => `"${basename(source.volume)}": ${note}`);
  if (!source.nodules && !source.spheres) {
    return { oriented, findings: noFindings("none", rows * columns), notes, told };
  }
  const mask = source.nodules
    ? await readNodules(source.nodules, source.volume, file, grid, turn, settings, notes)
    : new Uint8Array(hu.length);
  for (const sphere of source.spheres ?? []) {
    if (fillSphere(mask, grid, sphere)) continue;
    const place = `(${sphere.centre.join(", ")}) mm (LPS)`;
    notes.push(
      `a nodule of ${sphere.diameterMm.toFixed(1)} mm at ${place} holds no voxel of the volume`,
    );
  }
  if (source.spheres) {
    notes.push("nodule masks are spheres, of the list's centres and diameters, not outlines");
  }
  const findings = findingsOf(mask, grid, told);
  for (const sphere of source.doubtful ?? []) {
    for (const slice of slicesOf(grid, sphere)) findings.smallSlices.add(slice);
  }
  return { oriented, findings, notes, told };
}

async function readNodules(
  path: string,
  image: string,
  file: Geometry,
  grid: Geometry,
  turn: Turn,
  settings: SeriesSettings,
  notes: string[],
): Promise<Uint8Array> {
  const rule: MaskRule = { option: "--nodule-label", choice: settings.noduleLabels, kept: [1] };
  if (settings.maskByIndex) {
    const { values, size, fractional } = await readVolume(path, "stored");
    if (size.join() !== file.size.join()) {
      throw new InputError(`Cannot use "${path}": axes [${size}] must be [${file.size}]`);
    }
    return turnValues(maskOf(path, values, rule, notes, fractional), size, turn);
  }
  const given = await readVolume(path), difference = gridDifference(grid, given);
  if (difference) {
    throw new InputError(
      `Cannot use "${path}": it does not lie where "${image}" lies: ${difference} ` +
        "(--mask-by-index takes its voxels in order)",
    );
  }
  return maskOf(path, given.values, rule, notes, given.fractional);
}

/** Every connected piece of a mask is a nodule. */
function findingsOf(mask: Uint8Array, grid: Geometry, told: string[]): Findings {
  const [columns, rows, count] = grid.size, mm = spacingOf(grid);
  const area = rows * columns, voxel = mm[0] * mm[1] * mm[2];
  const { labels, sizes } = components3d(mask, count, rows, columns);
  const boxes = sizes.map(() => [Infinity, Infinity, Infinity, -1, -1, -1]);
  const onSlices = sizes.map(() => new Set<number>());
  for (let i = 0; i < labels.length; i++) {
    if (!labels[i]) continue;
    const at = [i % columns, Math.floor(i / columns) % rows, Math.floor(i / area)];
    const box = boxes[labels[i]];
    at.forEach((v, n) => {
      if (v < box[n]) box[n] = v;
      if (v > box[n + 3]) box[n + 3] = v;
    });
    onSlices[labels[i]].add(at[2]);
  }
  const largest = Math.max(
    0,
    ...boxes.map((b) => Math.max(...mm.map((m, n) => (b[n + 3] - b[n] + 1) * m))),
  );
  if (largest > LARGE) {
    told.push(
      `a piece of its nodule mask is ${Math.round(largest)} mm large: is it one of nodules?`,
    );
  }
  const nodules = sizes.slice(1).map((size, i) => ({
    entry: {
      readers: 1,
      volumeMm3: size * voxel,
      diameterMm: Math.cbrt(6 * size * voxel / Math.PI),
      slices: onSlices[i + 1].size,
      characteristics: null,
    },
    slices: onSlices[i + 1],
  }));
  return {
    ...noFindings("read", area),
    nodules,
    plane: (slice) => mask.slice(slice * area, (slice + 1) * area),
    marks: nodules.length,
  };
}
