/** `metadata.csv` as The Cancer Imaging Archive writes it beside a download. */

import { parse } from "csv-parse/sync";
import { InputError } from "../../errors.ts";

export interface MetadataRow {
  seriesUid: string;
  /** Empty where the column is missing, as for all below. */
  subject: string;
  modality: string;
  /** How many images the archive holds; null where not given. */
  images: number | null;
}

const MAX_BYTES = 2 ** 26;

/**
 * Rows by series UID. Columns are found by name; commas, quotes and line ends within quotes are data.
 * @param name the file's name, for messages.
 * @throws InputError naming `name` and the reason.
 */
export function parseMetadata(bytes: Uint8Array, name: string): Map<string, MetadataRow> {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  if (bytes.length > MAX_BYTES) throw fail(`${bytes.length} bytes, at most ${MAX_BYTES}`);
  let records: Record<string, string>[];
  try {
    records = parse(new TextDecoder().decode(bytes), {
      columns: (header: string[]) => header.map((column) => column.trim().toLowerCase()),
      bom: true,
      skip_empty_lines: true,
      trim: true,
      max_record_size: 2 ** 20,
    });
  } catch (error) {
    throw fail(`not a CSV table: ${error instanceof Error ? error.message : error}`);
  }
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
