"""Which dump tool is taken and what is said of it; privileges and patterns, as servers and people write them."""

from pathlib import Path

import pytest

from dbtui.adapters.mysql import tools
from dbtui.adapters.mysql.patterns import choose_tables, matching_tables
from dbtui.adapters.mysql.privileges import format_grant, has_roles, lacks, privileges_on
from dbtui.adapters.mysql.tools import find_tool, find_tools, parse_version, remark_on
from dbtui.errors import ToolError
from dbtui.model.backups import TableName
from dbtui.model.connections import EngineName, ServerInfo

MARIADB = ServerInfo(engine=EngineName.MYSQL, flavour="MariaDB", version="10.11.6", version_number=101106)
MYSQL = ServerInfo(engine=EngineName.MYSQL, flavour="MySQL", version="8.0.36", version_number=80036)
SAID = {
    "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)": ("10.11.19", True),
    "mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)": ("10.11.19", True),
    "mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)": ("11.4.2", True),
    "mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)": ("8.0.36", False),
    "mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)": ("5.7.44", False),
}


def install(directory: Path, name: str, said: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "INSTALLED", ())


@pytest.mark.parametrize(("said", "expected"), SAID.items())
def test_tools_are_told_apart_by_their_words(said: str, expected: tuple[str, bool]) -> None:
    tool = parse_version("/usr/bin/mysqldump", said)
    assert tool is not None
    assert (tool.version, tool.is_mariadb) == expected
    assert parse_version("/usr/bin/mysqldump", "hello") is None


@pytest.mark.usefixtures("alone")
def test_the_tool_of_the_servers_flavour_is_taken(tmp_path: Path) -> None:
    install(tmp_path, "mariadb-dump", "mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux")
    install(tmp_path, "mysqldump", "mysqldump  Ver 8.0.36 for Linux on x86_64")
    environ = {"PATH": str(tmp_path)}
    assert [tool.name for tool in find_tools(environ)] == ["mariadb-dump", "mysqldump"]
    assert find_tool(MARIADB, environ).name == "mariadb-dump"
    assert find_tool(MYSQL, environ).name == "mysqldump"
    assert not list(remark_on(find_tool(MYSQL, environ), MYSQL))


@pytest.mark.usefixtures("alone")
def test_a_tool_that_cannot_serve_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no dump tool is installed here and the server is MySQL"):
        find_tool(MYSQL, {"PATH": str(tmp_path)})
    install(tmp_path, "mysqldump", "mysqldump  Ver 8.0.36 for Linux on x86_64")
    with pytest.raises(ToolError, match="the server is MariaDB, which it cannot dump"):
        find_tool(MARIADB, {"PATH": str(tmp_path)})


@pytest.mark.usefixtures("alone")
def test_remarks(tmp_path: Path) -> None:
    install(tmp_path, "mysqldump", "mysqldump  Ver 10.19 Distrib 10.5.1-MariaDB, for debian-linux-gnu")
    tool = find_tool(MYSQL, {"PATH": str(tmp_path)})
    assert "the server is MySQL 8.0.36" in next(remark_on(tool, MYSQL))
    assert "older than the server" in next(remark_on(tool, MARIADB))


def test_privileges() -> None:
    grants = (
        "GRANT USAGE ON *.* TO `dba`@`%` IDENTIFIED BY PASSWORD '*A'",
        "GRANT SELECT, SHOW VIEW ON `erp\\_%`.* TO `dba`@`%`",
        "GRANT EVENT ON `erp_x`.* TO `dba`@`%`",
        "GRANT DELETE ON `erp_x`.`t` TO `dba`@`%`",
    )
    assert privileges_on(grants, "erp_x") == {"USAGE", "SELECT", "SHOW VIEW", "EVENT"}
    assert privileges_on(grants, "erpx") == {"USAGE"}
    assert lacks(privileges_on(grants, "erp_x"), "TRIGGER")
    assert not lacks(privileges_on(("GRANT ALL PRIVILEGES ON *.* TO `r`@`%`",), "any"), "TRIGGER")
    assert not has_roles(grants)
    assert has_roles(("GRANT `reader` TO `dba`@`%`",))
    assert format_grant(["EVENT"], "a_b", "d'ba@10.%") == "GRANT EVENT ON `a\\_b`.* TO 'd''ba'@'10.%'"


def test_patterns() -> None:
    tables = [TableName("erp", name) for name in ("users", "user_roles", "a.b", "Users")]
    assert {table.name for table in matching_tables("user*", tables)} == {"users", "user_roles"}
    assert {table.name for table in matching_tables("erp.?sers", tables)} == {"users", "Users"}
    assert {table.name for table in matching_tables("a.b", tables)} == {"a.b"}
    chosen, unmatched = choose_tables(tables, ("user*", "nope"), ("users",))
    assert {table.name for table in chosen} == {"user_roles"}
    assert unmatched == ("nope",)


def test_a_directory_of_path_that_may_not_be_entered_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root nothing is closed, so what the kernel would say is said here."""

    looked = Path.is_file

    def refuse(path: Path) -> bool:
        if path.is_relative_to(tmp_path):
            raise PermissionError(13, "Permission denied", str(path))
        return looked(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert not [tool for tool in find_tools({"PATH": str(tmp_path)}) if tool.path.startswith(str(tmp_path))]
