"""The memo never answers with another statement's shape: over generated statements, and over plain noise."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.queries import Detector, Normaliser
from dbtui.analysis.queries.normalising import memo_key
from dbtui.analysis.queries.shapes import classify
from dbtui.analysis.queries.statements import read_statement
from dbtui.model.connections import EngineName
from dbtui.model.queries import Shape, StatementEvent

EXAMPLES = settings(max_examples=300, deadline=None)
ENGINES = st.sampled_from([None, EngineName.POSTGRESQL, EngineName.MYSQL])

NAMES = st.sampled_from(
    ["id", "post_id", "t1", "comment_12", "md5", "utf8mb4", "é", "T", "t$1", "a.b", "@@version", "`id`", "`a-1`",
     "`a`.`b`", '"order"', '"a b"', '"2nd"', '"x 1 y"', '"it\'s"', '"T"', '"a"."b"', '"10"', '"a0"', "[Blogs]"]
)  # fmt: skip
VALUES = st.one_of(
    st.integers(-3, 10**6).map(str),
    st.sampled_from(["1.5", ".5", "2e10", "1e-3", "0x1F", "1.", "00", "10", "100", "1"]),
    st.text(alphabet="ab'0 ;\"`%-*/", max_size=8).map(lambda text: "'" + text.replace("'", "''") + "'"),
    st.sampled_from(["'it\\'s'", "E'a\\'b'", "'C:\\'", "$$it's$$", "$t$a$t$", '"text"', "N'x'", "X'1F'", "U&'d'"]),
    st.sampled_from(["?", "$1", "$12", "%s", "%(pk_1)s", ":name", "@p0", "NULL", "TRUE", "DEFAULT"]),
    st.sampled_from(["'5'::INTEGER", "$1::numeric(10,2)", "date '2026-01-01'", "CAST(5 AS int)", "now()", "-5", "- 5"]),
)
COMMENTS = st.sampled_from(
    ["/* it's */", "/* a /* b */ c */", "-- don't\n", "# who's\n", "/*+ hint(1) */", "/*, ... */", "/* 1", "--"]
)
SPACES = st.sampled_from([" ", "  ", "\n", "\t"])
LISTS = st.lists(VALUES, min_size=1, max_size=5).map(lambda values: "(" + ", ".join(values) + ")")
TERMS = st.one_of(
    st.tuples(NAMES, st.sampled_from(["=", "<>", "<", "LIKE", "+", "-", "#>", "->", "?"]), VALUES).map(" ".join),
    st.tuples(VALUES, st.just("="), NAMES).map(" ".join),
    st.tuples(NAMES, st.sampled_from(["IN", "in", "NOT IN"]), LISTS).map(" ".join),
    st.tuples(NAMES, st.just("= ANY"), LISTS).map(" ".join),
    st.tuples(st.just("VALUES"), st.lists(LISTS, min_size=1, max_size=4).map(", ".join)).map(" ".join),
    st.sampled_from(
        ["LIMIT 1", "LIMIT 12", "limit 1", "LIMIT\n1", "LIMIT 1, 10", "OFFSET 1", "FOR UPDATE", "(", ")", ";"]
    ),
    COMMENTS,
)
STATEMENTS = st.tuples(
    st.sampled_from(
        ["SELECT * FROM t WHERE", "select a from", "UPDATE t SET", "INSERT INTO t (a)", "FETCH 5 FROM", ""]
    ),
    st.lists(st.tuples(SPACES, TERMS).map("".join), max_size=6).map("".join),
).map("".join)
#: What differs in a number, or in what stands beside it.
ENDS = (
    "a = 5", "a = 7", "a = 1", "a = ", "a =", "a = 15", "a = 5x", "a = 5.5", "a = 55 ", "a = 5)", "(a = 5)", "a = '5'",
    "5 = a", "7 = a", "1 = a", "12 = a", " = a", "x5 = a", "'5 = a'", "'7 = a", '"5 = a"', '"7 = a"', "a = 5 = 7",
    "'a = 5", "'a = 7'", '"a = 5"', '"a = 7"', "a = 5 -- = 3", "a = 5 /* = 4 */", "a = 5 /* = 6 */", "a LIMIT 1 = 5",
    "a IN (5, 6)", "a IN (5, 6, 7)", "a IN (7,8)", "a IN (5)", "a IN (1)", "a IN (1, 1)", "a IN (1, 5)", "a IN (, 5)",
    "a IN (5, , 6)", "a IN (5,  6)", "a IN (5, 6", "a IN (5, 6) AND b", "a IN (5, 6) OR a IN (7)", "a in (5, 6)",
    "'a IN (5, 6)'", "'a IN (7, 8)", '"a IN (5, 6)"', '"a IN (7, 8)"', "b = c AND a IN (5, 6)", "a IN (5, 6) LIMIT 1",
    "a = $5", "a = $55", "a = -5", "a = -7", "'b' = 5", "'c' = 5", "'b\\' = 5", "a = 5;", "a = 5\n AND b", "a5 = 6",
)  # fmt: skip
NEAR = [f"SELECT * FROM t WHERE {end}" for end in ENDS]
NOISE = st.text(alphabet="'\"`\\$-/*#;()=,.?%:@[]0125aEexNin \n", max_size=40)


def plain(shape: Shape) -> tuple[object, ...]:
    """What of a shape does not depend on how the first statement of it was written."""
    tables = tuple(table.lower() for table in shape.tables)
    return shape.text, shape.kind, shape.is_hidden, shape.has_limit_one, shape.is_truncated, tables


def check(engine: EngineName | None, statements: list[str]) -> None:
    """One memo for all statements gives what reading each alone gives."""
    normaliser = Normaliser(engine)
    for _ in range(2):
        for sql in statements:
            assert plain(normaliser.shape(sql)) == plain(classify(read_statement(sql, engine))), sql


@EXAMPLES
@given(ENGINES, st.lists(STATEMENTS, min_size=1, max_size=6))
def test_generated_statements_get_their_own_shapes(engine: EngineName | None, statements: list[str]) -> None:
    check(engine, statements)


@EXAMPLES
@given(ENGINES, st.permutations(NEAR))
def test_statements_that_differ_little_get_their_own_shapes(engine: EngineName | None, statements: list[str]) -> None:
    check(engine, statements)


@EXAMPLES
@given(ENGINES, st.lists(st.sampled_from(NEAR), min_size=1, max_size=30))
def test_what_is_expected_after_a_statement_is_not_taken_for_what_came(
    engine: EngineName | None, statements: list[str]
) -> None:
    """The detector compares a statement with what came after the same one before."""
    detector = Detector(engine=engine)
    both = [*statements, *statements]
    detector.feed_all(StatementEvent(session="s", seq=at, sql=sql) for at, sql in enumerate(both))
    detector.findings()
    forms = detector._units["s"].forms
    for sql, form in zip(both, forms, strict=True):
        assert plain(form.shape) == plain(classify(read_statement(sql, engine))), sql


@EXAMPLES
@given(ENGINES, st.lists(NOISE, min_size=1, max_size=6))
def test_noise_gets_its_own_shapes(engine: EngineName | None, statements: list[str]) -> None:
    check(engine, statements)


@EXAMPLES
@given(STATEMENTS, STATEMENTS)
def test_texts_with_one_key_have_one_shape(one: str, other: str) -> None:
    if memo_key(one) == memo_key(other) is not None:
        assert plain(Normaliser().shape(one)) == plain(Normaliser().shape(other))


@EXAMPLES
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=600, unique=True), st.text(alphabet="ab c", max_size=5))
def test_values_do_not_make_new_keys(numbers: list[int], text: str) -> None:
    """Only a lone 1 is a key of its own: it may be a limit's."""
    sql = "SELECT a FROM t WHERE b = '{}' AND c IN ({})"
    key = memo_key(sql.format(text, ", ".join(map(str, numbers))))
    assert key in {memo_key(sql.format("x", few)) for few in ("5", "1", "5, 6", "5, 1", "1, 1")}
