/** A worker of `prepare`: takes a series, answers with its record. */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { prepareSeries } from "./series_job.ts";
import type { Answer, SeriesJob } from "./types.ts";

self.onmessage = async (event: MessageEvent<SeriesJob>) => {
  let answer: Answer;
  try {
    answer = { record: await prepareSeries(event.data) };
  } catch (error) {
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  self.postMessage(answer);
};
