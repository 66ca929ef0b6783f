"""How often the detector is right, on traces of real programs and on scenes in ten dialects of SQL."""

import pytest

from dbtui.analysis.queries import Detector
from dbtui.model.queries import PatternKind, PatternLevel
from tests.unit.query_cases import Score, detect, read_cases
from tests.unit.query_dialects import DIALECTS, Dialect, Tape
from tests.unit.query_scenes import NEGATIVE, POSITIVE, Scene

#: What the issue of the detector promises.
LEAST = 0.95
COUNTS = (3, 5, 12)


def test_precision_and_recall_on_traces_of_servers(capsys: pytest.CaptureFixture[str]) -> None:
    score = Score()
    for case in read_cases():
        found = detect(case.events).findings
        assert all(each.kind is PatternKind.N_PLUS_ONE for each in found)
        score.add(case.name, is_positive=case.is_positive, is_found=bool(found))
    with capsys.disabled():
        print(f"\nN+1 on {len(read_cases())} traces of PostgreSQL and MariaDB: {score}")
    assert score.found + score.missed == 36
    assert score.precision >= LEAST, score
    assert score.recall >= LEAST, score


def test_precision_and_recall_on_scenes(capsys: pytest.CaptureFixture[str]) -> None:
    score = Score()
    for scenes, is_positive in ((POSITIVE, True), (NEGATIVE, False)):
        for name, scene in scenes.items():
            for dialect in DIALECTS:
                for count in COUNTS:
                    found = detect(play(scene, dialect, count).events).findings
                    score.add(f"{name}/{dialect.name}/{count}", is_positive=is_positive, is_found=bool(found))
    with capsys.disabled():
        print(f"\nN+1 on {len(POSITIVE) + len(NEGATIVE)} scenes in {len(DIALECTS)} dialects: {score}")
    assert score.precision >= LEAST, score
    assert score.recall >= LEAST, score


def play(scene: Scene, dialect: Dialect, count: int) -> Tape:
    """Run a scene."""
    tape = Tape()
    scene(dialect, tape, count)
    return tape


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_loop_is_a_hint_at_three_and_a_finding_at_five_or_more(name: str, dialect: Dialect) -> None:
    hints = detect(play(POSITIVE[name], dialect, 3).events).findings
    assert hints
    if max(hint.repeats for hint in hints) < 5:
        assert {hint.level for hint in hints} == {PatternLevel.HINT}
    findings = detect(play(POSITIVE[name], dialect, 12).events).findings
    assert findings[0].level is PatternLevel.FINDING, findings
    assert findings[0].reasons
    assert findings[0].parent is not None


@pytest.mark.parametrize("name", NEGATIVE)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_looks_like_one_is_none(name: str, dialect: Dialect) -> None:
    for count in COUNTS:
        assert detect(play(NEGATIVE[name], dialect, count).events).findings == ()


def test_scenes_in_sessions_that_take_turns_are_told_apart() -> None:
    """Every scene in a session of its own, all at once: the same scenes are found as alone."""
    tapes = [
        (label, play(scene, dialect, 12))
        for label, scenes in ((True, POSITIVE), (False, NEGATIVE))
        for scene in scenes.values()
        for dialect in DIALECTS[::3]
        if scene.__name__ != "requests_far_apart"
    ]
    detector = Detector()
    for turn in range(max(len(tape.events) for _, tape in tapes)):
        for order, (_, tape) in enumerate(tapes):
            if turn < len(tape.events):
                event = tape.events[turn]
                detector.feed(event._replace(session=f"s{order}", application=f"app{order}"))
    found = {each.application for each in detector.findings().findings}
    assert found == {f"app{order}" for order, (label, _) in enumerate(tapes) if label}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("n_selectin_chunks", PatternKind.BATCH),
        ("n_pooled_requests_burst", PatternKind.POOLED_REQUESTS),
        ("n_duplicate_same_param", PatternKind.DUPLICATE),
        ("n_queue_worker", PatternKind.WRITE_LOOP),
        ("n_get_or_create", PatternKind.WRITE_LOOP),
        ("n_insert_loop", PatternKind.WRITE_LOOP),
    ],
)
def test_what_looks_like_one_has_a_class_of_its_own(name: str, kind: PatternKind) -> None:
    for case in read_cases():
        if case.name.endswith(name):
            others = detect(case.events).others
            assert [each.kind for each in others] == [kind]
            assert others[0].level is PatternLevel.INFO
            assert others[0].reasons


def test_fetches_of_a_cursor_are_one_result() -> None:
    case = next(case for case in read_cases() if case.name == "own_pg/n_selectin_yield_per")
    assert [each.kind for each in detect(case.events).others] == [PatternKind.CURSOR]
