/** From a mask to LIDC outlines: closed chains of pixels around it, outside it. */

/** Neighbours clockwise from the left, as [dx, dy]. */
const AROUND = [[-1, 0], [-1, -1], [0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1]] as const;

/**
 * The outer borders of the mask's pieces, grown by `grow` pixels: x0, y0, x1, y1, …, the first point
 * repeated at the end. What lies strictly inside a border is the piece (its narrowest notches
 * closed).
 */
export function outlines(mask: Uint8Array, rows: number, columns: number, grow = 0): number[][] {
  let grown: Uint8Array = mask;
  for (let i = 0; i <= grow; i++) grown = dilate(grown, rows, columns);
  const at = (x: number, y: number) =>
    x >= 0 && y >= 0 && x < columns && y < rows && grown[y * columns + x] > 0;
  const seen = new Uint8Array(grown.length), found: number[][] = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      if (!at(x, y) || seen[y * columns + x]) continue;
      found.push(trace(x, y, at));
      flood(x, y, columns, at, seen);
    }
  }
  return found;
}

function dilate(mask: Uint8Array, rows: number, columns: number): Uint8Array {
  const out = Uint8Array.from(mask, (v) => v ? 1 : 0);
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    const x = i % columns;
    if (x > 0) out[i - 1] = 1;
    if (x < columns - 1) out[i + 1] = 1;
    if (i >= columns) out[i - columns] = 1;
    if (i < (rows - 1) * columns) out[i + columns] = 1;
  }
  return out;
}

/** Moore's boundary tracing from the topmost, leftmost pixel, until it leaves it as it first did. */
function trace(x0: number, y0: number, at: (x: number, y: number) => boolean): number[] {
  const chain = [x0, y0];
  let x = x0, y = y0, from = 0, firstMove = -1; // came from the left, which is outside
  for (;;) {
    let move = -1;
    for (let k = 1; k <= 8; k++) {
      const d = (from + k) % 8;
      if (at(x + AROUND[d][0], y + AROUND[d][1])) {
        move = d;
        break;
      }
    }
    if (move < 0) return chain; // a single pixel
    if (x === x0 && y === y0) {
      if (move === firstMove) return chain;
      if (firstMove < 0) firstMove = move;
    }
    x += AROUND[move][0];
    y += AROUND[move][1];
    chain.push(x, y);
    // Look on from the last neighbour that was outside, as seen from the new pixel.
    from = move % 2 === 0 ? (move + 6) % 8 : (move + 5) % 8;
  }
}

function flood(
  x: number,
  y: number,
  columns: number,
  at: (x: number, y: number) => boolean,
  seen: Uint8Array,
) {
  const stack = [[x, y]];
  seen[y * columns + x] = 1;
  while (stack.length > 0) {
    const [px, py] = stack.pop()!;
    for (const [dx, dy] of AROUND) {
      const nx = px + dx, ny = py + dy;
      if (!at(nx, ny) || seen[ny * columns + nx]) continue;
      seen[ny * columns + nx] = 1;
      stack.push([nx, ny]);
    }
  }
}
