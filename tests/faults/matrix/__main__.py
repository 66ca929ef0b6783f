"""Runs the trials and prints each with its seed, then the table: `script/faults --kind kill --engine postgresql`."""

import argparse
import queue
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from dbtui.demo.servers import ServerDirectory
from tests.faults.matrix.banks import ENGINES
from tests.faults.matrix.kinds import KINDS
from tests.faults.matrix.tables import Tally, format_table, write_readme
from tests.faults.matrix.trials import Kind, Lost, Report, Trial
from tests.faults.matrix.worlds import World


def try_it(world: World, kind: Kind, trial: Trial) -> Report:
    """Do one trial; whatever it stumbles over is a loss."""
    report = Report()
    try:
        kind.run(world, trial, report)
    except Lost as error:
        report.lose(str(error))
    return report


def plan_trials(
    kinds: Sequence[Kind], engines: Sequence[str], count: int | None, seed: int
) -> Iterator[tuple[Kind, Trial]]:
    """The trials, in turns, so that whatever time there is goes to all kinds and engines alike."""
    for number in range(max((count or kind.full for kind in kinds), default=0)):
        for kind in kinds:
            if number < (count or kind.full):
                for engine in kind.engines:
                    if engine in engines:
                        yield kind, Trial(kind.name, engine, number, seed)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="script/faults", description="Real backups under faults; exits 0 if none is lost."
    )
    parser.add_argument("--kind", action="append", metavar="NAME", help="only kinds that begin so; repeatable")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this engine; repeatable")
    parser.add_argument(
        "--trials", type=int, metavar="N", help="trials of each kind and engine (default: the full form)"
    )
    parser.add_argument("--only", type=int, metavar="N", help="this trial alone")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="repeats the same choices")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no trial after so long")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trials at a time, each with its own servers")
    parser.add_argument("--megabytes", type=int, default=24, metavar="N", help="about the size of the databases")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the trials that are asked for. Returns 0 if nothing was lost."""
    options = parse_arguments(arguments)
    heed_signals()
    kinds = [kind for kind in KINDS if kind.name.startswith(tuple(options.kind or ("",)))]
    trials = plan_trials(kinds, options.engine or ENGINES, options.trials, options.seed)
    wanted = [(kind, trial) for kind, trial in trials if options.only in (None, trial.number)]
    deadline = time.monotonic() + (options.minutes * 60 if options.minutes else float("inf"))
    tally = Tally()
    print(f"seed {options.seed}", flush=True)
    with ExitStack() as stack:
        directory = stack.enter_context(ServerDirectory.create())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dbtui-faults-")))
        worlds: queue.SimpleQueue[World] = queue.SimpleQueue()
        for number in range(options.jobs):
            worlds.put(stack.enter_context(World(directory, folder / f"world-{number}", options.megabytes)))

        def try_in_turn(kind: Kind, trial: Trial) -> None:
            if time.monotonic() < deadline:
                world = worlds.get()
                try:
                    report_trial(world, kind, trial, tally)
                finally:
                    worlds.put(world)

        with ThreadPoolExecutor(options.jobs) as pool:
            for done in [pool.submit(try_in_turn, kind, trial) for kind, trial in wanted]:
                done.result()
    print(f"\n{format_table(kinds, tally)}")
    if options.readme:
        write_readme(kinds, tally)
    return 1 if tally.lost else 0


def heed_signals() -> None:
    """Under nohup, or in the background of a script, these are ignored, and so they would be by all that is started."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def report_trial(world: World, kind: Kind, trial: Trial, tally: Tally) -> None:
    """Do a trial and print how it went."""
    began = time.monotonic()
    report = try_it(world, kind, trial)
    tally.add(kind.name, report)
    verdict = "LOST" if report.losses else "survived"
    seconds = f"({time.monotonic() - began:.1f} s)"
    lines = [f"{verdict:8} {trial.kind} {trial.engine} #{trial.number} {report.fault} {seconds}"]
    lines += [f"         {remark}" for remark in report.remarks]
    lines += [f"         lost: {loss}" for loss in report.losses]
    if report.losses:
        lines.append(f"         again: {trial.command}")
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
