/** Remarks on what was read, for people: in manifests and on the terminal. */

import { shown } from "../errors.ts";
import { LIMITS } from "./limits.ts";

/**
 * The first `most` notes, each as one short line, and how many there are beside. A file may give
 * reason for as many notes as it has elements, and its own text may be in them.
 */
export function boundedNotes(
  notes: readonly string[],
  most: number = LIMITS.text.notes,
): string[] {
  const kept = notes.slice(0, most).map((note) => shown(note));
  if (notes.length > most) kept.push(`… and ${notes.length - most} more notes`);
  return kept;
}
