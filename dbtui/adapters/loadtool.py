"""Starts load generators, tells them their plans, and hears what they say. None of them outlives its block."""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

import dbtui
from dbtui.adapters.adapter import Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.processes import ChildTool, tool_environment
from dbtui.errors import ToolError, UsageError
from dbtui.model.connections import EngineName
from dbtui.model.loadtest import GeneratorPlan, GeneratorSaid, GeneratorSecrets, LoadRequest, LoadStage, ReachedServer

#: Python needs so long to be there, at worst.
_START_SECONDS = 0.7
_START_SECONDS_EACH = 0.3
#: Clients of a database server log in before the test begins.
_LOGIN_SECONDS = 0.01
_MOST_LOGIN_SECONDS = 5.0
_PATIENCE_SECONDS = 20.0
_PASSED_ON = ("DB_POOL_SIZE", "DB_MAX_OVERFLOW", "DB_POOL_TIMEOUT", "XDG_RUNTIME_DIR", "SSL_CERT_DIR")


def collect_login(target: Target) -> ReachedServer:
    """Return how a generator logs in to the server that a target has reached. Raises ConnectError, UsageError."""
    if target.profile.engine is EngineName.POSTGRESQL:
        from dbtui.adapters.postgresql import loadtest as postgresql

        return postgresql.collect_login(target)
    if target.profile.engine is EngineName.MYSQL:
        from dbtui.adapters.mysql import loadtest as mysql

        return mysql.collect_login(target)
    raise UsageError("SQLite has no server to be loaded", "name a PostgreSQL or MySQL target")


def share_plan(plan: GeneratorPlan, processes: int) -> list[GeneratorPlan]:
    """Divide a plan among generators: each has its share of clients, of the rate, and of the requests in all."""
    whole = plan.request
    plans = []
    for number in range(processes):
        stages = tuple(_share_stage(stage, number, processes) for stage in whole.stages)
        most = None if whole.most is None else _share(whole.most, number, processes)
        request = replace(whole, stages=stages, most=most)
        plans.append(replace(plan, request=request, number=number, count=processes))
    return plans


def _share(whole: int, number: int, count: int) -> int:
    return whole // count + (number < whole % count)


def _share_stage(stage: LoadStage, number: int, count: int) -> LoadStage:
    rate = stage.rate / count if stage.rate else None
    return replace(stage, concurrency=_share(stage.concurrency, number, count), rate=rate)


def public_request(request: LoadRequest) -> LoadRequest:
    """Return a request without what its headers and body say: those go another way."""
    return replace(request, headers=tuple((name, "") for name, _ in request.headers), body="")


class Generators:
    """Generators that run. `begins` is when they were told to begin, a moment of CLOCK_MONOTONIC."""

    def __init__(self, begins: float, tools: Sequence[ChildTool], seconds: float) -> None:
        self.begins = begins
        self._tools = tools
        self._ends = begins + seconds
        self._lines: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        for number, tool in enumerate(tools):
            threading.Thread(target=self._read, args=(number, tool), name="load generator", daemon=True).start()

    def _read(self, number: int, tool: ChildTool) -> None:
        stream = tool.process.stdout
        while stream is not None and (line := stream.readline()):
            self._lines.put((number, line))
        self._lines.put((number, b""))

    def stop(self) -> None:
        """End them all, from any thread; `follow` ends soon after."""
        for tool in self._tools:
            tool.stop()

    def follow(self) -> Iterator[tuple[int, GeneratorSaid]]:
        """Yield who said what, until all have ended. Raises ToolError when one of them fails or does not end."""
        left = set(range(len(self._tools)))
        finished: set[int] = set()
        while left:
            try:
                number, line = self._lines.get(timeout=max(0.0, self._ends + _PATIENCE_SECONDS - time.monotonic()))
            except queue.Empty:
                raise ToolError("the load generator did not end when it was meant to", "it was ended now") from None
            if not line.endswith(b"\n"):  # its end; or half a line, because it was ended
                if line:
                    continue
                left.remove(number)
                if number not in finished:
                    raise self._failure(self._tools[number])
                continue
            said = msgspec.json.decode(line, type=GeneratorSaid)
            if said.failure:
                kind = UsageError if said.is_usage else ToolError
                raise kind(said.failure)
            if said.is_end:
                finished.add(number)
            yield number, said

    def _failure(self, tool: ChildTool) -> ToolError:
        tool.process.wait()
        return tool.failure("the load test stopped", tool.wait())


@contextmanager
def running_generators(
    plan: GeneratorPlan, secrets: GeneratorSecrets, cancellation: Cancellation, environ: Mapping[str, str]
) -> Iterator[Generators]:
    """Start the generators of a plan; leaving the block ends those that still run. Raises ToolError, Cancelled."""
    processes = plan.request.processes
    begins = time.monotonic() + _START_SECONDS + _START_SECONDS_EACH * processes
    if plan.sql is not None:
        most = max(stage.concurrency for stage in plan.request.stages)
        begins += min(_MOST_LOGIN_SECONDS, _LOGIN_SECONDS * most)
    with ExitStack() as stack:
        tools = []
        for each in share_plan(replace(plan, begins=begins), processes):
            descriptor = _secret_descriptor(secrets)
            try:
                tools.append(stack.enter_context(_start(descriptor, environ)))
            finally:
                os.close(descriptor)
            _tell(tools[-1], each)
        generators = Generators(begins, tools, plan.request.seconds + plan.request.timeout_seconds)
        stack.enter_context(cancellation.interrupting(generators.stop))
        yield generators


def _start(descriptor: int, environ: Mapping[str, str]) -> ChildTool:
    # -P: a folder that happens to be the current one is no place to import from.
    argv = [sys.executable, "-P", "-m", "dbtui.loadgen", "--secrets", str(descriptor)]
    passed = {name: environ[name] for name in _PASSED_ON if name in environ}
    return ChildTool(
        argv,
        environ=tool_environment({**passed, "PYTHONPATH": str(Path(dbtui.__file__).parents[1])}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_descriptors=[descriptor],
    )


def _tell(tool: ChildTool, plan: GeneratorPlan) -> None:
    """Write the plan. Standard input stays open: its end is what tells the generator that we have ended."""
    stream = tool.process.stdin
    if stream is None:
        raise ToolError("the load generator cannot be told its plan")
    try:
        stream.write(msgspec.json.encode(plan) + b"\n")
        stream.flush()
    except BrokenPipeError:
        raise tool.failure("the load generator did not start", tool.wait()) from None


def _secret_descriptor(secrets: GeneratorSecrets) -> int:
    """Return a descriptor, in memory, from which the secrets can be read once."""
    descriptor = os.memfd_create("dbtui", os.MFD_CLOEXEC)
    content = msgspec.json.encode(secrets)
    while content:
        content = content[os.write(descriptor, content) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
