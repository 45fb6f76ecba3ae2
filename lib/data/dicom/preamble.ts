/** DICOM data sets that were written without the 128 bytes and "DICM" that files begin with (PS3.10). */

const IMPLICIT = "1.2.840.10008.1.2", EXPLICIT = "1.2.840.10008.1.2.1";
const META = 0x0002, IDENTIFYING = 0x0008;
/** Of the first elements of group 0008: longer ones are none. */
const MOST = 256;

/** Is this, by its first 132 bytes, a DICOM file (PS3.10 section 7.1)? */
export function hasDicomMarker(bytes: Uint8Array): boolean {
  return bytes.length >= 132 && bytes[128] === 0x44 && bytes[129] === 0x49 && bytes[130] === 0x43 &&
    bytes[131] === 0x4d;
}

/**
 * The bytes as a DICOM file has them: with preamble and, where the file meta group is missing too,
 * with the transfer syntax that the first element shows. Null where they do not begin as DICOM does.
 */
export function withPreamble(bytes: Uint8Array): Uint8Array | null {
  if (hasDicomMarker(bytes)) return bytes;
  if (bytes.length < 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const group = view.getUint16(0, true), vr = String.fromCharCode(bytes[4], bytes[5]);
  const isExplicit = /^[A-Z]{2}$/.test(vr);
  if (group === META) return isExplicit ? joined(marker(), bytes) : null;
  if (group !== IDENTIFYING || view.getUint16(2, true) > 0x0100) return null;
  const length = isExplicit ? view.getUint16(6, true) : view.getUint32(4, true);
  if (length > MOST) return null;
  return joined(marker(isExplicit ? EXPLICIT : IMPLICIT), bytes);
}

/** 128 zeros and "DICM"; with a transfer syntax, its element of the file meta group. */
function marker(syntax?: string): Uint8Array {
  const start = new Uint8Array(132);
  start.set(new TextEncoder().encode("DICM"), 128);
  if (!syntax) return start;
  const value = new TextEncoder().encode(syntax.length % 2 ? `${syntax}\0` : syntax);
  const element = new Uint8Array([0x02, 0, 0x10, 0, 0x55, 0x49, value.length, 0, ...value]);
  return joined(start, element);
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
