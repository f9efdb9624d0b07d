"""The db layer by itself, against the run's PostgreSQL: see tests/db."""
import os
import pathlib
import subprocess

import pytest


@pytest.mark.parametrize("name", ["test_db_worker", "test_db_listen",
                                  "test_db_unit"])
def test_threads_against_postgresql(pg, name):
    builddir = os.environ.get("LK_BUILDDIR", ".")
    program = pathlib.Path(builddir) / "tests/db" / name
    if not program.exists():
        pytest.skip(f"{program} is not built (no cmocka?)")
    done = subprocess.run(
        [program], text=True, capture_output=True, check=False, timeout=300,
        env=dict(os.environ, LK_TEST_CONNINFO=pg.conninfo()))
    assert done.returncode == 0, done.stdout + done.stderr
