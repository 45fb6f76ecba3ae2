/** `deno task train`: trains the lung-CT diffusion model. */

import { main } from "../lib/cli/main.ts";
import { parseTrainRequest } from "./train_options.ts";
import { runTraining } from "./train_run.ts";

await main(async () => runTraining(await parseTrainRequest()));
