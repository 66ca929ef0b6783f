"""Relationships are read from an application's models, in a process that cannot harm this one."""

import os
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from dbtui.adapters.mapped_models import read_mapped_relations
from dbtui.errors import ToolError, UsageError
from dbtui.model.queries import MappedRelation
from tests.fix_servers import processes_in

ROOT = Path(__file__).parents[2]
BASE = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, registry, declarative_base

class Base(DeclarativeBase):
    pass

class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    orders: Mapped[list["Order"]] = relationship(back_populates="user")

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_no: Mapped[int] = mapped_column(ForeignKey("users.id"))
    user: Mapped[User] = relationship(back_populates="orders")
"""
ORDERS = MappedRelation("User", "orders", "Order", "users", "orders", ("user_no",), is_collection=True)
USER = MappedRelation("Order", "user", "User", "orders", "users", ("id",), is_collection=False, is_required=True)


def write(folder: Path, text: str, name: str = "shop") -> Path:
    (folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")
    return folder


def by_name(found: tuple[MappedRelation, ...]) -> dict[str, MappedRelation]:
    return {f"{each.owner}.{each.name}": each for each in found}


def test_every_kind_of_relationship_is_read() -> None:
    found = by_name(read_mapped_relations("tests.orm_models:Base", ROOT))
    assert found["Post.comments"] == MappedRelation(
        "Post", "comments", "Comment", "post", "comment", ("post_id",), True
    )
    assert found["Post.author"] == MappedRelation("Post", "author", "Author", "post", "author", ("id",), False, True)
    assert not found["Post.editor"].is_required
    assert found["Post.tags"] == MappedRelation(
        "Post", "tags", "Tag", "post", "tag", ("post_id",), True, secondary="post_tag"
    )
    assert found["Tag.posts"].columns == ("tag_id",)
    assert (found["Author.profile"].is_collection, found["Author.profile"].columns) == (False, ("author_id",))
    assert (found["Node.parent"].columns, found["Node.parent"].is_collection) == (("id",), False)
    assert (found["Node.children"].columns, found["Node.children"].is_collection) == (("parent_id",), True)
    assert found["Author.bio"] == MappedRelation("Author", "bio", "", "author", "", ("bio",), False)
    assert not found["Author.messages"].is_loadable
    assert not found["Author.events"].is_loadable
    assert "Manager.company" not in found  # its base class has it
    assert found["Manager.reports"].owner_table == "manager"


@pytest.mark.parametrize("name", ["shop:Base", "shop", "shop:Base.registry", "shop:User"])
def test_a_base_may_be_named_in_several_ways(tmp_path: Path, name: str) -> None:
    assert read_mapped_relations(name, write(tmp_path, BASE)) == (USER, ORDERS)


def test_all_bases_of_a_module_and_older_ways_to_make_them(tmp_path: Path) -> None:
    text = (
        BASE
        + """
Old = declarative_base()
mapper_registry = registry()

class Item(Old):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    parts: Mapped[list["Item"]] = relationship()

@mapper_registry.mapped
class Box:
    __tablename__ = "boxes"
    id: Mapped[int] = mapped_column(primary_key=True)
    lid: Mapped[str] = mapped_column(deferred=True)

class Db:
    Model = Base

db = Db()
"""
    )
    write(tmp_path, text)
    assert set(by_name(read_mapped_relations("shop", tmp_path))) == {
        "User.orders", "Order.user", "Item.parts", "Box.lid",
    }  # fmt: skip
    assert set(by_name(read_mapped_relations("shop:Old", tmp_path))) == {"Item.parts"}
    assert set(by_name(read_mapped_relations("shop:mapper_registry", tmp_path))) == {"Box.lid"}
    assert set(by_name(read_mapped_relations("shop:db", tmp_path))) == {"User.orders", "Order.user"}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("gone:Base", "", "there is no module gone; looked in"),
        ("shop.gone:Base", "", "there is no module shop.gone"),
        ("shop:Base", "import flask_of_tomorrow", "importing shop needs module flask_of_tomorrow"),
        ("shop:Bass", BASE, "module shop has no attribute Bass; name the declarative base"),
        ("shop:Base", "Base = 3", "shop:Base is no declarative base"),
        ("shop", "x = 1", "module shop has no declarative base"),
        ("shop:Base", BASE.split("class User")[0], "shop:Base has no mapped classes"),
        ("shop:Base", BASE.replace('list["Order"]', 'list["Odrer"]'), "classes of shop:Base cannot be mapped"),
        ("shop:Base", "x = {}['no']", r"importing shop:Base failed: KeyError: 'no' \(.*shop.py, line 1\)"),
        ("shop:Base", "import sys; sys.exit(3)", "importing shop:Base failed: SystemExit: 3"),
        ("shop:Base", "raise ValueError('postgresql://me:hunter2@db/x')", r"postgresql://me:\*\*\*@db/x"),
        ("shop:Base", "def broken(:", "SyntaxError"),
        ("--help", "", "--help names no models; name the declarative base of the models as package.module:Base"),
        ("shop:Base; import os", "", "names no models"),
        ("", "", "names no models"),
        ("shop:", "", "names no models"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as refused:
        read_mapped_relations(name, write(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_module_that_never_ends_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"took longer than 0\.5 s, and was ended"):
        read_mapped_relations("shop:Base", write(tmp_path, "import time\ntime.sleep(60)"), 0.5)
    assert time.monotonic() - began < 15
    assert processes_in(tmp_path) == []


def test_a_module_that_ends_the_interpreter_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"importing shop: python.* exited with 7"):
        read_mapped_relations("shop:Base", write(tmp_path, "import os\nos._exit(7)"))


def test_what_a_module_prints_or_starts_is_no_hindrance(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = 'import sys, threading, time\nprint("{}")\nprint("loud", file=sys.stderr)\nassert sys.stdin.read() == ""\n'
    text += "threading.Thread(target=time.sleep, args=(60,)).start()\n" + BASE
    began = time.monotonic()
    assert read_mapped_relations("shop:Base", write(tmp_path, text)) == (USER, ORDERS)
    assert time.monotonic() - began < 20
    assert capfd.readouterr() == ("", "")


def test_a_module_may_be_called_as_one_of_ours(tmp_path: Path) -> None:
    """The folder of the listing program is not where modules are looked for."""
    assert read_mapped_relations("queries:Base", write(tmp_path, BASE, "queries")) == (USER, ORDERS)
    with pytest.raises(UsageError, match="there is no module model_listing"):
        read_mapped_relations("model_listing", tmp_path)


def test_the_environment_is_the_application_s_without_our_own(tmp_path: Path) -> None:
    text = "import os\nassert os.environ['SHOP'] == '1'\nassert not [n for n in os.environ if n.startswith('DBTUI')]\n"
    environ = {**os.environ, "SHOP": "1", "DBTUI_PASSWORD": "secret"}
    assert read_mapped_relations("shop:Base", write(tmp_path, text + BASE), environ=environ) == (USER, ORDERS)


def test_an_active_environment_s_interpreter_imports(tmp_path: Path) -> None:
    """As in a virtual environment of the application, which has modules that ours has not."""
    theirs = tmp_path / "venv" / "bin" / "python"
    theirs.parent.mkdir(parents=True)
    theirs.write_text(f'#!/bin/sh\nSHOP_PYTHON=theirs exec "{sys.executable}" "$@"\n', encoding="utf-8")
    theirs.chmod(0o755)
    text = "import os\nassert os.environ.get('SHOP_PYTHON') == 'theirs'\n" + BASE
    environ = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "venv")}
    assert read_mapped_relations("shop:Base", write(tmp_path, text), environ=environ) == (USER, ORDERS)
    broken = tmp_path / "no-venv"
    with pytest.raises(UsageError, match="AssertionError"):
        read_mapped_relations("shop:Base", tmp_path, environ={**os.environ, "VIRTUAL_ENV": str(broken)})


def test_the_listing_program_needs_nothing_of_ours() -> None:
    program = ROOT / "dbtui" / "adapters" / "model_listing.py"
    ours = "[name for name in sys.modules if name.split('.')[0] == 'dbtui']"
    code = f"import runpy, sys; runpy.run_path({str(program)!r}); print({ours})"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
