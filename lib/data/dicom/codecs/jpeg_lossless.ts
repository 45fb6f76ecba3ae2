/**
 * Lossless JPEG, process 14 (ITU-T T.81 annex H): Huffman coded differences from one of seven
 * predictors, one component of 2 to 16 bits. Written out here because the packages at hand lose the
 * last pixel of real files.
 */

interface Frame {
  precision: number;
  rows: number;
  columns: number;
}

/**
 * Decodes one frame to samples 0 … 2^precision − 1, row by row.
 * @throws Error with the reason; also where the frame is not `rows` × `columns`.
 */
export function decodeJpegLossless(code: Uint8Array, rows: number, columns: number): Uint16Array {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  if (code.length < 4 || view.getUint16(0) !== 0xffd8) throw new Error("no JPEG start of image");
  const tables: (Uint16Array | undefined)[] = [];
  let frame: Frame | null = null, restart = 0, at = 2, tablesRead = 0;
  while (at + 4 <= code.length) {
    if (code[at] !== 0xff) throw new Error(`no JPEG marker at byte ${at}`);
    const marker = code[at + 1];
    if (marker === 0xff) { // fill bytes may precede a marker
      at++;
      continue;
    }
    const length = view.getUint16(at + 2), start = at + 4, end = at + 2 + length;
    if (length < 2 || end > code.length) throw new Error("a JPEG segment is truncated");
    if (marker === 0xc4) {
      tablesRead += readTables(code, start, end, tables);
      if (tablesRead > MAX_TABLES) throw new Error(`more than ${MAX_TABLES} JPEG Huffman tables`);
    } else if (marker === 0xc3) {
      frame = readFrame(view, start, end);
      if (frame.rows !== rows || frame.columns !== columns) {
        throw new Error(`JPEG frame of ${frame.columns}×${frame.rows}, not ${columns}×${rows}`);
      }
    } else if (marker === 0xdd && length === 4) {
      restart = view.getUint16(start);
    } else if (marker === 0xda) {
      if (!frame) throw new Error("a JPEG scan comes before its frame");
      if (length !== 8 || code[start] !== 1) throw new Error("JPEG scan is not of one component");
      const table = tables[code[start + 2] >> 4];
      if (!table) throw new Error("JPEG scan names a Huffman table that is missing");
      const predictor = code[start + 3], shift = code[start + 5] & 15;
      if (predictor < 1 || predictor > 7) throw new Error(`JPEG predictor ${predictor}, not 1…7`);
      if (shift >= frame.precision) throw new Error(`JPEG point transform of ${shift} bits`);
      return decodeScan(code.subarray(end), table, frame, predictor, shift, restart);
    } else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc8 && marker !== 0xcc) {
      throw new Error("the JPEG frame is not a lossless Huffman one (SOF3)");
    }
    at = end;
  }
  throw new Error("the JPEG data holds no scan");
}

function readFrame(view: DataView, start: number, end: number): Frame {
  if (end - start < 9) throw new Error("the JPEG frame header is truncated");
  const precision = view.getUint8(start);
  if (precision < 2 || precision > 16) throw new Error(`JPEG precision of ${precision} bits`);
  if (view.getUint8(start + 5) !== 1) throw new Error("the JPEG frame is not of one component");
  return { precision, rows: view.getUint16(start + 1), columns: view.getUint16(start + 3) };
}

/** Four may be in use; each of them may be defined again. */
const MAX_TABLES = 64;

/**
 * Each table becomes 2^16 entries, by the next 16 bits: code length · 256 + category.
 * @returns how many they are.
 */
function readTables(
  code: Uint8Array,
  start: number,
  end: number,
  tables: (Uint16Array | undefined)[],
): number {
  let count = 0;
  for (let at = start; at < end;) {
    if (++count > MAX_TABLES) break;
    if (at + 17 > end) throw new Error("a JPEG Huffman table is truncated");
    const id = code[at] & 15, counts = code.subarray(at + 1, at + 17);
    const total = counts.reduce((a, b) => a + b, 0);
    if (id > 3 || at + 17 + total > end) throw new Error("a JPEG Huffman table is truncated");
    const table = new Uint16Array(65536);
    let value = at + 17, next = 0;
    for (let length = 1; length <= 16; length++) {
      for (let i = 0; i < counts[length - 1]; i++) {
        const category = code[value++], span = 1 << (16 - length);
        if (category > 16) throw new Error(`JPEG difference category ${category}, at most 16`);
        if (next + span > 65536) throw new Error("a JPEG Huffman table has too many codes");
        table.fill(length << 8 | category, next, next + span);
        next += span;
      }
    }
    tables[id] = table;
    at = value;
  }
  return count;
}

function decodeScan(
  code: Uint8Array,
  table: Uint16Array,
  { precision, rows, columns }: Frame,
  predictor: number,
  shift: number,
  restart: number,
): Uint16Array {
  const out = new Uint16Array(rows * columns);
  const origin = 1 << (precision - shift - 1);
  let at = 0, acc = 0, bits = 0, padding = 0;
  const fill = () => {
    while (bits <= 16) {
      let byte = 0;
      if (at < code.length && !(code[at] === 0xff && code[at + 1] !== 0)) {
        byte = code[at];
        at += byte === 0xff ? 2 : 1; // FF 00 stands for FF
      } else {
        padding += 8; // at a marker or the end: only look-ahead may go beyond
      }
      acc = (acc << 8 | byte) >>> 0;
      bits += 8;
    }
  };
  let sinceRestart = 0, firstRow = 0;
  for (let y = 0, i = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, i++) {
      if (restart > 0 && sinceRestart === restart) {
        at = nextRestart(code, at);
        acc =
          bits =
          padding =
          sinceRestart =
            0;
        firstRow = y;
      }
      fill();
      const entry = table[acc >>> (bits - 16) & 0xffff], length = entry >> 8;
      if (length === 0) throw new Error(`the JPEG data is damaged at pixel ${i}`);
      bits -= length;
      const category = entry & 31;
      let difference = 0;
      if (category === 16) {
        difference = 32768; // H.1.2.2: no more bits follow
      } else if (category > 0) {
        fill();
        const extra = acc >>> (bits - category) & ((1 << category) - 1);
        bits -= category;
        difference = extra < 1 << (category - 1) ? extra - (1 << category) + 1 : extra;
      }
      acc &= (1 << bits) - 1;
      if (bits < padding) throw new Error(`the JPEG data is truncated at pixel ${i}`);
      out[i] = prediction(out, i, x, y === firstRow, columns, predictor, origin) + difference;
      sinceRestart++;
    }
  }
  if (shift > 0) { for (let i = 0; i < out.length; i++) out[i] <<= shift; }
  return out;
}

/** T.81 table H.1, with H.1.2.1 for the first row and column; a left, b above, c above left. */
function prediction(
  out: Uint16Array,
  i: number,
  x: number,
  isFirstRow: boolean,
  columns: number,
  predictor: number,
  origin: number,
): number {
  if (isFirstRow) return x === 0 ? origin : out[i - 1];
  const b = out[i - columns];
  if (x === 0) return b;
  const a = out[i - 1], c = out[i - columns - 1];
  switch (predictor) {
    case 1:
      return a;
    case 2:
      return b;
    case 3:
      return c;
    case 4:
      return a + b - c;
    case 5:
      return a + (b - c >> 1);
    case 6:
      return b + (a - c >> 1);
    default:
      return a + b >> 1;
  }
}

function nextRestart(code: Uint8Array, from: number): number {
  for (let at = from; at + 1 < code.length; at++) {
    if (code[at] === 0xff && code[at + 1] >= 0xd0 && code[at + 1] <= 0xd7) return at + 2;
  }
  throw new Error("a JPEG restart marker is missing");
}
