/**
 * Runs one test file in this process again and again, each time with another mutant on. Started by
 * trial.ts with: SWITCH TEST-FILE MUTANTS UNSEEN [ALONE]; says what it found on standard output, a
 * line of JSON each. Mutants that no test reaches are passed over, unless they are also among UNSEEN:
 * workers or processes of the tests may run those. With ALONE the one mutant is on from the start, so
 * that what runs while modules load has it too.
 */

/** What the copy's switch holds; see copy.ts. */
interface Switch {
  active: number;
  readonly reached: Uint8Array;
}

interface Captured {
  readonly name: string;
  readonly fn: (context: unknown) => unknown;
}

const MARK = "\u0001";
const say = (event: unknown) =>
  Deno.stdout.writeSync(new TextEncoder().encode(`${MARK}${JSON.stringify(event)}\n`));

const [switchUrl, testUrl, list, unseenList, alone] = Deno.args;
const numbers = (text: string) => text.split(",").filter(Boolean).map(Number);
const ids = numbers(list), unseen = new Set(numbers(unseenList));
const exit = Deno.exit;
const tests: Captured[] = [];

// deno-lint-ignore no-explicit-any
type Any = any;
function capture(...given: Any[]) {
  const fn = given.find((g) => typeof g === "function") ?? given[0].fn;
  const options = given.find((g) => typeof g === "object") ?? {};
  const name = given.find((g) => typeof g === "string") ?? options.name ?? fn.name;
  if (!options.ignore) tests.push({ name, fn });
}
capture.ignore = () => {};
Object.assign(Deno, {
  test: capture,
  exit(code?: number) {
    throw new Error(`exit(${code})`);
  },
});

let loose: unknown = null;
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  loose = event.reason ?? "rejected";
});

/** @returns what went wrong, or null. */
async function failure({ name, fn }: Captured): Promise<string | null> {
  loose = null;
  const context: Any = {
    name,
    origin: testUrl,
    async step(first: Any, second?: Any) {
      const body = typeof first === "function" ? first : second ?? first.fn;
      if (first.ignore) return true;
      await body(context);
      return true;
    },
  };
  try {
    await fn(context);
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (loose) throw loose;
    return null;
  } catch (error) {
    return String((error as Error)?.message ?? error).split("\n", 1)[0].slice(0, 200) || "failed";
  }
}

const { state, activate } = await import(switchUrl) as {
  state: Switch;
  activate(id: number): void;
};
const reachedNow = () => [...state.reached.keys()].filter((id) => state.reached[id]);

if (alone) {
  let caught: string | null = null;
  try {
    activate(ids[0]);
    await import(testUrl);
    for (const test of tests) {
      if (await failure(test)) caught = test.name;
      if (caught) break;
    }
  } catch (error) {
    caught = `(loading) ${(error as Error).message}`.slice(0, 200);
  }
  say(caught ? { event: "caught", id: ids[0], by: caught } : { event: "survived", id: ids[0] });
  exit(0);
}

await import(testUrl);
const atLoad = reachedNow();
const reaches: Set<number>[] = [];
const times: number[] = [];
const failed: string[] = [];
for (const test of tests) {
  state.reached.fill(0);
  const start = performance.now();
  const why = await failure(test);
  if (why) failed.push(`${test.name}: ${why}`);
  times.push(performance.now() - start);
  reaches.push(new Set(reachedNow()));
}
say({ event: "base", atLoad, reached: [...new Set(reaches.flatMap((r) => [...r]))], failed });
if (failed.length) exit(0);

for (const id of ids) {
  const seen = tests.map((_, i) => i).filter((i) => reaches[i].has(id));
  if (atLoad.includes(id) || !(seen.length || unseen.has(id))) continue;
  say({ event: "start", id });
  // One that no test was seen to reach runs in a worker or a process: any test may be the one.
  const order = (seen.length ? seen : tests.map((_, i) => i)).sort((a, b) => times[a] - times[b]);
  let by: number | undefined;
  activate(id);
  for (const i of order) {
    if (!await failure(tests[i])) continue;
    by = i;
    break;
  }
  activate(0);
  if (by === undefined) {
    say({ event: "survived", id });
  } else if (await failure(tests[by])) {
    // The mutant left something behind, or this test cannot run twice.
    say({ event: "unsure", id });
    exit(0);
  } else {
    say({ event: "caught", id, by: tests[by].name });
  }
}
exit(0);
