/** Every crafted file. */

import type { Crafted } from "./crafted.ts";
import { DICOM } from "./dicom.ts";
import { MASK_OBJECTS } from "./mask_objects.ts";
import { PNG } from "./png.ts";
import { CSV, JSONS, TXT, XML } from "./text_files.ts";
import { MHA, NRRD } from "./text_volumes.ts";
import { ANALYZE, NIFTI, NPY } from "./volumes.ts";
import { PACKED, PICKLE, SAFETENSORS } from "./weights.ts";

export const CRAFTED: readonly Crafted[] = [
  ...[...PNG, ...NPY, ...NIFTI, ...MHA, ...NRRD, ...DICOM, ...XML, ...CSV, ...TXT, ...JSONS],
  ...[...SAFETENSORS, ...PICKLE, ...PACKED, ...MASK_OBJECTS, ...ANALYZE],
];
