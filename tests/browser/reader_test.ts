/** The reader study's page in a browser: keys, undo, progress, and the file that it saves. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { LUNG_WINDOW } from "../../lib/data/window.ts";
import { readerPage } from "../../lib/evaluate/reader_page.ts";
import { parseAnswers, type StudyKey } from "../../lib/evaluate/reader_study.ts";
import { encodePng } from "../../lib/io/png.ts";
import { CHROMIUM, visit } from "./chromium.ts";

const KEY: StudyKey = {
  ...{ study: "0123456789abcdef", seed: 0, window: LUNG_WINDOW },
  items: (["real", "generated", "real"] as const).map((kind, i) => ({
    ...{ item: i + 1, kind, id: `x${i}` },
  })),
};

Deno.test({
  name: "reader study in a browser: answered by keys, undone, saved, and it asks for nothing",
  ignore: !CHROMIUM,
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "reader-" });
    const page = join(folder, "study.html"), saved = join(folder, "answers.json");
    const pictures = [50, 120, 200].map((grey) =>
      encodePng({ width: 8, height: 8, channels: 1, data: new Uint8Array(64).fill(grey) })
    );
    await Deno.writeTextFile(page, readerPage({ key: KEY, pictures }));
    const [all, some] = await visit([
      {
        url: pathToFileURL(page).href,
        steps: [
          { fill: "#reader", with: "Grüße R. G" }, // letters in the name are no answers
          { press: "Enter", in: "#reader" }, // from here on they are
          { press: "r", in: "body" },
          { press: "g", in: "body" },
          { press: "u", in: "body" },
          { press: "ArrowRight", in: "body" },
          { press: "ArrowLeft", in: "body" },
          { press: "r", in: "body" }, // beyond the last: nothing
          { wait: "#done:not([hidden])" },
          { download: "#save", to: saved },
        ],
        texts: { count: "#count" },
        counts: { shown: "#pictures img:not([hidden])", disabled: "#real:disabled" },
      },
      {
        url: pathToFileURL(page).href,
        steps: [{ click: "#generated" }],
        texts: { count: "#count" },
        counts: {
          shown: "#pictures img:not([hidden])",
          second: "#pictures img[alt='Slice 2']:not([hidden])",
        },
      },
    ]);
    assert.deepEqual([all.errors, some.errors], [[], []]);
    assert.deepEqual(all.counts, { shown: 0, disabled: 1 });
    assert.equal(all.texts.count, "All 3 answered");
    assert.deepEqual([some.texts.count, some.counts], ["2 of 3", { shown: 1, second: 1 }]);
    const { reader, answers } = parseAnswers(await Deno.readFile(saved), saved, KEY);
    assert.equal(reader, "Grüße R. G");
    assert.deepEqual([...answers], [[1, "real"], [2, "generated"], [3, "real"]]);
    const outside = all.requests.filter((url) => !/^(file|data|blob):/.test(url));
    assert.deepEqual(outside, []);
    await Deno.remove(folder, { recursive: true });
  },
});
