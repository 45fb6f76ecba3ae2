/** A worker of `prepare`: takes a series, answers with its record. */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import type { Answer } from "./pool.ts";
import { prepareSeries } from "./series_job.ts";
import type { SeriesJob } from "./types.ts";

self.onmessage = async (event: MessageEvent<SeriesJob>) => {
  let answer: Answer;
  try {
    answer = { record: await prepareSeries(event.data) };
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  self.postMessage(answer);
};
