/** Tables of a page. */

export type Cell = string | number;

export function element(tag: string, text: string, name = ""): HTMLElement {
  const e = document.createElement(tag);
  e.textContent = text;
  if (name) e.className = name;
  return e;
}

/** Numbers stand to the right. @param isBad rows to be marked. */
export function table(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  isBad: (row: number) => boolean = () => false,
): HTMLElement {
  const whole = document.createElement("table");
  const kind = (i: number) => typeof rows[0]?.[i] === "number" ? "number" : "";
  const line = (cells: readonly Cell[], tag: string) => {
    const row = document.createElement("tr");
    row.append(...cells.map((cell, i) => element(tag, String(cell), kind(i))));
    whole.append(row);
    return row;
  };
  line(head, "th");
  rows.forEach((row, i) => line(row, "td").classList.toggle("bad", isBad(i)));
  return whole;
}
