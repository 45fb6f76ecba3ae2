"""What the benchmark's peers in Python share: a line of JSON in, one out (see lib/bench/peers.ts)."""

import json
import sys

MARK = "@bench "


def serve(actions):
    """Answers questions by the function that their "do" names, until standard input ends."""
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = actions[question.pop("do")](**question)
        except Exception as error:  # told to the benchmark, which goes on without
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        print(MARK + json.dumps(answer), flush=True)
