/** A volume of any format that is read whole: NIfTI, Analyze, MetaImage, NRRD, by its file's ending. */

import { InputError } from "../errors.ts";
import { readMetaImage } from "./metaimage.ts";
import { readNifti } from "./nifti.ts";
import { readNrrd } from "./nrrd.ts";
import type { FileVolume, VolumeOrder } from "./voxels.ts";

/** Files that are a volume, or the header of one. */
export const VOLUME_ENDING = /\.(nii|nii\.gz|mha|mhd|nrrd|nhdr|hdr)$/i;
/** Files with the voxels of a header beside them. */
export const VOXELS_ENDING = /\.(img|img\.gz|raw|zraw|raw\.gz)$/i;

/** @throws InputError naming the file and the reason. */
export async function readVolume(path: string, order: VolumeOrder = "axial"): Promise<FileVolume> {
  const ending = VOLUME_ENDING.exec(path)?.[1].toLowerCase();
  switch (ending) {
    case "mha":
    case "mhd":
      return await readMetaImage(path, order);
    case "nrrd":
    case "nhdr":
      return await readNrrd(path, order);
    case undefined:
      throw new InputError(`Cannot read "${path}": no ending of a volume`);
    default:
      return await readNifti(path, order);
  }
}

/** A volume's files: its own, and that of its voxels where it is another; for their sizes and times. */
export function filesOf(path: string): string[] {
  const stem = path.replace(/\.(mhd|nhdr|hdr)$/i, "");
  if (stem === path) return [path];
  const others = [".img", ".IMG", ".img.gz", ".raw", ".zraw", ".raw.gz"].map((e) => stem + e);
  return [
    path,
    ...others.filter((other) => {
      try {
        return Deno.statSync(other).isFile;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return false;
        throw error;
      }
    }),
  ];
}
