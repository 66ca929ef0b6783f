"""Where mariadb-dump and mysqldump are, which is which, and which one fits a server."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dbtui.adapters.processes import tool_directories, tool_output
from dbtui.errors import ToolError
from dbtui.model.connections import ServerInfo

BINARIES_VARIABLE = "DBTUI_MYSQL_BIN"
_NAMES = ("mariadb-dump", "mysqldump")
INSTALLED = (
    "usr/bin",
    "usr/local/bin",
    "usr/local/mysql/bin",
    "usr/local/mariadb/bin",
    "opt/mysql/*/bin",
    "opt/mariadb/*/bin",
    "opt/homebrew/opt/mysql*/bin",
    "opt/homebrew/opt/mariadb*/bin",
)


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed dump tool: its version as it says itself ("10.11.19"), and as servers count (101119)."""

    name: str
    path: str
    version: str
    version_number: int
    is_mariadb: bool

    @property
    def flavour(self) -> str:
        """Whose tool it is."""
        return "MariaDB" if self.is_mariadb else "MySQL"


def find_tools(environ: Mapping[str, str]) -> tuple[Tool, ...]:
    """Return every installed dump tool once; $DBTUI_MYSQL_BIN's first, then PATH's."""
    found: dict[str, Tool] = {}
    for directory in tool_directories(environ, BINARIES_VARIABLE, INSTALLED):
        for name in _NAMES:
            path = (directory / name).resolve()
            if str(path) in found or not os.access(path, os.X_OK) or not path.is_file():
                continue
            if (tool := _identify(str(directory / name), path.stat().st_mtime_ns)) is not None:
                found[str(path)] = tool
    return tuple(found.values())


def find_tool(info: ServerInfo, environ: Mapping[str, str]) -> Tool:
    """Return the tool that fits a server best: of its flavour, and no older. Raises ToolError when none can serve.

    Oracle's mysqldump cannot dump MariaDB (it takes sequences for tables). MariaDB's tool dumps MySQL, with a remark.
    """
    is_mariadb = info.flavour == "MariaDB"
    tools = find_tools(environ)
    package = "mariadb-dump (package mariadb-client)" if is_mariadb else "mysqldump (package mysql-client)"
    if not tools:
        raise ToolError(f"no dump tool is installed here and the server is {info.flavour}", f"install {package}")
    fitting = [tool for tool in tools if tool.is_mariadb or not is_mariadb]
    if not fitting:
        raise ToolError(
            f"{tools[0].path} is Oracle's mysqldump {tools[0].version} and the server is MariaDB, which it cannot dump",
            f"install {package}, or name its directory in {BINARIES_VARIABLE}",
        )
    return max(fitting, key=lambda tool: (tool.is_mariadb == is_mariadb, tool.version_number >= info.version_number))


def remark_on(tool: Tool, info: ServerInfo) -> Iterator[str]:
    """Yield what an operator should know of a tool that does not quite fit its server."""
    if tool.flavour != info.flavour:
        yield (
            f"{tool.name} here is MariaDB's ({tool.version}) and the server is {info.flavour} {info.version}: "
            "install mysqldump for a dump in MySQL's own words"
        )
    elif tool.version_number // 100 < info.version_number // 100:
        yield (
            f"{tool.name} {tool.version} is older than the server ({info.version}): "
            f"what is new in {info.flavour} {info.version} may be missing, install newer client tools"
        )


@cache
def _identify(path: str, _changed_ns: int) -> Tool | None:
    try:
        said = tool_output([path, "--no-defaults", "--version"])
    except ToolError:  # not runnable here: another architecture, a missing library
        return None
    return parse_version(path, said)


def parse_version(path: str, said: str) -> Tool | None:
    """Return what a tool says of itself with --version; None when it says nothing of the kind.

    "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, ...", "mariadb-dump from 11.4.2-MariaDB, client 10.19 ...",
    "mysqldump  Ver 8.0.36 for Linux ...".
    """
    is_mariadb = "mariadb" in said.lower()
    pattern = r"(\d+)\.(\d+)\.(\d+)-MariaDB" if is_mariadb else r"(?:Distrib|Ver) (\d+)\.(\d+)\.(\d+)"
    found = re.search(pattern, said, re.IGNORECASE)
    if found is None:
        return None
    major, minor, patch = (int(part) for part in found.groups())
    version = f"{major}.{minor}.{patch}"
    return Tool(Path(path).name, path, version, major * 10000 + minor * 100 + patch, is_mariadb)
