/** CSV: tables that anyone may have written, and the texts in those that this program writes. */

import { parse } from "csv-parse/sync";
import { InputError } from "../errors.ts";
import { LIMITS } from "./limits.ts";

/**
 * A table's rows by column. Commas, quotes and line ends within quotes are data.
 * @param byHand made by people or other programs: spaces around fields go, names of columns are made
 *   lower case.
 * @throws InputError naming `name` and the reason: no table, or one beyond {@link LIMITS}.csv.
 */
export function parseCsv(
  bytes: Uint8Array,
  name: string,
  byHand = false,
): Record<string, string>[] {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  const most = LIMITS.csv;
  if (bytes.length > most.bytes) throw fail(`${bytes.length} bytes, at most ${most.bytes}`);
  let lines = 1, cells = 1;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === 0x2c) cells++;
    else if (bytes[i] === 0x0a || (bytes[i] === 0x0d && bytes[i + 1] !== 0x0a)) lines++;
  }
  if (lines > most.rows) throw fail(`more than ${most.rows} lines`);
  if (cells > most.cells) throw fail(`more than ${most.cells} fields`);
  try {
    return parse(new TextDecoder().decode(bytes), {
      columns: (header: string[]) => {
        if (header.length > most.columns) throw new Error(`${header.length} columns`);
        return byHand ? header.map((column) => column.trim().toLowerCase()) : header;
      },
      bom: true,
      skip_empty_lines: true,
      trim: byHand,
      max_record_size: most.record,
    });
  } catch (error) {
    throw fail(`not a CSV table: ${error instanceof Error ? error.message : error}`);
  }
}

/** A spreadsheet would take a cell that begins so for a formula, and run it. */
const FORMULA = /^[=+\-@\t\r']/;

/**
 * A text as a cell: an apostrophe before what a spreadsheet would run, quotes where the text holds
 * commas, quotes or line ends. Numbers are not texts: write them as they are.
 */
export function csvText(text: string): string {
  const harmless = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** The text that {@link csvText} was given, from the cell as a CSV reader unquotes it. */
export function fromCsvText(cell: string): string {
  return cell.startsWith("'") && FORMULA.test(cell.slice(1)) ? cell.slice(1) : cell;
}
