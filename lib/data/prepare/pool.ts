/** Runs series on several workers. Each holds one series; the list is handed out as they finish. */

import { InputError } from "../../errors.ts";
import { prepareSeries } from "./series_job.ts";
import type { Answer, SeriesJob, SeriesRecord } from "./types.ts";

/**
 * Prepares `jobs`, `workers` at a time (1: here, without a worker).
 * @param onDone called after each, with its record.
 * @throws the first error that is not the series' own, once the others have stopped.
 */
export async function runJobs(
  jobs: readonly SeriesJob[],
  workers: number,
  onDone: (record: SeriesRecord) => void,
): Promise<void> {
  if (workers <= 1 || jobs.length <= 1) {
    for (const job of jobs) onDone(await prepareSeries(job));
    return;
  }
  let next = 0;
  const run = async () => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    try {
      while (next < jobs.length) {
        const job = jobs[next++];
        const answer = await ask(worker, job);
        if ("error" in answer) {
          const Kind = answer.isInput ? InputError : Error;
          throw new Kind(`series ${job.seriesUid}: ${answer.error}`);
        }
        onDone(answer.record);
      }
    } catch (error) {
      next = jobs.length; // let the other workers finish what they have, then stop
      throw error;
    } finally {
      worker.terminate();
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.min(workers, jobs.length) }, run),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

function ask(worker: Worker, job: SeriesJob): Promise<Answer> {
  return new Promise((resolve) => {
    worker.onmessage = (event: MessageEvent<Answer>) => resolve(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      resolve({ error: event.message });
    };
    worker.postMessage(job);
  });
}
