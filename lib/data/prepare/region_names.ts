/** Which regions of SEG and RTSTRUCT are nodules, which lungs, by the names that people give. */

import type { Region } from "../dicom/mask_grid.ts";

export type Side = "right" | "left" | "both";

/** GTV (NSCLC-Radiomics: GTV-1 …; no lymph nodes: GTVn, and no GTV that something is cut from). */
const NODULE = [
  /^gtv[-_ ]?(\d{1,2}|p|t|primary|primarius|tumou?r|lung)?$/,
  /^(lung|pulmonary)?[-_ ]?(nodules?|tumou?rs?|lesions?|mass(es)?)([-_ ]?\d+)?([-_ ]+annotation\b.*)?$/,
  /^neoplasm(, primary)?$/,
];
const LUNG: Record<Side, RegExp> = {
  right: /^((lung|pulm)[-_ ]?(right|r|rt)|(right|rt|r)[-_ ](lung|pulm))$/,
  left: /^((lung|pulm)[-_ ]?(left|l|lt)|(left|lt|l)[-_ ](lung|pulm))$/,
  both:
    /^((total[-_ ])?lungs?|lungs?[-_ ]?(total|both|all|bilateral|combined)|(both|all)[-_ ]lungs)$/,
};

/**
 * Is the region one of nodules?
 * @param chosen names as the user gave them, or null: those that are known.
 */
export function isNodule({ name, kinds }: Region, chosen: readonly string[] | null): boolean {
  if (chosen) return includes(chosen, name);
  return [name, ...kinds].some((word) => NODULE.some((known) => known.test(plain(word))));
}

/** Which lung the region is, or null where it is none. */
export function sideOf({ name, kinds }: Region, chosen: readonly string[] | null): Side | null {
  if (chosen && !includes(chosen, name)) return null;
  const sides: Side[] = ["right", "left", "both"];
  // A segment's type may be "Lung" for both; its label says the side.
  for (const word of [name, ...kinds]) {
    const side = sides.find((side) => LUNG[side].test(plain(word)));
    if (side) return side;
  }
  return chosen ? "both" : null;
}

/** `A,B` as names. */
export function parseNames(text: string): string[] {
  return text.split(",").map((name) => name.trim()).filter((name) => name !== "");
}

function includes(names: readonly string[], name: string): boolean {
  return names.some((own) => plain(own) === plain(name));
}

function plain(name: string): string {
  return name.trim().toLowerCase();
}
