/** What a run says of itself is checked: every key forged, bits of every file turned, each found. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { verifyOutputs } from "../../lib/audit/provenance_outputs.ts";
import { differences, verifyRun } from "../../lib/audit/provenance.ts";
import { openPhantomDataset } from "../../lib/data/dataset.ts";
import {
  shortFolder,
  Sums,
  weightsHash,
  writeSampleRecord,
} from "../../lib/diffusion/sample_record.ts";
import { loadRunModel } from "../../lib/diffusion/model_folder.ts";
import { pictureText } from "../../lib/diffusion/outputs.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { InputError } from "../../lib/errors.ts";
import { encodePng } from "../../lib/io/png.ts";
import {
  CHECKPOINT_FILES,
  saveCheckpoint,
  sealed,
  STATE_NAME,
  type TrainingState,
} from "../../lib/train/checkpoint.ts";
import { datasetHash } from "../../lib/train/provenance.ts";
import {
  planRecord,
  PROVENANCE_NAME,
  provenanceHash,
  writeProvenance,
} from "../../lib/train/provenance_file.ts";
import { RUN_CONFIG_NAME } from "../../lib/train/run.ts";
import { trainingScheduler } from "../../lib/train/training_step.ts";
import { sha256 } from "../../lib/plan/hash.ts";
import { tinyTrainer } from "./tiny.ts";

const ROOT = new URL("../../", import.meta.url);
const dataset = openPhantomDataset({ seed: 1, count: 4, size: 16 });
const circumstances = { root: ROOT, data: datasetHash(dataset) };

const run = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(run, { recursive: true }));
const gpu = await openGpu();
const checkpoints: string[] = [];
// Two sessions; the second with another decay of the average than the first.
let state: TrainingState | undefined;
for (const [step, change] of [[1, {}], [2, { ema_decay: 0.5 }]] as const) {
  const trainer = await tinyTrainer(gpu, "f32", change);
  if (state) trainer.restore(state);
  const { config, layout } = trainer;
  await Deno.writeTextFile(join(run, RUN_CONFIG_NAME), JSON.stringify(config));
  const provenance = await writeProvenance(run, trainer, dataset);
  await trainer.runStep();
  state = await trainer.state();
  const model = [run, config.unet, layout, trainingScheduler(config)] as const;
  checkpoints.push(await saveCheckpoint(...model, state, undefined, provenance));
  assert.equal(trainer.step, step);
}
const { shaders } = await planRecord((await tinyTrainer(gpu)).executable.plan);
gpu.destroy();

const problems = async () => (await verifyRun(run, circumstances)).problems;

/** Changes a file for as long as `check` takes. */
async function changed(
  path: string,
  change: (bytes: Uint8Array) => Uint8Array,
  check: () => Promise<void>,
): Promise<void> {
  const whole = await Deno.readFile(path);
  await Deno.writeFile(path, change(whole.slice()));
  try {
    await check();
  } finally {
    await Deno.writeFile(path, whole);
  }
}

type Json = Record<string, unknown>;
const asJson = (change: (record: Json) => Json | void) => (bytes: Uint8Array) => {
  const record = JSON.parse(new TextDecoder().decode(bytes));
  return new TextEncoder().encode(JSON.stringify(change(record) ?? record, null, 2) + "\n");
};

/** Every value in it that holds no others, with a way to replace it. */
function leaves(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  return [...keys].flatMap((key) => leaves((value as Json)[key], [...path, key]));
}

function forged(value: unknown): unknown {
  if (typeof value === "number") return value === 0 ? 1 : value * 2;
  if (typeof value === "boolean") return !value;
  if (typeof value === "string") return value.replace(/.$/s, (c) => c === "0" ? "1" : "0") || "x";
  return 1;
}

function replaced(record: Json, path: (string | number)[]): void {
  const parent = path.slice(0, -1).reduce((at, key) => at[key] as Json, record as Json);
  parent[path.at(-1)!] = forged(parent[path.at(-1)!]);
}

Deno.test("an honest run of two sessions is as written down", async () => {
  const { problems, notes } = await verifyRun(run, circumstances);
  assert.deepEqual(problems, []);
  assert.deepEqual(notes, []);
  assert.deepEqual((await verifyRun(run, { root: ROOT })).notes.length, 1, "no data at hand: said");
});

Deno.test("provenance.json: each value forged, left out, or added is found and named", async () => {
  const path = join(run, PROVENANCE_NAME);
  const record = JSON.parse(await Deno.readTextFile(path));
  const all = leaves(record);
  assert.ok(all.length > 100);
  const missed: string[] = [];
  // Of many alike (shaders, limits) a few.
  const some = all.filter((p, i) => i % 25 === 0 || !/^(shaders|packages|device)$/.test(`${p[2]}`));
  for (const leaf of some) {
    await changed(path, asJson((r) => replaced(r, leaf)), async () => {
      const said = (await problems()).join("\n"), key = String(leaf.at(-1));
      const name = leaf.findLast((k) => typeof k === "string")!;
      if (!said.includes(String(name)) && !said.includes(key)) missed.push(leaf.join("."));
    });
  }
  assert.deepEqual(missed, []);
  for (const key of Object.keys(record)) {
    await changed(path, asJson((r) => void delete r[key]), async () => {
      const found = await problems().catch((error) => [String(error)]);
      assert.ok(found.some((p) => p.includes(key)), `without ${key}: ${found}`);
    });
  }
  await changed(path, asJson((r) => void (r.version = 1)), async () => {
    assert.match((await problems()).join(), /had version 2, it now has 1/);
  });
  await changed(path, asJson((r) => void (r.author = "x")), async () => {
    assert.match((await problems()).join(), /author is no key of it/);
  });
  await changed(path, asJson((r) => void (r.sessions as Json[]).pop()), async () => {
    assert.ok((await problems()).length > 0, "a session left out");
  });
  await changed(path, asJson((r) => void (r.sessions as Json[]).reverse()), async () => {
    assert.ok((await problems()).length > 0, "sessions in another order");
  });
});

Deno.test("a bit of any file of a checkpoint, of the configuration or of the lock is found", async () => {
  for (const [i, folder] of checkpoints.entries()) {
    for (const file of [...CHECKPOINT_FILES, STATE_NAME]) {
      const { size } = await Deno.stat(join(folder, file));
      for (const at of i === 0 ? [size >> 1] : [0, size - 2]) {
        const flip = (bytes: Uint8Array) => bytes.with(at, bytes[at] ^ 1);
        await changed(join(folder, file), flip, async () => {
          const found = await problems();
          assert.ok(
            found.some((p) => p.includes(file.split("/").at(-1)!) || p.includes("SHA-256")),
            `${file}, byte ${at}: ${found}`,
          );
        });
      }
    }
  }
  for (const key of ["learning_rate", "seed", "ema_decay"]) {
    await changed(join(run, RUN_CONFIG_NAME), asJson((r) => replaced(r, [key])), async () => {
      assert.match((await problems()).join(), new RegExp(`config\\.${key}`));
    });
  }
  const other = await Deno.makeTempDir();
  await Deno.writeTextFile(join(other, "audit.lock.json"), "{}");
  const { problems: found, notes } = await verifyRun(run, {
    ...circumstances,
    root: new URL(`file://${other}/`),
  });
  assert.match([...found, ...notes].join(), /audit\.lock\.json/);
  await Deno.remove(other, { recursive: true });
});

Deno.test("a state whose digest was made anew is found by the files and the run beside it", async () => {
  const path = join(checkpoints[0], STATE_NAME);
  const reseal = (change: (r: Json) => void) =>
    asJson((r) => {
      delete r.digest;
      change(r);
      return sealed(r);
    });
  const cases: [(r: Json) => void, RegExp][] = [
    [(r) => r.step = 7, /is of step 7/],
    [
      (r) => (r.sha256 as Json)["optimizer.safetensors"] = "0",
      /optimizer\.safetensors has SHA-256/,
    ],
    [(r) => replaced(r, ["provenance", "config", "learning_rate"]), /config\.learning_rate/],
    [(r) => replaced(r, ["provenance", "sessions", 0, "commit"]), /sessions\[0\]\.commit/],
    [(r) => delete r.provenance, /no copy of provenance\.json/],
    [
      (r) => r.provenance = JSON.parse(Deno.readTextFileSync(join(run, PROVENANCE_NAME))),
      /a session of it begins at step 1/,
    ],
  ];
  for (const [change, why] of cases) {
    await changed(path, reseal(change), async () => assert.match((await problems()).join(), why));
  }
  await changed(path, asJson((r) => void delete r.digest), async () => {
    assert.match((await problems()).join(), /has no digest/);
  });
});

Deno.test("a Plan that the settings do not give is found though all copies agree", async () => {
  for (const key of ["plan", "shaders", "device"]) {
    const forge = (r: Json) => {
      const session = ((r.provenance ?? r) as { sessions: Json[] }).sessions[1];
      if (key === "plan") session.plan = forged(session.plan);
      else if (key === "shaders") delete (session.shaders as Json)[Object.keys(shaders)[0]];
      else (session.device as Json).lanes = 8 + 8 * Number((session.device as Json).lanes === 8);
    };
    const again = (r: Json) => {
      delete r.digest;
      forge(r);
      return sealed(r);
    };
    await changed(
      join(run, PROVENANCE_NAME),
      asJson(forge),
      () =>
        changed(join(checkpoints[1], STATE_NAME), asJson(again), async () => {
          assert.match(
            (await problems()).join(),
            /^provenance\.json: sessions\[1\]\.(plan|shaders)/,
          );
        }),
    );
  }
});

Deno.test("other data, or a Plan of other settings, is named", async () => {
  const { problems } = await verifyRun(run, { root: ROOT, data: "0" });
  assert.match(problems.join(), /data is not the hash/);
  assert.ok(Object.keys(shaders).length > 20);
  assert.deepEqual(
    differences({ a: [1, { b: 2 }] }, { a: [1, { b: 3 }], c: 4 }).map(([path]) => path),
    ["a[1].b", "c"],
  );
});

Deno.test("a picture leads back to its run; changed, moved or of another run it does not", async () => {
  const out = await Deno.makeTempDir(), picture = join(out, "grid.png");
  try {
    const model = await loadRunModel(run, true, 2);
    const about = {
      run: await sha256("settings"),
      provenance: (await provenanceHash(run))!,
      weights: weightsHash(model.params),
    };
    const pixels = new Uint8Array(16).fill(7);
    const write = async (text: Record<string, string>) =>
      await Deno.writeFile(
        picture,
        encodePng({ width: 4, height: 4, channels: 1, data: pixels, text }),
      );
    await write(pictureText(about));
    const record = {
      ...{ ...about, checkpoint: shortFolder(model.folder), settings: {} },
      ...{ commit: null, adapter: "a", plan: "p", deno: "d" },
    };
    const list = async (change: Partial<typeof record> = {}) => {
      const sums = new Sums(out);
      await sums.add(picture);
      const paths = {
        record: join(out, "sample_provenance.json"),
        sums: join(out, "SHA256SUMS.txt"),
      };
      await writeSampleRecord(paths, sums, { ...record, ...change });
    };
    await list();
    const verdict = async () => (await verifyOutputs(picture, run)).problems.join("\n");
    assert.equal(await verdict(), "");
    for (const at of [40, 60, 90, 120]) {
      await changed(picture, (bytes) => bytes.with(at, bytes[at] ^ 1), async () => {
        assert.match(await verdict(), /grid\.png/);
      });
    }
    // The same text with other pixels.
    const other = pixels.with(5, 8), text = pictureText(about);
    await changed(
      picture,
      () => encodePng({ width: 4, height: 4, channels: 1, data: other, text }),
      async () => assert.match(await verdict(), /^grid\.png has SHA-256/),
    );
    await changed(
      join(out, "sample_provenance.json"),
      asJson((r) => void (r.adapter = "b")),
      async () => assert.match(await verdict(), /its digest is another one/),
    );
    await changed(
      join(out, "SHA256SUMS.txt"),
      (bytes) => bytes.with(3, bytes[3] === 48 ? 49 : 48),
      async () => assert.match(await verdict(), /SHA256SUMS\.txt was changed.*\n.*has SHA-256/),
    );
    if (Deno.build.os === "linux") {
      const check = ["-c", 'cd "$1" && sha256sum -c SHA256SUMS.txt', "sh", out];
      const { success } = await new Deno.Command("sh", { args: check, stdout: "null" }).output();
      assert.ok(success, "sha256sum reads the list");
    }
    await list({ weights: "0".repeat(64) });
    assert.match(await verdict(), /its Weights is not that.*\n.*are not those that made it/);
    await list({ provenance: "0".repeat(64) });
    assert.match(await verdict(), /is of another run/);
    await list({ checkpoint: "step-00000001/unet_ema" });
    assert.match(await verdict(), /weights of step-00000001\/unet_ema are not/);
    // Alone, by its own text.
    await Deno.remove(join(out, "sample_provenance.json"));
    assert.equal(await verdict(), "");
    await write({ ...pictureText(about), Provenance: "1".repeat(64) });
    assert.match(await verdict(), /is of another run/);
    await write({});
    await assert.rejects(verifyOutputs(picture, run), /nothing says where it comes from/);
    // Sampled before the run went on.
    const before = JSON.parse(await Deno.readTextFile(join(checkpoints[0], STATE_NAME)));
    await write({
      Provenance: await sha256(JSON.stringify(before.provenance, null, 2) + "\n"),
    });
    assert.equal(await verdict(), "");
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

/** Paths of all values, those that hold others too. */
function nodes(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [path];
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  const below = [...keys].flatMap((key) => nodes((value as Json)[key], [...path, key]));
  return path.length ? [path, ...below] : below;
}

Deno.test("values of another kind anywhere are problems or one line, never a fault of the program", async () => {
  const files = [join(run, PROVENANCE_NAME), join(checkpoints[1], STATE_NAME)];
  for (const file of files) {
    const all = nodes(JSON.parse(await Deno.readTextFile(file)));
    const few = all.filter((p, i) =>
      i % 40 === 0 || !p.some((k) => /^(shaders|limits|packages|unet)$/.test(String(k))) ||
      /^(shaders|limits|packages|unet)$/.test(String(p.at(-1)))
    );
    const kinds = [null, [], {}, "x", [null]];
    const tries = few.flatMap((path, i) =>
      path.length < 3 ? kinds.map((kind) => [path, kind] as const) : [[path, kinds[i % 5]] as const]
    );
    for (const [path, kind] of tries) {
      let other: unknown = kind;
      const put = (r: Json) => {
        const parent = path.slice(0, -1).reduce((at, key) => at[key] as Json, r);
        if (JSON.stringify(parent[path.at(-1)!]) === JSON.stringify(other)) other = ["x"];
        parent[path.at(-1)!] = other;
        return "digest" in r ? sealed((({ digest: _, ...rest }) => rest)(r)) : r;
      };
      await changed(file, asJson(put), async () => {
        const found = await problems().catch((error) => {
          assert.ok(
            error instanceof InputError,
            `${path.join(".")} ${JSON.stringify(other)}: ${error.stack}`,
          );
          return [error.message];
        });
        // Of a state whose digest was made anew, its other files and the run say the rest.
        const isOpen = file.endsWith(STATE_NAME) && path[0] !== "provenance";
        assert.ok(
          isOpen || found.length > 0,
          `${file}: ${path.join(".")} ${JSON.stringify(other)}`,
        );
      });
    }
  }
});
