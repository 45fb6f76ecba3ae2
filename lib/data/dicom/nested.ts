/** Values in DICOM's nested sequences, on dicom-parser's elements. */

import type { DataSet } from "dicom-parser";
import { LIMITS } from "../../io/limits.ts";

/** Items of a sequence; none where it is missing. */
export function itemsOf(data: DataSet | undefined, tag: string): DataSet[] {
  return data?.elements[tag]?.items?.flatMap(({ dataSet }) => dataSet ?? []) ?? [];
}

/** The only item that counts of a sequence. */
export function itemOf(data: DataSet | undefined, tag: string): DataSet | undefined {
  return itemsOf(data, tag)[0];
}

/** A text without padding; "" where missing. @throws Error where it is too long. */
export function textOf(data: DataSet | undefined, tag: string): string {
  const element = data?.elements[tag];
  if (!data || !element || element.length === 0) return "";
  if (element.length > LIMITS.dicom.value) {
    throw new Error(`${tag} is ${element.length} bytes long`);
  }
  return (data.string(tag) ?? "").trim();
}

/** `count` numbers of a DS or IS, or null where missing. @throws Error where they are none. */
export function decimalsOf(
  data: DataSet | undefined,
  tag: string,
  count: number,
): number[] | null {
  const text = textOf(data, tag);
  if (text === "") return null;
  const parts = text.split("\\").map(decimal);
  if (parts.length !== count || !parts.every(Number.isFinite)) {
    throw new Error(`${tag} "${text}" is not ${count} numbers`);
  }
  return parts;
}

/** A DS or IS value. Number() alone would take "" and "0x10". */
export function decimal(text: string): number {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(text) ? Number(text) : NaN;
}

/** A US; 0 where missing. */
export function shortOf(data: DataSet | undefined, tag: string): number {
  const element = data?.elements[tag];
  return data && element && element.length >= 2 ? data.uint16(tag) ?? 0 : 0;
}
