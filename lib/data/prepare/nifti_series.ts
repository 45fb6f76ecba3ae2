/** A volume's file with, perhaps, a mask of its nodules, in the place of a DICOM series. */

import { InputError } from "../../errors.ts";
import { contentExcess } from "../../io/disk.ts";
import { components3d } from "../lung/components.ts";
import type { CtSlice, CtVolume } from "../dicom/series.ts";
import { HU_FLOOR } from "../dicom/pixels.ts";
import { cross, dot, gridDifference, spacingOf, type Vec3 } from "../geometry.ts";
import { filesOf, readVolume } from "../volume.ts";
import type { Findings } from "./findings.ts";
import { fillSphere, slicesOf } from "./spheres.ts";
import type { VolumeSource } from "./types.ts";

/** @throws InputError naming the file and the reason. */
export async function loadNiftiSeries(
  source: VolumeSource,
  seriesUid: string,
  patientId: string,
): Promise<{ volume: CtVolume; findings: Findings }> {
  const nifti = await readVolume(source.volume);
  const excess = contentExcess(nifti.values.length, filesOf(source.volume));
  if (excess) throw new InputError(`Cannot read "${source.volume}": ${excess}`);
  const { size: [columns, rows, count], axes, origin, values: hu } = nifti;
  const [dx, dy, dz] = spacingOf(nifti);
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
    patientId,
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
    notes: nifti.notes,
  };
  const mask = new Uint8Array(hu.length);
  if (source.nodules) {
    const given = await readVolume(source.nodules);
    const difference = gridDifference(nifti, given);
    if (difference) {
      throw new InputError(
        `Cannot use "${source.nodules}": it does not lie where "${source.volume}" lies: ${difference}`,
      );
    }
    for (let i = 0; i < mask.length; i++) mask[i] = given.values[i] > 0 ? 1 : 0;
  }
  for (const sphere of source.spheres ?? []) {
    if (!fillSphere(mask, nifti, sphere)) {
      volume.notes.push(
        `a nodule of ${sphere.diameterMm.toFixed(1)} mm at (${
          sphere.centre.join(", ")
        }) mm (LPS) ` +
          "holds no voxel of the volume",
      );
    }
  }
  if (source.spheres) {
    volume.notes.push(
      "nodule masks are spheres, of the list's centres and diameters, not outlines",
    );
  }
  const smallSlices = new Set(source.doubtful?.flatMap((sphere) => slicesOf(nifti, sphere)));
  const area = rows * columns;
  const voxel = dx * dy * dz;
  const { labels, sizes } = components3d(mask, count, rows, columns);
  const onSlices = sizes.map(() => new Set<number>());
  for (let i = 0; i < labels.length; i++) {
    if (labels[i]) onSlices[labels[i]].add(Math.floor(i / area));
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
    volume,
    findings: {
      nodules,
      plane: (slice) => mask.slice(slice * area, (slice + 1) * area),
      smallSlices,
      smallMarks: 0,
      nonNodules: 0,
      marks: nodules.length,
    },
  };
}
