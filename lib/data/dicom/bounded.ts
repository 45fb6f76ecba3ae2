/** dicom-parser on any bytes: what it builds is bounded before it is built. */

import { inflateRawSync } from "node:zlib";
import dicomParser, { type DataSet } from "dicom-parser";
import { LIMITS } from "../../io/limits.ts";

export interface BoundedOptions {
  /** As dicom-parser has it: `x7fe00010` ends before the pixel data. */
  untilTag?: string;
  /** How many elements and items, nested ones too, the file may have. */
  elements?: number;
  /** Of more than so many bytes, what lies behind is not looked at. */
  header?: number;
}

/** The file asks for more than its reader gives: more bytes of it would not help. */
export class ExcessError extends Error {}

interface Stream {
  seek(offset: number): void;
  readUint32(): number;
}
type StreamClass = new (
  parser: unknown,
  bytes: Uint8Array,
  position?: number,
) => Stream;
const IMPLICIT = "1.2.840.10008.1.2";
const DEFLATED = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN = "1.2.840.10008.1.2.2";
// deno-lint-ignore no-explicit-any -- its types leave out most of what it exports
const library = dicomParser as any;

/**
 * Parses a DICOM file as `dicomParser.parseDicom` does.
 * @returns the elements, and the bytes that their offsets are of: inflated, if the file was deflated.
 * @throws Error with the reason, whatever the bytes are: damaged, more elements or deeper nesting
 *   than {@link LIMITS} allow, a deflated data set beyond them.
 */
export function parseDicomBounded(
  bytes: Uint8Array,
  options: BoundedOptions = {},
): { data: DataSet; bytes: Uint8Array } {
  try {
    return parse(bytes, options);
  } catch (error) {
    // dicom-parser throws strings; too deep nesting is a RangeError of the stack.
    if (error instanceof RangeError) throw new Error("sequences are nested too deep, or cut off");
    throw error instanceof Error ? error : new Error(String(error));
  }
}

function parse(bytes: Uint8Array, options: BoundedOptions) {
  const { untilTag, elements = LIMITS.dicom.elements, header = Infinity } = options;
  const meta = library.readPart10Header(bytes.subarray(0, LIMITS.dicom.meta));
  if (!meta.elements.x00020010) throw new Error("no TransferSyntaxUID (0002,0010)");
  const syntax: string = meta.string("x00020010") ?? "";
  const whole = syntax === DEFLATED ? inflated(bytes, meta.position) : bytes;
  const piece = whole.length > header ? whole.subarray(0, header) : whole;
  const parser = syntax === BIG_ENDIAN
    ? library.bigEndianByteArrayParser
    : library.littleEndianByteArrayParser;
  const stream = new (countingStream(elements))(parser, piece, meta.position);
  const data = new library.DataSet(parser, piece, {});
  const read = syntax === IMPLICIT
    ? library.parseDicomDataSetImplicit
    : library.parseDicomDataSetExplicit;
  read(data, stream, piece.length, { untilTag });
  Object.assign(data.elements, meta.elements);
  return { data, bytes: whole };
}

/** Every element seeks to its end or reads a length of four bytes, every item does the latter. */
function countingStream(most: number): StreamClass {
  let left = 2 * most;
  const count = () => {
    if (left-- <= 0) throw new ExcessError(`more than ${most} elements`);
  };
  return class extends (library.ByteStream as StreamClass) {
    override seek(offset: number) {
      count();
      super.seek(offset);
    }
    override readUint32() {
      count();
      return super.readUint32();
    }
  };
}

/** The meta group as it is, then the inflated rest. */
function inflated(bytes: Uint8Array, position: number): Uint8Array {
  let rest: Uint8Array;
  try {
    rest = inflateRawSync(bytes.subarray(position), { maxOutputLength: LIMITS.dicom.inflated });
  } catch (error) {
    throw new Error(`deflated data: ${error instanceof Error ? error.message : error}`);
  }
  const whole = new Uint8Array(position + rest.length);
  whole.set(bytes.subarray(0, position));
  whole.set(rest, position);
  return whole;
}
