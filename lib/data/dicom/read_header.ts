/** Reads no more of a DICOM file than its header needs, so that a scan of many thousands is quick. */

import { InputError } from "../../errors.ts";
import { asInputError } from "../../io/read.ts";
import { LIMITS } from "../../io/limits.ts";
import { ExcessError } from "./bounded.ts";
import { hasDicomMarker, type ParsedDicom, parseHeader } from "./header.ts";

/** Most CT headers are 2 to 10 kB; a second read costs more than the few that are longer. */
const FIRST_BYTES = 2 ** 14;

/**
 * The header of `path`, or null where the file is no DICOM file at all (its marker is missing).
 * The returned bytes are only the piece that was read.
 * @throws InputError naming `path`, for a file that has the marker but cannot be read.
 */
export function readHeader(path: string): ParsedDicom | null {
  let file: Deno.FsFile | undefined;
  try {
    file = Deno.openSync(path);
    let bytes = readUpTo(file, new Uint8Array(FIRST_BYTES), 0);
    if (!hasDicomMarker(bytes)) return null;
    for (;;) {
      try {
        return parseHeader(bytes, path);
      } catch (error) {
        // Either the header goes on beyond what was read, or it is damaged: more bytes decide.
        const excess = error instanceof Error && error.cause instanceof ExcessError;
        if (excess || bytes.length >= LIMITS.dicom.header) throw error;
        const size = Math.min(bytes.length * 8, LIMITS.dicom.header);
        const longer = new Uint8Array(size);
        longer.set(bytes);
        const more = readUpTo(file, longer, bytes.length);
        if (more.length === bytes.length) throw error;
        bytes = more;
      }
    }
  } catch (error) {
    throw asInputError(error, path);
  } finally {
    file?.close();
  }
}

function readUpTo(file: Deno.FsFile, into: Uint8Array, from: number): Uint8Array {
  let at = from;
  while (at < into.length) {
    const got = file.readSync(into.subarray(at));
    if (got === null) break;
    at += got;
  }
  return into.subarray(0, at);
}

/** The whole of a DICOM file, parsed. @throws InputError naming `path`. */
export function readWhole(path: string): ParsedDicom {
  let bytes: Uint8Array;
  try {
    const { size } = Deno.statSync(path), most = LIMITS.dicom.file;
    if (size > most) {
      throw new InputError(`Cannot read "${path}": ${size} bytes, at most ${most} are accepted`);
    }
    bytes = Deno.readFileSync(path);
  } catch (error) {
    throw asInputError(error, path);
  }
  return parseHeader(bytes, path);
}
