/**
 * The little of MPI that data-parallel training needs, from the machine's own Open MPI by FFI.
 * Handles such as MPI_COMM_WORLD are addresses of variables in Open MPI's library (mpi.h: `#define
 * MPI_COMM_WORLD OMPI_PREDEFINED_GLOBAL(MPI_Comm, ompi_mpi_comm_world)`).
 */

import { InputError } from "../errors.ts";

const LIBRARY = "libmpi.so.40";
/** Where distributions put it; the task's FFI permission is for /usr and /opt alone. */
const FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64/openmpi/lib",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
  "/opt/openmpi/lib",
];

const SYMBOLS = {
  MPI_Init_thread: { parameters: ["pointer", "pointer", "i32", "buffer"], result: "i32" },
  MPI_Comm_rank: { parameters: ["pointer", "buffer"], result: "i32" },
  MPI_Comm_size: { parameters: ["pointer", "buffer"], result: "i32" },
  MPI_Iallreduce: {
    // The first is MPI_IN_PLACE, a number and no address.
    parameters: ["usize", "buffer", "i32", "pointer", "pointer", "pointer", "buffer"],
    result: "i32",
  },
  MPI_Test: { parameters: ["buffer", "buffer", "pointer"], result: "i32" },
  MPI_Abort: { parameters: ["pointer", "i32"], result: "i32" },
  MPI_Finalize: { parameters: [], result: "i32" },
  ompi_mpi_comm_world: { type: "pointer" },
  ompi_mpi_float: { type: "pointer" },
  ompi_mpi_op_sum: { type: "pointer" },
} as const;

/** MPI_THREAD_FUNNELED: calls come from the main thread alone. */
const FUNNELED = 1;
/** MPI_IN_PLACE of Open MPI's mpi.h: the sum replaces the operand. */
const IN_PLACE = 1n;

export class Mpi {
  readonly rank: number;
  readonly size: number;
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;

  private constructor(library: Deno.DynamicLibrary<typeof SYMBOLS>) {
    this.#library = library;
    const { symbols } = library;
    this.#check("MPI_Init_thread", symbols.MPI_Init_thread(null, null, FUNNELED, word()));
    const ask = (name: "MPI_Comm_rank" | "MPI_Comm_size") => {
      const answer = word();
      this.#check(name, symbols[name](symbols.ompi_mpi_comm_world, answer));
      return answer[0];
    };
    this.rank = ask("MPI_Comm_rank");
    this.size = ask("MPI_Comm_size");
  }

  /** Joins the processes that mpirun started; alone, a world of one. @throws InputError */
  static open(): Mpi {
    const path = FOLDERS.map((folder) => `${folder}/${LIBRARY}`).find((path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    });
    if (!path) {
      throw new InputError(
        `${LIBRARY} (Open MPI 4 or 5) is in none of ${FOLDERS.join(", ")}; on Debian and Ubuntu: ` +
          "sudo apt-get install -y openmpi-bin libopenmpi3",
      );
    }
    let library;
    try {
      library = Deno.dlopen(path, SYMBOLS);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new InputError(`Cannot load ${path}: ${(error as Error).message}`);
    }
    return new Mpi(library);
  }

  #check(call: string, code: number): void {
    if (code !== 0) throw new Error(`${call} failed with code ${code}`);
  }

  /**
   * Replaces `data` by its sum over all processes. Every process must call it. It asks now and then
   * whether the sum is there: a blocking call would keep a core busy, which a software adapter needs.
   */
  async sum(data: Float32Array<ArrayBuffer>): Promise<void> {
    if (this.size === 1) return;
    const { symbols } = this.#library;
    const request = new BigUint64Array(1), done = word();
    const code = symbols.MPI_Iallreduce(
      IN_PLACE,
      data,
      data.length,
      symbols.ompi_mpi_float,
      symbols.ompi_mpi_op_sum,
      symbols.ompi_mpi_comm_world,
      request,
    );
    this.#check("MPI_Iallreduce", code);
    for (let asked = 0;; asked++) {
      this.#check("MPI_Test", symbols.MPI_Test(request, done, null));
      if (done[0]) return;
      await new Promise((resolve) => setTimeout(resolve, asked < 100 ? 0 : 2));
    }
  }

  /** Ends all processes at once: for errors, which would leave the others waiting for ever. */
  abort(code: number): void {
    this.#library.symbols.MPI_Abort(this.#library.symbols.ompi_mpi_comm_world, code);
  }

  /** Leaves the world. Every process must call it. */
  finish(): void {
    this.#check("MPI_Finalize", this.#library.symbols.MPI_Finalize());
  }
}

const word = () => new Int32Array(1);
