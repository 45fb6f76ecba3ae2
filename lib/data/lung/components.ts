/** Connected air on each slice, and how it hangs together from slice to slice. */

/** One 4-connected region of one slice. */
export interface Region {
  slice: number;
  pixels: number;
  /** Pixels on the image's border. */
  border: number;
  /** Its bounding box, both ends included. */
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Regions {
  /** Of each voxel: 0, or 1 + the index of its region. */
  labels: Int32Array;
  regions: Region[];
  /** Index of the first region of each slice, and one past the last. */
  first: Int32Array;
}

/**
 * Labels the regions with HU below `threshold` slice by slice.
 * @param hu slices × rows × columns.
 */
export function labelRegions(
  hu: Int16Array,
  slices: number,
  rows: number,
  columns: number,
  threshold: number,
): Regions {
  const area = rows * columns;
  const labels = new Int32Array(slices * area), regions: Region[] = [];
  const first = new Int32Array(slices + 1);
  const parent = new Int32Array(area); // provisional labels of one slice
  const find = (i: number): number => {
    while (parent[i] !== i) i = parent[i] = parent[parent[i]];
    return i;
  };
  for (let z = 0; z < slices; z++) {
    const base = z * area;
    let count = 0;
    first[z] = regions.length;
    for (let y = 0, at = base; y < rows; y++) {
      for (let x = 0; x < columns; x++, at++) {
        if (hu[at] >= threshold) continue;
        const left = x > 0 ? labels[at - 1] : 0, above = y > 0 ? labels[at - columns] : 0;
        if (left === 0 && above === 0) {
          parent[count] = count;
          labels[at] = ++count;
        } else if (left === 0 || above === 0) {
          labels[at] = left || above;
        } else {
          const a = find(left - 1), b = find(above - 1);
          if (a < b) parent[b] = a;
          else parent[a] = b;
          labels[at] = Math.min(a, b) + 1;
        }
      }
    }
    const names = new Int32Array(count);
    for (let y = 0, at = base; y < rows; y++) {
      for (let x = 0; x < columns; x++, at++) {
        if (labels[at] === 0) continue;
        const root = find(labels[at] - 1);
        if (names[root] === 0) {
          regions.push({ slice: z, pixels: 0, border: 0, x0: x, y0: y, x1: x, y1: y });
          names[root] = regions.length;
        }
        const region = regions[names[root] - 1];
        labels[at] = names[root];
        region.pixels++;
        if (x < region.x0) region.x0 = x;
        if (x > region.x1) region.x1 = x;
        region.y1 = y;
        if (x === 0 || y === 0 || x === columns - 1 || y === rows - 1) region.border++;
      }
    }
  }
  first[slices] = regions.length;
  return { labels, regions, first };
}

/**
 * Joins the kept regions that overlap on neighbouring slices (6-connected in 3-D).
 * @returns of each region the component's index (its first region's), or -1 where it is not kept.
 */
export function joinSlices(
  { labels, regions }: Regions,
  area: number,
  isKept: (region: number) => boolean,
): Int32Array {
  const root = Int32Array.from(regions, (_, i) => isKept(i) ? i : -1);
  const find = (i: number): number => {
    while (root[i] !== i) i = root[i] = root[root[i]];
    return i;
  };
  for (let at = area; at < labels.length; at++) {
    const a = labels[at] - 1, b = labels[at - area] - 1;
    if (a < 0 || b < 0 || root[a] < 0 || root[b] < 0) continue;
    const ra = find(a), rb = find(b);
    if (ra < rb) root[rb] = ra;
    else if (rb < ra) root[ra] = rb;
  }
  for (let i = 0; i < root.length; i++) if (root[i] >= 0) root[i] = find(i);
  return root;
}

/** 6-connected components of a mask: labels from 1 and their sizes (sizes[0] is unused). */
export function components3d(
  mask: Uint8Array,
  slices: number,
  rows: number,
  columns: number,
): { labels: Int32Array; sizes: number[] } {
  const area = rows * columns, labels = new Int32Array(mask.length), sizes = [0];
  let stack = new Int32Array(1024);
  for (let seed = 0; seed < mask.length; seed++) {
    if (!mask[seed] || labels[seed]) continue;
    const label = sizes.length;
    let top = 0, size = 0;
    stack[top++] = seed;
    labels[seed] = label;
    const visit = (next: number) => {
      if (!mask[next] || labels[next]) return;
      labels[next] = label;
      if (top === stack.length) {
        const larger = new Int32Array(2 * top);
        larger.set(stack);
        stack = larger;
      }
      stack[top++] = next;
    };
    while (top > 0) {
      const at = stack[--top];
      size++;
      const z = Math.floor(at / area), inPlane = at - z * area;
      const y = Math.floor(inPlane / columns), x = inPlane - y * columns;
      if (x > 0) visit(at - 1);
      if (x < columns - 1) visit(at + 1);
      if (y > 0) visit(at - columns);
      if (y < rows - 1) visit(at + columns);
      if (z > 0) visit(at - area);
      if (z < slices - 1) visit(at + area);
    }
    sizes.push(size);
  }
  return { labels, sizes };
}
