"""Where PostgreSQL's own tools are, which versions they are, and which one fits a server."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from dbtui.adapters.processes import ChildTool, tool_directories, tool_output
from dbtui.errors import ToolError

_INSTALLED = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin", "usr/local/pgsql/bin")
BINARIES_VARIABLE = "DBTUI_PG_BIN"
#: pg_dump packs with zstd itself from this major version on, if it was built with it.
ZSTD_SINCE = 16


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed program: `version` as it says itself ("15.18"), its number as servers count (150018)."""

    name: str
    path: str
    version: str
    version_number: int

    @property
    def major(self) -> int:
        """15 of 15.18."""
        return self.version_number // 10000


def find_tools(name: str, environ: Mapping[str, str]) -> tuple[Tool, ...]:
    """Return every installed version of a tool, oldest first; $DBTUI_PG_BIN's first among equals."""
    found: dict[str, Tool] = {}
    for directory in tool_directories(environ, BINARIES_VARIABLE, _INSTALLED):
        path = (directory / name).resolve()
        # Debian's wrapper would choose a version by clusters of this machine, not by the server asked.
        if path.name == "pg_wrapper" or str(path) in found or not os.access(path, os.X_OK) or path.is_dir():
            continue
        if (tool := _identify(name, str(path), path.stat().st_mtime_ns)) is not None:
            found[str(path)] = tool
    return tuple(sorted(found.values(), key=lambda tool: tool.version_number))


def find_tool(name: str, server_version_number: int, environ: Mapping[str, str]) -> Tool:
    """Return the tool that fits a server best: the newest of its own major version, else the lowest newer one.

    A newer major writes settings that an older server refuses on restore. Raises ToolError when there is none.
    """
    tools, major = find_tools(name, environ), server_version_number // 10000
    fitting = [tool for tool in tools if tool.major >= major]
    if fitting:
        lowest = min(tool.major for tool in fitting)
        newest = max(tool.version_number for tool in fitting if tool.major == lowest)
        return next(tool for tool in fitting if tool.version_number == newest)
    hint = f"install the PostgreSQL {major} client programs, or name their directory in {BINARIES_VARIABLE}"
    if not tools:
        raise ToolError(f"{name} is not installed here and the server is PostgreSQL {major}", hint)
    versions = ", ".join(f"{tool.version} ({tool.path})" for tool in tools)
    raise ToolError(f"every {name} here is older than the server, which is PostgreSQL {major}: found {versions}", hint)


@cache
def lacks_zstd(tool: Tool) -> bool:
    """Whether a pg_dump that is new enough to pack with zstd was built without it. It says so before it connects."""
    nowhere = "host=/nonexistent connect_timeout=1"
    argv = [tool.path, "--format=custom", "--compress=zstd:1", f"--file={os.devnull}", "--no-password", "-d", nowhere]
    if tool.major < ZSTD_SINCE:
        return False
    with ChildTool(argv) as asked:
        asked.wait()
        return any("does not support compression" in line for line in asked.messages)


@cache
def _identify(name: str, path: str, _changed_ns: int) -> Tool | None:
    try:
        said = tool_output([path, "--version"])
    except ToolError:  # not runnable here: another architecture, a missing library
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?(?:\.(\d+))?", said)
    if found is None:
        return None
    major, minor, patch = (int(part or 0) for part in found.groups())
    number = major * 10000 + minor if major >= 10 else major * 10000 + minor * 100 + patch
    version = ".".join(part for part in found.groups() if part) or str(major)
    return Tool(name, path, version, number)
