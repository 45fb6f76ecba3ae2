/** The page of a reader study: one file that needs nothing else, tells nothing, and sends nothing. */

import { contentSecurityPolicy, escapeHtml } from "../io/html.ts";
import type { Study } from "./reader_study.ts";

const STYLE = `
:root { color-scheme: dark; font: 16px/1.4 system-ui, sans-serif; }
body { margin: 0; background: #111; color: #eee; text-align: center; }
main { max-width: 900px; margin: 0 auto; padding: .6rem; }
[hidden] { display: none !important; }
#pictures img { width: min(92vw, 66vh); height: min(92vw, 66vh); object-fit: contain;
  image-rendering: pixelated; background: #000; }
progress { width: 100%; }
button { font: inherit; padding: .55rem 1.1rem; margin: .3rem; }
kbd { border: 1px solid #888; border-radius: 3px; padding: 0 .3em; font-size: .85em; }
label { display: inline-block; margin: .3rem; } input { font: inherit; width: 12em; }
p { margin: .5rem 0; }`;

/** Runs in the page. A constant: the page's policy names its hash. */
const SCRIPT = `
const by = (id) => document.getElementById(id);
const pictures = [...document.querySelectorAll("#pictures img")];
const given = [];
let since = performance.now(), saved = true;
const show = () => {
  const at = given.length, done = at === pictures.length;
  pictures.forEach((picture, i) => picture.hidden = i !== at);
  by("progress").value = at;
  by("count").textContent = done ? "All " + at + " answered" : (at + 1) + " of " + pictures.length;
  for (const id of ["real", "generated"]) by(id).disabled = done;
  by("undo").disabled = at === 0;
  by("save").disabled = at === 0;
  by("done").hidden = !done;
  since = performance.now();
};
const answer = (what) => {
  if (given.length === pictures.length) return;
  const seconds = Math.round((performance.now() - since) / 100) / 10;
  given.push({ item: given.length + 1, answer: what, seconds });
  saved = false;
  show();
};
const undo = () => { if (given.length) { given.pop(); saved = false; show(); } };
const save = () => {
  const file = { study: document.body.dataset.study, reader: by("reader").value.trim(),
    items: pictures.length, answers: given };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1) + "\\n"],
    { type: "application/json" }));
  const name = file.reader.replace(/[^\\p{L}\\p{N}]+/gu, "-").slice(0, 40) || "reader";
  link.download = "answers-" + name + ".json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  saved = true;
};
by("real").addEventListener("click", () => answer("real"));
by("generated").addEventListener("click", () => answer("generated"));
by("undo").addEventListener("click", undo);
by("save").addEventListener("click", save);
addEventListener("keydown", (event) => {
  if (event.target.id === "reader" && event.key === "Enter") event.target.blur();
  if (event.target.id === "reader" || event.repeat || event.altKey || event.metaKey) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey && key !== "z") return;
  if (key === "r" || key === "arrowleft") answer("real");
  else if (key === "g" || key === "arrowright") answer("generated");
  else if (key === "u" || key === "backspace" || key === "z") undo();
  else return;
  event.preventDefault();
});
addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
show();
`;

function dataUri(png: Uint8Array): string {
  let binary = "";
  for (let i = 0; i < png.length; i += 0x8000) {
    binary += String.fromCharCode(...png.subarray(i, i + 0x8000));
  }
  return `data:image/png;base64,${btoa(binary)}`;
}

/** The page as text. Nothing of the key but the study's number is in it. */
export function readerPage({ key, pictures }: Study): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
${contentSecurityPolicy(SCRIPT)}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reader study</title><style>${STYLE}</style></head>
<body data-study="${escapeHtml(key.study)}">
<main>
<p><label>Reader <input id="reader" autocomplete="off" maxlength="60"></label> <b id="count"></b></p>
<progress id="progress" max="${pictures.length}" value="0"></progress>
<div id="pictures">
${pictures.map((png, i) => `<img hidden alt="Slice ${i + 1}" src="${dataUri(png)}">`).join("\n")}
</div>
<p id="done" hidden>Thank you. Save your answers and hand the file back.</p>
<p>Is this slice of a real patient, or generated?</p>
<p><button id="real">Real <kbd>r</kbd> <kbd>←</kbd></button>
<button id="generated">Generated <kbd>g</kbd> <kbd>→</kbd></button></p>
<p><button id="undo">Undo <kbd>u</kbd></button> <button id="save">Save answers</button></p>
</main>
<script>${SCRIPT}</script>
</body></html>
`;
}
