/** `images.csv`, which `sample` writes beside its slices: what each of them was asked to be. */

import { InputError } from "../errors.ts";
import { fromCsvText, parseCsv } from "../io/csv.ts";
import { LIMITS } from "../io/limits.ts";
import { readFileBounded } from "../io/read.ts";

/** `images.csv`, or of a shard `images-i-of-n.csv`. */
export const IMAGE_LIST = /^images(-\d+-of-\d+)?\.csv$/;

export interface ListedImage {
  /** `{prefix}_slice_{number}`. */
  readonly slice: string;
  /** Value of the class map: from 0.5 on there is a nodule. */
  readonly classValue: number | undefined;
  /** Id of the slice whose lung mask it has. */
  readonly source: string;
}

/**
 * Where a row says no class, `classValue` is undefined.
 *
 * @throws InputError naming the file and the reason.
 */
export async function readImageList(path: string): Promise<ListedImage[]> {
  const rows = parseCsv(await readFileBounded(path, LIMITS.csv.bytes), path);
  return rows.map(({ slice, class: value, lung_mask_of: source }, i) => {
    const classValue = value?.trim() ? Number(value) : undefined;
    if (!slice || Number.isNaN(classValue)) {
      throw new InputError(
        `Cannot read "${path}": row ${i + 2}: slice "${slice ?? ""}", class "${value ?? ""}"`,
      );
    }
    return { slice: fromCsvText(slice), classValue, source: fromCsvText(source ?? "") };
  });
}
