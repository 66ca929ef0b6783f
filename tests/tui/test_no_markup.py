"""No part of the terminal UI uses what would parse text as markup."""

import re
from pathlib import Path

import pytest

import dbtui.tui

FILES = sorted(Path(dbtui.tui.__file__).parent.rglob("*.py"))
#: Each of these parses strings as markup in Textual 8.2 unless told otherwise; `dbtui.tui.cells` needs none of them.
PARSERS = re.compile(
    r"\b(Static|Label|Button|OptionList|Tabs?|Select|Collapsible|RadioButton|DataTable|Tree|RichLog|Markdown|Content)\b\("
    r"|\.notify\(|border_(sub)?title|from_markup|\.tooltip\b"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_parses_markup(path: Path) -> None:
    """A server's names are drawn by widgets that know no markup."""
    assert PARSERS.findall(path.read_text()) == []
