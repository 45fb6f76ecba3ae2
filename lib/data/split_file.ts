/** `{train,val,test}_patients.txt`: a patient a line. */

import { InputError } from "../errors.ts";
import { LIMITS } from "../io/limits.ts";
import { readFileBounded } from "../io/read.ts";

/** @throws InputError naming the file and the reason. */
export async function readPatients(path: string): Promise<string[]> {
  const { bytes, rows, name } = LIMITS.split;
  const text = new TextDecoder().decode(await readFileBounded(path, bytes));
  const lines = text.split(/\r?\n/, rows + 1).map((line) => line.trim()).filter(Boolean);
  if (lines.length > rows) throw new InputError(`Cannot read "${path}": more than ${rows} lines`);
  const long = lines.find((line) => line.length > name);
  if (long) {
    throw new InputError(
      `Cannot read "${path}": a line of ${long.length} characters is no patient's name`,
    );
  }
  return lines;
}
