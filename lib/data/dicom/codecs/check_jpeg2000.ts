/**
 * What a JPEG 2000 codestream claims about itself, before a decoder makes room for it: sizes that
 * are the slice's, and no more parts than a slice has use for. ISO/IEC 15444-1 annex A.
 */

const SIZ = 0x51, COD = 0x52, COC = 0x53, SOT = 0x90, SOD = 0x93;
const MOST = { tiles: 1024, layers: 256, blocks: 2 ** 18, precincts: 2 ** 16, packets: 2 ** 18 };

/** @throws Error with the reason. */
export function checkJpeg2000(code: Uint8Array, rows: number, columns: number): void {
  let at = 0;
  const limit = Math.min(code.length, 4096); // a JP2 box or two may precede it
  while (
    at + 4 <= limit && !(code[at] === 0xff && code[at + 1] === 0x4f && code[at + 2] === 0xff)
  ) {
    at++;
  }
  if (at + 42 > code.length || at + 4 > limit || code[at + 3] !== SIZ) {
    throw new Error("no JPEG 2000 codestream");
  }
  const size = new DataView(code.buffer, code.byteOffset + at + 4);
  const [x1, y1, x0, y0, tileW, tileH, tileX, tileY] = [4, 8, 12, 16, 20, 24, 28, 32]
    .map((offset) => size.getUint32(offset));
  if (x1 - x0 !== columns || y1 - y0 !== rows) {
    throw new Error(`JPEG 2000 image of ${x1 - x0}×${y1 - y0}, not ${columns}×${rows}`);
  }
  if (size.getUint16(36) !== 1) throw new Error(`JPEG 2000 of ${size.getUint16(36)} components`);
  const tiles = Math.ceil((x1 - tileX) / tileW) * Math.ceil((y1 - tileY) / tileH);
  if (!(tiles >= 1 && tiles <= MOST.tiles)) {
    throw new Error(`JPEG 2000 of ${tiles} tiles, at most ${MOST.tiles}`);
  }
  const tile = { tiles, width: Math.min(tileW, columns), height: Math.min(tileH, rows) };
  checkCoding(code, at + 2, tile);
}

interface Tile {
  tiles: number;
  width: number;
  height: number;
}

/** Walks the markers of the main header and of all tile-parts, whose data are jumped over. */
function checkCoding(code: Uint8Array, from: number, tile: Tile) {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  let at = from, end = 0, parts = 0;
  while (at + 4 <= code.length && code[at] === 0xff) {
    const marker = code[at + 1];
    if (marker === SOD) {
      if (end <= at) return; // the last part, to the end of the codestream
      at = end;
      continue;
    }
    const length = view.getUint16(at + 2);
    if (length < 2 || at + 2 + length > code.length) return; // the decoder will say so
    if (marker === SOT && length === 10) {
      if (++parts > 255 * tile.tiles) throw new Error("JPEG 2000 of too many tile-parts");
      const bytes = view.getUint32(at + 6);
      end = bytes === 0 ? 0 : at + bytes;
    } else if (marker === COD && length >= 12) {
      checkParts(code, at + 9, code[at + 4] & 1, view.getUint16(at + 6), tile);
    } else if (marker === COC && length >= 9) {
      checkParts(code, at + 6, code[at + 5] & 1, 1, tile);
    }
    at += 2 + length;
  }
}

/**
 * @param at of the number of decomposition levels, with which the coding parameters begin (A.6.1).
 */
function checkParts(
  code: Uint8Array,
  at: number,
  hasPrecincts: number,
  layers: number,
  { tiles, width, height }: Tile,
) {
  const levels = code[at];
  if (levels > 32) throw new Error(`JPEG 2000 of ${levels} decomposition levels`);
  if (layers > MOST.layers) {
    throw new Error(`JPEG 2000 of ${layers} layers, at most ${MOST.layers}`);
  }
  const blockW = 2 ** ((code[at + 1] & 15) + 2), blockH = 2 ** ((code[at + 2] & 15) + 2);
  let precincts = 0, blocks = 0;
  for (let level = 0; level <= levels; level++) {
    // Resolutions from the coarsest: each has a size of precincts of its own.
    const scale = 2 ** (levels - level);
    const w = Math.ceil(width / scale), h = Math.ceil(height / scale);
    const exponents = hasPrecincts ? code[at + 5 + level] ?? 0 : 0xff;
    const precinctW = 2 ** (exponents & 15), precinctH = 2 ** (exponents >> 4);
    precincts += (Math.ceil(w / precinctW) + 1) * (Math.ceil(h / precinctH) + 1);
    const insideW = Math.min(blockW, precinctW), insideH = Math.min(blockH, precinctH);
    blocks += (Math.ceil(w / insideW) + 1) * (Math.ceil(h / insideH) + 1);
  }
  for (
    const [what, count, most] of [
      ["precincts", precincts * tiles, MOST.precincts],
      ["code-blocks", blocks * tiles, MOST.blocks],
      ["packets", precincts * tiles * layers, MOST.packets],
    ] as const
  ) if (count > most) throw new Error(`JPEG 2000 of ${count} ${what}, at most ${most}`);
}
