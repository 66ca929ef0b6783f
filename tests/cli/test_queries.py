"""`dbtui queries …`: files that are read, what is found in them, what is said of them, and the exit codes."""

import json
from pathlib import Path
from typing import Any

from tests.cli.program import Ran, run


def trace(repeats: int, *, recorded: bool = False) -> str:
    """A parent and its look-ups, as a lazy load writes them."""
    parent = "SELECT orders.id, orders.note FROM orders WHERE org_id = 7"
    lines: list[dict[str, Any]] = [
        {"session": "s1", "seq": 1, "ts": 1.0, "duration_ms": 1.5, "rows": repeats, "sql": parent}
    ]
    for number in range(repeats):
        line: dict[str, Any] = {
            "session": "s1",
            "seq": number + 2,
            "ts": 1.01 + number / 1000,
            "duration_ms": 0.2,
            "sql": f"SELECT order_lines.id, quantity FROM order_lines WHERE {number} = order_lines.order_id",
        }
        if recorded:
            line |= {"relationship": "Order.lines", "load": "lazy", "call_site": "app/views.py:41"}
        lines.append(line)
    return "".join(json.dumps(line) + "\n" for line in lines)


def inspect(folder: Path, text: str, *words: str) -> Ran:
    path = folder / "trace.jsonl"
    path.write_text(text)
    return run("queries", "inspect", str(path), *words, cwd=folder)


def test_what_is_found_is_shown_with_its_cure(tmp_path: Path) -> None:
    ran = inspect(tmp_path, trace(12))
    assert ran.code == 0
    words = " ".join(ran.stdout.split())
    assert "✖ N+1" in words
    assert "12 × SELECT … FROM order_lines WHERE ? = order_lines.order_id" in words
    assert "after SELECT … FROM orders WHERE org_id = ? 12 rows" in words
    assert "selectinload(Order." in words
    assert "saved (12 − 1) × " in words
    assert "1 finding in 13 statements of 1 session" in ran.stderr


def test_the_document_is_as_promised(tmp_path: Path) -> None:
    ran = inspect(tmp_path, trace(12, recorded=True), "--json")
    assert ran.code == 0
    assert ran.stderr == ""
    document = json.loads(ran.stdout)
    assert (document["version"], document["statements"]) == (1, 13)
    (finding,) = document["findings"]
    expected = {"kind": "n_plus_one", "level": "finding", "session": "s1", "repeats": 12, "first_seq": 2,
                "last_seq": 13, "relationship": "Order.lines", "call_site": "app/views.py:41"}  # fmt: skip
    assert {name: finding[name] for name in expected} == expected
    assert finding["confidence"] >= 0.95
    assert finding["parent_sql"].startswith("SELECT orders.id")
    assert finding["child_sql"].startswith("SELECT order_lines.id")
    assert "selectinload(Order.lines)" in finding["suggestion"]
    assert finding["reasons"]


def test_exit_codes_for_continuous_integration(tmp_path: Path) -> None:
    assert inspect(tmp_path, trace(12), "--fail-on", "finding").code == 7
    assert inspect(tmp_path, trace(3), "--fail-on", "finding").code == 0
    assert inspect(tmp_path, trace(3), "--fail-on", "hint").code == 7
    assert inspect(tmp_path, trace(1), "--fail-on", "hint").code == 0
    assert inspect(tmp_path, trace(12), "--repeats", "20", "--fail-on", "finding").code == 0
    ran = inspect(tmp_path, trace(12), "--fail-on", "finding", "--json")
    assert ran.code == 7
    assert len(json.loads(ran.stdout)["findings"]) == 1


def test_a_trace_is_read_from_stdin(tmp_path: Path) -> None:
    ran = run("queries", "inspect", "-", "--json", cwd=tmp_path, typed=trace(6))
    assert len(json.loads(ran.stdout)["findings"]) == 1


def test_what_repeats_and_is_none_is_shown_on_request(tmp_path: Path) -> None:
    same = trace(0) + "".join(
        json.dumps({"session": "s1", "seq": number + 2, "sql": "SELECT name FROM settings WHERE id = 1"}) + "\n"
        for number in range(8)
    )
    assert "same query again" not in inspect(tmp_path, same).stdout
    assert "same query again" in inspect(tmp_path, same, "--others").stdout
    assert json.loads(inspect(tmp_path, same, "--others", "--json").stdout)["others"][0]["kind"] == "duplicate_query"


def test_bad_files_are_told_in_a_sentence(tmp_path: Path) -> None:
    for text, said in (
        ("", "is empty"),
        ("root:x:0:0:root\n", "no format that is read here"),
        ('{"sql": "SELECT 1"}\n', "line 1"),
        ("a\0b" * 100, "is binary"),
    ):
        ran = inspect(tmp_path, text)
        assert (ran.code, ran.stdout) == (2, "")
        assert said in ran.stderr
        assert "Traceback" not in ran.stderr
        assert len(ran.stderr.strip().splitlines()) == 1


def test_a_path_that_names_no_file_is_a_wrong_word(tmp_path: Path) -> None:
    """Not the exit code of something that failed: a pipeline that lost its trace has to see that it has."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    for path, said in (
        ("missing.json", "there is no file missing.json; name a log of a server, a recorded trace, or - for stdin"),
        ("file/missing.json", "there is no file file/missing.json"),
        (".", ". is a directory; name one of the files in it"),
        ("loop", "loop names no file: Too many levels of symbolic links"),
        ("x" * 300, "names no file: File name too long"),
    ):
        for words in ((), ("--fail-on", "finding")):
            ran = run("queries", "inspect", path, *words, cwd=tmp_path)
            assert (ran.code, ran.stdout) == (2, ""), (path, ran)
            assert said in ran.stderr
            assert len(ran.stderr.strip().splitlines()) == 1


def test_what_statements_say_is_shown_as_text(tmp_path: Path) -> None:
    hostile = trace(6).replace("orders.note", "'\\u001b[31m[bold]x[/bold]' AS note").replace("quantity", "q\\u202e")
    ran = inspect(tmp_path, hostile)
    assert ran.code == 0
    assert "\x1b" not in ran.stdout
    assert "\u202e" not in ran.stdout


def test_names_come_from_the_models(tmp_path: Path) -> None:
    (tmp_path / "shop_models.py").write_text(
        "from sqlalchemy import ForeignKey\n"
        "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship\n"
        "class Base(DeclarativeBase): pass\n"
        "class Line(Base):\n"
        "    __tablename__ = 'order_lines'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    order_id: Mapped[int] = mapped_column(ForeignKey('orders.id'))\n"
        "class Purchase(Base):\n"
        "    __tablename__ = 'orders'\n"
        "    id: Mapped[int] = mapped_column(primary_key=True)\n"
        "    positions: Mapped[list[Line]] = relationship()\n"
    )
    (finding,) = json.loads(inspect(tmp_path, trace(12), "--models", "shop_models:Base", "--json").stdout)["findings"]
    assert finding["relationship"] == "Purchase.positions"
    assert "selectinload(Purchase.positions)" in finding["suggestion"]
    assert finding["cure"]["is_guess"] is False
    ran = inspect(tmp_path, trace(12), "--models", "nowhere:Base")
    assert ran.code == 2
    assert "nowhere" in ran.sentence
