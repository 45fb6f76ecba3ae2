/**
 * A 5 × 7 bitmap font of the printable ASCII characters, drawn after the usual character displays.
 * A glyph is seven base-32 digits, a row each from the top; the highest of a digit's five bits is
 * the leftmost pixel.
 */
const ROWS = `
0000000 4444404 aaa0000 aavavaa 4fke5u4 op248j3 cik8lid c480000 2488842 8422248 0a4v4a0
044v440 0000c48 000v000 00000cc 01248g0 ehjlphe 4c4444e eh1248v v2421he 26aiv22 vgu11he
68guhhe v124888 ehhehhe ehhf12c 0cc0cc0 0cc0c48 1248421 00v0v00 g84248g eh12404 eh1dlle
ehhhvhh uhhuhhu ehggghe sihhhis vgguggv vggsggg ehggjhe hhhvhhh e44444e 72222ic hikokih
ggggggv hrlhhhh hhpljhh ehhhhhe uhhuggg ehhhlid uhhukih fgge11u v444444 hhhhhhe hhhhha4
hhhllrh hha4ahh hha4444 v1248gv 7444447 0g84210 s44444s 4ah0000 000000v 8420000 00e1fhf
ggmphhu 00egghe 11djhhf 00ehvge 698s888 00fhf16 ggmphhh 40c444e 20622ic 889aca9 c44444e
00qllhh 00mphhh 00ehhhe 00uhugg 00djf11 00mpggg 00ege1u 88s8896 00hhhjd 00hhha4 00hhlla
00ha4ah 00hhf1e 00v248v 2448442 4444444 8442448 042v240
`.trim().split(/\s+/);

/** Rows of each character from the space to the tilde. */
export const GLYPHS: ReadonlyMap<string, readonly number[]> = new Map(
  ROWS.map((rows, i) => [String.fromCharCode(32 + i), [...rows].map((c) => parseInt(c, 32))]),
);
