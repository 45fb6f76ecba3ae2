/**
 * The codecs that come as WebAssembly: JPEG 2000, JPEG-LS and baseline JPEG. Loaded on first use
 * (they read their .wasm beside the package, so --allow-read is all they need). What a codestream
 * claims about itself is checked against the DICOM header before any decoder sees it: a damaged
 * size must not make one allocate gigabytes.
 */

import charls from "@cornerstonejs/codec-charls/decodewasmjs";
import turbo from "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs";
import openjpeg from "@cornerstonejs/codec-openjpeg/decodewasmjs";
import openjph from "@cornerstonejs/codec-openjph/wasmjs";

import { checkJpeg2000 } from "./check_jpeg2000.ts";

export type WasmCoding = "jpeg-2000" | "htj2k" | "jpeg-ls" | "jpeg-baseline";

interface Decoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  getFrameInfo(): { width: number; height: number; bitsPerSample: number; componentCount: number };
  decode(): void;
  delete(): void;
}
interface Loaded {
  create(): Decoder;
  /** What is behind an exception thrown as a pointer. */
  explain(error: unknown): string;
}
// deno-lint-ignore no-explicit-any -- the packages ship no types
type Factory = (options: Record<string, unknown>) => Promise<any>;

const SOURCES: Record<WasmCoding, { factory: Factory; decoder: string }> = {
  "jpeg-2000": { factory: openjpeg as Factory, decoder: "J2KDecoder" },
  "htj2k": { factory: openjph as Factory, decoder: "HTJ2KDecoder" },
  "jpeg-ls": { factory: charls as Factory, decoder: "JpegLSDecoder" },
  "jpeg-baseline": { factory: turbo as Factory, decoder: "JPEGDecoder" },
};
const loaded = new Map<WasmCoding, Promise<Loaded>>();

function load(coding: WasmCoding): Promise<Loaded> {
  let module = loaded.get(coding);
  if (!module) {
    const { factory, decoder } = SOURCES[coding];
    // The decoders print their complaints; the error that follows is enough.
    const silent = () => {};
    module = factory({ print: silent, printErr: silent }).then((m) => ({
      create: () => new m[decoder](),
      explain: (error) =>
        typeof error === "number" && m.getExceptionMessage
          ? String(m.getExceptionMessage(error))
          : error instanceof Error
          ? error.message
          : "damaged data",
    }));
    loaded.set(coding, module);
  }
  return module;
}

/**
 * Decodes one frame of one component into little-endian samples of 1 (up to 8 bits) or 2 bytes.
 * @throws Error with the reason.
 */
export async function decodeWasm(
  coding: WasmCoding,
  code: Uint8Array,
  rows: number,
  columns: number,
): Promise<{ samples: Uint8Array; bytesPerSample: 1 | 2 }> {
  if (coding === "jpeg-2000" || coding === "htj2k") checkJpeg2000(code, rows, columns);
  else checkJpeg(code, rows, columns, coding);
  const module = await load(coding);
  let decoder: Decoder | undefined;
  try {
    decoder = module.create();
    // CharLS looks for the end of the image with no end of its own: eight seconds for a slice that
    // was cut off.
    const whole = coding === "jpeg-ls" ? withEnd(code) : code;
    decoder.getEncodedBuffer(whole.length).set(whole);
    decoder.decode();
    const info = decoder.getFrameInfo();
    const bytesPerSample = info.bitsPerSample > 8 ? 2 : 1;
    const samples = decoder.getDecodedBuffer();
    const shape = `${info.width}×${info.height}×${info.componentCount}`;
    if (
      info.width !== columns || info.height !== rows || info.componentCount !== 1 ||
      samples.length !== rows * columns * bytesPerSample
    ) {
      throw new Error(`decoded to ${shape}, not ${columns}×${rows}×1`);
    }
    const copy = samples.slice(); // the decoder's memory goes with it
    decoder.delete();
    return { samples: copy, bytesPerSample };
  } catch (error) {
    // After an abort a module's memory cannot be trusted: start afresh next time.
    loaded.delete(coding);
    throw new Error(module.explain(error));
  }
}

/** The codestream with an end-of-image marker, which it may lack. */
function withEnd(code: Uint8Array): Uint8Array {
  const out = new Uint8Array(code.length + 2);
  out.set(code);
  out.set([0xff, 0xd9], code.length);
  return out;
}

/** T.81 B.2.2 and T.87 C.2.2: the frame header has the same form in JPEG and JPEG-LS. */
function checkJpeg(code: Uint8Array, rows: number, columns: number, coding: WasmCoding) {
  const wanted = coding === "jpeg-ls" ? [0xf7] : [0xc0, 0xc1, 0xc2];
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  let at = 2;
  while (at + 11 <= code.length) {
    if (code[at] !== 0xff) throw new Error(`no JPEG marker at byte ${at}`);
    const marker = code[at + 1];
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (wanted.includes(marker)) {
      const height = view.getUint16(at + 5), width = view.getUint16(at + 7);
      if (height !== rows || width !== columns || code[at + 9] !== 1) {
        throw new Error(
          `JPEG frame of ${width}×${height}×${code[at + 9]}, not ${columns}×${rows}×1`,
        );
      }
      if (coding === "jpeg-baseline" && code[at + 4] !== 8) {
        throw new Error(`JPEG of ${code[at + 4]} bits, only 8 are supported`);
      }
      checkScans(code, at);
      return;
    }
    at += 2 + view.getUint16(at + 2);
  }
  throw new Error("no JPEG frame header");
}

/** A progressive JPEG goes over all its pixels in each scan; gray ones have six. */
const MAX_SCANS = 10;

/** Within coded data FF is followed by 0: what looks like the start of a scan is one. */
function checkScans(code: Uint8Array, from: number) {
  let scans = 0;
  for (let at = code.indexOf(0xff, from); at >= 0; at = code.indexOf(0xff, at + 1)) {
    if (code[at + 1] === 0xda && ++scans > MAX_SCANS) {
      throw new Error(`JPEG of more than ${MAX_SCANS} scans`);
    }
  }
}
