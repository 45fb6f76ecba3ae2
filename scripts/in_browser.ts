/**
 * `./run bench browser` and `./run verify browser`: the pages of examples/browser in Chromium with its
 * software GPU, and what they save. Argument: bench or verify, set in deno.json.
 */

import { resolve } from "node:path";
import { table } from "../lib/audit/text.ts";
import { rowTable, stepTable } from "../lib/bench/output.ts";
import { readResult } from "../lib/bench/result_file.ts";
import { CHROMIUM, serveBrowser, visit } from "../lib/browser/chromium.ts";
import { newCommand, numberIn } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError, InputError, shown } from "../lib/errors.ts";

const [what, ...args] = Deno.args;
const isBench = what === "bench";

const program = isBench
  ? newCommand("bench browser", "Checks and times kernels in Chromium, on its software GPU.")
    .option("--model <name>", "seed, demo or inferena", "demo")
    .option(
      "--training",
      "kernels of training, not of the model alone; SwiftShader compiles minutes",
    )
    .option("--minutes <n>", "time at most", numberIn(0.1, 60), 2)
    .option("--json <file>", "what the page saves", "out/bench-browser.json")
    .option("--screenshot <file>", "the page, as PNG", "out/bench-browser.png")
    .addHelpText("after", "\nExamples:\n  ./run bench browser\n  ./run bench browser --minutes 5")
  : newCommand("verify browser", "Runs all op cases in Chromium's compiler, against float64.")
    .option("--only <ops>", "these ops alone", "")
    // SwiftShader's own compiler does not end within minutes with its 288 sums in registers.
    .option("--skip <kernels>", "not these ops or kernels", "backward_weight_3x3")
    .option("--json <file>", "what the page saves", "out/verify-browser.json")
    .option("--screenshot <file>", "the page, as PNG", "out/verify-browser.png")
    .addHelpText(
      "after",
      "\nExamples:\n  ./run verify browser\n  ./run verify browser --only 'conv2d attention'",
    );

interface Options {
  model: string;
  training?: boolean;
  minutes: number;
  only: string;
  skip: string;
  json: string;
  screenshot: string;
}

await main(async () => {
  parseArguments(program, args);
  if (!CHROMIUM) {
    throw new InputError(
      "no Chromium here (Debian: apt-get install --no-install-recommends chromium)",
    );
  }
  const options = program.opts<Options>();
  const json = resolve(options.json), screenshot = resolve(options.screenshot);
  await using served = await serveBrowser();
  const fills = isBench
    ? [
      { fill: "#model", with: options.model },
      { fill: "#step", with: options.training ? "train" : "forward" },
      { fill: "#minutes", with: String(options.minutes) },
    ]
    : [{ fill: "#only", with: options.only }, { fill: "#skip", with: options.skip }];
  console.error(`${CHROMIUM}: ${isBench ? "bench" : "conformance"}.html, some minutes`);
  const [{ texts, errors }] = await visit([{
    url: `${served.address}${isBench ? "bench" : "conformance"}.html`,
    steps: [
      { wait: "#run:enabled" },
      ...fills,
      { click: "#run" },
      // It is enabled again when all is done, or something went wrong.
      { wait: "#run:disabled" },
      { wait: "#run:enabled" },
      { download: "#save:visible", to: json },
    ],
    texts: { status: "#status", adapter: "#adapter", message: "#message" },
    ...{ screenshot, patience: 30 * 60_000 },
  }]);
  if (errors.length || texts.message) {
    throw new CheckFailedError(shown([texts.message, ...errors].join("; ")));
  }
  if (isBench) {
    const result = await readResult(json);
    for (const t of [stepTable(result.steps!), rowTable(result)]) {
      console.log(`${table(t.head, t.rows)}\n${t.note ?? ""}`);
    }
  }
  console.log(`${texts.adapter}: ${texts.status}\nwrote ${options.json}, ${options.screenshot}`);
  if (!isBench && !/ 0 failures$/.test(texts.status)) throw new CheckFailedError(texts.status);
});
