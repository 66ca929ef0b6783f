"""The dialog before a proof, and what the pane says of what it has shown."""

from datetime import UTC, datetime, timedelta

from dbtui.model.proofs import Proof, ProofOutcome, ThrowawayPlan
from tests.tui.world import World, screen_text, wait_to_see

PLAN = ThrowawayPlan(server="PostgreSQL 15.18", version="15.18", programs="/usr/bin", parent="/tmp", account="nobody")
SIZE = (120, 30)
BACKUP = "erp-20261122T150000Z"


async def test_a_throwaway_server_is_offered_first(world: World) -> None:
    """Without any thought a proof touches no server of the operator's."""
    world.throwaway = PLAN
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("V")
        text = await wait_to_see(pilot, "Verify by restoring?", "into a server made for it", "account nobody")
        assert "a throwaway PostgreSQL 15.18" in text
        await pilot.press("y")
        await wait_to_see(pilot, "restored and equal: ")
        assert world.done == [("verify", BACKUP, "PostgreSQL 15.18")]


async def test_a_scratch_database_is_the_other_choice(world: World) -> None:
    """One key away, and it says which server it would be."""
    world.throwaway = PLAN
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("V")
        await wait_to_see(pilot, "into a server made for it")
        await pilot.press("shift+tab", "right")
        await wait_to_see(pilot, "into a scratch database on erp")
        await pilot.press("y")
        await wait_to_see(pilot, "restored and equal: ")
        assert world.done == [("verify", BACKUP, "erp")]


async def test_where_nothing_can_be_had_it_says_why(world: World) -> None:
    """No server programs and no server: a sentence, and nothing to agree to."""
    world.profiles = ()
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("2")
        await wait_to_see(pilot, "● restored")
        await pilot.press("V")
        await wait_to_see(pilot, "no PostgreSQL server is installed here for a throwaway one")
        await pilot.press("y", "escape")
        assert world.done == []


async def test_the_detail_tells_what_was_shown(world: World) -> None:
    """When, how long, where, what was counted, and what was found."""
    now = datetime.now(UTC)
    world.proofs = (
        Proof(
            outcome=ProofOutcome.DIFFERENT,
            began_at=(now - timedelta(hours=2, minutes=1)).isoformat(),
            ended_at=(now - timedelta(hours=2)).isoformat(),
            seconds=41.3,
            where="a throwaway PostgreSQL 15.18",
            tables=6,
            rows=5_598_012,
            checked={"constraints": 12},
            problems=("public.users has 1 rows instead of 2",),
        ),
    )
    app = world.app(world.profiles[0])
    async with app.run_test(size=(160, 45)) as pilot:
        await wait_to_see(pilot, "not equal, 2 h ago, 41 s", "12 constraints", "public.users has 1 rows instead of 2")
        assert "restored and equal" in screen_text(app)
