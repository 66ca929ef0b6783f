"""How well the time is foretold at which a pool of PgBouncer is full, in ten ramps of a real load on real servers.

Prints a line for each ramp: when nine tenths of the servers worked, in how many of the last ten seconds a time was
foretold, and the worst error. Exits with 1 when fewer than eight of ten are within a quarter. `--keep DIRECTORY` writes
what was seen, as the tests read it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dbtui.demo.servers import PostgreSQL, ServerDirectory
from tests.ramps import TOLERANCE, assess_foresight, write_ramp
from tests.routines.pool_lab import open_lab
from tests.routines.ramp_load import Ramp, run_ramp

PROMISED = 0.8


def main(arguments: Sequence[str]) -> int:
    """Run the ramps."""
    parser = argparse.ArgumentParser(prog="script/bench ramp", description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args(arguments)
    good = 0
    with ServerDirectory.create() as directory, PostgreSQL(directory) as server:
        for number in range(1, options.runs + 1):
            with open_lab(server) as lab:
                rows = run_ramp(lab, Ramp(seconds=options.seconds))
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                write_ramp(options.keep / f"ramp{number:02}.json", rows)
            seen = assess_foresight(rows)
            good += seen.is_good
            full = "never full" if seen.full_at is None else f"full after {seen.full_at:.1f} s"
            print(
                f"ramp {number}: {full}, foretold in {len(seen.said)} of the last {seen.looks} looks, worst error "
                f"{seen.worst_error:.0%} ({seen.worst_seconds:.1f} s): {'good' if seen.is_good else 'MISSED'}",
                flush=True,
            )
    print(f"{good} of {options.runs} within {TOLERANCE:.0%}; promised {PROMISED:.0%} of them")
    return 0 if good >= PROMISED * options.runs else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
