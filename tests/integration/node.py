"""Node.js, the clients from npm that the tests use, and our own."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def install(directory):
    """The clients, and the tests' and examples' programs beside them: Node.js
    looks for the former where the latter are, and that is not in the
    sources."""
    for path in (ROOT / "tests" / "clients" / "node").iterdir():
        if path.is_file():
            shutil.copy(path, directory)
    (directory / "examples").mkdir()
    for path in (ROOT / "examples").glob("*.mjs"):
        shutil.copy(path, directory / "examples")
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("node is here and npm is not (Debian: apt-get install "
                    "npm)", pytrace=False)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund",
         "--prefer-offline"], cwd=directory, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, env=os.environ | {"npm_config_update_notifier": "false"})
    if done.returncode != 0:
        pytest.fail(
            "npm could not fetch what tests/clients/node/package-lock.json "
            "names:\n" + done.stdout[-2000:] + "\nLet it reach its registry "
            "(`npm config get registry`) once, by `npm ci` in a copy of that "
            "folder; from then on its cache does.", pytrace=False)
    return directory


def with_our_client(directory):
    """Our client, from the sources, is where a program in there looks."""
    (directory / "node_modules").mkdir()
    (directory / "node_modules" / "lockkeeper").symlink_to(ROOT / "node")
    return directory
