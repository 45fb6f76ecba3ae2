/** A NIfTI volume with, perhaps, a mask of its nodules, in the place of a DICOM series. */

import { InputError } from "../../errors.ts";
import { contentExcess } from "../../io/disk.ts";
import { components3d } from "../lung/components.ts";
import type { CtSlice, CtVolume } from "../dicom/series.ts";
import { HU_FLOOR } from "../dicom/pixels.ts";
import { cross, dot, gridDifference, spacingOf, type Vec3 } from "../geometry.ts";
import { readNifti } from "../nifti.ts";
import type { Findings } from "./findings.ts";

/** @throws InputError naming the file and the reason. */
export async function loadNiftiSeries(
  source: { volume: string; nodules: string | null },
  seriesUid: string,
  patientId: string,
): Promise<{ volume: CtVolume; findings: Findings }> {
  const nifti = await readNifti(source.volume);
  // Of a header with its voxels beside it, the header says nothing of what they hold.
  const isWhole = /\.(nii|nii\.gz|mha|nrrd)$/i.test(source.volume);
  const excess = isWhole ? contentExcess(nifti.values.length, [source.volume]) : null;
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
    const given = await readNifti(source.nodules);
    const difference = gridDifference(nifti, given);
    if (difference) {
      throw new InputError(
        `Cannot use "${source.nodules}": it does not lie where "${source.volume}" lies: ${difference}`,
      );
    }
    for (let i = 0; i < mask.length; i++) mask[i] = given.values[i] > 0 ? 1 : 0;
  }
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
      smallSlices: new Set(),
      smallMarks: 0,
      nonNodules: 0,
      marks: nodules.length,
    },
  };
}
