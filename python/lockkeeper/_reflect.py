"""Classes for the models that the daemon knows: as they are now, or written
into a file.
"""
from __future__ import annotations

import asyncio
import keyword
import re
from typing import TYPE_CHECKING, Any, Iterator

from ._columns import Column, Many, One, relation as relation_of
from .errors import NoModelError
from .models import Model

if TYPE_CHECKING:
    from ._client import Lockkeeper


class Reflected:
    """models.users or models["public.users"]; iterating gives the classes."""

    def __init__(self, classes: dict[str, type[Any]]) -> None:
        self._classes = classes

    def __getitem__(self, model: str) -> type[Any]:
        try:
            return self._classes[model]
        except KeyError:
            raise NoModelError(f"there is no model {model}") from None

    def __getattr__(self, model: str) -> type[Any]:
        if model.startswith("__"):
            raise AttributeError(model)
        return self[model]

    def __iter__(self) -> Iterator[type[Any]]:
        return iter(self._classes.values())


async def _describe_all(lk: Lockkeeper) -> list[dict[str, Any]]:
    names = [row["model"] for row in await lk.autocommit().call("MODELS")]
    return list(await asyncio.gather(*map(lk.core.describe, names)))


def attribute_of(name: str, taken: set[str]) -> str:
    """An identifier for a column, relation or table."""
    made = re.sub(r"\W", "_", name)
    if not made or made[0].isdigit() or made[0] == "_":
        made = "c" + made
    while keyword.iskeyword(made) or made in taken or hasattr(Model, made):
        made += "_"
    return made


async def reflect(lk: Lockkeeper) -> Reflected:
    base: type[Any] = type("ReflectedModel", (Model,),
                           {"__module__": __name__}, table="")
    base.bind(lk)
    classes = {}
    for described in await _describe_all(lk):
        taken: set[str] = set()
        members: dict[str, Any] = {"__module__": base.__module__,
                                   "__annotations__": {}}
        for column in described["columns"]:
            attribute = attribute_of(column["name"], taken)
            taken.add(attribute)
            members[attribute] = Column[Any](column["name"])
            members["__annotations__"][attribute] = Column[Any]
        for relation in described["relations"]:
            attribute = attribute_of(relation["name"], taken)
            taken.add(attribute)
            members[attribute] = relation_of(relation["name"])
            members["__annotations__"][attribute] = \
                Many[Any] if relation["kind"] == "many" else One[Any]
        classes[described["model"]] = type(
            attribute_of(described["model"], set()), (base,), members,
            table=described["model"])
    return Reflected(classes)


# ---- as source ----

_TYPES = {
    "boolean": "bool", "smallint": "int", "integer": "int", "bigint": "int",
    "oid": "int", "real": "float", "double precision": "float",
    "numeric": "decimal.Decimal", "bytea": "bytes", "uuid": "uuid.UUID",
    "date": "datetime.date", "time without time zone": "datetime.time",
    "time with time zone": "datetime.time",
    "timestamp without time zone": "datetime.datetime",
    "timestamp with time zone": "datetime.datetime",
    "interval": "lockkeeper.Interval", "json": "Any", "jsonb": "Any",
    "inet": "Any", "cidr": "Any",
    "int4range": "lockkeeper.Range[int]", "int8range": "lockkeeper.Range[int]",
    "numrange": "lockkeeper.Range[decimal.Decimal]",
    "daterange": "lockkeeper.Range[datetime.date]",
    "tsrange": "lockkeeper.Range[datetime.datetime]",
    "tstzrange": "lockkeeper.Range[datetime.datetime]",
}


def class_name(name: str) -> str:
    """In capitals: order_lines is OrderLines."""
    return attribute_of("".join(
        part[:1].upper() + part[1:] for part in re.split(r"\W|_", name)),
        set())


class _Writer:
    def __init__(self, types: dict[int, dict[str, Any]]) -> None:
        self._types = types
        self.enums: dict[str, list[str]] = {}

    def annotation(self, oid: int) -> str:
        told = self._types.get(oid)
        if told is None:
            return "Any"
        if told["kind"] == "enum":
            name = class_name(told["name"])
            self.enums[name] = told["labels"]
            return name
        if told["kind"] == "array":
            return "list[Any]"
        if told["kind"] == "domain":
            return self.annotation(told["of"])
        if told["kind"] == "composite":
            return "lockkeeper.Record"
        if told["kind"] == "range":
            return _TYPES.get(told["name"], "lockkeeper.Range[Any]")
        return _TYPES.get(told["name"], "str")

    def model(self, described: dict[str, Any]) -> list[str]:
        lines = [f"class {class_name(described['model'])}(Base, "
                 f"table={described['model']!r}):"]
        taken: set[str] = set()
        for column in described["columns"]:
            inner = self.annotation(column["oid"])
            if not column["not_null"] and inner != "Any":
                inner += " | None"
            lines.append(self._member(column["name"], taken,
                                      f"Column[{inner}]", "column"))
        for relation in described["relations"]:
            kind = "Many" if relation["kind"] == "many" else "One"
            lines.append(self._member(
                relation["name"], taken,
                f"{kind}[{class_name(relation['model'])}]", "relation"))
        return lines

    @staticmethod
    def _member(name: str, taken: set[str], annotation: str,
                function: str) -> str:
        attribute = attribute_of(name, taken)
        taken.add(attribute)
        given = "" if attribute == name else f" = {function}({name!r})"
        return f"    {attribute}: {annotation}{given}"

    def enum(self, name: str, labels: list[str]) -> list[str]:
        lines, taken = [f"class {name}(enum.Enum):"], set[str]()
        for label in labels:
            member = attribute_of(label.upper(), taken)
            taken.add(member)
            lines.append(f"    {member} = {label!r}")
        return lines


async def _all_types(lk: Lockkeeper, oids: set[int]
                     ) -> dict[int, dict[str, Any]]:
    known: dict[int, dict[str, Any]] = {}
    while oids:
        told = await lk.autocommit().call("TYPES", *sorted(oids))
        known.update((each["oid"], each) for each in told if each)
        oids = {each["of"] for each in told
                if each and each["of"] is not None} - known.keys()
    return known


async def source(lk: Lockkeeper) -> str:
    """The text of a module with a class for each model."""
    described = await _describe_all(lk)
    writer = _Writer(await _all_types(lk, {
        column["oid"] for each in described for column in each["columns"]}))
    models = [writer.model(each) for each in described]
    enums = [writer.enum(name, labels)
             for name, labels in sorted(writer.enums.items())]
    head = [f'"""Models of the database {lk.database}, as `python -m '
            'lockkeeper models` wrote them."""',
            "from __future__ import annotations", "",
            "import datetime", "import decimal", "import enum", "import uuid",
            "from typing import Any", "", "import lockkeeper",
            "from lockkeeper.models import Column, Many, Model, One, column, "
            "relation",
            "", "", "class Base(Model, table=''):",
            '    """Bind it to a client: lk.bind(Base)."""']
    return "\n\n\n".join(["\n".join(part) for part in
                          [head, *enums, *models]]) + "\n"
