"""The text of the configuration file: values made typed, and for whatever is wrong its line."""

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dbtui.errors import ConfigError
from dbtui.model.connections import Environment
from dbtui.model.text import format_untrusted

StructT = TypeVar("StructT", bound=msgspec.Struct)


@dataclass(frozen=True)
class Source:
    """The text of the file, to say where in it something is wrong."""

    path: Path
    text: str

    def place(self, table: tuple[str, ...], key: str = "") -> str:
        """Return `config.toml, line 12`."""
        line = line_of(self.text, table, key)
        return f"{self.path}, line {line}" if line else f"{self.path}"

    def error(self, table: tuple[str, ...], key: str, message: str, hint: str = "") -> ConfigError:
        """Return the error that names the line of a key."""
        subject = f"profile {table[1]!r}: " if len(table) > 1 and table[0] == "profiles" else ""
        return ConfigError(format_untrusted(f"{self.place(table, key)}: {subject}{message}"), hint)


def convert(source: Source, values: object, kind: type[StructT], table: tuple[str, ...]) -> StructT:
    """Return a table's values as what it may hold. Raises ConfigError."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _translate(source, str(error), kind, table) from None


def _translate(source: Source, said: str, kind: type[msgspec.Struct], table: tuple[str, ...]) -> ConfigError:
    """Say in an operator's words what msgspec found, and where."""
    reason, _, place = said.partition(" - at ")
    keys = kind.__struct_fields__
    if unknown := re.search(r"unknown field `(.*)`", reason):
        near = difflib.get_close_matches(unknown[1], keys, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(keys)}"
        return source.error(table, unknown[1], f"unknown key {unknown[1]!r}", hint)
    if missing := re.search(r"missing required field `(.*)`", reason):
        return source.error(table, "", f"{missing[1]} is missing", f"add {missing[1]} = …")
    found = re.match(r"`\$\.(\w+)", place)
    key = found[1] if found else ""
    if "enum value" in reason:
        return source.error(table, key, f"{key}: {reason}", f"use {', '.join(each.value for each in Environment)}")
    for technical, plain in _PLAIN_TYPES.items():
        reason = reason.replace(f"`{technical}`", plain)
    return source.error(table, key, f"{key}: {reason[:1].lower()}{reason[1:]}", "mend the value")


_PLAIN_TYPES = {
    "str": "text in quotes",
    "bool": "true or false",
    "bool | str": "true, false or text in quotes",
    "int | str": "a number or text in quotes",
    "int": "a number",
    "float": "a number",
    "str | null": "text in quotes",
    "float | null": "a number",
    "bool | null": "true or false",
    "array": "a list",
    "array | null": "a list",
    "float | str | null": "a number or text in quotes",
    "str | float | null": "a number or text in quotes",
    "object": "a table",
}


def line_of(text: str, table: tuple[str, ...], key: str) -> int | None:
    """Find the line of a key, else of its table's header. Unusual layouts are not found: then None."""
    here: tuple[str, ...] = ()
    header = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("["):
            here = _header_path(line)
            header = number if here == table else header
        elif key and here == table and _key_of(line) == key:
            return number
        elif table and here == table[:-1] and _key_of(line) == table[-1]:
            header = number
    return header


def dotted_line(text: str, dotted: str) -> int | None:
    """Find the line of a key with dots, in quotes or not."""
    found = re.search(rf"""^\s*(?:keys\.)?["']?{re.escape(dotted)}["']?\s*=""", text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else None


def _header_path(line: str) -> tuple[str, ...]:
    try:
        level: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path = []
    while isinstance(level, dict) and level:
        name, level = next(iter(level.items()))
        path.append(name)
    return tuple(path)


def _key_of(line: str) -> str:
    found = re.match(r"""([A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*[=.]""", line)
    return found[1].strip("\"'") if found else ""
