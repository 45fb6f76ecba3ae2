/** Volumes as files of every format, for tests of the readers: each as its format's text says. */

import { deflateSync, gzipSync } from "node:zlib";
import type { Volume } from "../../lib/data/geometry.ts";

const text = (lines: string[]) => new TextEncoder().encode(lines.join("\n") + "\n");

function voxels({ values }: Volume): Uint8Array {
  const out = new DataView(new ArrayBuffer(2 * values.length));
  values.forEach((v, i) => out.setInt16(2 * i, v, true));
  return new Uint8Array(out.buffer);
}

const joined = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((p) => [...p]));

export function metaImage(volume: Volume, compressed = false): Uint8Array {
  const mm = volume.axes.map((axis) => Math.hypot(...axis));
  const data = voxels(volume);
  return joined(
    text([
      "ObjectType = Image",
      "NDims = 3",
      "BinaryData = True",
      `CompressedData = ${compressed ? "True" : "False"}`,
      `TransformMatrix = ${volume.axes.flatMap((axis, n) => axis.map((v) => v / mm[n])).join(" ")}`,
      `Offset = ${volume.origin.join(" ")}`,
      `ElementSpacing = ${mm.join(" ")}`,
      `DimSize = ${volume.size.join(" ")}`,
      "ElementType = MET_SHORT",
      "ElementDataFile = LOCAL",
    ]),
    compressed ? deflateSync(data) : data,
  );
}

export function nrrd(volume: Volume, ras = false): Uint8Array {
  const world = (v: number[]) => `(${(ras ? [-v[0], -v[1], v[2]] : v).join(",")})`;
  return joined(
    text([
      "NRRD0004",
      "type: short",
      "dimension: 3",
      `space: ${ras ? "right-anterior-superior" : "left-posterior-superior"}`,
      `sizes: ${volume.size.join(" ")}`,
      `space directions: ${volume.axes.map(world).join(" ")}`,
      "endian: little",
      `encoding: ${ras ? "gzip" : "raw"}`,
      `space origin: ${world(volume.origin)}`,
      "",
    ]),
    ras ? gzipSync(voxels(volume)) : voxels(volume),
  );
}

export function nifti(volume: Volume): Uint8Array {
  const head = new Uint8Array(352), view = new DataView(head.buffer);
  view.setInt32(0, 348, true);
  [3, ...volume.size, 1, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n, true));
  view.setInt16(70, 4, true);
  view.setInt16(72, 16, true);
  [1, ...volume.axes.map((axis) => Math.hypot(...axis))]
    .forEach((n, i) => view.setFloat32(76 + 4 * i, n, true));
  view.setFloat32(108, 352, true);
  view.setInt16(254, 1, true);
  for (const n of [0, 1, 2]) {
    const sign = n < 2 ? -1 : 1;
    [...volume.axes.map((axis) => axis[n]), volume.origin[n]]
      .forEach((v, i) => view.setFloat32(280 + 16 * n + 4 * i, sign * v, true));
  }
  head.set(new TextEncoder().encode("n+1\0"), 344);
  return joined(head, voxels(volume));
}

export const FORMATS: Record<string, (volume: Volume) => Uint8Array> = {
  "nii": nifti,
  "nii.gz": (volume) => gzipSync(nifti(volume)),
  "mha": (volume) => metaImage(volume),
  "packed.mha": (volume) => metaImage(volume, true),
  "nrrd": (volume) => nrrd(volume),
  "ras.nrrd": (volume) => nrrd(volume, true),
};
