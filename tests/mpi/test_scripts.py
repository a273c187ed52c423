# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts written for CASA, unchanged: they print and write what they do in CASA 6.7 (tests/scripts/README.md tells how that was made)."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("casacore.tables")
import inputs  # noqa: E402
import script_files  # noqa: E402
from commands import LIMIT_S, MPISHEAF, environment  # noqa: E402

SCRIPTS = pathlib.Path(__file__).parent.parent / "scripts"


@pytest.mark.parametrize("script,ranks", [(path.stem, 3) for path in sorted(SCRIPTS.glob("*.py"))] + [("partition_and_flag", 1)])
def test_script(script, ranks, tmp_path):
    shutil.copytree(inputs.ngc5921(), tmp_path / "ngc5921.ms", symlinks=True)
    os.symlink(inputs.fits(), tmp_path / "ngc5921.fits")
    run = subprocess.run([MPISHEAF, "-n", str(ranks), sys.executable, str(SCRIPTS / f"{script}.py")], cwd=tmp_path, env=environment(),
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
    assert run.returncode == 0, run.stderr
    assert run.stdout == (SCRIPTS / "expected" / f"{script}.txt").read_text()
    made = json.loads((SCRIPTS / "expected" / f"{script}.files.json").read_text())
    found = script_files.describe(tmp_path)
    assert sorted(found) == sorted(made)
    assert {name: found[name] for name in made if found[name] != made[name]} == {}
