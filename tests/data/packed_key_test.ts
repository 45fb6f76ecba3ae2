/** A packed cache is made anew when anything changes that its content follows from, each by itself. */

import assert from "node:assert/strict";
import { openPhantomDataset } from "../../lib/data/dataset.ts";
import { packedKey, type PackOptions } from "../../lib/data/packed/writer.ts";
import { LUNG_WINDOW } from "../../lib/data/window.ts";

const { train: records } = openPhantomDataset({ seed: 1, count: 4, size: 32 });
const plain: PackOptions = { path: "a.pack", records, size: { height: 16, width: 24 }, state: "s" };

Deno.test("the key is of sources, size, window and way to prepare, each alone", () => {
  const changes: Record<string, Partial<PackOptions>> = {
    state: { state: "t" },
    height: { size: { height: 17, width: 24 } },
    width: { size: { height: 16, width: 25 } },
    "sides exchanged": { size: { height: 24, width: 16 } },
    level: { window: { ...LUNG_WINDOW, level: -500 } },
    "window width": { window: { ...LUNG_WINDOW, width: 1400 } },
    antialias: { prepare: { antialias: true } },
    condition: { prepare: { condition: "nodule-mask" } },
    "a record less": { records: records.slice(1) },
    "another order": { records: records.toReversed() },
    "another label": { records: records.map((r) => ({ ...r, label: 1 })) },
  };
  const keys = Object.entries(changes).map(([name, change]) =>
    [name, packedKey({ ...plain, ...change })] as const
  );
  const seen = new Map([[packedKey(plain), "nothing"]]);
  for (const [name, key] of keys) {
    assert.equal(seen.get(key), undefined, `${name} is taken for ${seen.get(key)}`);
    seen.set(key, name);
  }
});

Deno.test("what does not change the content does not change the key: defaults said, another path", () => {
  const same: Partial<PackOptions> = {
    path: "b.pack",
    window: { ...LUNG_WINDOW },
    prepare: { antialias: false, condition: "class" },
  };
  assert.equal(packedKey({ ...plain, ...same }), packedKey(plain));
});
