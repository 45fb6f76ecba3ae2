/** A DICOM series turned the way NIfTI volumes are, with all that was marked on it. */

import { InputError } from "../../errors.ts";
import type { CtSlice, CtVolume } from "../dicom/series.ts";
import {
  axialTurn,
  cross,
  dicomGeometry,
  dot,
  type Geometry,
  isNoTurn,
  type Turn,
  turnValues,
  type Vec3,
} from "../geometry.ts";
import type { Findings } from "./findings.ts";

/** A volume of axial slices from the feet up, the front on top, and how its file has it. */
export interface Oriented {
  volume: CtVolume;
  /** From the file's columns, rows and slices (along row × column) to the volume's. */
  turn: Turn;
  /** Columns, rows, slices in the file. */
  stored: Vec3;
}

export function geometryOf(volume: CtVolume): Geometry {
  return dicomGeometry({ ...volume, positions: volume.slices.map((slice) => slice.position) });
}

/** @throws InputError where rows and columns are too far off the patient's axes. */
export function turnSeries(volume: CtVolume): Oriented {
  const grid = geometryOf(volume), turn = axialTurn(grid), stored = grid.size;
  if (!turn) {
    throw new InputError(
      `Cannot use series ${volume.seriesUid}: its rows or columns are more than 26° off the ` +
        "patient's axes",
    );
  }
  if (isNoTurn(turn)) return { volume, turn, stored };
  const directions = [volume.row, volume.column], spacing = volume.pixelSpacing.toReversed();
  const shift: Vec3 = [0, 0, 0];
  const turned = ([0, 1] as const).map((n) => {
    const old = turn.axis[n], { [old]: direction } = directions;
    if (!turn.flip[n]) return direction;
    for (let i = 0; i < 3; i++) shift[i] += direction[i] * spacing[old] * (stored[old] - 1);
    return direction.map((v) => 0 - v) as Vec3;
  });
  const [row, column] = turned, normal = cross(row, column);
  const slices = volume.slices.map((slice): CtSlice => {
    const position = slice.position.map((v, i) => v + shift[i]) as Vec3;
    return { ...slice, position, z: dot(position, normal) };
  });
  const upwards = <T>(items: readonly T[]) => turn.flip[2] ? items.toReversed() : [...items];
  const note = "its slices were stored another way: turned to run from the feet up, front on top";
  return {
    volume: {
      ...volume,
      rows: stored[turn.axis[1]],
      columns: stored[turn.axis[0]],
      pixelSpacing: [spacing[turn.axis[1]], spacing[turn.axis[0]]],
      row,
      column,
      normal,
      slices: upwards(slices),
      hu: turnValues(volume.hu, stored, turn),
      thickness: volume.thickness && upwards(volume.thickness),
      notes: [...volume.notes, note],
    },
    turn,
    stored,
  };
}

/** A plane of one slice as the file has it, turned as the slice is. */
export function turnPlane(plane: Uint8Array, { turn, stored }: Oriented): Uint8Array {
  return turnValues(plane, [stored[0], stored[1], 1], {
    axis: turn.axis,
    flip: [turn.flip[0], turn.flip[1], false],
  });
}

/** What was found on the stored slices, on the turned ones. */
export function turnFindings(found: Findings, oriented: Oriented): Findings {
  const { turn, stored } = oriented;
  if (isNoTurn(turn)) return found;
  const at = (slice: number) => turn.flip[2] ? stored[2] - 1 - slice : slice;
  const all = (slices: ReadonlySet<number>) => new Set([...slices].map(at));
  return {
    ...found,
    nodules: found.nodules.map(({ entry, slices }) => ({ entry, slices: all(slices) })),
    plane: (slice) => turnPlane(found.plane(at(slice)), oriented),
    smallSlices: all(found.smallSlices),
    doubtfulSlices: all(found.doubtfulSlices),
  };
}
