/** Planes of numbers on canvases. */

/** Draws [H,W] of values in [low, high] in grey. */
export function drawPlane(
  canvas: HTMLCanvasElement,
  plane: ArrayLike<number>,
  height: number,
  width: number,
  [low, high]: readonly [number, number] = [-1, 1],
): void {
  [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const grey = 255 * (plane[i] - low) / (high - low); // the array clamps and rounds
    image.data.set([grey, grey, grey, 255], 4 * i);
  }
  canvas.getContext("2d")!.putImageData(image, 0, 0);
}

/** Planes of [H,W] below each other, with a title. */
export function drawFigure(
  title: string,
  planes: readonly ArrayLike<number>[],
  height: number,
  width: number,
): HTMLElement {
  const figure = document.createElement("figure");
  for (const plane of planes) {
    const canvas = document.createElement("canvas");
    drawPlane(canvas, plane, height, width);
    figure.append(canvas);
  }
  const caption = document.createElement("figcaption");
  caption.textContent = title;
  figure.append(caption);
  return figure;
}

/** Hands the user a file. */
export function save(name: string, data: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
