"""Repetitions in words."""

from dbtui.analysis.query_words import shorten_keys, shorten_sql


def test_a_statement_is_shown_without_its_columns() -> None:
    sql = "SELECT orders.id, orders.note,\n  orders.at\nFROM orders \n WHERE orders.id = ?"
    assert shorten_sql(sql) == "SELECT … FROM orders WHERE orders.id = ?"
    assert shorten_sql("SELECT id FROM a") == "SELECT id FROM a"
    assert shorten_sql("select distinct a.x, a.yyyyyyyyyyyyyyy, a.z from a") == "select distinct … from a"
    assert shorten_sql("UPDATE a SET  b = ?") == "UPDATE a SET b = ?"


def test_keys_are_shown_as_far_as_they_differ() -> None:
    assert shorten_keys(["abcdefghijk", "zyxwvutsrqp"]) == {"abcdefghijk": "abcdefgh", "zyxwvutsrqp": "zyxwvuts"}
    shown = shorten_keys(["1234567890/1", "1234567890/2", "-99"])
    assert shown == {"1234567890/1": "1234567890/1", "1234567890/2": "1234567890/2", "-99": "-99"}
    assert shorten_keys([]) == {}
