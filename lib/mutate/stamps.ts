/** What a module's verdicts hang on: its text, and the test files that come to it. */

import { moduleTexts } from "./copy.ts";
import { testFilesOf, testsFor } from "./imports.ts";

export async function stampsOf(root: string): Promise<Map<string, string>> {
  const texts = moduleTexts(root);
  const tests = testFilesOf(texts);
  const stamps = new Map<string, string>();
  for (const [file, text] of texts) {
    const met = testsFor(file, tests).map((test) => texts.get(test.path));
    const bytes = new TextEncoder().encode(JSON.stringify([text, ...met]));
    stamps.set(file, new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex());
  }
  return stamps;
}
