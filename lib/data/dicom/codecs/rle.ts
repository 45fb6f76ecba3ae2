/** DICOM RLE lossless (PS3.5 annex G): PackBits segments, one for each byte of a sample. */

/**
 * Decodes one frame into little-endian samples of `bytesPerSample` bytes.
 * @throws Error with the reason.
 */
export function decodeRle(code: Uint8Array, pixels: number, bytesPerSample: number): Uint8Array {
  if (code.length < 64) throw new Error("RLE header is truncated");
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  const segments = view.getUint32(0, true);
  if (segments !== bytesPerSample) {
    throw new Error(
      `${segments} RLE segments where one for each of ${bytesPerSample} bytes is due`,
    );
  }
  const out = new Uint8Array(pixels * bytesPerSample);
  for (let s = 0; s < segments; s++) {
    const start = view.getUint32(4 + 4 * s, true);
    const end = s + 1 < segments ? view.getUint32(8 + 4 * s, true) : code.length;
    if (start < 64 || end > code.length || start > end) {
      throw new Error(`RLE segment ${s} lies outside the data`);
    }
    // Segments run from the most significant byte down; samples are wanted little endian.
    const filled = unpack(code, start, end, out, segments - 1 - s, bytesPerSample);
    if (filled < pixels) throw new Error(`RLE segment ${s} holds ${filled} of ${pixels} bytes`);
  }
  return out;
}

function unpack(
  code: Uint8Array,
  from: number,
  end: number,
  out: Uint8Array,
  phase: number,
  stride: number,
): number {
  let at = from, to = phase, count = 0;
  const pixels = out.length / stride;
  while (at < end && count < pixels) {
    const control = code[at++];
    if (control < 128) {
      const run = Math.min(control + 1, end - at, pixels - count);
      for (let i = 0; i < run; i++, to += stride) out[to] = code[at++];
      count += run;
      if (run < control + 1 && at >= end) break;
    } else if (control > 128 && at < end) {
      const value = code[at++];
      const run = Math.min(257 - control, pixels - count);
      for (let i = 0; i < run; i++, to += stride) out[to] = value;
      count += run;
    }
  }
  return count;
}
