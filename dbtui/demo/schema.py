"""The demo's SQL scripts: what is run before the tables are filled, and what after."""

from importlib.resources import files

AFTER_ROWS = "\n-- after the rows\n"


def read_schema(name: str) -> tuple[str, str]:
    """The two halves of the script `name`.sql; the second is empty when it has no such line."""
    before, _, after = files("dbtui.demo").joinpath(f"{name}.sql").read_text(encoding="utf-8").partition(AFTER_ROWS)
    return before, after
