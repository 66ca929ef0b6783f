"""The relationships of an application's mapped classes, asked in another process: importing them runs their code."""

import json
import os
import select
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbtui.adapters.processes import ChildTool
from dbtui.errors import ToolError, UsageError
from dbtui.model.queries import MappedRelation
from dbtui.model.text import format_untrusted, mask_passwords

_CHUNK = 1 << 16
_ENDING_SECONDS = 2.0
_MOST_BYTES = 16 << 20
_WORDS = "name the declarative base of the models as package.module:Base"
#: Our own settings, and secrets among them, are none of the application's business.
_OWN = ("DBTUI_",)


def read_mapped_relations(
    name: str,
    path: str | Path | None = None,
    timeout_seconds: float = 60.0,
    *,
    environ: Mapping[str, str] | None = None,
    python: str | None = None,
) -> tuple[MappedRelation, ...]:
    """Return the relationships and deferred columns of the classes behind `package.module:Base`.

    Base may be a declarative base, a registry, or an object with a `Model`; without it all bases of the module count.
    It is imported from `path` (the working directory) by `python`: that of $VIRTUAL_ENV where one is active, else the
    one that runs dbtui. What the module prints is dropped. Raises UsageError: it cannot be imported or is no base;
    ToolError: it took longer than `timeout_seconds`, or ended the interpreter.
    """
    module, colon, attribute = name.partition(":")
    parts = [*module.split("."), *(attribute.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts):
        raise UsageError(f"{format_untrusted(name, 100)} names no models", _WORDS)
    folder = str(Path(path or Path.cwd()).absolute())
    surroundings = {key: value for key, value in (environ or os.environ).items() if not key.startswith(_OWN)}
    reader, writer = os.pipe()
    try:
        argv = [
            python or _choose_python(surroundings),
            str(Path(__file__).with_name("model_listing.py")),
            folder,
            name,
            str(writer),
        ]
        tool = ChildTool(argv, environ=surroundings, pass_descriptors=[writer])
        with tool:
            os.close(writer)
            writer = -1
            text = _read(reader, name, timeout_seconds)
            tool.wait_for(_ENDING_SECONDS)
        if not text.strip():
            code = tool.process.returncode
            raise tool.failure(f"importing {module}", code if code is not None else 1)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    return _parse(text, name)


def _choose_python(environ: Mapping[str, str]) -> str:
    active = environ.get("VIRTUAL_ENV", "")
    theirs = Path(active) / "bin" / "python"
    return str(theirs) if active and theirs.exists() else sys.executable


def _read(reader: int, name: str, timeout_seconds: float) -> str:
    """Read the one line that the child writes, for a bounded time and size."""
    deadline, parts, size = time.monotonic() + timeout_seconds, [], 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            hint = "a module that only defines classes imports quickly"
            raise ToolError(f"importing {name} took longer than {timeout_seconds:g} s, and was ended", hint)
        chunk = os.read(reader, _CHUNK)
        parts.append(chunk)
        size += len(chunk)
        if not chunk or chunk.endswith(b"\n"):  # children of the application may keep the other end open
            return b"".join(parts).decode("utf-8", "replace")
        if size > _MOST_BYTES:
            raise ToolError(f"{name} has more relationships than can be read", "name a smaller base")


def _parse(text: str, name: str) -> tuple[MappedRelation, ...]:
    try:
        said = json.loads(text)
        if "error" in said:
            message = mask_passwords(format_untrusted(str(said["error"]), 500))
            raise UsageError(message, format_untrusted(str(said["hint"]), 300))
        return tuple(_relation(each) for each in said["relations"])
    except (ValueError, LookupError, TypeError) as error:
        raise ToolError(
            f"what the models of {name} said cannot be read", "look what else writes to its files"
        ) from error


def _relation(said: Mapping[str, Any]) -> MappedRelation:
    return MappedRelation(**{**said, "columns": tuple(said["columns"])})
