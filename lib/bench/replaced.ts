/** A variant whose kernel files are other texts: an edited one, or those of another commit. */

import { InputError } from "../errors.ts";
import type { Variant } from "../graph/op.ts";
import type { Lowering } from "../graph/kernel_call.ts";

/** Text of a file below the project's folder; undefined where there is none. */
export type ReadText = (path: string) => string | undefined;

/** Files of the kernels that a variant runs, each once. */
export const kernelFiles = (
  variant: Variant,
): string[] => [...new Set(variant.build().calls.map((c) => c.kernel.file))];

/**
 * Which file of a variant another file stands for: the only one, the one of the same name, or `wanted`.
 *
 * @throws InputError with those to choose from.
 */
export function fileReplaced(variant: Variant, path: string, wanted?: string): string {
  const files = kernelFiles(variant);
  const name = (file: string) => file.split("/").at(-1);
  const found = wanted
    ? files.filter((f) => f === wanted || f.endsWith(`/${wanted}`))
    : files.length === 1
    ? files
    : files.filter((f) => name(f) === name(path));
  if (found.length === 1) return found[0];
  throw new InputError(
    `${variant.name} runs ${files.join(", ")}: --file says which of them ` +
      `${wanted ? `(not ${wanted})` : `${path} stands for`}`,
  );
}

const joins = (text: string) => text.match(/^\/\/ Joins: .*$/gm)?.join("\n") ?? "";

/**
 * The variant with other texts in place of some files'. Libraries that a kernel joins count as files.
 *
 * @param texts path → text. @param read the texts as they are now.
 * @throws InputError where a text joins other libraries: they are joined by the program, not by name.
 */
export function withTexts(
  variant: Variant,
  texts: ReadonlyMap<string, string>,
  read: ReadText,
): Variant {
  const changes = [...texts].map(([path, after]) => {
    const before = read(path);
    if (before === undefined) throw new InputError(`the project has no ${path}`);
    if (joins(before) !== joins(after)) {
      throw new InputError(
        `the new ${path} joins other libraries than the project's: edit it there, and compare ` +
          "two results (./run bench compare)",
      );
    }
    return { before, after };
  });
  const replace = (lowering: Lowering): Lowering => ({
    ...lowering,
    calls: lowering.calls.map((call) => ({
      ...call,
      kernel: {
        ...call.kernel,
        text: changes.reduce(
          (text, { before, after }) => text.split(before).join(after),
          call.kernel.text,
        ),
      },
    })),
  });
  // Without the shared form: alone it is not taken.
  const { kept: _, ...alone } = variant;
  return { ...alone, build: () => replace(variant.build()) };
}

/** Files that a variant's texts are made of, libraries among them. */
export function partsOf(variant: Variant, files: readonly string[], read: ReadText): string[] {
  const texts = variant.build().calls.map((c) => c.kernel.text);
  return files.filter((file) => {
    const text = read(file);
    return text && texts.some((t) => t.includes(text));
  });
}
