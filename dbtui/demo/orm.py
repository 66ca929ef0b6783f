"""The ERP's orders as mapped classes, and one page over them: with a query for each row, and cured."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

_PAGE = 20


class Base(DeclarativeBase):
    """What the ERP's classes have in common: `dbtui queries inspect FILE --models dbtui.demo.orm:Base`."""


class User(Base):
    """Somebody who orders."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str]


class Item(Base):
    """What is in stock."""

    __tablename__ = "inventory_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class OrderLine(Base):
    """One item of an order."""

    __tablename__ = "order_lines"
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    line_number: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("inventory_items.id"))
    quantity: Mapped[int]
    unit_price: Mapped[Decimal]
    item: Mapped[Item] = relationship()


class Order(Base):
    """An order. Its lines and its user are loaded when they are first looked at: that is what goes wrong."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    ordered_at: Mapped[datetime]
    user: Mapped[User] = relationship()
    lines: Mapped[list[OrderLine]] = relationship(order_by=OrderLine.line_number)


def list_orders(engine: Engine, organisation: int, *, is_cured: bool) -> list[dict[str, Any]]:
    """Return the newest orders of an organisation with what is in them; cured, in as many queries as tables."""
    wanted = (
        select(Order)
        .where(Order.organisation_id == organisation)
        .order_by(Order.ordered_at.desc(), Order.id)
        .limit(_PAGE)
    )
    if is_cured:
        from dbtui.instrument.loaders import eager

        wanted = wanted.options(*eager(Order.user, Order.lines, (Order.lines, OrderLine.item)))
    with Session(engine) as session:
        return [_show(order) for order in session.scalars(wanted)]


def _show(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "by": order.user.full_name,
        "items": [line.item.name for line in order.lines],
        "total": float(sum((line.quantity * line.unit_price for line in order.lines), Decimal(0))),
    }
