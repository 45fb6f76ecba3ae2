/** Texts in the CSV files that this program writes, and the way back. */

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
