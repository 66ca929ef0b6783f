"""The house's budgets and rules that a linter does not know: sizes, names, SQL sections, what an import drags in."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from dbtui.adapters.queries import parse_queries

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dbtui"
FILE_LINES = 500
FUNCTION_LINES = 60
APP_LINES = 200

FORBIDDEN_FUNCTION_PREFIXES = ("get_", "do_", "handle", "process_", "kill")
FORBIDDEN_WORDS = {"manager", "helper", "helpers", "util", "utils", "common", "misc"}
# Hooks of click, Textual and the standard library that are overridden, and so must be spelt their way.
FOREIGN_HOOKS = {
    "do_GET",
    "get_bind",
    "get_command",
    "get_content_height",
    "get_content_width",
    "get_default_screen",
    "get_suggestion",
    "get_driver_class",
    "handle_error",
    "process_message",
    "_get_component_classes",
    "_handle_exception",
}

HEAVY_MODULES = ("textual", "rich", "sqlalchemy", "psycopg2", "pymysql", "zstandard", "dbtui.tui", "dbtui.demo")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def python_files(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions_in(path: Path) -> Iterator[Function]:
    for node in ast.walk(parse(path)):
        if isinstance(node, Function):
            yield node


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- sizes ---------------------------------------------------------------------------------------------------


def test_no_file_is_longer_than_its_budget() -> None:
    too_long = []
    for path in python_files(PACKAGE, ROOT / "tests"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        budget = APP_LINES if path == PACKAGE / "tui" / "app.py" else FILE_LINES
        if lines > budget:
            too_long.append(f"{shown(path)}: {lines} lines, at most {budget}")
    assert not too_long


def test_no_function_is_longer_than_its_budget() -> None:
    too_long = []
    for path in python_files(PACKAGE, ROOT / "tests"):
        for function in functions_in(path):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > FUNCTION_LINES:
                too_long.append(f"{shown(path)}:{function.lineno} {function.name}: {lines} lines")
    assert not too_long


# --- names ---------------------------------------------------------------------------------------------------


def test_functions_have_names_of_this_house() -> None:
    wrong = []
    for path in python_files(PACKAGE):
        for function in functions_in(path):
            name = function.name.lstrip("_")
            if name.startswith(FORBIDDEN_FUNCTION_PREFIXES) and function.name not in FOREIGN_HOOKS:
                wrong.append(f"{shown(path)}:{function.lineno} {function.name}")
    assert not wrong


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+", name)}


def test_modules_and_classes_say_what_they_are() -> None:
    wrong = []
    for path in python_files(PACKAGE):
        if words_of(path.stem) & FORBIDDEN_WORDS:
            wrong.append(shown(path))
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ClassDef) and words_of(node.name) & FORBIDDEN_WORDS:
                wrong.append(f"{shown(path)}:{node.lineno} {node.name}")
    assert not wrong


def test_every_module_says_what_it_is_for() -> None:
    assert not [shown(path) for path in python_files(PACKAGE) if not ast.get_docstring(parse(path))]


def test_nothing_is_left_to_do() -> None:
    """No marks of unfinished work, and no exception swallowed by a bare `except`."""
    wrong = []
    for path in python_files(PACKAGE):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|^\s*except:", line):
                wrong.append(f"{shown(path)}:{number} {line.strip()}")
    assert not wrong


def test_patterns_do_not_meet_a_fault_of_older_interpreters() -> None:
    """A possessive group ends in `|(?!)`: `(?:...|(?!))*+`.

    Python 3.11.0 to 3.11.4, and so Debian 12, goes on behind what the last, failing round of such a group had
    consumed. An alternative that fails at once and consumes nothing puts it back where it was.
    """
    possessive = re.compile(r"(?<!\\)(?<!\|\(\?!\))\)(?:[*?+]|\{[\d,]+\})\+")
    wrong = [
        f"{shown(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes | str)
        and possessive.search(node.value if isinstance(node.value, str) else node.value.decode("latin-1"))
    ]  # fmt: skip
    assert not wrong


# --- SQL sections --------------------------------------------------------------------------------------------

ADAPTER_FOLDERS = [path.parent for path in sorted(PACKAGE.glob("adapters/*/queries.sql"))]


def strings_in(folder: Path) -> set[str]:
    """Every string that stands in the folder's code."""
    return {
        node.value
        for path in python_files(folder)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def calls_in(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            if isinstance(call.func, ast.Name):
                yield call.func.id, call
            elif isinstance(call.func, ast.Attribute):
                yield call.func.attr, call


def asking_functions(folder: Path) -> dict[str, str | int]:
    """Where each function that looks a section up takes the section's name: `query`, and those that pass it on."""
    asking: dict[str, str | int] = {"query": 1}
    while True:
        found = dict(asking)
        for path in python_files(folder):
            for function in functions_in(path):
                names = [each.arg for each in function.args.posonlyargs + function.args.args]
                names = names[1:] if names[:1] in (["self"], ["cls"]) else names
                for callee, call in calls_in(function):
                    asked = name_asked_for(asking, callee, call)
                    if isinstance(asked, ast.Name) and asked.id in names:
                        found.setdefault(function.name, names.index(asked.id))
        if found == asking:
            return asking
        asking = found


def name_asked_for(asking: dict[str, str | int], callee: str, call: ast.Call) -> ast.expr | None:
    position = asking.get(callee)
    if isinstance(position, int) and position < len(call.args):
        return call.args[position]
    return next((each.value for each in call.keywords if callee in asking and each.arg == "name"), None)


@pytest.mark.parametrize("folder", ADAPTER_FOLDERS, ids=lambda folder: folder.name)
def test_every_section_of_sql_is_asked_for(folder: Path) -> None:
    sections = parse_queries((folder / "queries.sql").read_text(encoding="utf-8"))
    assert sections
    assert not set(sections) - strings_in(folder), "sections that nobody asks for"


@pytest.mark.parametrize("folder", ADAPTER_FOLDERS, ids=lambda folder: folder.name)
def test_every_name_asked_for_is_a_section(folder: Path) -> None:
    sections = parse_queries((folder / "queries.sql").read_text(encoding="utf-8"))
    asking = asking_functions(folder)
    unknown = []
    for path in python_files(folder):
        for callee, call in calls_in(parse(path)):
            asked = name_asked_for(asking, callee, call)
            if isinstance(asked, ast.Constant) and isinstance(asked.value, str) and asked.value not in sections:
                unknown.append(f"{shown(path)}:{call.lineno} {asked.value}")
    assert not unknown


@pytest.mark.parametrize("folder", ADAPTER_FOLDERS, ids=lambda folder: folder.name)
def test_every_section_of_sql_says_why(folder: Path) -> None:
    text = (folder / "queries.sql").read_text(encoding="utf-8")
    silent = []
    for block in re.split(r"(?m)^(?=-- name: )", text)[1:]:
        lines = [line for line in block.splitlines() if not line.startswith("-- since: ")]
        if len(lines) < 2 or not lines[1].startswith("-- "):
            silent.append(lines[0].removeprefix("-- name: "))
    assert not silent


@pytest.mark.parametrize("folder", ADAPTER_FOLDERS, ids=lambda folder: folder.name)
def test_no_section_of_sql_has_another_ones_name(folder: Path) -> None:
    """Several sections of one name are for several versions of a server, and all but one say since when."""
    text = (folder / "queries.sql").read_text(encoding="utf-8")
    heads = re.findall(r"(?m)^-- name: (\S+)\n(?:-- since: (\S+)\n)?", text)
    assert not {head for head in heads if heads.count(head) > 1}


# --- imports -------------------------------------------------------------------------------------------------


def test_the_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([program, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_module_imports_itself_by_a_detour() -> None:
    """Imports for types alone count too. The package itself is left out: it hands on its functions lazily."""
    graph = grimp.build_graph(PACKAGE.name, cache_dir=None)
    graph.remove_module(PACKAGE.name)
    circles = [
        f"{importer} -> {imported}"
        for importer in sorted(graph.modules)
        for imported in graph.find_modules_directly_imported_by(importer)
        if graph.chain_exists(importer=imported, imported=importer)
    ]
    assert not circles


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has imported when it has run `code`."""
    report = f"{code}\nimport sys; print('modules:', *sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.rpartition("modules:")[2].split())


def heavy_modules_after(code: str) -> set[str]:
    """The same, of what a short command must not pay for."""
    modules = modules_after(code)
    assert "dbtui.cli.main" in modules
    return modules & set(HEAVY_MODULES)


def test_importing_the_commands_drags_in_no_screen_and_no_driver() -> None:
    assert heavy_modules_after("import dbtui.cli.main") == set()


def test_the_first_screen_imports_nothing_of_what_comes_after_it() -> None:
    """PostgreSQL targets are watched before anybody thinks of backups, pools, partitions, load or the doctor."""
    later = ("backups", "pools", "partitions", "replicas", "loadtest", "doctor")
    code = """
import dbtui.cli.main, dbtui.config
from dbtui.cli.ui import import_first
from dbtui.model.connections import EngineName
import_first({EngineName.POSTGRESQL})
import dbtui.tui.start, dbtui.tui.app
"""
    modules = modules_after(code)
    assert {"dbtui.tui.panes.connections", "dbtui.adapters.postgresql.adapter"} <= modules
    foreign = {"ssl", "sqlalchemy", "pymysql", "zstandard"}
    assert not modules & foreign
    assert not [each for each in modules if each.startswith("dbtui.") and set(each.split(".")) & set(later)]


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["backup", "--help"], ["demo", "--help"]], ids=" ".join)
def test_help_drags_in_no_screen_and_no_driver(words: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["dbtui", *{words!r}]
import dbtui.cli.main
try:
    dbtui.cli.main.main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert heavy_modules_after(code) == set()


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "sqlite"])
def test_looking_at_a_server_drags_in_nothing_of_backups(engine: str) -> None:
    folder = f"dbtui.adapters.{engine}"
    parts = ("backups", "check", "contents", "databases", "dump", "load")
    of_backups = {f"{folder}.{part}" for part in parts} | {"dbtui.adapters.streams", "dbtui.adapters.unpacking"}
    code = f"from {folder}.adapter import ADAPTER"
    assert modules_after(code) & of_backups == set()
    assert modules_after(f"{code}; ADAPTER.backups") >= of_backups
