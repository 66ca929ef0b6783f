"""Without a fault: what was written while money moved is restored whole. And the corpus of hostile dumps, counted."""

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.matrix.aftermath import SUCCEEDED
from tests.faults.matrix.banks import ENGINES
from tests.faults.matrix.ledgers import judge_audit, moving_money
from tests.faults.matrix.scenes import ROOT, Scene
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.worlds import World

_MOVERS = 4
_FILES = {"postgresql": "test_hostile_postgresql*.py", "mariadb": "test_hostile_mysql*.py",
          "sqlite": "test_hostile_sqlite*.py"}  # fmt: skip


def money(world: World, trial: Trial, report: Report) -> None:
    """Back up while several threads move money, restore all of it, and look at every account."""
    chance = trial.chance()
    form = chance.choice(world.forms(trial.engine))
    bank = world.bank(trial.engine)
    scene = Scene(world, bank, form)
    name = scene.new_database()
    try:
        with moving_money(bank.move, _MOVERS) as moved:
            before = moved()
            ran = scene.create()
            report.fault = f"{' '.join(form) or 'plain'}: {moved() - before} transfers meanwhile"
        if ran.code != SUCCEEDED:
            report.lose(f"the backup exited with {ran.code}: {ran.stderr.strip()[-300:]}")
            return
        (entry,) = scene.listed()
        words = ("--dir", scene.backups, "--to", scene.url, "--into", name)
        restored = scene.run("backup", "restore", entry["backup_id"], *words)
        report.sums += 1
        if restored.code != SUCCEEDED:
            report.lose(f"the restore exited with {restored.code}: {restored.stderr.strip()[-300:]}")
        elif said := judge_audit(bank.audit(name)):
            report.lose(f"the restored money is wrong: {said}")
        elif bank.count_bulk(name) != bank.count_bulk("bank"):
            report.lose("rows are missing in the restored database")
    finally:
        bank.drop(name)
        scene.close()


def hostile(_world: World, trial: Trial, report: Report) -> None:
    """Run the tests of hostile dumps; each case is one try."""
    files = sorted((ROOT / "tests" / "faults").glob(_FILES[trial.engine]))
    with tempfile.TemporaryDirectory(prefix="dbtui-faults-") as folder:
        results = Path(folder) / "results.xml"
        words = ("-q", "-o", f"cache_dir={folder}/cache", f"--junitxml={results}", *map(str, files))
        done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True)
        if not results.exists():
            report.lose(f"the tests did not run: {done.stdout[-500:]}{done.stderr[-500:]}")
            return
        suites = ElementTree.parse(results).getroot().findall("testsuite")
    report.tried = sum(int(suite.get("tests", "0")) for suite in suites)
    failed = sum(int(suite.get(kind, "0")) for suite in suites for kind in ("failures", "errors", "skipped"))
    report.fault = f"{report.tried} cases in {len(files)} files"
    if failed or not report.tried:
        report.lose(f"{failed} of them failed: {done.stdout[-800:]}", max(1, failed))


KINDS = (
    Kind("money", "no fault, money moving", ENGINES, money, 25, ()),
    Kind("hostile", "hostile dump", tuple(_FILES), hostile, 1, ()),
)
