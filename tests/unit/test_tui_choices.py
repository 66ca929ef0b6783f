"""What a key of the UI chooses, without a screen: the next pace, and the live side of a comparison."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.tui.live_sides import choose_live
from dbtui.tui.paces import PACES, step_pace
from dbtui.tui.reasons import needs_live
from dbtui.tui.situation import Situation

ERP = ConnectionProfile(name="erp", engine=EngineName.POSTGRESQL, url="postgresql://db1/erp", database="erp")
OTHER = replace(ERP, name="other")
SHOP = replace(ERP, name="shop", engine=EngineName.MYSQL)
ENTRY = BackupEntry(backup_id="erp-20261123T030000Z", kind=EntryKind.COMPLETE, directory="/srv/backups", profile="erp",
                    data_path="/srv/backups/erp-20261123T030000Z.dump", engine=EngineName.POSTGRESQL,
                    began_at=datetime(2026, 11, 23, 3, tzinfo=UTC))  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "step", "then"),
    [(1.0, 1, 2.0), (1.0, -1, 0.5), (0.5, -1, 0.5), (60.0, 1, 60.0), (4.5, 1, 10.0), (1.6, -1, 1.0), (900.0, 1, 60.0)],
)
def test_a_pace_is_stepped_from_the_nearest(seconds: float, step: int, then: float) -> None:
    assert step_pace(seconds, step) == then
    assert step_pace(seconds, step, PACES[::-1]) == step_pace(seconds, -step)


@pytest.mark.parametrize(
    ("opened", "profiles", "live"),
    [
        (None, (OTHER, ERP), ERP),
        (OTHER, (OTHER, ERP), ERP),
        (OTHER, (OTHER,), OTHER),
        (SHOP, (SHOP, OTHER), None),
        (None, (replace(SHOP, name="erp"),), None),
        (OTHER, (replace(SHOP, name="erp"),), OTHER),
    ],
)
def test_the_key_is_there_when_there_is_a_live_side(
    opened: ConnectionProfile | None, profiles: tuple[ConnectionProfile, ...], live: ConnectionProfile | None
) -> None:
    assert choose_live(ENTRY, opened, profiles) is live
    situation = Situation(pane="backups", entry=ENTRY, opened=opened, profiles=profiles)
    assert (needs_live(situation) is None) is (live is not None)
