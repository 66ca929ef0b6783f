"""How different libraries write the same statements: for labelled cases in the dialects that servers see."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dbtui.model.queries import StatementEvent

Step = tuple[str, tuple[object, ...]]


@dataclass(frozen=True)
class Dialect:
    """Ways to write. `bind`: how the n-th value stands in a text, None when the value itself does.

    `tells`: whether the values that a text hides are known otherwise. `quote`: a name's quotes.
    """

    name: str
    quote: str = ""
    bind: Callable[[int], str] | None = None
    tells: bool = False
    is_value_first: bool = False
    one: str = ""  # how a look-up of one row ends
    has_star: bool = False
    has_boundaries: bool = True

    def name_of(self, *parts: str) -> str:
        """A name, qualified."""
        return ".".join(f"{self.quote}{part}{self.quote}" for part in parts)

    def columns(self, table: str) -> str:
        """The list of what is returned."""
        if self.has_star:
            return f"{self.name_of(table)}.*"
        return ", ".join(self.name_of(table, column) for column in COLUMNS[table])

    def write(self, text: str, *values: object) -> Step:
        """Put values, or their markers, in the place of `{}`."""
        if self.bind is None:
            return text.format(*(_literal(value) for value in values)), ()
        return text.format(*(self.bind(order + 1) for order in range(len(values)))), values if self.tells else ()

    def rows(self, table: str, limit: int | None = 10) -> Step:
        """A list."""
        text = f"SELECT {self.columns(table)} FROM {self.name_of(table)} ORDER BY {self.name_of(table, 'id')}"
        return self.write(text + " LIMIT {}", limit) if limit else (text, ())

    def by_id(self, table: str, value: object, ending: str | None = None) -> Step:
        """One row by its key."""
        text = f"SELECT {self.columns(table)} FROM {self.name_of(table)} WHERE {self.name_of(table, 'id')} = {{}}"
        return self.write(text + (self.one if ending is None else ending), value)

    def of(self, table: str, column: str, value: object, extra: str = "") -> Step:
        """The rows of an owner."""
        name = self.name_of(table, column)
        condition = f"{{}} = {name}" if self.is_value_first else f"{name} = {{}}"
        return self.write(f"SELECT {self.columns(table)} FROM {self.name_of(table)} WHERE {condition}{extra}", value)

    def by_name(self, table: str, column: str, value: object) -> Step:
        """One row by what it is called."""
        head = f"SELECT {self.columns(table)} FROM {self.name_of(table)}"
        return self.write(f"{head} WHERE {self.name_of(table, column)} = {{}} LIMIT 1", value)

    def through(self, table: str, link: str, value: object, owner: str) -> Step:
        """The rows on the other side of a link table."""
        key, far = self.name_of(link, f"{owner}_id"), self.name_of(link, f"{table}_id")
        head = f"SELECT {self.columns(table)} FROM "
        if self.is_value_first:
            both = f"{self.name_of(table)}, {self.name_of(link)}"
            text = f"{both} WHERE {{}} = {key} AND {self.name_of(table, 'id')} = {far}"
        else:
            join = f"INNER JOIN {self.name_of(link)} ON {self.name_of(table, 'id')} = {far}"
            text = f"{self.name_of(table)} {join} WHERE {key} = {{}}"
        return self.write(head + text, value)

    def count(self, table: str, column: str, value: object) -> Step:
        """How many rows an owner has."""
        return self.write(
            f"SELECT COUNT(*) FROM {self.name_of(table)} WHERE {self.name_of(table, column)} = {{}}", value
        )

    def many(self, table: str, column: str, values: list[int]) -> Step:
        """The rows of several owners."""
        places = ", ".join("{}" for _ in values)
        text = (
            f"SELECT {self.columns(table)} FROM {self.name_of(table)} WHERE {self.name_of(table, column)} IN ({places})"
        )
        return self.write(text, *values)

    def insert(self, table: str, value: object) -> Step:
        """A new row."""
        return self.write(f"INSERT INTO {self.name_of(table)} ({self.name_of('title')}) VALUES ({{}})", value)

    def update(self, table: str, value: object) -> Step:
        """A changed row."""
        text = (
            f"UPDATE {self.name_of(table)} SET {self.name_of('title')} = {{}} WHERE {self.name_of(table, 'id')} = {{}}"
        )
        return self.write(text, f"t{value}", value)


#: Blogs have posts, posts have comments and tags and an author, authors have a profile.
COLUMNS = {
    "post": ("id", "title", "author_id", "parent_id"),
    "comment": ("id", "body", "post_id", "author_id"),
    "author": ("id", "name"),
    "profile": ("id", "author_id", "bio"),
    "tag": ("id", "label"),
    "setting": ("id", "name", "value"),
}


def _literal(value: object) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


DIALECTS = (
    Dialect("sqlalchemy", is_value_first=True),
    Dialect("sqlalchemy, bound", bind=lambda _: "%(pk_1)s", is_value_first=True),
    Dialect("django", quote='"', one=" LIMIT 21"),
    Dialect("django, hidden", quote='"', bind=lambda _: "%s", one=" LIMIT 21"),
    Dialect("rails", quote='"', one=" LIMIT 1", has_star=True),
    Dialect("rails, bound", quote='"', bind=lambda n: f"${n}", tells=True, one=" LIMIT 1", has_star=True),
    Dialect("rails on mysql", quote="`", one=" LIMIT 1", has_star=True),
    Dialect("hibernate", bind=lambda _: "?", has_boundaries=False),
    Dialect("named", bind=lambda n: f"@__p_{n}", one=" LIMIT 1"),
    Dialect("raw"),
)


@dataclass
class Tape:
    """Collects statements as a server would see them. Each takes half a millisecond, and as long to come."""

    session: str = "s1"
    ts: float = 1_795_359_501.25
    events: list[StatementEvent] = field(default_factory=list)

    def run(self, *steps: Step | str, rows: int | None = None, scope: str = "", session: str = "") -> None:
        """Run statements."""
        for step in steps:
            sql, params = (step, ()) if isinstance(step, str) else step
            self.ts += 0.001
            self.events.append(
                StatementEvent(
                    session or self.session, len(self.events) + 1, sql, self.ts, 0.5, rows, params or None, scope=scope
                )
            )

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.ts += seconds
