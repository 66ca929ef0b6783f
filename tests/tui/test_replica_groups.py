"""Which servers belong together, by what profiles say."""

from dataclasses import replace

import pytest

from dbtui.config import parse_url
from dbtui.model.connections import ConnectionProfile
from dbtui.tui.panes.replica_groups import POINTS_SECONDS, Group, find_groups
from tests.tui.replica_world import MEGABYTE, calm, gone, scene


def _profile(name: str, *replicas: str) -> ConnectionProfile:
    return replace(parse_url(f"postgresql://dba@{name}:5432/erp", name, "config.toml"), replicas=replicas)


def _shown(groups: list[Group]) -> list[tuple[str, list[str]]]:
    return [(each.name, [replica.name for replica in each.replicas]) for each in groups]


def test_a_primary_with_its_replicas_and_theirs() -> None:
    """What a replica names is below it, and no group of its own."""
    profiles = (_profile("erp", "near"), _profile("near", "far"), _profile("far"), _profile("lone"))
    assert _shown(find_groups(profiles, None)) == [("erp", ["near", "far"])]


def test_the_group_of_the_open_target_comes_first() -> None:
    """Also when that is one of its replicas; a target of no group is one; an SQLite file is none."""
    profiles = (_profile("erp", "near"), _profile("near"), _profile("crm", "crm2"), _profile("crm2"), _profile("lone"))
    crm2 = profiles[3]
    assert _shown(find_groups(profiles, crm2)) == [("crm", ["crm2"]), ("erp", ["near"])]
    assert _shown(find_groups(profiles, profiles[4])) == [("lone", []), ("erp", ["near"]), ("crm", ["crm2"])]
    file = parse_url("sqlite:////tmp/app.sqlite", "app", "config.toml")
    assert _shown(find_groups((*profiles, file), file)) == [("erp", ["near"]), ("crm", ["crm2"])]


def test_a_replica_that_nobody_names_is_shown_once_it_was_seen_to_be_one() -> None:
    """By its status; one that is named stays where it is."""
    profiles = (_profile("erp", "near"), _profile("near"), _profile("stray"))
    assert _shown(find_groups(profiles, None, {"near", "stray"})) == [("erp", ["near"]), ("stray", [])]


@pytest.mark.parametrize("names", [("erp",), ("nobody",)])
def test_what_cannot_be_is_a_sentence(names: tuple[str, ...]) -> None:
    """A profile that names itself, or one that there is not."""
    (group,) = find_groups((_profile("erp", *names),), None)
    assert group.is_misconfigured
    assert "profile 'erp': replicas" in group.problem


def test_profiles_that_name_each_other_are_shown() -> None:
    """A circle has no beginning: each shows it, and none asks for ever."""
    profiles = (_profile("erp", "near"), _profile("near", "erp"))
    assert _shown(find_groups(profiles, None)) == [("erp", ["near"]), ("near", ["erp"])]


def test_what_is_remembered_has_an_end() -> None:
    """Five minutes of points; those who went while the primary could be asked are forgotten, others are not."""
    group = Group(_profile("erp", "near"), (_profile("near"),))
    for second in range(0, 400, 2):
        assert group.take(scene(float(second), written=second * MEGABYTE))
    assert len(group.points["near"]) == pytest.approx(POINTS_SECONDS / 2, abs=1)
    group.take(gone(402.0))
    assert "near" in group.known
    without = scene(404.0)
    servers = (replace(without.servers[0], streams=()),)
    group.take(replace(without, servers=servers))
    assert group.known == {}
    assert group.points == {}


def test_an_older_look_is_no_news() -> None:
    """It came late."""
    group = Group(_profile("erp"))
    first, second = calm(2)
    assert group.take(second)
    assert not group.take(first)
    assert group.snapshot is second
