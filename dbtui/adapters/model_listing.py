"""Lists the relationships of an application's mapped classes as JSON, in a process of its own.

Run by path, with the interpreter that has the application: it imports nothing of this package, and works with
SQLAlchemy 1.4 and later. Arguments: where to import from, `package:Base`, the descriptor to write to.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any


class Refused(Exception):
    """What was named cannot be listed: one sentence, and what to do."""


def list_relations(name: str) -> list[dict[str, Any]]:
    """Return the relationships and deferred columns of the classes behind `package:Base`."""
    module_name, _, attribute = name.partition(":")
    module = _import(module_name)
    if attribute:
        found = module
        for part in attribute.split("."):
            if not hasattr(found, part):
                raise Refused(f"module {module_name} has no attribute {attribute}", "name the declarative base in it")
            found = getattr(found, part)
        registries = _registries_of(found)
        if not registries:
            raise Refused(
                f"{name} is no declarative base", "name a class that derives from DeclarativeBase, or a registry"
            )
    else:
        registries = [each for value in list(vars(module).values()) for each in _registries_of(value)]
        if not registries:
            raise Refused(f"module {module_name} has no declarative base", "name it: package.module:Base")
    return _list_all(name, registries)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(missing + "."):
            raise Refused(f"there is no module {missing}", f"looked in {sys.path[0]} and in {sys.prefix}") from error
        hint = "run dbtui where the application is installed, or set VIRTUAL_ENV to its environment"
        raise Refused(f"importing {name} needs module {missing}, which is not in {sys.prefix}", hint) from error


def _registries_of(value: Any) -> list[Any]:
    """A registry itself, a declarative base or mapped class, or what has such a base (`db.Model`)."""
    found = []
    for each in (value, getattr(value, "registry", None), getattr(value, "_sa_registry", None)):
        if type(each).__module__.startswith("sqlalchemy.orm") and type(each).__name__ == "registry":
            found.append(each)
    model = getattr(value, "Model", None)
    if not found and isinstance(model, type):
        found += _registries_of(model)
    return found


def _list_all(name: str, registries: list[Any]) -> list[dict[str, Any]]:
    from sqlalchemy.exc import SQLAlchemyError

    mappers = {}
    try:
        for registry in registries:
            registry.configure(cascade=True)
            mappers.update(dict.fromkeys(registry.mappers))
    except SQLAlchemyError as error:
        raise Refused(
            f"the classes of {name} cannot be mapped: {_first_line(error)}", "import them together"
        ) from error
    if not mappers:
        raise Refused(f"{name} has no mapped classes", "name a module that imports those with the classes")
    listed = []
    for mapper in sorted(mappers, key=lambda each: each.class_.__name__):
        listed += [_list_relation(mapper, each) for each in mapper.relationships if each.parent is mapper]
        listed += [_list_column(mapper, each) for each in mapper.column_attrs if _is_deferred(mapper, each)]
    return listed


def _list_relation(mapper: Any, relation: Any) -> dict[str, Any]:
    is_secondary = relation.secondary is not None
    pairs = relation.local_remote_pairs
    remote = [pair[1] for pair in pairs]
    if is_secondary:
        remote = [column for column in remote if column.table is relation.secondary]
        remote = [pair[1] for pair in relation.synchronize_pairs] or remote
    is_to_one = relation.direction.name == "MANYTOONE"
    return {
        "owner": mapper.class_.__name__,
        "name": relation.key,
        "target": relation.mapper.class_.__name__,
        "owner_table": _table_of(mapper),
        "target_table": _table_of(relation.mapper),
        "columns": list(dict.fromkeys(column.name for column in remote)),
        "is_collection": bool(relation.uselist),
        "is_required": is_to_one and all(pair[0].nullable is False for pair in pairs),
        "secondary": str(getattr(relation.secondary, "fullname", "") or "") if is_secondary else "",
        "is_loadable": relation.lazy not in ("dynamic", "write_only", "noload"),
    }


def _list_column(mapper: Any, attribute: Any) -> dict[str, Any]:
    return {
        "owner": mapper.class_.__name__,
        "name": attribute.key,
        "target": "",
        "owner_table": _table_of(mapper),
        "target_table": "",
        "columns": [attribute.columns[0].name],
        "is_collection": False,
    }


def _is_deferred(mapper: Any, attribute: Any) -> bool:
    return attribute.parent is mapper and attribute.deferred and hasattr(attribute.columns[0], "table")


def _table_of(mapper: Any) -> str:
    return str(getattr(mapper.local_table, "fullname", "") or "")


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"


def _where(error: BaseException) -> str:
    """The last line of the application's own code that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("<") and "site-packages" not in frame.filename]
    own = [frame for frame in own if frame.filename != __file__]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def main(arguments: list[str]) -> None:
    """Write the list, or why there is none, and end at once: what was imported may have started threads."""
    folder, name, descriptor = arguments
    sys.path[0] = folder
    sys.argv = [name]
    said: dict[str, Any]
    try:
        said = {"relations": list_relations(name)}
    except Refused as refused:
        said = {"error": refused.args[0], "hint": refused.args[1]}
    except BaseException as error:  # SystemExit too: some modules end the process when they are imported
        said = {"error": f"importing {name} failed: {_first_line(error)}{_where(error)}", "hint": ""}
    with os.fdopen(int(descriptor), "w", encoding="utf-8") as stream:
        stream.write(json.dumps(said) + "\n")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
