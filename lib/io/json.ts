/** JSON of files that anyone may have written. */

import { InputError } from "../errors.ts";
import { LIMITS } from "./limits.ts";

/**
 * Parses JSON after a look at its size, its nesting and how many values it holds: a few megabytes of
 * brackets would otherwise become gigabytes of arrays.
 * @param fail makes the error from the reason.
 * @throws what `fail` makes, also where the text is no JSON.
 */
export function parseJson(
  source: Uint8Array | string,
  fail: (why: string) => Error,
  limits: { bytes: number; depth: number; values: number } = LIMITS.json,
): unknown {
  const { bytes, depth, values } = limits;
  if (source.length > bytes) throw fail(`${source.length} bytes of JSON, at most ${bytes}`);
  const text = typeof source === "string" ? source : decoded(source, fail);
  let level = 0, count = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // a string: to its closing quote
        for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) {
          if (text.charCodeAt(i) === 0x5c) i++;
        }
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++level > depth) throw fail(`JSON nested deeper than ${depth}`);
        count++;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        level--;
        break;
      case 0x2c: // ,
        count++;
    }
  }
  if (count > values) throw fail(`JSON of more than ${values} values`);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw fail(`not JSON (${(error as Error).message})`);
  }
}

function decoded(bytes: Uint8Array, fail: (why: string) => Error): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw fail("not JSON (it is no UTF-8)");
  }
}

/** A JSON file's bytes. @throws InputError naming `name`. */
export function parseJsonFile(source: Uint8Array | string, name: string): unknown {
  return parseJson(source, (why) => new InputError(`Cannot read "${name}": ${why}`));
}
