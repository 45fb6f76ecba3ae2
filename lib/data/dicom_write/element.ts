/** DICOM data elements, explicit little endian (PS3.5 section 7.1). */

/** Value representations that this writer needs. */
export type Vr =
  | "AE"
  | "AS"
  | "CS"
  | "DA"
  | "DS"
  | "IS"
  | "LO"
  | "LT"
  | "OB"
  | "OW"
  | "PN"
  | "SH"
  | "SQ"
  | "SS"
  | "ST"
  | "TM"
  | "UI"
  | "UL"
  | "US";

/** A sequence is a list of items, each of elements. */
export type Value = string | number | readonly number[] | Uint8Array | readonly Item[];
export type Item = readonly Element[];

/** Tag as 0xGGGGEEEE, its representation and its value; text values may hold `\`. */
export type Element = readonly [tag: number, vr: Vr, value: Value];

const LONG = new Set<Vr>(["OB", "OW", "SQ"]);
const ITEM = 0xfffee000;

function valueBytes(vr: Vr, value: Value): Uint8Array {
  if (value instanceof Uint8Array) return value.length % 2 ? padded(value, 0) : value;
  if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    // UIDs are padded with a zero byte, other text with a space (PS3.5 section 6.2).
    return bytes.length % 2 ? padded(bytes, vr === "UI" ? 0 : 0x20) : bytes;
  }
  if (vr === "SQ") return join((value as readonly Item[]).map(itemBytes));
  const numbers = typeof value === "number" ? [value] : value as readonly number[];
  if (vr === "US" || vr === "SS") {
    const out = new DataView(new ArrayBuffer(2 * numbers.length));
    numbers.forEach((n, i) => out.setUint16(2 * i, n & 0xffff, true));
    return new Uint8Array(out.buffer);
  }
  if (vr === "UL") {
    const out = new DataView(new ArrayBuffer(4 * numbers.length));
    numbers.forEach((n, i) => out.setUint32(4 * i, n, true));
    return new Uint8Array(out.buffer);
  }
  return valueBytes(vr, numbers.map((n) => decimalString(n)).join("\\"));
}

/** An item of a sequence, of explicit length (PS3.5 section 7.5). */
function itemBytes(item: Item): Uint8Array {
  const bytes = encodeElements(item);
  const head = new DataView(new ArrayBuffer(8));
  head.setUint16(0, ITEM >>> 16, true);
  head.setUint16(2, ITEM & 0xffff, true);
  head.setUint32(4, bytes.length, true);
  return join([new Uint8Array(head.buffer), bytes]);
}

function padded(bytes: Uint8Array, by: number): Uint8Array {
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  out[bytes.length] = by;
  return out;
}

/** A DS of at most 16 characters (PS3.5 section 6.2). */
export function decimalString(value: number): string {
  for (let digits = 14; digits > 0; digits--) {
    const text = String(Number(value.toPrecision(digits)));
    if (text.length <= 16) return text;
  }
  throw new Error(`Cannot write ${value} as a decimal string`);
}

/** The elements in the order of their tags. */
export function encodeElements(elements: readonly Element[]): Uint8Array<ArrayBuffer> {
  const parts = elements.toSorted((a, b) => a[0] - b[0]).map(([tag, vr, value]) => {
    const bytes = valueBytes(vr, value), isLong = LONG.has(vr);
    const head = new DataView(new ArrayBuffer(isLong ? 12 : 8));
    head.setUint16(0, tag >>> 16, true);
    head.setUint16(2, tag & 0xffff, true);
    head.setUint8(4, vr.charCodeAt(0));
    head.setUint8(5, vr.charCodeAt(1));
    if (isLong) head.setUint32(8, bytes.length, true);
    else head.setUint16(6, bytes.length, true);
    return [new Uint8Array(head.buffer), bytes];
  }).flat();
  return join(parts);
}

export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
