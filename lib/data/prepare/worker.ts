/** A worker of `prepare`: takes a series, answers with its record. */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { InputError } from "../../errors.ts";
import { prepareSeries } from "./series_job.ts";
import type { Answer, SeriesJob } from "./types.ts";

self.onmessage = async (event: MessageEvent<SeriesJob>) => {
  let answer: Answer;
  try {
    answer = { record: await prepareSeries(event.data) };
  } catch (error) {
    // Errors lose their class on the way to another thread.
    answer = {
      error: error instanceof Error ? error.message : String(error),
      isInput: error instanceof InputError,
    };
  }
  self.postMessage(answer);
};
