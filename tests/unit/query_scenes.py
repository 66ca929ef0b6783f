"""What programs do: loops that are N+1, and the things that look like one. Each is written in every dialect."""

from collections.abc import Callable

from tests.unit.query_dialects import Dialect, Tape

Scene = Callable[[Dialect, Tape, int], None]
POSITIVE: dict[str, Scene] = {}
NEGATIVE: dict[str, Scene] = {}


def positive(scene: Scene) -> Scene:
    """An N+1."""
    POSITIVE[scene.__name__] = scene
    return scene


def negative(scene: Scene) -> Scene:
    """None."""
    NEGATIVE[scene.__name__] = scene
    return scene


@positive
def comments_of_each_post(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i))
    t.run("COMMIT")


@positive
def author_of_each_post(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.by_id("author", 100 + i))


@positive
def author_of_posts_that_share_some(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post", 3 * n))
    for i in range(n):
        t.run(d.by_id("author", 7 + 2 * (i // 2) if n > 4 else i))


@positive
def tags_of_each_post(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.through("tag", "post_tag", i, "post"))


@positive
def count_of_comments(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.count("comment", "post_id", i))


@positive
def two_relations_in_one_loop(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i), d.by_id("author", 50 + i))


@positive
def four_relations_in_one_loop(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i), d.by_id("author", 50 + i), d.of("profile", "author_id", 50 + i))
        t.run(d.through("tag", "post_tag", i, "post"))


@positive
def two_loops_over_one_list(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i))
    for i in range(n):
        t.run(d.by_id("author", 50 + i))


@positive
def authors_of_comments_of_posts(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i))
        for j in range(3):
            t.run(d.by_id("author", 10 * i + j))


@positive
def behind_the_login(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.by_id("author", 1))
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.by_id("author", 2 + i))


@positive
def behind_fixtures(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN")
    for i in range(n):
        t.run(d.insert("author", f"a{i}"), d.insert("post", f"p{i}"))
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i))


@positive
def with_a_commit_for_each(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i), "COMMIT", "BEGIN")
    t.run("COMMIT")


@positive
def with_a_transaction_for_each(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run("BEGIN", d.of("comment", "post_id", i), "COMMIT")


@positive
def refreshed_after_commit(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.rows("post"), "COMMIT", "BEGIN")
    for i in range(n):
        t.run(d.by_id("post", i))
    t.run("COMMIT")


@positive
def after_a_prefetch(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"), d.many("comment", "post_id", list(range(12))))
    for i in range(n):
        t.run(d.by_id("author", 70 + i))


@positive
def list_of_one_in_each(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.many("comment", "post_id", [i]))


@positive
def first_of_each(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i, f" ORDER BY {d.name_of('comment', 'id')} ASC LIMIT 1"))


@positive
def list_with_a_condition(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.of("post", "author_id", 5))
    for i in range(n):
        t.run(d.of("comment", "post_id", i))


@positive
def with_a_setting_read_once_within(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"), d.of("comment", "post_id", 1), d.rows("setting", None))
    for i in range(2, n + 2):
        t.run(d.of("comment", "post_id", i))


@positive
def followed_by_an_audit_row(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i))
    t.run(d.insert("setting", "seen"), "COMMIT")


@negative
def cured_by_lists(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"), d.many("comment", "post_id", list(range(n))), d.many("author", "id", list(range(n))))


@negative
def chunks(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post", None))
    for i in range(n):
        t.run(d.many("comment", "post_id", list(range(50 * i, 50 * i + 50))))


@negative
def owner_of_single_rows(d: Dialect, t: Tape, n: int) -> None:
    for i in range(n):
        t.run(d.by_id("post", i), d.by_id("author", 100 + i))


@negative
def single_rows_behind_fixtures(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN")
    for i in range(n):
        t.run(d.insert("author", f"a{i}"), d.through("tag", "post_tag", i, "post"), d.insert("post", f"p{i}"))
    for i in range(n):
        t.run(d.by_id("post", i), d.of("comment", "post_id", i))


@negative
def different_pages_of_one_request(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.by_id("author", 1), d.rows("post"), d.rows("tag"), d.count("comment", "author_id", 1), d.rows("setting"))


@negative
def one_row_and_what_belongs_to_it(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.by_id("post", 5), d.by_id("author", 5), d.of("comment", "post_id", 5))
    t.run(d.through("tag", "post_tag", 5, "post"))


@negative
def requests_in_turn(d: Dialect, t: Tape, n: int) -> None:
    for i in range(n):
        t.run("BEGIN", d.by_id("author", 3 * i), d.by_id("post", 7 * i), "COMMIT")


@negative
def requests_behind_a_list(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.by_id("author", 1), d.rows("post"), "COMMIT")
    for i in range(n):
        t.run("BEGIN", d.by_id("author", 3 * i), d.of("comment", "post_id", 7 * i), "COMMIT")


@negative
def requests_each_with_a_list(d: Dialect, t: Tape, n: int) -> None:
    for i in range(n):
        t.run("BEGIN", d.rows("post"), d.by_id("author", 3 * i), "COMMIT")


@negative
def requests_far_apart(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.wait(5)
        t.run(d.of("comment", "post_id", 3 * i))


@negative
def requests_of_a_pool_that_resets(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.by_id("author", 3 * i), d.of("comment", "post_id", i), "DISCARD ALL")


@negative
def get_or_create(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(d.by_name("tag", "label", f"t{i}"), "BEGIN", d.insert("tag", f"t{i}"), "COMMIT")


@negative
def validated_and_saved(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("author"))
    for i in range(n):
        t.run("BEGIN", d.by_id("author", i), d.by_name("tag", "label", f"x{i}"), d.count("post", "author_id", i))
        t.run(d.insert("post", f"x{i}"), "COMMIT")


@negative
def seeds_most_of_which_exist(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("setting"))
    for i in range(n):
        t.run(d.by_name("tag", "label", f"x{i}"))
        if i % 4 == 3:
            t.run(d.insert("tag", f"x{i}"))


@negative
def settings_by_name(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(
            d.write(
                f"SELECT {d.name_of('value')} FROM {d.name_of('setting')} WHERE {d.name_of('name')} = {{}}", f"k{i}"
            )
        )


@negative
def queue_of_jobs(d: Dialect, t: Tape, n: int) -> None:
    for i in range(n):
        t.run("BEGIN", d.by_id("post", i, " FOR UPDATE"), d.update("post", i), "COMMIT")


@negative
def changed_one_by_one(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.rows("post"))
    for i in range(n):
        t.run(d.by_id("author", i), d.update("post", i))
    t.run("COMMIT")


@negative
def added_one_by_one(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.rows("author"))
    for i in range(n):
        t.run(d.insert("post", f"p{i}"))
    t.run("COMMIT")


@negative
def pages(d: Dialect, t: Tape, n: int) -> None:
    for i in range(n):
        t.run(d.write(f"SELECT {d.columns('post')} FROM {d.name_of('post')} LIMIT {{}} OFFSET {{}}", 10, 10 * i))


@negative
def pages_by_key(d: Dialect, t: Tape, n: int) -> None:
    for i in range(n):
        name = d.name_of("post", "id")
        t.run(
            d.write(f"SELECT {d.columns('post')} FROM {d.name_of('post')} WHERE {name} > {{}} LIMIT {{}}", 10 * i, 10)
        )


@negative
def windows_of_time(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("author"))
    for i in range(n):
        key, at = d.name_of("post", "author_id"), d.name_of("post", "created_at")
        text = f"SELECT COUNT(*) FROM {d.name_of('post')} WHERE {key} = {{}} AND {at} BETWEEN {{}} AND {{}}"
        t.run(d.write(text, 1, f"2026-01-{i + 1:02}", f"2026-01-{i + 2:02}"))


@negative
def pings(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for _ in range(n):
        t.run("SELECT 1")


@negative
def savepoints(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", d.rows("post"))
    for i in range(n):
        t.run(f'SAVEPOINT "s{i}"', d.insert("post", i), f'RELEASE SAVEPOINT "s{i}"')


@negative
def catalogue(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    for i in range(n):
        t.run(f"SELECT a.attname FROM pg_attribute a WHERE a.attrelid = '{i}'::regclass", f'PRAGMA table_info("t{i}")')


@negative
def cursor(d: Dialect, t: Tape, n: int) -> None:
    t.run("BEGIN", f'DECLARE "c_1" CURSOR FOR {d.rows("post", None)[0]}')
    for _ in range(n):
        t.run('FETCH FORWARD 100 FROM "c_1"')


@negative
def two_of_them(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.rows("post"))
    t.run(d.of("comment", "post_id", 1), d.of("comment", "post_id", 2))


@negative
def requests_without_transactions(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.by_name("setting", "name", "s0"), d.by_id("author", 1), d.rows("post"))
    for i in range(n):
        t.run(d.by_name("setting", "name", f"s{i}"), d.by_id("author", 2 + i), d.by_id("post", 40 + i))


@negative
def found_by_name_then_what_belongs_to_it(d: Dialect, t: Tape, n: int) -> None:
    for i in range(n):
        t.run(d.by_name("author", "name", f"a{i}"), d.of("post", "author_id", i))


@positive
def with_login_and_author_in_the_loop(d: Dialect, t: Tape, n: int) -> None:
    t.run(d.by_name("setting", "name", "s0"), d.by_id("author", 1), d.rows("post"))
    for i in range(n):
        t.run(d.of("comment", "post_id", i), d.by_id("author", 2 + i))
