"""The asyncio client as a package: typed, installed, a wheel."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import aio
import daemon as daemons
import lockkeeper

MODULES = sorted(path.name for path in (aio.PYTHON / "lockkeeper").iterdir()
                 if path.suffix == ".py" or path.name == "py.typed")


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], text=True,
                          capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mypy(directory, *what):
    pytest.importorskip("mypy", reason="no mypy for this Python (Debian: "
                        "apt-get install mypy)")
    run(sys.executable, "-m", "mypy", "--strict", "--cache-dir",
        directory / "cache", *what, cwd=directory,
        env=os.environ | {"MYPYPATH": str(aio.PYTHON)})


def test_it_is_strictly_typed(tmp_path):
    mypy(tmp_path, "-p", "lockkeeper")


def test_what_programs_get_has_types(tmp_path):
    (tmp_path / "program.py").write_text("""\
import lockkeeper


async def main() -> int:
    async with lockkeeper.connect("/tmp/s", database="main") as lk:
        row: lockkeeper.Row | None = await lk.get("accounts", 1)
        rows: list[lockkeeper.Row] = await lk.fetch("SELECT 1")
        tag: str = await lk.execute("SELECT 1")
        async with lk.transaction(isolation="serializable") as tx:
            await tx.update("accounts", 1, balance=lockkeeper.col("x") + 1)
        async for each in lk.iterate("SELECT 1"):
            rows.append(each)
        async for message in lk.subscribe("orders"):
            print(message.payload)
        try:
            async with lk.unit(retry=5) as u:
                made = u.create("accounts", owner="Ann")
                u.create("log", account_id=made.id)
        except lockkeeper.DeadlockError as error:
            print(error.members)
        print(row, tag, made.value.id)
        return await lk.count("accounts", lockkeeper.col("age") > 3)
""")
    mypy(tmp_path, "program.py")


def test_its_version_is_the_daemons():
    assert lockkeeper.__version__ in daemons.run("--version").stdout


def test_a_wheel_has_all_of_it(tmp_path):
    pytest.importorskip("wheel", reason="no wheel (Debian: apt-get install "
                        "python3-wheel)")
    source = tmp_path / "source"
    shutil.copytree(aio.PYTHON, source,
                    ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "u+w", source], check=True)
    run(sys.executable, "-c", "import setuptools.build_meta as b, sys; "
        "b.build_wheel(sys.argv[1])", tmp_path, cwd=source)
    [wheel] = tmp_path.glob("lockkeeper-*-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert [f"lockkeeper/{name}" for name in MODULES] == sorted(
        name for name in names if "dist-info" not in name)
    assert run(sys.executable, "-c",
               "import lockkeeper; print(lockkeeper.__file__)",
               env=os.environ | {"PYTHONPATH": str(wheel)},
               cwd=tmp_path).startswith(str(wheel))


def test_make_install_puts_it_where_python_looks(tmp_path):
    build = pathlib.Path(os.environ.get("LK_BUILDDIR", "."))
    if not (build / "Makefile").exists():
        pytest.skip("not in a build directory")
    run("make", "-s", "-C", build, "install-lkpythonDATA",
        f"DESTDIR={tmp_path}", "prefix=/opt/lk")
    [place] = (tmp_path / "opt" / "lk").rglob("lockkeeper")
    assert sorted(path.name for path in place.iterdir()) == MODULES
    assert run(sys.executable, "-B", "-c",
               "import lockkeeper; print(lockkeeper.__file__)",
               env=os.environ | {"PYTHONPATH": str(place.parent)},
               cwd=tmp_path).startswith(str(place))


def test_every_line_of_the_readmes_tables_has_a_test():
    named = re.findall(r"\btest_\w+", (aio.PYTHON / "README").read_text())
    there = set()
    for path in pathlib.Path(__file__).parent.glob("test_python_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    assert len(named) > 40
    assert [name for name in named if name not in there] == []
