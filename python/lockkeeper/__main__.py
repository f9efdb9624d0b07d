"""python -m lockkeeper models: write classes for a database's models."""
from __future__ import annotations

import argparse
import asyncio
import sys

import lockkeeper
from lockkeeper._reflect import source


async def _models(path: str | None, database: str | None) -> str:
    async with lockkeeper.connect(path, database=database) as lk:
        return await source(lk)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lockkeeper")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    models = commands.add_parser(
        "models", help="write typed classes for all models of a database")
    models.add_argument("-s", "--socket", help="the daemon's "
                        "[$LOCKKEEPER_SOCKET]")
    models.add_argument("-d", "--database", help="as the config calls it "
                        "[the first one]")
    models.add_argument("-o", "--output", help="the file [standard output]")
    wanted = parser.parse_args()
    try:
        text = asyncio.run(_models(wanted.socket, wanted.database))
    except (OSError, lockkeeper.Error) as error:
        print(f"python -m lockkeeper: {error}", file=sys.stderr)
        return 1
    if wanted.output is None:
        print(text, end="")
    else:
        with open(wanted.output, "w", encoding="utf-8") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
