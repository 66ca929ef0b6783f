"""Calling the programs of a repository: argv lists, a clean environment, a limit on time and size, and cancelling."""

import json
import os
import queue
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.processes import ChildTool, tool_environment
from dbtui.errors import ToolError
from dbtui.model.events import Progressed, Routine
from dbtui.model.repositories import Repository
from dbtui.model.text import format_untrusted

StructT = TypeVar("StructT")
_ASKED_SECONDS = 60.0
_MOST_BYTES = 128 << 20
_TICK_SECONDS = 0.1
_CHUNK_BYTES = 1 << 16
_KEPT_CHARACTERS = 400
_KEPT_LINES = 5000
#: pgBackRest takes every option from variables that begin so, the secrets of a repository among them.
_PASSED_ON = "PGBACKREST_"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said: its exit code, its stdout, and the lines of its stderr."""

    code: int
    output: bytes
    messages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """The last lines of a program's stdout, and the first and last of its stderr."""

    lines: tuple[str, ...]
    messages: tuple[str, ...]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a repository's program: a tool's, and the operator's settings for pgBackRest."""
    return tool_environment(repository_settings(environ))


def repository_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the operator's settings for a repository's program that are in the environment."""
    return {name: value for name, value in environ.items() if name.startswith(_PASSED_ON)}


def ask(
    argv: Sequence[str],
    environ: Mapping[str, str],
    cancellation: Cancellation,
    *,
    run_as: Sequence[str] = (),
    seconds: float | None = _ASKED_SECONDS,
    most_bytes: int = _MOST_BYTES,
) -> Answer:
    """Run a program to its end and return what it said. `run_as`: those of its words that give it another account.

    `seconds`: how long at most, None: as long as it takes.

    Raises ToolError (missing, too slow, too much said), Cancelled.
    """
    with ChildTool(argv, environ=child_environment(environ), stdout=subprocess.PIPE, signalled_by=run_as) as tool:
        with cancellation.interrupting(tool.stop):
            output = _read_all(tool, cancellation, _name_of(argv), seconds, most_bytes)
            code = tool.wait()
        cancellation.check()
        return Answer(code, output, tool.messages)


def _read_all(
    tool: ChildTool, cancellation: Cancellation, name: str, seconds: float | None, most_bytes: int
) -> bytes:  # fmt: skip
    stream = tool.process.stdout
    deadline = None if seconds is None else time.monotonic() + seconds
    parts: list[bytes] = []
    size = 0
    while stream is not None:
        cancellation.check()
        if deadline is not None and time.monotonic() > deadline:
            raise ToolError(f"{name} did not answer within {seconds:.0f} s", "look what it waits for, and try again")
        if not select.select([stream], [], [], _TICK_SECONDS)[0]:
            continue
        chunk = os.read(stream.fileno(), _CHUNK_BYTES)
        if not chunk:
            break
        size += len(chunk)
        if size > most_bytes:
            raise ToolError(f"{name} said more than {most_bytes >> 20} MiB, which is no answer", "ask it by hand")
        parts.append(chunk)
    return b"".join(parts)


def follow(
    argv: Sequence[str],
    environ: Mapping[str, str],
    cancellation: Cancellation,
    *,
    run_as: Sequence[str],
    what: str,
    read_progress: Callable[[str | None], Progressed | None],
) -> Routine[Told]:
    """Run a program that takes long, and tell how far it is; return what it said.

    `read_progress` is given each line, and None where there was none for a moment. The program and its children have
    ended when this does, however. Raises ToolError with its words, Cancelled.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    last: list[str] = []
    with ChildTool(argv, environ=child_environment(environ), stdout=subprocess.PIPE, signalled_by=run_as) as tool:
        reader = threading.Thread(target=_drain, args=(tool, lines), name=f"stdout of {tool.name}", daemon=True)
        reader.start()
        with cancellation.interrupting(tool.stop):
            while not tool.wait_for(_TICK_SECONDS):
                cancellation.check()
                yield from _tell(lines, last, read_progress)
            code = tool.wait()
        cancellation.check()
        reader.join()
        yield from _tell(lines, last, read_progress)
        if code != 0:
            tool.name = _name_of(argv)
            raise tool.failure(what, code) if tool.messages else _failure(what, tool.name, code, last)
        return Told(tuple(last), tool.messages)


def _drain(tool: ChildTool, lines: "queue.SimpleQueue[str]") -> None:
    stream = tool.process.stdout
    while stream is not None and (line := stream.readline(_CHUNK_BYTES)):
        lines.put(format_untrusted(line.decode("utf-8", "replace").rstrip("\r\n")))


def _tell(
    lines: "queue.SimpleQueue[str]", last: list[str], read_progress: Callable[[str | None], Progressed | None]
) -> Routine[None]:
    newest = None
    while not lines.empty():
        line = lines.get()
        last.append(line)
        del last[:-_KEPT_LINES]
        newest = read_progress(line) or newest
    newest = newest or read_progress(None)
    if newest is not None:
        yield newest


def _failure(what: str, name: str, code: int, said: Sequence[str]) -> ToolError:
    told = told_errors("".join(said).encode())
    words = told or [line for line in said if "ERROR" in line.upper()] or [*said[-1:], "it gave no reason"]
    return ToolError(f"{what}: {name} exited with {code}: {format_untrusted(words[0], _KEPT_CHARACTERS)}")


def refusal(repository: Repository, answer: Answer, what: str) -> ToolError:
    """Return the error for a program that failed, with its own words, from stderr or from its JSON."""
    said = [line for line in answer.messages if "ERROR" in line.upper()] or list(answer.messages[-1:])
    words = (told_errors(answer.output) or said or ["it gave no reason"])[0]
    return ToolError(
        f"{repository}: {what}: {repository.kind.value} exited with {answer.code}: "
        f"{format_untrusted(words, _KEPT_CHARACTERS)}"
    )


def told_errors(output: bytes) -> list[str]:
    """Return the errors that Barman wrote into its JSON."""
    try:
        told = json.loads(output)
    except ValueError:
        return []
    found = told.get("_ERROR") if isinstance(told, dict) else None
    return [" / ".join(str(each).split("\n")) for each in found] if isinstance(found, list) else []


def parse_answer(repository: Repository, output: bytes, kind: type[StructT], what: str) -> StructT:
    """Return a program's JSON as a type of ours. Raises ToolError, which says what is not as it should be."""
    try:
        return msgspec.json.decode(output, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ToolError(
            f"{repository}: {what}: the JSON of {repository.kind.value} is not understood: "
            f"{format_untrusted(str(error), _KEPT_CHARACTERS)}",
            f"see what {repository.kind.value} prints; its version may be one that dbtui does not know",
        ) from error


def _name_of(argv: Sequence[str]) -> str:
    """The repository's own program, which stands behind sudo and the like."""
    return next((word for word in argv if word in ("pgbackrest", "barman")), argv[0])
