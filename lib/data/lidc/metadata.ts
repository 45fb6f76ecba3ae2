/** `metadata.csv` as The Cancer Imaging Archive writes it beside a download. */

import { parseCsv } from "../../io/csv.ts";
import { InputError } from "../../errors.ts";

export interface MetadataRow {
  seriesUid: string;
  /** Empty where the column is missing, as for all below. */
  subject: string;
  modality: string;
  /** How many images the archive holds; null where not given. */
  images: number | null;
}

/**
 * Rows by series UID. Columns are found by name; commas, quotes and line ends within quotes are data.
 * @param name the file's name, for messages.
 * @throws InputError naming `name` and the reason.
 */
export function parseMetadata(bytes: Uint8Array, name: string): Map<string, MetadataRow> {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  const records = parseCsv(bytes, name, true);
  const rows = new Map<string, MetadataRow>();
  for (const record of records) {
    const seriesUid = record["series uid"] ?? record["series instance uid"];
    if (seriesUid === undefined) throw fail('it has no column "Series UID"');
    if (seriesUid === "") continue;
    const count = record["number of images"] ?? "";
    rows.set(seriesUid, {
      seriesUid,
      subject: record["subject id"] ?? record["patient id"] ?? "",
      modality: record["modality"] ?? "",
      images: /^\d{1,7}$/.test(count) ? Number(count) : null,
    });
  }
  return rows;
}
