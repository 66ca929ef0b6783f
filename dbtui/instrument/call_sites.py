"""Where in the application a statement comes from: the first frame that is neither SQLAlchemy's nor a library's.

By `sys._getframe`, without a traceback: each code object is judged once, and each place in it is written once.
On the way out the frames of SQLAlchemy's loaders are passed, which tell what kind of load it is.
"""

import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import sqlalchemy

#: How many frames are looked at. A lazy load is 15 frames deep in SQLAlchemy; what calls the application is not wanted.
_MOST_FRAMES = 120
#: How many code objects and places are remembered before all are forgotten: an application may make code as it runs.
_MOST_REMEMBERED = 20_000
#: Of how many statements, and of how long ones, it is remembered how they were reached.
_MOST_STATEMENTS = 2_000
_LONGEST_REMEMBERED = 20_000
_MOST_WAYS = 3

#: Loaders of SQLAlchemy by a part of the qualified name of one of their functions.
_LOADERS = (
    ("ImmediateLoader._load_for_path", "immediate"),
    ("SelectInLoader._load", "selectin"),
    ("load_subclass_via_in", "selectin"),
    ("_SubqCollections._load", "subquery"),
    ("DeferredColumnLoader._load_for_state", "column"),
    ("InstanceState._load_expired", "expired"),
    ("AppenderMixin.", "dynamic"),
)


class CallSite(NamedTuple):
    """A place in the application: `text` is as it is shown, `app/views.py:41`."""

    text: str
    path: str
    line: int
    module: str


class Caller(NamedTuple):
    """Who runs a statement. `loader`: the kind of load that SQLAlchemy's frames tell, "" for none.

    `collection`: the dynamic collection that is read, None for anything else.
    """

    site: CallSite
    loader: str
    collection: Any


NOWHERE = CallSite("", "", 0, "")

_APPLICATION, _LIBRARY, _SKIPPED = "application", "library", ""
_VERDICTS: dict[int, tuple[CodeType, str]] = {}
_SITES: dict[tuple[int, int], tuple[CodeType, CallSite]] = {}
_PACKAGES: set[str] = set()


def name_packages(packages: Iterable[str]) -> None:
    """Take these packages for the application's, wherever they are installed, in the whole process."""
    _PACKAGES.update(packages)
    _VERDICTS.clear()
    _WAYS.clear()


class _Way(NamedTuple):
    """How a statement was reached before: from that place in that code, so many frames above."""

    depth: int
    code: CodeType
    lasti: int
    caller: Caller


_WAYS: dict[str, tuple[_Way, ...]] = {}


def find_caller(sql: str) -> Caller:
    """Return who runs this statement: the innermost frame of the application, else of any library but SQLAlchemy.

    A frame has to be made an object to be looked at, and a lazy load has fifteen. So it is tried first whether the same
    statement comes from the same place as before, at the same depth.
    """
    for depth, code, lasti, caller in _WAYS.get(sql, ()):
        try:
            frame = sys._getframe(depth)
        except ValueError:  # there are not so many
            continue
        if frame.f_code is code and frame.f_lasti == lasti:
            return caller
    return _search_caller(sys._getframe(), sql)


def _search_caller(frame: FrameType | None, sql: str) -> Caller:
    """Look at one frame after the other, from that of `find_caller` on."""
    loader, collection, fallback, is_awaited = "", None, None, False
    for depth in range(_MOST_FRAMES):
        if frame is None:
            frame = None if is_awaited else _awaiting_frame()
            is_awaited = True
            if frame is None:
                break
        code = frame.f_code
        known = _VERDICTS.get(id(code))
        verdict = known[1] if known else _judge(code, frame)
        if verdict is _APPLICATION:
            caller = Caller(_locate(code, frame), loader, collection)
            if not loader and not is_awaited:
                _remember_way(sql, _Way(depth, code, frame.f_lasti, caller))
            return caller
        if verdict is _LIBRARY:
            fallback = fallback or frame
        elif verdict and not loader:
            loader = verdict
            collection = frame.f_locals.get("self") if verdict == "dynamic" else None
        frame = frame.f_back
    return Caller(_locate(fallback.f_code, fallback) if fallback else NOWHERE, loader, collection)


def _remember_way(sql: str, way: _Way) -> None:
    """Remember a way, unless the statement is long. A loader's frames may differ where all else is the same."""
    if len(sql) <= _LONGEST_REMEMBERED:
        if len(_WAYS) >= _MOST_STATEMENTS:
            _WAYS.clear()
        _WAYS[sql] = (way, *_WAYS.get(sql, ())[: _MOST_WAYS - 1])


def _awaiting_frame() -> FrameType | None:
    """Return the frame of the coroutine that waits for this one: SQLAlchemy runs asyncio's statements in a greenlet."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return None
    current = greenlet.getcurrent()
    if not getattr(current, "__sqlalchemy_greenlet_provider__", False):  # gevent's, for one
        return None
    frame: FrameType | None = current.parent.gr_frame
    return frame


# --- judging, once for each code object ----------------------------------------------------------------------


def _judge(code: CodeType, frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__") or "")
    verdict = _verdict_of(code, module)
    if len(_VERDICTS) >= _MOST_REMEMBERED:
        _VERDICTS.clear()
    _VERDICTS[id(code)] = (code, verdict)
    return verdict


def _verdict_of(code: CodeType, module: str) -> str:
    path = code.co_filename
    if path.startswith(_SQLALCHEMY):
        return next((kind for part, kind in _LOADERS if part in code.co_qualname), _SKIPPED)
    if path.startswith(_OURS) or module.partition(".")[0] in ("sqlalchemy", "greenlet"):
        return _SKIPPED
    if any(module == package or module.startswith(f"{package}.") for package in _PACKAGES):
        return _APPLICATION
    if path.startswith("<"):
        return _APPLICATION if module == "__main__" and not path.startswith("<frozen") else _SKIPPED
    if "/site-packages/" in path or "/dist-packages/" in path or path.startswith(_INSTALLED):
        return _LIBRARY
    return _SKIPPED if path.startswith(_STANDARD) else _APPLICATION


def _folders(*names: str) -> tuple[str, ...]:
    known = sysconfig.get_paths()
    return tuple({f"{known[name].rstrip('/')}/" for name in names if known.get(name)})


_SQLALCHEMY = f"{Path(sqlalchemy.__file__).parent}/"
_OURS = f"{Path(__file__).parent}/"
_STANDARD = _folders("stdlib", "platstdlib")
_INSTALLED = _folders("purelib", "platlib", "scripts")


# --- writing, once for each place ----------------------------------------------------------------------------


def _locate(code: CodeType, frame: FrameType) -> CallSite:
    key = (id(code), frame.f_lasti)
    known = _SITES.get(key)
    if known:
        return known[1]
    line = _line_of(frame)
    path = _shorten(code.co_filename)
    site = CallSite(f"{path}:{line}", code.co_filename, line, str(frame.f_globals.get("__name__") or ""))
    if len(_SITES) >= _MOST_REMEMBERED:
        _SITES.clear()
    _SITES[key] = (code, site)
    return site


def _line_of(frame: FrameType) -> int:
    """Return the line: in a template of Jinja that of the template, not of the Python that was made of it."""
    line = frame.f_lineno or 0
    template = frame.f_globals.get("__jinja_template__")
    find_line = getattr(template, "get_corresponding_lineno", None)
    return int(find_line(line)) if find_line else line


def _shorten(path: str) -> str:
    """Return a path from the directory that it is started in, or from where it is imported."""
    for folder in (_current_directory(), *sorted(map(str, sys.path), key=len, reverse=True)):
        if folder and path.startswith(f"{folder.rstrip('/')}/"):
            return path[len(folder.rstrip("/")) + 1 :]
    return path


def _current_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""
