/** Progress where standard error is no terminal, as in logs; time and the log are the test's own. */

import assert from "node:assert/strict";
import { progressBar, progressLines } from "../../lib/cli/main.ts";

/** What `body` prints, with a clock that it sets to so many seconds. */
function printed(body: (setClock: (seconds: number) => void) => void): string[] {
  const { error } = console, { now } = performance;
  const lines: string[] = [];
  let seconds = 0;
  console.error = (line: string) => lines.push(line);
  performance.now = () => 1000 * seconds;
  try {
    body((s) => seconds = s);
  } finally {
    console.error = error;
    performance.now = now;
  }
  return lines;
}

const ignore = Deno.stderr.isTerminal();
if (ignore) console.log("skipped: standard error is a terminal");

Deno.test("ETA counts the time since the start, for what was done since then", { ignore }, () => {
  const lines = printed((setClock) => {
    const bar = progressBar("training", 100, "loss {loss}", 60);
    setClock(5);
    bar.update(65, { loss: "0.5" });
    setClock(20);
    bar.update(70, { loss: "0.4" });
    setClock(30);
    bar.update(100);
    bar.stop();
  });
  // 10 steps in 20 s: 30 more are 60 s. Counted from 0 it would be 9 s.
  assert.deepEqual(lines, [
    "training 70/100 ETA 60 s loss 0.4",
    "training 100/100 ETA 0 s loss 0.4",
  ]);
});

Deno.test("a bar that is stopped where it began says so", { ignore }, () => {
  assert.deepEqual(printed(() => progressBar("training", 9, "", 9).stop()), ["training 9/9 ETA …"]);
});

Deno.test("lines are lines on a terminal too: a bar would be drawn over other output", () => {
  const { isTerminal } = Deno.stderr;
  Deno.stderr.isTerminal = () => true;
  try {
    assert.deepEqual(printed(() => progressLines("files", 2).stop()), ["files 0/2 ETA …"]);
  } finally {
    Deno.stderr.isTerminal = isTerminal;
  }
});
