"""The backups pane by keys: list, contents, definition, rows, ticks, and what its actions ask for."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, CompressionKind, EntryKind
from dbtui.model.jobs import JobState
from dbtui.tui.dialogs.backup import BackupDialog
from dbtui.tui.widgets.footer import MessageLine
from dbtui.tui.widgets.inputs import Choice, PushButton, TextInput
from tests.tui.world import NOW, World, entry, screen_lines, screen_text, table_names, wait_to_see, wait_until

SIZE = (80, 24)
WIDE = (140, 40)


async def test_every_kind_of_row_is_told(world: World) -> None:
    """Proven, not proven, foreign, broken; sizes, rows and formats."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        text = await wait_to_see(pilot, "● restored", "● checksums", "○ not proven", "○ foreign", "✖ broken")
        assert "MDB 10" in text
        assert "plain zstd" in text
        assert "120.4 k" in text
        assert "profile erp" in text  # the detail is there at once
        await pilot.press("G")
        await wait_to_see(pilot, "✖ its data file is gone")


async def test_a_backup_that_shrank_is_marked(world: World) -> None:
    """A backup much smaller than the one before it is worth a look."""
    world.entries = (
        entry("erp-20261122T150000Z", size_bytes=1_000_000),
        entry("erp-2", began_at=NOW - timedelta(days=1)),
    )
    async with world.app(world.profiles[0]).run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "▲ 99 % less")


async def test_an_unreadable_directory_is_a_line_with_what_to_do(world: World) -> None:
    """In place, not a crash."""
    world.error = PermissionError(13, "Permission denied")
    async with world.app(world.profiles[0]).run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "Permission denied", "R reads it again")


async def test_an_empty_directory_says_what_would_be_here(world: World) -> None:
    """And the key that makes it."""
    world.entries = ()
    async with world.app(world.profiles[0]).run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "No backup in", "b backs up erp")


async def test_inside_a_backup(world: World) -> None:
    """Tree with rows and sizes, definition, first rows, and back."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("enter")
        text = await wait_to_see(pilot, "audit_logs", "3.1 M", "88 MB", "▇▇▇▇")
        assert "- public" in text
        assert "+ view" in text
        assert "erp-20261122T150000Z" in text.splitlines()[0]
        await pilot.press("j", "j", "j", "enter")
        text = await wait_to_see(pilot, "public.users  definition", "CREATE TABLE public.users", "PRIMARY KEY")
        await pilot.press("escape")
        await wait_to_see(pilot, "inventory_items")
        await pilot.press("o")
        text = await wait_to_see(pilot, "first rows", "ada@example.org", "NULL", "the backup holds more")
        await pilot.press("escape", "escape")
        await wait_to_see(pilot, "● checksums")
        assert app.focused is app.backups_pane.history
        await pilot.press("escape")
        assert app.active == "connections"


async def test_branches_open_and_shut(world: World) -> None:
    """Enter on a schema folds its tables; on other kinds it unfolds them."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("enter")
        await wait_to_see(pilot, "audit_logs")
        await pilot.press("g", "enter")
        await wait_to_see(pilot, "+ public")
        assert "audit_logs" not in screen_text(app)
        await pilot.press("G", "enter")
        await wait_to_see(pilot, "└ report")


async def test_damage_is_said_in_place(world: World) -> None:
    """A backup that cannot be read shows why."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        world.error = DamagedBackupError("erp.sql ends in the middle of a table", "take another backup")
        await pilot.press("enter")
        await wait_to_see(pilot, "✖ erp.sql ends in the middle of a table", "take another backup")
        await pilot.press("escape")
        await wait_to_see(pilot, "● checksums")


async def test_ticked_tables_are_restored(world: World) -> None:
    """Space ticks a table, on a schema all of it; the restore plan names them."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("enter")
        await wait_to_see(pilot, "audit_logs")
        await pilot.press("space", "space")
        await wait_to_see(pilot, "■ 2 ticked", "■ ├ audit_logs")
        await pilot.press("g", "space")
        await wait_to_see(pilot, "■ 5 ticked")
        await pilot.press("space")
        await wait_until(pilot, lambda: "ticked" not in screen_text(app))
        await pilot.press("j", "space", "r")
        await wait_to_see(pilot, "Restore 1 table of erp-20261122T150000Z", "1 of 6: public.audit_logs")
        await pilot.press("tab", "enter")
        await wait_to_see(pilot, "● restored into erp_restored: 6 tables, 5.6 M rows")
        assert world.done == [("restore", "erp", "erp_restored", False, table_names("public.audit_logs"))]


async def test_restore_rests_on_cancel(world: World) -> None:
    """r and enter change nothing."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("r")
        await wait_to_see(pilot, "Creates erp_restored. Nothing that exists is touched.")
        assert isinstance(app.focused, PushButton)
        assert app.focused.id == "cancel"
        await pilot.press("enter")
        await wait_until(pilot, lambda: not app.dialogs)
        assert world.done == []
        assert world.runner.jobs == []


async def test_replacing_in_production_needs_both_names(world: World) -> None:
    """The plan says what is kept and who is disconnected; the button works only when both names are typed."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("r")
        await wait_to_see(pilot, "Creates erp_restored")
        dialog = app.dialogs[0]
        dialog.query_one("#mode", Choice).focus()
        await pilot.press("right")
        await wait_to_see(pilot, "Replaces erp", "kept as erp_kept", "Disconnects 1 session",
                          "type the database erp", "type the profile erp")  # fmt: skip
        button = dialog.query_one("#accept", PushButton)
        assert button.disabled
        fields = dialog.query(".name-input")
        fields[0].focus()
        await pilot.press(*"er")
        assert button.disabled
        await pilot.press("p")
        assert button.disabled
        await pilot.press("enter", *"erp")
        await wait_until(pilot, lambda: not button.disabled)
        button.focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: "what was there is kept as erp_kept" in app.query_one(MessageLine).text)
        assert world.done == [("restore", "erp", "erp", True, ())]


async def test_restoring_elsewhere(world: World) -> None:
    """Another profile of the same engine, another name."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("r")
        await wait_to_see(pilot, "Creates erp_restored")
        dialog = app.dialogs[0]
        assert [name for name, _ in dialog.query_one("#target", Choice).options] == ["erp", "erp-test"]
        dialog.query_one("#target", Choice).focus()
        await pilot.press("right")
        await wait_to_see(pilot, "profile erp-test")
        dialog.query_one("#database").focus()
        await pilot.press(*"copy")
        await wait_to_see(pilot, "Creates copy.")
        dialog.query_one("#accept").focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: bool(world.done))
        assert world.done == [("restore", "erp-test", "copy", False, ())]


async def test_back_up_by_keys(world: World) -> None:
    """Format, compression and tables reach the plan and the job."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("b")
        await wait_to_see(pilot, "Writes erp-20261122T160000Z.sql", "▲ a transaction is open", "80 GB free")
        await pilot.press("right", "right", "tab", "right", "right")
        dialog = app.dialogs[0]
        assert dialog.query_one("#level").display
        assert dialog.query_one("#jobs").display
        dialog.query_one("#tables").focus()
        await pilot.press(*"public.*")
        await wait_to_see(pilot, "pg_dump --format=directory")
        button = dialog.query_one("#accept")
        await wait_until(pilot, lambda: not button.disabled)
        button.focus()
        await pilot.press("enter")
        await wait_to_see(pilot, "● backed up erp as erp-20261122T160000Z")
        (_, target, options), *_ = world.done
        assert target == "erp"
        assert options.format is BackupFormat.DIRECTORY
        assert options.compression.kind is CompressionKind.ZSTD
        assert options.tables == ("public.*",)
        assert options.jobs == 2


async def test_a_refused_backup_cannot_be_started(world: World) -> None:
    """The reason stands in the plan, and the button is not there to be pressed."""
    world.refusals = ("pg_dump 14 cannot dump a server of version 15",)
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("b")
        await wait_to_see(pilot, "✖ pg_dump 14 cannot dump a server of version 15")
        assert app.dialogs[0].query_one("#accept").disabled


async def test_whom_a_backup_is_encrypted_to_is_typed(world: World) -> None:
    """Nothing typed: as the profile says. One SSH key has blanks itself; the plan names them shortly."""
    world.profiles = (replace(world.profiles[0], encrypt_to=("age1known",)), *world.profiles[1:])
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "not proven")
        await pilot.press("b")
        await wait_to_see(pilot, "80 GB free", "as the profile says, 1 recipient")
        dialog = cast(BackupDialog, app.dialogs[0])
        field = dialog.query_one("#encrypt-to", TextInput)
        for typed, meant in (
            ("", None),
            ("age1a age1b", ("age1a", "age1b")),
            ("none", ("none",)),
            ("ssh-ed25519 AAAA dba@bastion, age1c", ("ssh-ed25519 AAAA dba@bastion", "age1c")),
        ):
            field.value = typed
            assert dialog.options.encrypt_to == meant
        await wait_to_see(pilot, "encrypted")


async def test_enter_goes_from_field_to_field_and_at_last_to_the_button_that_does_it(world: World) -> None:
    """From a choice as from a line of text; Cancel is passed over."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "not proven")
        await pilot.press("b")
        await wait_to_see(pilot, "80 GB free")
        dialog = app.dialogs[0]
        await wait_until(pilot, lambda: not dialog.query_one("#accept").disabled)
        passed: list[str | None] = []
        while not dialog.query_one("#accept").has_focus and len(passed) < 20:
            passed.append(app.focused.id if app.focused else None)
            await pilot.press("enter")
        assert passed == ["format", "compression", "schema", "tables", "encrypt-to"]


async def test_b_in_the_connections_pane(world: World) -> None:
    """Opens the target and the dialog at once."""
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("j", "b")
        await wait_to_see(pilot, "Back up erp-test")
        assert app.opened is world.profiles[1]


async def test_verify_shows_progress_and_the_rest_stays_usable(world: World) -> None:
    """The strip shows how far it is while the list moves; the end is announced and the list read again."""
    world.gate = lambda context: (context.cancellation.wait(0.15), None)[1]
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("j", "v")
        await wait_to_see(pilot, "ctrl+x cancel", " MB/s")
        await pilot.press("j")
        assert app.backups_pane.history.cursor == 2
        assert "● 1" in screen_lines(app)[1]
        await wait_to_see(pilot, "● erp-20261121T150000Z: intact")
        assert not app.query_one("#strip").display
        await pilot.press("g", "V")
        await wait_to_see(pilot, "Verify by restoring?", "into a scratch database on erp")
        await pilot.press("y")
        await wait_to_see(pilot, "restored and equal: ")
        assert world.done == [("verify", "erp-20261121T150000Z", ""), ("verify", "erp-20261122T150000Z", "erp")]


async def test_delete_wants_the_name(world: World) -> None:
    """Nothing less deletes; afterwards the row is gone."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("d")
        await wait_to_see(pilot, "There is no undo", "type the backup's name erp-20261122T150000Z")
        button = app.dialogs[0].query_one("#yes", PushButton)
        app.dialogs[0].query_one(".name-input").focus()
        await pilot.press(*"erp-20261122T15000")
        assert button.disabled
        await pilot.press(*"0Z", "enter")
        button.focus()
        await pilot.press("enter")
        await wait_to_see(pilot, "● deleted erp-20261122T150000Z")
        await wait_until(pilot, lambda: len(app.backups_pane.history.view.shown) == 6)


async def test_a_failed_job_is_announced_and_kept(world: World) -> None:
    """The sentence is in the message line, in the jobs pane, and the state is failed."""

    def fail(_context: object) -> None:
        raise DamagedBackupError("block 7 does not match its checksum", "restore from another backup")

    world.gate = fail
    app = world.app(world.profiles[0])
    async with app.run_test(size=WIDE) as pilot:
        await wait_to_see(pilot, "● restored")
        await pilot.press("v")
        await wait_to_see(pilot, "✖ verify erp-20261122T150000Z: block 7 does not match its checksum")
        assert world.runner.jobs[0].state is JobState.FAILED
        await pilot.press("7")
        await wait_to_see(pilot, "✖ failed", "restore from", "$ pg_dump --format=plain erp")


async def test_at_eighty_columns_the_detail_takes_the_screen(world: World) -> None:
    """i shows it, esc goes back; when there is room it is there all the time."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "● restored")
        assert "profile erp" not in screen_text(app)
        await pilot.press("i")
        await wait_to_see(pilot, "profile erp")
        await pilot.press("escape")
        await wait_to_see(pilot, "● checksums")
        await pilot.resize_terminal(*WIDE)
        await wait_to_see(pilot, "profile erp", "● checksums", "╭", seconds=5)


async def test_a_broken_backup_opens_to_its_reason(world: World) -> None:
    """Enter on it says why, in the message line."""
    app = world.app(world.profiles[0])
    async with app.run_test(size=SIZE) as pilot:
        await wait_to_see(pilot, "✖ broken")
        await pilot.press("G", "enter")
        await wait_to_see(pilot, "open: this backup is broken: its data file is gone")
        assert app.backups_pane.history.cursor_row is not None
        assert app.backups_pane.history.cursor_row.kind is EntryKind.BROKEN
