"""Which relationship or column a statement loads for the ORM, and how, as its execution context tells.

The context of a cursor event has the very statement that the ORM built: with the path of the loader, and the object
that it is for. A `do_orm_execute` listener would be told the same, but it listens to every session of the process, has
each statement prepared twice, and is called before autoflush runs other statements. The names that are read here are
SQLAlchemy's own: a test compares each kind of load with what `do_orm_execute` tells.
"""

from typing import Any, NamedTuple

from sqlalchemy import Column
from sqlalchemy import inspect as inspect_orm
from sqlalchemy.orm import InstanceState, Mapper, RelationshipProperty


class OrmLoad(NamedTuple):
    """What a statement loads. `kind`: lazy, immediate, selectin, subquery, joined, column, refresh, ... .

    `name`: "Post.comments", of a refresh the class. `state`: the object that it is for, where there is one.
    """

    kind: str
    name: str
    relationships: tuple[RelationshipProperty[Any], ...] = ()
    state: InstanceState[Any] | None = None

    @property
    def session_id(self) -> int:
        """A number of the ORM's session, 0 when the statement does not tell it."""
        return (self.state.session_id or 0) if self.state is not None else 0

    @property
    def mapper(self) -> Mapper[Any] | None:
        """The class of the object, None where there is no object."""
        return self.state.mapper if self.state is not None else None

    @property
    def path(self) -> tuple[RelationshipProperty[Any], ...]:
        """The relationships from what the application selected to the one that is loaded, or to the object."""
        if len(self.relationships) > 1 or self.state is None:
            return self.relationships
        above = getattr(self.state, "load_path", None)
        return (*(_relationships_of(above) if above is not None else ()), *self.relationships)


#: Kinds that run one statement for each object; the others are their cures.
REPEATING_KINDS = frozenset({"lazy", "immediate", "dynamic", "column", "refresh", "polymorphic"})

_JOINED = OrmLoad("joined", "")
#: Makes a named tuple of a tuple, without the call of Python that its class makes.
_make = tuple.__new__


class LoadTraces(NamedTuple):
    """What a statement's context knows of a load, to be read later, perhaps by another thread."""

    options: Any
    load_options: Any
    compiled: Any
    loader: str


def collect_load(context: Any, loader: str, collection: Any) -> OrmLoad | LoadTraces | None:
    """Return what `read_load` needs. `loader`, `collection`: what the frames tell, see call_sites.Caller.

    What is only true while the statement runs is read at once: whether an object is expired.
    """
    options = getattr(context.invoked_statement, "_compile_options", None)
    if options is None:
        return None
    load_options = context.execution_options.get("_sa_orm_load_options")
    if getattr(options, "_for_refresh_state", False):
        return _read_refresh(options, load_options, loader)
    if loader == "dynamic":
        return _read_collection(collection)
    return _make(LoadTraces, (options, load_options, context.compiled, loader))


def read_load(traces: OrmLoad | LoadTraces | None) -> OrmLoad | None:
    """Return what a statement loads, None for one that the application wrote and that loads nothing besides."""
    if traces is None or isinstance(traces, OrmLoad):
        return traces
    path = getattr(traces.options, "_current_path", None)
    if path is not None and not path.is_root:
        return _read_relationship(path, traces.load_options, traces.loader)
    if getattr(getattr(traces.compiled, "compile_state", None), "eager_joins", None):
        return _JOINED
    return OrmLoad(traces.loader, "") if traces.loader == "selectin" else None


#: Names by path: SQLAlchemy keeps the paths, and has few.
_PATHS: dict[int, tuple[Any, str, tuple[RelationshipProperty[Any], ...]]] = {}
_MOST_PATHS = 2_000


def _read_relationship(path: Any, load_options: Any, loader: str) -> OrmLoad:
    known = _PATHS.get(id(path)) or _name_path(path)
    owner: InstanceState[Any] | None = getattr(load_options, "_lazy_loaded_from", None)
    if owner is None:
        return OrmLoad(loader if loader in ("selectin", "subquery") else "selectin", known[1], known[2])
    return OrmLoad("immediate" if loader == "immediate" else "lazy", known[1], known[2], owner)


def _name_path(path: Any) -> tuple[Any, str, tuple[RelationshipProperty[Any], ...]]:
    found = _relationships_of(path)
    if len(_PATHS) >= _MOST_PATHS:
        _PATHS.clear()
    made = _PATHS[id(path)] = (path, name_property(found[-1]) if found else "", found)
    return made


def _relationships_of(path: Any) -> tuple[RelationshipProperty[Any], ...]:
    return tuple(each for each in path.path if isinstance(each, RelationshipProperty))


def _read_refresh(options: Any, load_options: Any, loader: str) -> OrmLoad:
    state: InstanceState[Any] | None = getattr(load_options, "_refresh_state", None)
    if state is None:
        return OrmLoad("refresh", "")
    mapper = state.mapper
    names = sorted(getattr(options, "_only_load_props", None) or ())
    if names and loader == "column":
        return OrmLoad("column", name_property(mapper.attrs[names[0]]), (), state)
    if names and loader == "expired" and not state.expired and _is_of_subclass(mapper, names[0]):
        return OrmLoad("polymorphic", name_property(mapper.attrs[names[0]]), (), state)
    return OrmLoad("refresh", mapper.class_.__name__, (), state)


def _is_of_subclass(mapper: Mapper[Any], name: str) -> bool:
    """Whether a column stands in a table that a query for the base class does not read."""
    columns = getattr(mapper.attrs[name], "columns", ())
    column = columns[0] if columns else None
    return (
        mapper.inherits is not None
        and isinstance(column, Column)
        and column.table is not mapper.base_mapper.local_table
    )


def _read_collection(collection: Any) -> OrmLoad | None:
    """Return the load of a dynamic collection, which is a query of its own each time that it is read."""
    attribute, instance = getattr(collection, "attr", None), getattr(collection, "instance", None)
    if attribute is None or instance is None:
        return None
    state = inspect_orm(instance)
    found = state.mapper.relationships[attribute.key]
    return OrmLoad("dynamic", name_property(found), (found,), state)


def name_property(found: Any) -> str:
    """Return an attribute as it is written: `Post.comments`."""
    return f"{found.parent.class_.__name__}.{found.key}"
