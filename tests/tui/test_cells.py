"""Text on its way to the screen: safe, cut to its cell, broken at blanks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.tui.cells import Span, Tone, bar, cut, fit, line, plain_text, size_bar, spread, width_of, wrap

HOSTILE = [
    "a\x1b[31mred\x1b]0;title\x07",
    "\u202eevil\u202c",
    "line\nbreak\ttab\r",
    "[red]markup[/red] [/] [@click=app.quit]x[/]",
    "\x9b31m\x90q\x9c",
    "zero\u200bwidth\ufeff",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_span_holds_no_control_character(text: str) -> None:
    """Whatever a server calls a thing, the terminal gets printable characters."""
    assert all(character.isprintable() for character in Span(text).text)


def test_a_span_keeps_markup_as_it_is() -> None:
    """Brackets are text."""
    assert Span("[red]x[/]").text == "[red]x[/]"


def test_a_span_is_never_endless() -> None:
    """Ten thousand characters could not be seen anyway."""
    assert len(Span("x" * 10_000).text) <= 4000


@given(st.lists(st.text(max_size=30), max_size=4), st.integers(min_value=0, max_value=40))
def test_fit_gives_exactly_the_width(texts: list[str], width: int) -> None:
    """On either side, for any text, wide characters included."""
    drawn = line(*texts)
    assert width_of(fit(drawn, width)) == width
    assert width_of(fit(drawn, width, "right")) == width


@given(st.text(max_size=80), st.integers(min_value=8, max_value=30))
def test_wrap_loses_nothing_but_blanks(text: str, width: int) -> None:
    """Every line fits, and the words are all there."""
    lines = wrap(line(text), width)
    assert all(width_of(drawn) - _trailing(drawn) <= width for drawn in lines)
    assert "".join("".join(map(plain_text, lines)).split()) == "".join(Span(text).text.split())


def _trailing(drawn: tuple[Span, ...]) -> int:
    text = plain_text(drawn)
    return len(text) - len(text.rstrip())


def test_what_is_cut_says_so() -> None:
    """An identifier is never cut without a mark."""
    assert plain_text(cut(line("inventory", "_items"), 12)) == "inventory_i…"
    assert plain_text(cut(line("inventory", "_items"), 9)) == "inventor…"
    assert plain_text(cut(line("inventory"), 9)) == "inventory"


def test_wrap_indents_what_follows() -> None:
    """Labelled facts stay in their column."""
    lines = [plain_text(drawn) for drawn in wrap(line("undo    ", "ALTER DATABASE a RENAME TO b"), 23)]
    assert lines == ["undo    ALTER DATABASE ", "        a RENAME TO b"]


def test_spread_keeps_the_right_side() -> None:
    """The left gives way."""
    assert plain_text(spread(line("a long breadcrumb"), line("PROD"), 12)).endswith("PROD")


def test_bars() -> None:
    """Full, empty, and a sliver for anything above nothing."""
    assert plain_text(bar(0.5, 4)) == "██░░"
    assert size_bar(1, 3).text == "▇▇▇"
    assert size_bar(0.0001, 3).text == "▏"
    assert size_bar(0, 3).text == ""
    assert size_bar(1, 3).tone is Tone.ACCENT
