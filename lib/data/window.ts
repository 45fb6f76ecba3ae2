/** Hounsfield units to the network's [-1, 1] and back. */

/** A CT display window in HU: what lies outside level ± width/2 is clipped. */
export interface HuWindow {
  level: number;
  width: number;
}

/** The lung window of the original training setting: [-1350, 150] HU. */
export const LUNG_WINDOW: HuWindow = { level: -600, width: 1500 };

/** HU → [-1, 1], clipped: 2·(hu − (level − width/2))/width − 1. */
export function windowHu(hu: ArrayLike<number>, window: HuWindow = LUNG_WINDOW): Float32Array {
  checkWindow(window);
  const out = new Float32Array(hu.length), scale = 2 / window.width;
  for (let i = 0; i < out.length; i++) {
    out[i] = Math.min(1, Math.max(-1, (hu[i] - window.level) * scale));
  }
  return out;
}

/** [-1, 1] → HU: the inverse of {@link windowHu} inside the window. */
export function unwindowHu(x: ArrayLike<number>, window: HuWindow = LUNG_WINDOW): Float32Array {
  checkWindow(window);
  const out = new Float32Array(x.length);
  for (let i = 0; i < out.length; i++) out[i] = x[i] * (window.width / 2) + window.level;
  return out;
}

function checkWindow({ level, width }: HuWindow) {
  if (!Number.isFinite(level) || !(width > 0 && Number.isFinite(width))) {
    throw new Error(
      `HU window level ${level}, width ${width}: width must be positive, both finite`,
    );
  }
}
