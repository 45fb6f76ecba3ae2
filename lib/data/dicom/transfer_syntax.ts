/** The DICOM transfer syntaxes this project knows: which it reads, and why not the others. */

export type Coding =
  | "raw"
  | "rle"
  | "jpeg-baseline"
  | "jpeg-lossless"
  | "jpeg-ls"
  | "jpeg-2000"
  | "htj2k";

export interface TransferSyntax {
  name: string;
  /** How the pixels are coded, or null where they cannot be read. */
  coding: Coding | null;
  bigEndian?: boolean;
  /** The whole data set after the file meta group is a raw deflate stream. */
  deflated?: boolean;
  /** Pixels may differ from what the scanner produced. */
  lossy?: boolean;
  /** Where it cannot be read: how to make it readable. */
  advice?: string;
}

const jpeg12 = (process: string): TransferSyntax => ({
  name: `JPEG ${process}, 12 bit`,
  coding: null,
  advice: "decompress it first, for example with dcmtk's dcmdjpeg",
});
const jpegXl = (form: string): TransferSyntax => ({
  name: `JPEG XL${form}`,
  coding: null,
  advice: "decompress it first, for example with GDCM's gdcmconv --raw or pydicom with pylibjpeg",
});

/** By UID, DICOM PS3.6 table A-1. */
export const TRANSFER_SYNTAXES: Readonly<Record<string, TransferSyntax>> = {
  "1.2.840.10008.1.2": { name: "implicit little endian", coding: "raw" },
  "1.2.840.10008.1.2.1": { name: "explicit little endian", coding: "raw" },
  "1.2.840.10008.1.2.1.99": { name: "deflated little endian", coding: "raw", deflated: true },
  "1.2.840.10008.1.2.2": { name: "explicit big endian", coding: "raw", bigEndian: true },
  "1.2.840.10008.1.2.5": { name: "RLE lossless", coding: "rle" },
  "1.2.840.10008.1.2.4.50": { name: "JPEG baseline", coding: "jpeg-baseline", lossy: true },
  "1.2.840.10008.1.2.4.51": jpeg12("extended"),
  "1.2.840.10008.1.2.4.53": jpeg12("spectral selection"),
  "1.2.840.10008.1.2.4.55": jpeg12("full progression"),
  "1.2.840.10008.1.2.4.57": { name: "JPEG lossless", coding: "jpeg-lossless" },
  "1.2.840.10008.1.2.4.70": { name: "JPEG lossless, first order", coding: "jpeg-lossless" },
  "1.2.840.10008.1.2.4.80": { name: "JPEG-LS lossless", coding: "jpeg-ls" },
  "1.2.840.10008.1.2.4.81": { name: "JPEG-LS near lossless", coding: "jpeg-ls", lossy: true },
  "1.2.840.10008.1.2.4.90": { name: "JPEG 2000 lossless", coding: "jpeg-2000" },
  "1.2.840.10008.1.2.4.91": { name: "JPEG 2000", coding: "jpeg-2000", lossy: true },
  "1.2.840.10008.1.2.4.110": jpegXl(" lossless"),
  "1.2.840.10008.1.2.4.111": jpegXl(" recompression of JPEG"),
  "1.2.840.10008.1.2.4.112": jpegXl(""),
  "1.2.840.10008.1.2.4.201": { name: "HTJ2K lossless", coding: "htj2k" },
  "1.2.840.10008.1.2.4.202": { name: "HTJ2K lossless RPCL", coding: "htj2k" },
  "1.2.840.10008.1.2.4.203": { name: "HTJ2K", coding: "htj2k", lossy: true },
};

/** Why pixels of this transfer syntax cannot be read, or null where they can. */
export function unreadable(uid: string): string | null {
  const syntax = TRANSFER_SYNTAXES[uid];
  if (!syntax) return `transfer syntax ${uid || "(none)"} is not known`;
  if (syntax.coding === null) {
    return `transfer syntax ${uid} (${syntax.name}) is not supported: ${syntax.advice}`;
  }
  return null;
}
