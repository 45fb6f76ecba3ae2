/** Style and script of audit.html. */

export const PAGE_STYLE = `
:root { color-scheme: light; font: 15px/1.45 system-ui, sans-serif; color: #222; }
body { margin: 0 auto; padding: 0 20px 40px; max-width: 1800px; }
h1 { font-size: 22px; margin: 16px 0 4px; }
h2 { font-size: 18px; }
h3 { font-size: 15px; margin: 0 0 4px; }
code, pre { font: 12px/1.4 ui-monospace, monospace; }
.findings { columns: 420px; column-gap: 16px; }
.findings > div { border: 1px solid #ddd; border-radius: 6px; padding: 10px 14px; margin-bottom: 16px;
  break-inside: avoid; }
.findings p { margin: 4px 0 8px; overflow-wrap: anywhere; }
.findings table { width: 100%; } .findings td:first-child { overflow-wrap: break-word; }
.findings :is(td, th) { white-space: nowrap; }
.findings :is(td, th):first-child { padding-left: 0; white-space: normal; }
.findings :is(td, th):last-child { padding-right: 0; }
.chart { width: 100%; } .chart polygon { fill: #4c78a866; stroke: #4c78a8; }
.chart text { font-size: 9px; fill: #666; }
.legend { display: flex; flex-wrap: wrap; gap: 14px; align-items: center; font-size: 13px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px; }
.split { display: flex; gap: 12px; height: 82vh; }
#graph { flex: 1 1 60%; min-width: 0; border: 1px solid #ccc; border-radius: 6px; cursor: grab;
  background: #fff; touch-action: none; }
#detail[hidden] { display: none; }
#detail { flex: 0 1 40%; overflow: auto; border: 1px solid #ccc; border-radius: 6px;
  padding: 0 14px 14px; }
#detail dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 12px; font-size: 13px; }
#detail dt { color: #666; } #detail dd { margin: 0; overflow-wrap: anywhere; }
#detail .eq { background: #f4f1e8; padding: 8px 10px; border-radius: 4px; }
#detail pre { background: #f6f8fa; padding: 8px; overflow: auto; max-height: 420px; }
.band rect { fill: #f7f7f9; stroke: #ddd; } .band text { font-size: 12px; fill: #555; }
.node { cursor: pointer; } .node text { font-size: 12px; fill: #fff; } .node .sub { font-size: 9px; }
.node.on rect { stroke: #000; stroke-width: 3; } .head { font-size: 13px; fill: #333; }
.edges path { fill: none; stroke-width: 1; opacity: .35; }
.edges .f { stroke: #35608f; } .edges .b { stroke: #b3403d; } .edges .x { stroke: #999; opacity: .12; }
.edges path.on { opacity: 1; stroke-width: 2.5; }
table { border-collapse: collapse; font-size: 13px; }
td, th { padding: 3px 10px; text-align: right; border-bottom: 1px solid #eee; vertical-align: top; }
#detail .close { float: right; margin-top: 14px; }
td:first-child, th:first-child { text-align: left; }
@media (max-width: 600px) {
  body { padding: 0 12px 40px; } code { overflow-wrap: anywhere; }
  section { overflow-x: auto; } .findings td, .findings th { padding: 3px 5px; font-size: 12px; }
  .split { flex-direction: column; height: auto; } #graph { flex: none; height: 60vh; }
}
`;

/** Plain JavaScript: it runs in the page. */
export const PAGE_SCRIPT = `
const data = JSON.parse(document.getElementById("data").textContent);
const svg = document.getElementById("graph"), detail = document.getElementById("detail");
const whole = [0, 0, +svg.dataset.width, +svg.dataset.height];
// At first the whole width, from the top.
let box = [0, 0, whole[2], Math.min(whole[3], whole[2] * svg.clientHeight / svg.clientWidth)];
const show = () => svg.setAttribute("viewBox", box.join(" "));
const scale = () => Math.max(box[2] / svg.clientWidth, box[3] / svg.clientHeight);
const point = (e) => {
  const m = svg.getScreenCTM().inverse();
  return new DOMPoint(e.clientX, e.clientY).matrixTransform(m);
};
svg.addEventListener("wheel", (e) => {
  e.preventDefault();
  const p = point(e), f = Math.exp(e.deltaY * 0.0015);
  box = [p.x - (p.x - box[0]) * f, p.y - (p.y - box[1]) * f, box[2] * f, box[3] * f];
  show();
}, { passive: false });
show();
let drag;
svg.addEventListener("pointerdown", (e) => { drag = { x: e.clientX, y: e.clientY, moved: false }; });
addEventListener("pointermove", (e) => {
  if (!drag) return;
  const s = scale(), dx = e.clientX - drag.x, dy = e.clientY - drag.y;
  if (Math.abs(dx) + Math.abs(dy) > 3) drag.moved = true;
  box[0] -= dx * s; box[1] -= dy * s;
  Object.assign(drag, { x: e.clientX, y: e.clientY });
  show();
});
addEventListener("pointerup", (e) => {
  const node = !drag?.moved && e.target.closest?.(".node");
  drag = undefined;
  if (node) open(+node.dataset.node);
});
svg.addEventListener("keydown", (e) => {
  const node = e.key === "Enter" && e.target.closest(".node");
  if (node) open(+node.dataset.node);
});
document.getElementById("fit").onclick = () => { box = [...whole]; show(); };
function goTo(id) {
  open(id);
  const r = svg.querySelector('[data-node="' + id + '"] rect');
  box = [+r.getAttribute("x") - 500, +r.getAttribute("y") - 300, 1200, 800];
  show();
  svg.scrollIntoView({ block: "center" });
}
document.addEventListener("click", (e) => {
  const link = e.target.closest("[data-open]");
  if (!link) return;
  e.preventDefault();
  goTo(+link.dataset.open);
});
const nodeIds = new Map();
for (const d of data.dispatches) {
  const name = d.op + " " + d.scope + (d.gradient ? " " + d.role : "");
  if (![...nodeIds.values()].includes(d.node)) {
    nodeIds.set(nodeIds.has(name) ? name + " #" + d.index : name, d.node);
  }
}
for (const name of nodeIds.keys()) {
  document.getElementById("names").append(new Option("", name));
}
document.getElementById("find").addEventListener("change", (e) => {
  const found = [...nodeIds.keys()].find((name) => name.includes(e.target.value.trim()));
  if (e.target.value.trim() && found) goTo(nodeIds.get(found));
});
const el = (tag, text, className) => {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
};
const rows = (pairs) => {
  const dl = el("dl");
  for (const [k, v] of pairs) {
    const dd = el("dd");
    dd.append(v);
    dl.append(el("dt", k), dd);
  }
  return dl;
};
/** A tensor; where a node of the picture made it, its name leads there. */
const tensor = (t, own) => {
  const node = +t.key.split(":")[0], span = el("span");
  const isShown = node !== own && svg.querySelector('[data-node="' + node + '"]');
  const name = el(isShown ? "a" : "span", t.key);
  if (isShown) { name.href = "#"; name.dataset.open = node; }
  span.append("[" + t.shape + "] " + t.dtype + ", buffer " + t.buffer + " at " + t.offset + ", " +
    t.bytes + " bytes (", name, ")");
  return span;
};
function open(id) {
  for (const e of svg.querySelectorAll(".on")) e.classList.remove("on");
  svg.querySelector('[data-node="' + id + '"]').classList.add("on");
  for (const e of svg.querySelectorAll('[data-from="' + id + '"], [data-to="' + id + '"]')) {
    e.classList.add("on");
  }
  const calls = data.dispatches.filter((d) => d.node === id), first = calls[0];
  const close = el("button", "close", "close");
  close.onclick = () => { detail.hidden = true; };
  detail.hidden = false;
  detail.replaceChildren(close, el("h2", first.op + " " + first.scope));
  const checks = data.checks.filter((c) => c.node === id);
  const sum = (f) => calls.reduce((n, d) => n + f(d), 0);
  const time = data.times.length ? sum((d) => data.times[d.index]) : undefined;
  detail.append(rows([
    ["what", first.role], ["variant", first.variant],
    ...first.inputs.map((t, i) => ["input " + i, tensor(t, id)]),
    ...first.outputs.map((t, i) => ["output " + i, tensor(t, id)]),
    ["FLOPs", sum((d) => d.flops).toLocaleString("en")],
    ["ideal bytes", Math.round(sum((d) => d.idealBytes)).toLocaleString("en")],
    ["bound bytes", sum((d) => d.actualBytes).toLocaleString("en")],
    ...(time === undefined ? [] : [["time", (time / 1e3).toFixed(1) + " µs, " +
      (sum((d) => d.flops) / time).toFixed(2) + " GFLOP/s"]]),
    ...checks.map((c) => ["error of output " + c.output, c.relative.toExponential(2) +
      " of " + c.tolerance.toExponential(1) + ", largest " + c.max.toExponential(2) + " at [" +
      c.worstAt + "], " + (c.ulps < 1e4 ? c.ulps.toFixed(1) : c.ulps.toExponential(1)) + " ULPs"]),
  ]));
  const texts = new Set();
  for (const d of calls) {
    detail.append(el("h3", "dispatch " + d.index + ": " + d.file + (d.note ? ", " + d.note : "")));
    if (!texts.has(d.shader)) detail.append(el("p", d.equation, "eq"));
    detail.append(rows([
      ["workgroups", d.workgroups.join(" × ")],
      ["constants", JSON.stringify(d.constants)],
      ["params", d.params.join(" ")],
      ["bindings", d.bindings.map((b) => b.name + ": " + (b.pieces ?? [b]).map((p) =>
        "buffer " + p.buffer + " [" + p.offset + ", +" + p.size + "]").join(" + ") +
        (b.texture === undefined ? "" : " in texture " + b.texture)).join("; ")],
      ["FLOPs", Math.round(d.flops).toLocaleString("en")],
      ["SHA-256", d.sha256],
    ]));
    if (texts.has(d.shader)) continue;
    texts.add(d.shader);
    const more = el("details");
    more.append(el("summary", "WGSL, final text"), el("pre", data.shaders[d.shader].text));
    if (texts.size === 1) more.open = true;
    detail.append(more);
  }
  detail.scrollTop = 0;
}
`;
