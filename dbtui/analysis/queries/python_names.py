"""What a mapped class and its attributes are probably called, guessed from the names of tables and columns."""

import keyword
import re

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W0-9_]+")
#: Plural -> singular, where no rule below finds it.
_IRREGULAR = {
    "people": "person", "children": "child", "men": "man", "women": "woman", "mice": "mouse", "feet": "foot",
    "teeth": "tooth", "geese": "goose", "oxen": "ox", "criteria": "criterion", "phenomena": "phenomenon",
    "indices": "index", "matrices": "matrix", "vertices": "vertex", "appendices": "appendix", "analyses": "analysis",
    "diagnoses": "diagnosis", "theses": "thesis", "hypotheses": "hypothesis", "synopses": "synopsis",
    "crises": "crisis", "axes": "axis", "bases": "base", "leaves": "leaf", "halves": "half", "shelves": "shelf",
    "knives": "knife", "lives": "life", "wives": "wife", "wolves": "wolf", "thieves": "thief", "loaves": "loaf",
    "selves": "self", "elves": "elf", "quizzes": "quiz", "movies": "movie", "cookies": "cookie", "ties": "tie",
    "pies": "pie", "zombies": "zombie", "selfies": "selfie", "calories": "calorie", "rookies": "rookie",
    "prairies": "prairie", "caches": "cache", "niches": "niche", "aches": "ache", "headaches": "headache",
    "shoes": "shoe", "toes": "toe", "canoes": "canoe", "buses": "bus", "gases": "gas", "viruses": "virus",
    "campuses": "campus", "bonuses": "bonus", "statuses": "status", "censuses": "census", "corpuses": "corpus",
    "aliases": "alias", "canvases": "canvas", "atlases": "atlas", "biases": "bias", "lenses": "lens",
    "alumni": "alumnus", "stimuli": "stimulus", "cacti": "cactus", "radii": "radius", "nuclei": "nucleus",
    "curricula": "curriculum", "addenda": "addendum", "errata": "erratum", "apices": "apex", "quotas": "quota",
}  # fmt: skip
_PLURALS = {one: many for many, one in _IRREGULAR.items()} | {"index": "indexes"}


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: The same for one and for many.
_COLLECTIVE = _split(
    "news series species data metadata media equipment information money staff sheep fish deer aircraft feedback "
    "software hardware settings"
)
#: Singulars that end as a plural does.
_UNCHANGED = _COLLECTIVE | _split(
    "status bus gas virus campus bonus census corpus alias canvas atlas bias lens address "
    "access process progress success business class pass mass boss loss cross press dress express stress witness "
    "basis analysis diagnosis thesis hypothesis synopsis crisis axis oasis emphasis genesis tennis chassis "
    "logistics statistics analytics mathematics physics economics https dns gps sms cms pos os us is this"
)
#: What the foreign key's column adds to the name of what it points to.
_KEY_ENDINGS = re.compile(r"_(?:id|uuid|guid|fk|pk|key|no|nr|ref)$")


def singular(word: str) -> str:
    """Return an English noun in the singular, in lower case; one that is no plural stays as it is."""
    word = word.lower()
    if word in _UNCHANGED:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "xes", "zzes", "oes")) or (word.endswith("ches") and len(word) > 5):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2:
        return word[:-1]
    return word


def plural(word: str) -> str:
    """Return an English noun in the plural, in lower case; one that is a plural already stays as it is."""
    word = word.lower()
    if word in _PLURALS:
        return _PLURALS[word]
    if word in _IRREGULAR or singular(word) != word:
        return word
    if word in _COLLECTIVE:
        return word
    if word.endswith("y") and not word.endswith(("ay", "ey", "iy", "oy", "uy")):
        return word[:-1] + "ies"
    if word.endswith("sis"):
        return word[:-2] + "es"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def bare_name(table: str) -> str:
    """Return a table's name without its schema and quotes."""
    return table.rpartition(".")[2].strip('"`[] ')


def is_same_table(one: str, other: str) -> bool:
    """Whether two names may mean one table: a schema counts only where both have one."""
    if bare_name(one).casefold() != bare_name(other).casefold():
        return False
    here, there = one.rpartition(".")[0], other.rpartition(".")[0]
    return not here or not there or bare_name(here).casefold() == bare_name(there).casefold()


def words_of(name: str) -> list[str]:
    """Return the words of a name, in lower case: `OrderLines`, `order_lines` and `ORDER_LINES` have the same two."""
    return [word.lower() for word in _WORDS.findall(bare_name(name))] or ["x"]


def class_name(table: str) -> str:
    """Return what the class of a table is probably called: `order_lines` is `OrderLine`."""
    words = words_of(table)
    words[-1] = singular(words[-1])
    return _identifier("".join(word[:1].upper() + word[1:] for word in words))


def column_name(column: str) -> str:
    """Return a column as an attribute of its class."""
    return _identifier(bare_name(column))


def collection_name(table: str, owner_table: str, columns: tuple[str, ...] = (), *, is_many: bool = True) -> str:
    """Return what the owner probably calls its rows of `table`: `lines` of an order, whose table is `order_lines`.

    `columns`: of the foreign key. Rows of the owner's own table are its children when the key says "parent".
    """
    words, owner = words_of(table), words_of(owner_table)
    owner[-1] = singular(owner[-1])
    stems = [stem_of(column) for column in columns]
    if words_of(class_name(table)) == words_of(class_name(owner_table)) and "parent" in stems:
        return "children"
    if len(words) > len(owner) and words[: len(owner)] == owner:
        words = words[len(owner) :]
    words[-1] = plural(words[-1]) if is_many else singular(words[-1])
    return _identifier("_".join(words))


def values_name(column: str) -> str:
    """Return what a list of a column's values is called: `ids`, `post_ids`, `labels`."""
    *words, last = column.strip("_").split("_")
    return _identifier("_".join((*words, plural(last))))


def scalar_name(columns: tuple[str, ...], target_table: str) -> str:
    """Return what the one row that a foreign key points to is probably called: `author` for `author_id`."""
    stem = stem_of(columns[0]) if len(columns) == 1 else ""
    return _identifier(stem or _singular_of(target_table))


def stem_of(column: str) -> str:
    """Return a key's column without what makes it a key, in lower case: `author` for `author_id`, "" for `id`."""
    name = "_".join(words_of(column))
    stem = _KEY_ENDINGS.sub("", name)
    return stem if stem != name else ""


def points_to(column: str, table: str) -> bool:
    """Whether a column is named as a key to a table: `user_id`, or `created_by_user_id`, for `users` or `app_user`."""
    stem, name = stem_of(column), _singular_of(table)
    if not stem:
        return bare_name(column).lower() == name.replace("_", "") + "id"
    return stem in (name, "_".join(words_of(table))) or stem.endswith("_" + name) or name.endswith("_" + stem)


def is_named_after(column: str, table: str) -> bool:
    """Whether a key's column says the table and no more: `author_id` of authors."""
    return stem_of(column) in (_singular_of(table), "_".join(words_of(table)))


def _singular_of(table: str) -> str:
    words = words_of(table)
    words[-1] = singular(words[-1])
    return "_".join(words)


def _identifier(name: str) -> str:
    name = "".join(sign if f"x{sign}".isidentifier() else "_" for sign in name)
    if not name.isidentifier():
        name = "_" + name
    return name + "_" if keyword.iskeyword(name) else name
