"""Runs every benchmark, one after the other, or those named: `script/bench backup_postgresql catalogue`."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = tuple(sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py")))


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks whose names are given, all if none is; options go to each. Returns the worst exit code."""
    names = [argument for argument in arguments if not argument.startswith("-") and argument in NAMES]
    options = [argument for argument in arguments if argument not in names]
    codes = []
    for name in names or NAMES:
        print(f"== {name.replace('_', ' ')}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", f"tests.benchmarks.bench_{name}", *options]).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
