"""Where a statement comes from: in scripts, templates, and applications that are installed as libraries are."""

import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from dbtui.instrument import record_statements
from dbtui.instrument.call_sites import name_packages
from dbtui.model.queries import StatementEvent


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as made:
        yield made
    engine.dispose()


def call_site_of(connection: Connection, run: Any) -> str:
    """The place that is recorded for a function that executes one statement."""
    seen: list[StatementEvent] = []
    with record_statements(connection, seen.append):
        run(connection)
    return seen[-1].call_site


def load(path: Path, name: str, source: str) -> ModuleType:
    """A module as if it stood in a file at `path`."""
    module = ModuleType(name)
    vars(module)["text"] = text
    exec(compile(source, str(path), "exec"), vars(module))
    return module


RUN = "\n\ndef run(connection):\n    return connection.execute(text('SELECT 1'))\n"
CALL = "\n\n\ndef run(connection):\n    return below(connection)\n"


def test_a_path_starts_where_the_program_was_started_or_imports_from(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "there", "elsewhere"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "there"))
    for folder, shown in (("here", "app/a.py"), ("there", "app/a.py"), ("elsewhere", f"{tmp_path}/elsewhere/app/a.py")):
        module = load(tmp_path / folder / "app" / "a.py", "app.a", RUN)
        assert call_site_of(connection, module.run) == f"{shown}:4"


def test_a_directory_that_is_gone_does_no_harm(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert call_site_of(connection, load(Path("/nowhere/a.py"), "app.b", RUN).run) == "/nowhere/a.py:4"


def test_libraries_are_passed_over_for_the_application_that_calls_them(connection: Connection) -> None:
    library = load(Path("/srv/venv/lib/python3.11/site-packages/lib/a.py"), "lib.a", RUN)
    application = load(Path("/srv/app/views.py"), "views", CALL)
    vars(application)["below"] = library.run
    assert call_site_of(connection, application.run) == "/srv/app/views.py:5"


def test_an_application_among_the_libraries_can_be_named(connection: Connection) -> None:
    shop = load(Path("/srv/venv/lib/python3.11/site-packages/shop/views.py"), "shop_of_test.views", CALL)
    library = load(Path("/srv/venv/lib/python3.11/site-packages/lib/a.py"), "lib.a", RUN)
    vars(shop)["below"] = library.run
    outside = "tests/instrument/test_call_sites.py:"
    assert call_site_of(connection, shop.run).startswith(outside)
    name_packages(["shop_of_test"])
    assert call_site_of(connection, shop.run).endswith("site-packages/shop/views.py:5")


def test_a_place_in_a_template_is_the_templates(connection: Connection) -> None:
    module = load(Path("/srv/app/templates/orders.html"), "tests.template", RUN)
    vars(module)["__jinja_template__"] = SimpleNamespace(get_corresponding_lineno=lambda line: line + 100)
    assert call_site_of(connection, module.run) == "/srv/app/templates/orders.html:104"


def test_two_places_and_two_depths_of_one_statement_are_told_apart(connection: Connection) -> None:
    seen: list[StatementEvent] = []

    def first() -> None:
        connection.execute(text("SELECT 1"))

    def second() -> None:
        connection.execute(text("SELECT 1"))

    def deeper() -> None:
        first()

    with record_statements(connection, seen.append):
        for run in (first, second, first, deeper, second, deeper, first):
            run()
    begin = first.__code__.co_firstlineno
    assert [int(each.call_site.rpartition(":")[2]) - begin for each in seen] == [1, 4, 1, 1, 4, 1, 1]


def test_generated_code_and_deep_recursion(connection: Connection) -> None:
    def recurse(depth: int) -> Any:
        return recurse(depth - 1) if depth else connection.execute(text("SELECT 1"))

    assert call_site_of(connection, lambda _: recurse(300)).startswith("tests/instrument/test_call_sites.py:")
    namespace = {"__name__": "generated", "text": text}
    exec("def run(connection):\n    connection.execute(text('SELECT 1'))", namespace)
    assert call_site_of(connection, namespace["run"]).startswith("tests/instrument/test_call_sites.py:")
    assert not linecache.getline("<string>", 1)
    assert sys.getrecursionlimit() > 300
