/** Which files of one SeriesInstanceUID are one volume: acquisitions that share it are told apart. */

import { cross, dot } from "../geometry.ts";
import { type DicomHeader, VOLUME_TAGS } from "./header.ts";

/** What is kept of a header to find the volume that its file is of. */
export interface Placed {
  file: string;
  /** Along the stacking direction, mm. */
  z: number;
  /** Size, spacing and orientation: files of another grid are no neighbours. */
  grid: string;
  instanceNumber: number;
  sopInstance: string;
  tells: readonly string[];
  times: readonly [string, string];
}

/** @param same gives one string for equal ones, so that thousands of files keep little. */
export function placedOf(h: DicomHeader, same: (text: string) => string): Placed {
  return {
    file: h.file,
    z: dot(h.position!, cross(h.row!, h.column!)),
    grid: same(gridOf(h)),
    instanceNumber: h.instanceNumber,
    sopInstance: h.sopInstance,
    tells: h.tells.map(same),
    times: h.times,
  };
}

/** Equal for files that can be slices of one volume, to a thousandth. */
export function gridOf(h: DicomHeader): string {
  const round = (value: number) => Math.round(value * 1000);
  return [
    h.rows,
    h.columns,
    ...h.pixelSpacing!.map(round),
    ...h.row!.map(round),
    ...h.column!.map(round),
  ].join(" ");
}

/** More would be chance, not acquisitions. */
const MOST_PARTS = 16;
/** Positions closer than this, mm, are the same. */
export const SAME_POSITION = 0.01;

/**
 * The volumes among the files of a series. They are told apart only where they lie in one another:
 * positions repeat, or those of one lie between those of the other. Then by the first attribute of
 * {@link VOLUME_TAGS} that parts them, else by passes through the body in order of time or
 * InstanceNumber.
 * @returns one group where it is one volume; `by` says what told them apart.
 */
export function splitVolumes(files: readonly Placed[]): { groups: Placed[][]; by: string } {
  const grids = [...groupBy(files, (f) => f.grid).values()].sort((a, b) => b.length - a.length);
  const [main, ...others] = grids;
  // Copies go where the first of them goes.
  const firsts = [...groupBy(main, copyKey).values()];
  const found = parted(firsts.map(([first]) => first));
  const home = new Map(found.groups.flatMap((group, n) => group.map((f) => [f, n] as const)));
  const groups = found.groups.map((): Placed[] => []);
  for (const copies of firsts) groups[home.get(copies[0])!].push(...copies);
  groups[0].push(...others.flat());
  return { groups, by: found.by };
}

/** Copies of a file agree in all that tells volumes apart. */
const copyKey = (f: Placed) =>
  JSON.stringify([f.sopInstance, f.z.toFixed(2), f.instanceNumber, f.tells, f.times]);

function parted(files: Placed[]): { groups: Placed[][]; by: string } {
  for (const [index, name] of Object.keys(VOLUME_TAGS).entries()) {
    const groups = [...groupBy(files, (f) => f.tells[index]).values()];
    if (groups.length < 2 || !interleave(groups)) continue;
    const finer = groups.map((group) => parted(group));
    return {
      groups: finer.flatMap((f) => f.groups),
      by: [...new Set([name, ...finer.map((f) => f.by)])].filter(Boolean).join(", "),
    };
  }
  const orders = {
    AcquisitionTime: (f: Placed) => f.times[0],
    ContentTime: (f: Placed) => f.times[1],
    InstanceNumber: (f: Placed) => String(f.instanceNumber).padStart(12, "0"),
  };
  for (const [name, order] of Object.entries(orders)) {
    const groups = passes(files, order);
    if (groups.length < 2 || groups.length > MOST_PARTS || !interleave(groups)) continue;
    const fair = files.length / groups.length;
    if (groups.every((group) => group.length >= 2 && group.length > fair / 2)) {
      return { groups, by: name };
    }
  }
  return { groups: [files], by: "" };
}

/** Files in an order, cut wherever the way through the body starts again. */
function passes(files: readonly Placed[], order: (f: Placed) => string): Placed[][] {
  if (new Set(files.map(order)).size < files.length) return []; // equal ones have no order
  const sorted = files.toSorted((a, b) => order(a) < order(b) ? -1 : 1);
  const steps = sorted.slice(1).map((f, i) => f.z - sorted[i].z);
  const up = steps.filter((d) => d > 0).length >= steps.length / 2 ? 1 : -1;
  const groups: Placed[][] = [];
  sorted.forEach((f, i) => {
    if (i === 0 || steps[i - 1] * up <= SAME_POSITION) groups.push([f]);
    else groups.at(-1)!.push(f);
  });
  return groups;
}

/** Does any group have two slices or more within another's, which has two there as well? */
function interleave(groups: readonly Placed[][]): boolean {
  const large = groups.filter((group) => group.length >= 2).map((group) => {
    const zs = group.map((f) => f.z).sort((a, b) => a - b);
    return { zs, from: zs[0], to: zs[zs.length - 1] };
  }).sort((a, b) => a.from - b.from);
  for (let i = 0; i < large.length; i++) {
    for (let j = i + 1; j < large.length && large[j].from <= large[i].to; j++) {
      const from = large[j].from - SAME_POSITION;
      const to = Math.min(large[i].to, large[j].to) + SAME_POSITION;
      const within = ({ zs }: { zs: number[] }) => zs.filter((z) => z >= from && z <= to).length;
      if (within(large[i]) >= 2 && within(large[j]) >= 2) return true;
    }
  }
  return false;
}

function groupBy<T>(items: Iterable<T>, key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const of = key(item), group = groups.get(of);
    if (group) group.push(item);
    else groups.set(of, [item]);
  }
  return groups;
}
