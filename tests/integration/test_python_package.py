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

MODULES = sorted(
    path.name for path in (aio.SOURCE / "python" / "lockkeeper").iterdir()
    if path.suffix in (".py", ".pyi", ".typed"))
EXTENSION = "_cresp.so"
HAS_EXTENSION = (aio.PYTHON / "lockkeeper" / EXTENSION).exists()


def with_extension(names):
    return sorted([*names, EXTENSION] if HAS_EXTENSION else names)


def implementation(place, tmp_path, **environment):
    """Of the package that is there, which is what is imported."""
    file, used = run(
        sys.executable, "-B", "-c", "import lockkeeper\n"
        "print(lockkeeper.__file__, lockkeeper.implementation)", cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(place)} | environment).split()
    assert file.startswith(str(place))
    return used


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
    for name in ("python", "src", "include"):
        shutil.copytree(aio.SOURCE / name, tmp_path / name,
                        ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    subprocess.run(["chmod", "-R", "u+w", tmp_path], check=True)
    run(sys.executable, "-c", "import setuptools.build_meta as b, sys; "
        "b.build_wheel(sys.argv[1])", tmp_path, cwd=tmp_path / "python")
    [wheel] = tmp_path.glob("lockkeeper-*.whl")
    place = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(place)
    names = [re.sub(r"_cresp\..*\.so$", EXTENSION, path.name)
             for path in (place / "lockkeeper").iterdir()]
    assert sorted(names) == with_extension(MODULES)
    assert implementation(place, tmp_path) == \
        ("c" if HAS_EXTENSION else "python")


def test_make_install_puts_it_where_python_looks(tmp_path):
    if not (aio.BUILD / "Makefile").exists():
        pytest.skip("not in a build directory")
    goals = ["install-lkpythonDATA"]
    if HAS_EXTENSION:
        goals.append("install-lkpythonPROGRAMS")
    run("make", "-s", "-C", aio.BUILD, *goals, f"DESTDIR={tmp_path}",
        "prefix=/opt/lk")
    [place] = (tmp_path / "opt" / "lk").rglob("lockkeeper")
    assert sorted(path.name for path in place.iterdir()) == \
        with_extension(MODULES)
    assert implementation(place.parent, tmp_path) == \
        ("c" if HAS_EXTENSION else "python")


def test_the_environment_says_which_it_is_to_be(tmp_path):
    def used(wanted):
        return implementation(aio.PYTHON, tmp_path,
                              LOCKKEEPER_IMPLEMENTATION=wanted)

    assert used("python") == "python"
    if HAS_EXTENSION:
        assert used("c") == used("") == "c"
    with pytest.raises(AssertionError, match="may be c or python"):
        used("rust")
    shutil.copytree(aio.SOURCE / "python" / "lockkeeper",
                    tmp_path / "pure" / "lockkeeper",
                    ignore=shutil.ignore_patterns("*.so"))
    assert implementation(tmp_path / "pure", tmp_path) == "python"
    with pytest.raises(AssertionError, match="Debian: python3-dev"):
        implementation(tmp_path / "pure", tmp_path,
                       LOCKKEEPER_IMPLEMENTATION="c")


def test_every_line_of_the_readmes_tables_has_a_test():
    named = re.findall(r"\btest_\w+", (aio.SOURCE / "python" / "README").read_text())
    there = set()
    for path in pathlib.Path(__file__).parent.glob("test_python_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    assert len(named) > 40
    assert [name for name in named if name not in there] == []
