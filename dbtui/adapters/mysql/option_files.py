"""Option files of the mysql client: ~/.my.cnf, or the one that a URL names, with what it includes.

The rules are those of the manual, "Using Option Files". The login path file (.mylogin.cnf) is not read, and neither are
the files of the whole machine under /etc.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from dbtui.errors import ConfigError

_GROUPS = ("client", "client-server", "client-mariadb")
_DEEPEST = 10
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "\\": "\\", "s": " ", '"': '"', "'": "'"}


def option_file_path(named: str, environ: Mapping[str, str]) -> Path | None:
    """Return the option file that is read: `named` by the URL, else ~/.my.cnf; None without a home."""
    home = environ.get("HOME", "")
    if not named and not home:
        return None
    return Path(named.replace("~", home, 1) if named.startswith("~/") else named) if named else Path(home) / ".my.cnf"


def login_path_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file of mysql_config_editor, when there is one: it is not read here."""
    path = Path(environ.get("MYSQL_TEST_LOGIN_FILE") or Path(environ.get("HOME") or "/nonexistent") / ".mylogin.cnf")
    return path if _is_there(path) else None


def read_option_file(named: str, group: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the client's options in the file `named` by the URL, else in ~/.my.cnf; `group` is one more to read.

    Raises ConfigError for a file that is named and not there, or cannot be read.
    """
    path = option_file_path(named, environ)
    if path is None or (not named and not _is_there(path)):
        return {}
    suffix = environ.get("MYSQL_GROUP_SUFFIX", "")
    groups = (*_GROUPS, *(f"{each}{suffix}" for each in _GROUPS if suffix), *([group] if group else []))
    return parse_option_file(_read(path, "correct read_default_file in the URL"), groups, _included)


def _is_there(path: Path) -> bool:
    """Whether a file is there for this user: HOME may be somebody else's, as under sudo."""
    try:
        return path.is_file()
    except OSError:
        return False


def _read(path: Path, hint: str) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise ConfigError(f"the option file {path} does not exist", hint) from None
    except OSError as error:
        raise ConfigError(f"the option file {path} cannot be read: {error.strerror}", hint) from error


def _included(directive: str, operand: str) -> Iterator[str]:
    """The texts of the files that a directive names."""
    paths: Iterable[Path] = [Path(operand)]
    if directive == "!includedir":
        paths = sorted(Path(operand).glob("*.cnf"))
    for path in paths:
        yield _read(path, f"correct {directive} in the option file")


def _nothing(_directive: str, _operand: str) -> Iterable[str]:
    return ()


def parse_option_file(
    text: str, groups: tuple[str, ...], include: Callable[[str, str], Iterable[str]] = _nothing
) -> dict[str, str]:
    """Return the options of `groups` in a my.cnf; a later group or line wins.

    `include` returns the texts that `!include FILE` and `!includedir DIRECTORY` stand for.
    """
    found: dict[str, dict[str, str]] = {group: {} for group in groups}
    _parse_into(found, text, include, 0)
    return {name: value for group in groups for name, value in found[group].items()}


def _parse_into(
    found: dict[str, dict[str, str]], text: str, include: Callable[[str, str], Iterable[str]], depth: int
) -> None:
    current: dict[str, str] | None = None
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("["):
            current = found.get(word[1:].partition("]")[0].strip())
        elif word.startswith("!"):
            directive, _, operand = word.partition(" ")
            if directive in ("!include", "!includedir") and depth < _DEEPEST:
                for included in include(directive, operand.strip()):
                    _parse_into(found, included, include, depth + 1)
        elif current is not None and word and word[0] not in "#;":
            name, _, value = word.partition("=")
            current[name.strip().lower().replace("_", "-").removeprefix("loose-")] = _parse_value(value.strip())


def _parse_value(text: str) -> str:
    """An option's value: a quoted one may hold #, and the escapes of the manual."""
    if len(text) >= 2 and text[0] in "'\"" and (end := text.find(text[0], 1)) > 0:
        while end > 0 and text[end - 1] == "\\" and end < len(text) - 1:
            end = text.find(text[0], end + 1)
        text = text[1:end] if end > 0 else text
    else:
        text = re.split(r"\s#", text, maxsplit=1)[0].rstrip()
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text)


_FILE_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"}


def format_value(value: str) -> str:
    """Return a value as an option file holds it: quoted, whatever is in it."""
    return '"' + "".join(_FILE_ESCAPES.get(character, character) for character in value) + '"'
