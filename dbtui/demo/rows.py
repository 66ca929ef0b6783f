"""The rows of the demo: plausible, varied, and the same for the same seed and clock."""

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbtui.demo import words

Row = tuple[object, ...]
SEED = 19_700_101

ORGANISATIONS = 40
USERS = 4_000
ITEMS = 6_000
ORDERS = 12_000
AUDIT_LOGS = 45_000
MONTHS_BACK = 14
MONTHS_AHEAD = 2
MISSING_MONTH = 5  # months back; nobody made that partition in time

CUSTOMERS = 3_000
PRODUCTS = 1_500
SHOP_ORDERS = 8_000

DEVICES = 60
READINGS = 15_000


@dataclass(frozen=True)
class Table:
    """A table's name, its columns, and its rows in that order."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Month:
    """A calendar month, half open."""

    begin: datetime
    end: datetime

    @property
    def suffix(self) -> str:
        """As in the name of a partition: y2026m03."""
        return f"y{self.begin:%Y}m{self.begin:%m}"


def months_around(now: datetime) -> list[Month]:
    """The months that audit_logs has partitions for, oldest first; one is missing."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begins = [_add_months(first, offset) for offset in range(-MONTHS_BACK, MONTHS_AHEAD + 2)]
    months = [Month(begin, end) for begin, end in itertools.pairwise(begins)]
    return [month for index, month in enumerate(months) if index != MONTHS_BACK - MISSING_MONTH]


def generate_erp(now: datetime, scale: float = 1.0) -> list[Table]:
    """The tables of the ERP in the order in which they can be filled; `scale` multiplies their rows."""
    chance = random.Random(SEED)
    users, items, orders = (max(10, int(count * scale)) for count in (USERS, ITEMS, ORDERS))
    return [
        _organisations(chance, now),
        _roles(),
        _users(chance, now, users),
        _user_roles(chance, now, users),
        _inventory_items(chance, now, items),
        _orders(chance, now, orders, users),
        _order_lines(chance, orders, items),
        _audit_logs(chance, now, max(10, int(AUDIT_LOGS * scale)), users),
    ]


def generate_shop(now: datetime, scale: float = 1.0) -> list[Table]:
    """The tables of the shop in the order in which they can be filled."""
    chance = random.Random(SEED + 1)
    customers, products, orders = (max(10, int(count * scale)) for count in (CUSTOMERS, PRODUCTS, SHOP_ORDERS))
    people = [_person(chance, number) for number in range(1, customers + 1)]
    lines = _order_lines(chance, orders, products).rows
    return [
        Table(
            "customers",
            ("id", "email", "full_name", "country", "created_at"),
            [
                (number, email, name, chance.choice(words.COUNTRIES), _ago(chance, now, 900).replace(tzinfo=None))
                for number, (name, email) in enumerate(people, 1)
            ],
        ),
        Table(
            "products",
            ("id", "sku", "name", "attributes", "stock", "price"),
            [
                (number, _sku(number), _item_name(chance), _attributes(chance), chance.randrange(900), _price(chance))
                for number in range(1, products + 1)
            ],
        ),
        Table(
            "orders",
            ("id", "customer_id", "status", "note", "ordered_at"),
            [
                (
                    number,
                    chance.randint(1, customers),
                    chance.choice(("basket", "paid", "shipped", "shipped", "shipped", "returned")),
                    _note(chance),
                    _ago(chance, now, 700).replace(tzinfo=None),
                )
                for number in range(1, orders + 1)
            ],
        ),
        Table("order_lines", ("order_id", "line_number", "product_id", "quantity", "price"), lines),
    ]


def generate_app(now: datetime, scale: float = 1.0) -> list[Table]:
    """The tables of the small application in the order in which they can be filled."""
    chance = random.Random(SEED + 2)
    begin = now.replace(minute=0, second=0, microsecond=0, tzinfo=None)
    devices = [
        (number, f"sensor-{number:03}", chance.choice(words.CITIES), f"{begin - timedelta(days=number * 7):%Y-%m-%d}")
        for number in range(1, DEVICES + 1)
    ]
    hours = max(2, int(READINGS * scale)) // DEVICES
    readings: list[Row] = [
        (number, f"{begin - timedelta(hours=hour):%Y-%m-%d %H:%M}", *_weather(chance))
        for number in range(1, DEVICES + 1)
        for hour in range(hours, 0, -1)
    ]
    return [
        Table("devices", ("id", "name", "city", "installed_at"), devices),
        Table("readings", ("device_id", "taken_at", "celsius", "humidity"), readings),
    ]


def _organisations(chance: random.Random, now: datetime) -> Table:
    rows: list[Row] = []
    for number in range(1, ORGANISATIONS + 1):
        name = f"{words.SURNAMES[number % len(words.SURNAMES)]} {chance.choice(words.BUSINESSES)}"
        country = chance.choice(words.COUNTRIES)
        settings = json.dumps({"currency": chance.choice(("EUR", "GBP", "CHF")), "net_days": chance.choice((14, 30))})
        vat = f"{country}{chance.randrange(10**8, 10**9)}" if chance.random() < 0.9 else None
        rows.append((number, name, country, vat, settings, _ago(chance, now, 2500)))
    return Table("organisations", ("id", "name", "country", "vat_number", "settings", "created_at"), rows)


def _roles() -> Table:
    return Table(
        "roles",
        ("id", "name", "description"),
        [(number, name, text) for number, (name, text) in enumerate(words.ROLES.items(), 1)],
    )


def _users(chance: random.Random, now: datetime, count: int) -> Table:
    rows: list[Row] = []
    for number in range(1, count + 1):
        name, email = _person(chance, number)
        active = chance.random() < 0.93
        seen = _ago(chance, now, 60) if active and chance.random() < 0.9 else None
        rows.append((number, _skewed(chance, ORGANISATIONS), email, name, active, seen, _ago(chance, now, 1800)))
    columns = ("id", "organisation_id", "email", "full_name", "is_active", "last_login_at", "created_at")
    return Table("users", columns, rows)


def _user_roles(chance: random.Random, now: datetime, users: int) -> Table:
    rows: list[Row] = []
    for number in range(1, users + 1):
        for role in sorted(chance.sample(range(1, len(words.ROLES) + 1), chance.choice((1, 1, 2, 3)))):
            rows.append((number, role, _ago(chance, now, 1000)))
    return Table("user_roles", ("user_id", "role_id", "granted_at"), rows)


def _inventory_items(chance: random.Random, now: datetime, count: int) -> Table:
    rows: list[Row] = [
        (
            number,
            _skewed(chance, ORGANISATIONS),
            _sku(number),
            _item_name(chance),
            _attributes(chance),
            chance.randrange(2_000),
            _price(chance),
            _ago(chance, now, 400),
        )
        for number in range(1, count + 1)
    ]
    columns = ("id", "organisation_id", "sku", "name", "attributes", "quantity", "unit_price", "updated_at")
    return Table("inventory_items", columns, rows)


def _orders(chance: random.Random, now: datetime, count: int, users: int) -> Table:
    states = ("draft", "confirmed", "shipped", "invoiced", "cancelled")
    rows: list[Row] = [
        (
            number,
            _skewed(chance, ORGANISATIONS),
            chance.randint(1, users),
            chance.choices(states, (5, 8, 12, 70, 5))[0],
            _note(chance),
            _ago(chance, now, 700),
        )
        for number in range(1, count + 1)
    ]
    return Table("orders", ("id", "organisation_id", "user_id", "status", "note", "ordered_at"), rows)


def _order_lines(chance: random.Random, orders: int, items: int) -> Table:
    rows: list[Row] = [
        (order, line, _skewed(chance, items), chance.choice((1, 1, 1, 2, 3, 5, 10, 24)), _price(chance))
        for order in range(1, orders + 1)
        for line in range(1, chance.choice((1, 1, 2, 2, 3, 4, 6)) + 1)
    ]
    return Table("order_lines", ("order_id", "line_number", "item_id", "quantity", "unit_price"), rows)


def _audit_logs(chance: random.Random, now: datetime, count: int, users: int) -> Table:
    months = [month for month in months_around(now) if month.begin <= now]
    growing = range(10, 10 + len(months))
    rows: list[Row] = []
    for number in range(1, count + 1):
        month = chance.choices(months, growing)[0]
        latest = min(month.end - timedelta(seconds=1), now)
        moment = month.begin + (latest - month.begin) * chance.random()
        action, kind = chance.choice(words.ACTIONS)
        details = json.dumps({"via": chance.choice(("web", "api", "import")), "ms": chance.randrange(3, 900)})
        address = f"10.{chance.randrange(8)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
        user = chance.randint(1, users) if chance.random() < 0.95 else None
        organisation = _skewed(chance, ORGANISATIONS)
        rows.append((number, organisation, user, action, kind, chance.randrange(1, 50_000), address, details, moment))
    columns = ("id", "organisation_id", "user_id", "action", "object_type", "object_id", "client_address", "details")
    return Table("audit_logs", (*columns, "created_at"), rows)


def _person(chance: random.Random, number: int) -> tuple[str, str]:
    first, last = chance.choice(words.FORENAMES), chance.choice(words.SURNAMES)
    ascii_name = f"{first}.{last}".lower().translate(words.TO_ASCII)
    return f"{first} {last}", f"{ascii_name}{number}@example.{chance.choice(('com', 'org', 'net'))}"


def _item_name(chance: random.Random) -> str:
    return f"{chance.choice(words.MATERIALS)} {chance.choice(words.THINGS)} {chance.choice(words.SIZES)}"


def _attributes(chance: random.Random) -> str:
    attributes: dict[str, object] = {
        "colour": chance.choice(words.COLOURS),
        "weight_kg": chance.randrange(1, 9000) / 100,
    }
    if chance.random() < 0.3:
        attributes["supplier"] = f"{chance.choice(words.SURNAMES)} {chance.choice(words.BUSINESSES)}"
    return json.dumps(attributes, ensure_ascii=False)


def _note(chance: random.Random) -> str | None:
    return chance.choice(words.NOTES) if chance.random() < 0.2 else None


def _sku(number: int) -> str:
    return f"{'ABCDEFGHJK'[number % 10]}{number * 7919 % 100_000:05}-{number}"


def _price(chance: random.Random) -> str:
    return f"{chance.lognormvariate(3.0, 1.1) + 0.5:.2f}"


def _weather(chance: random.Random) -> tuple[float, float | None]:
    humidity = round(chance.uniform(20, 90), 1) if chance.random() < 0.97 else None
    return round(chance.gauss(18, 9), 1), humidity


def _skewed(chance: random.Random, count: int) -> int:
    """A number from 1 to `count`, small ones more often: some organisations are busier than others."""
    return 1 + int(count * chance.random() ** 1.7)


def _ago(chance: random.Random, now: datetime, days: int) -> datetime:
    return now - timedelta(seconds=int(chance.random() ** 1.5 * days * 86_400))


def _add_months(first: datetime, count: int) -> datetime:
    years, month = divmod(first.month - 1 + count, 12)
    return first.replace(year=first.year + years, month=month + 1)


def batches(rows: Sequence[Row], size: int = 5_000) -> Iterator[Sequence[Row]]:
    """The rows in pieces of at most `size`."""
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]
