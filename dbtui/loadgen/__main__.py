"""`python -m dbtui.loadgen --secrets DESCRIPTOR`: one generator, from its plan to its last line."""

import gc
import os
import sys
from functools import partial

import uvloop

from dbtui.errors import DbtuiError, UsageError
from dbtui.loadgen.http import HttpClient, HttpSettings
from dbtui.loadgen.protocol import allow_files, end_with_input, end_with_parent, read_plan, read_secrets
from dbtui.loadgen.reporting import Record, say
from dbtui.loadgen.running import Load
from dbtui.model.connections import EngineName
from dbtui.model.loadtest import GeneratorPlan, GeneratorSaid, GeneratorSecrets, SqlPath


async def run_http(plan: GeneratorPlan, secrets: GeneratorSecrets) -> None:
    """Load a web server."""
    if plan.http is None:
        raise ValueError("the plan names no web server")
    settings = HttpSettings(plan, plan.http, secrets)
    await Load(plan, Record(plan.request.slo_seconds), partial(HttpClient, settings=settings)).run()


def run(plan: GeneratorPlan, secrets: GeneratorSecrets) -> None:
    """Load what the plan names. Clients that can share an event loop do; others have a thread each."""
    if plan.sql is None:
        uvloop.run(run_http(plan, secrets))
        return
    from dbtui.loadgen.sql import run_postgresql
    from dbtui.loadgen.threads import run_threads

    if plan.sql.engine is EngineName.POSTGRESQL and plan.request.path is SqlPath.DRIVER:
        uvloop.run(run_postgresql(plan, secrets))
    else:
        run_threads(plan, secrets)


def main() -> int:
    """Read the plan, run it, say that it has ended."""
    end_with_parent()
    secrets = read_secrets(int(sys.argv[sys.argv.index("--secrets") + 1]))
    plan = read_plan()
    end_with_input()
    most = max(stage.concurrency for stage in plan.request.stages)
    if why_not := allow_files(most):
        say(GeneratorSaid(failure=why_not))
        return 1
    gc.collect()
    gc.freeze()
    try:
        run(plan, secrets)
    except DbtuiError as error:
        say(GeneratorSaid(failure=str(error), is_usage=isinstance(error, UsageError)))
        return 1
    say(GeneratorSaid(is_end=True))
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit:
        code = 1
    os._exit(code)  # threads that wait for a server are not waited for
