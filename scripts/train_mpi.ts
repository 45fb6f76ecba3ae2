/**
 * `mpirun -n 2 ./run train:mpi`: trains one model on several adapters or machines. Every process
 * takes its share of each batch; gradients are averaged by MPI.
 */

import { main } from "../lib/cli/main.ts";
import { Mpi } from "../lib/mpi/mpi.ts";
import { parseTrainRequest } from "./train_options.ts";
import { runTraining } from "./train_run.ts";

await main(async () => {
  const request = await parseTrainRequest();
  const mpi = Mpi.open();
  try {
    await runTraining(request, mpi.size > 1 ? mpi : undefined);
  } catch (error) {
    // Told here and now: ending this process alone would leave the others waiting for it.
    console.error(`error: process ${mpi.rank} of ${mpi.size}: ${(error as Error).message}`);
    if (mpi.size > 1) mpi.abort(1);
    throw error;
  }
  mpi.finish();
});
