"""What to write instead of an N+1: the relationship it loads, named, and the option or statement that loads it once.

Names come from the application's recorder, else from its models, else from foreign keys and the pattern on the wire;
the last are guesses and say so.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from dbtui.analysis.queries.frameworks import recognise_framework, write_for
from dbtui.analysis.queries.index_advice import advise_index
from dbtui.analysis.queries.python_names import stem_of
from dbtui.analysis.queries.relations import Names, Relation, find_relation, is_value_first, name_recorded
from dbtui.analysis.queries.remedies import Remedy, choose_remedy
from dbtui.analysis.queries.snippets import is_chained, write_guard, write_snippet
from dbtui.analysis.queries.table_keys import keys_of, lookups_of, read_table
from dbtui.model.queries import (
    Cure,
    CureKind,
    MappedRelation,
    PatternKind,
    QuerySchema,
    Repetition,
    Shape,
    ShapeKind,
)

_RECORDED = re.compile(r"\b[A-Za-z_]\w*\.[A-Za-z_]\w*")
_CURED = (PatternKind.N_PLUS_ONE, PatternKind.LOOKUP_LOOP)
_LISTED = (CureKind.IN_LIST, CureKind.GROUPED)
_GUESSED = "names are guessed from tables and keys"


def cure(
    repetition: Repetition, schema: QuerySchema | None = None, relations: Sequence[MappedRelation] = ()
) -> Cure | None:
    """Return what to write instead of a repetition; None when nothing is repeated that could be loaded at once.

    `relations`: of the application's models. A repetition of one value needs no loader: the answer is to be kept.
    """
    if repetition.kind is PatternKind.DUPLICATE:
        why = "the same rows are asked for again and again: ask once and keep the answer"
        return Cure(kind=CureKind.NONE, snippet="", why=why, is_guess=False, index_sql=_index(repetition, schema))
    names = Names(keys_of(schema), relations)
    if repetition.kind is PatternKind.WRITE_LOOP:
        return _cure_write_loop(repetition, names)
    if repetition.kind not in _CURED:
        return None
    remedies = _choose(repetition, names)
    if not remedies:
        return None
    return _write(repetition, remedies, _index(repetition, schema), is_named=bool(relations))


def format_suggestion(found: Cure | None) -> str:
    """Return a cure as one text: the code, that it is a guess, and the index that is missing."""
    if found is None:
        return ""
    parts = [" and ".join(found.snippet.splitlines()) or found.why]
    if found.snippet and found.is_guess:
        parts[0] += f" ({_GUESSED})"
    if found.index_sql:
        parts.append("; ".join(found.index_sql.splitlines()))
    return "; ".join(parts)


def _index(repetition: Repetition, schema: QuerySchema | None) -> str:
    return advise_index(repetition.children, schema)


def _cure_write_loop(repetition: Repetition, names: Names) -> Cure | None:
    found = [choose_remedy(names, repetition, child, ()) for child in repetition.children]
    lists = [remedy for remedy in found if remedy is not None and remedy.kind is CureKind.IN_LIST]
    if not lists:
        return None
    why = "each row is looked up before it is written: look up all of them before the loop"
    is_guess = any(remedy.is_guess for remedy in lists)
    return Cure(kind=CureKind.IN_LIST, snippet=write_snippet(lists), why=why, is_guess=is_guess)


# ---------------------------------------------------------------- remedies for all children


def _choose(repetition: Repetition, names: Names) -> list[Remedy]:
    """Return the remedies, the outermost first: those of parents that were loaded late, too, then each child's."""
    recorded = _RECORDED.findall(repetition.relationship)
    owners = list(repetition.parent.tables) if repetition.parent else []
    if repetition.parent is not None and (read := read_table(repetition.parent)):
        owners.insert(0, read)
    found = _choose_above(repetition, names, recorded)
    named = recorded[-len(repetition.children) :]
    for at, child in enumerate(repetition.children):
        if not child.relationship and not child.load:  # who recorded told the repetition alone
            alone = repetition.relationship if not recorded and at == 0 else ""
            told = named[at] if at < len(named) else alone
            child = replace(child, relationship=told, load=repetition.load)
        # More look-ups than the parent has rows are of what was loaded in between.
        is_below = child.repeats > repetition.children[0].repeats
        remedy = choose_remedy(names, repetition, child, owners[::-1] if is_below else owners)
        if remedy is not None:
            found.append(remedy)
        if child.shape.tables:
            owners.append(read_table(child.shape))
    by_meaning = {(remedy.kind, remedy.entity, _path(remedy), remedy.columns): remedy for remedy in found}
    return list(by_meaning.values())


def _choose_above(repetition: Repetition, names: Names, recorded: Sequence[str]) -> list[Remedy]:
    """The relationships that lead to the parent's rows: lazy loads had read them, or the recorder tells a path."""
    parent = repetition.parent
    path = recorded[: -len(repetition.children)] if len(recorded) > len(repetition.children) else []
    if parent is None:
        return []
    if path:
        told = [name_recorded(names, parent, each, ()) for each in path]
        return [_load(each) for each in told if each is not None]
    if named := _recorded_above(repetition, names):
        return named
    loads: list[Remedy] = []
    for shape, above in zip((parent, *repetition.above), (*repetition.above, None), strict=True):
        if shape.kind is not ShapeKind.LOOKUP or (above is None and not is_value_first(shape)):
            break
        tables = [read_table(above), *above.tables] if above is not None else _owners_of(shape)
        relation = find_relation(names, shape, tables, above)
        if relation is None:
            break
        loads.insert(0, _load(relation))
    return loads


def _recorded_above(repetition: Repetition, names: Names) -> list[Remedy]:
    """The relationships that the application's recorder named for the parent, and for what is above it."""
    loads: list[Remedy] = []
    target = repetition.children[0].relationship.partition(".")[0]
    for shape, name in zip((repetition.parent, *repetition.above), repetition.above_relationships, strict=False):
        relation = name_recorded(names, shape, name, ()) if shape is not None and "." in name else None
        if relation is None:
            break
        loads.insert(0, _load(replace(relation, target=target or relation.target)))
        target = relation.owner
    return loads


def _owners_of(shape: Shape) -> list[str]:
    return [owner for lookup in lookups_of(shape) if (owner := stem_of(lookup.column))]


def _load(relation: Relation) -> Remedy:
    kind = CureKind.SELECTIN if relation.is_collection else CureKind.JOINED
    return Remedy(kind, relation.owner, relation.owner_table, relation, because=relation.because,
                  is_guess=relation.is_guess)  # fmt: skip


def _path(remedy: Remedy) -> str:
    return remedy.relation.path if remedy.relation else ""


# ---------------------------------------------------------------- words


def _write(repetition: Repetition, remedies: Sequence[Remedy], index_sql: str, *, is_named: bool) -> Cure:
    samples = [sample for child in repetition.children for sample in child.samples[:1]]
    is_ours = repetition.relationship or is_named or any(is_value_first(child.shape) for child in repetition.children)
    framework = None if is_ours else recognise_framework(samples)
    if framework:  # both write the column first, so a look-up by foreign key is a relationship as well
        remedies = [_as_relationship(each) for each in remedies]
    foreign = write_for(framework, remedies) if framework else ""
    is_guess = any(remedy.is_guess for remedy in remedies)
    why = list(dict.fromkeys(remedy.because for remedy in remedies if remedy.because))
    others = list(
        dict.fromkeys(each for remedy in remedies if remedy.relation for each in remedy.relation.alternatives)
    )
    if others:
        why.append(f"it may be {' or '.join(others)} as well")
    if framework and foreign:
        why.append(f"the statements are written as {framework} writes them")
    if index_sql:
        why.append("the column that is looked up begins no index, which the one statement needs too")
    if is_guess:
        why.append(_GUESSED)
    loaded = [remedy for remedy in remedies if remedy.relation and remedy.kind not in _LISTED]
    main = loaded[0] if loaded else remedies[0]
    return Cure(
        kind=CureKind.CHAIN if is_chained(remedies) else main.kind,
        snippet=foreign or write_snippet(remedies),
        why="; ".join(why),
        guard="" if foreign else write_guard(remedies),
        relationship=", ".join(dict.fromkeys(_path(remedy) for remedy in loaded)),
        is_guess=is_guess,
        index_sql=index_sql,
    )


def _as_relationship(remedy: Remedy) -> Remedy:
    relation = remedy.relation
    if relation is None or not (remedy.kind is CureKind.IN_LIST or relation.is_collection):
        return remedy
    owner, table = relation.owner, relation.owner_table
    return replace(remedy, kind=CureKind.PREFETCH, entity=owner, table=table, columns=(), because=relation.because)
