/** Results as files: read as anyone may have written them, against the committed schema. */

import { Ajv2020 } from "ajv/dist/2020.js";
import { InputError } from "../errors.ts";
import { parseJson } from "../io/json.ts";
import { readFileBounded } from "../io/read.ts";
import type { BenchResult } from "./result.ts";
import schema from "./schema.json" with { type: "json" };

/** 20,000 rows of a thousand bytes and their blocks. */
const LIMIT = { bytes: 2 ** 26, depth: 8, values: 2 ** 22 };

const validate = new Ajv2020({ allErrors: false, allowUnionTypes: true }).compile<BenchResult>(
  schema,
);

/** What of it is not as the schema says; nothing where all is. */
export function schemaError(value: unknown): string | undefined {
  if (validate(value)) return undefined;
  const [{ instancePath, message }] = validate.errors!;
  return `${instancePath || "/"} ${message}`;
}

/** @throws InputError naming the file and what is wrong with it. */
export async function readResult(path: string): Promise<BenchResult> {
  const bytes = await readFileBounded(path, LIMIT.bytes);
  const fail = (why: string) => new InputError(`Cannot read "${path}": ${why}`);
  const value = parseJson(bytes, fail, LIMIT);
  const why = schemaError(value);
  if (why) throw fail(`it is no result of ./run bench: ${why}`);
  return value as BenchResult;
}
