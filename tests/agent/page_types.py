"""TypeScript declarations of the agent's answers, for the page's type check.

`python -m tests.agent.page_types` writes them; `test_page_types` fails when they are out of date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

import asyncdsm.agent
from asyncdsm.agent.http.openapi import answer_schemas

PATH = Path(asyncdsm.agent.__path__[0]) / "page" / "api_types.d.ts"
LINE_LENGTH = 120
_HEAD = """// What the agent answers. Generated from the structs in Python: run `python -m tests.agent.page_types`.
"""


def declarations() -> str:
    """Return the declarations of all answers, in alphabetical order."""
    schemas = sorted(answer_schemas().items())
    return "\n".join([_HEAD, *("\n".join([*_interface(name, schema), ""]) for name, schema in schemas)])


def _interface(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from _comment(schema["description"])
    yield f"export interface {name} {{"
    for member, member_schema in schema["properties"].items():
        optional = "" if member in schema["required"] else "?"
        yield from _member(f"{member}{optional}", _type_of(member_schema))
    yield "}"


def _member(name: str, type_: str) -> Iterator[str]:
    """Yield a member in the lines that Biome makes of it."""
    line = f"  {name}: {type_};"
    if len(line) <= LINE_LENGTH:
        yield line
    else:
        yield f"  {name}:"
        yield "\n".join(f"    | {each}" for each in type_.split(" | ")) + ";"


def _comment(text: str) -> Iterator[str]:
    lines = [line for paragraph in text.split("\n\n") for line in wrap(paragraph, LINE_LENGTH - 3)]
    if len(lines) == 1 and len(lines[0]) <= LINE_LENGTH - 7:
        yield f"/** {lines[0]} */"
        return
    yield from ("/**", *(f" * {line}" for line in lines), " */")


def _type_of(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": ref}:
            found = ref.rpartition("/")[2]
        case {"anyOf": kinds}:
            found = " | ".join(map(_type_of, kinds))
        case {"enum": values}:
            found = " | ".join(f'"{value}"' for value in values)
        case {"type": "array", "prefixItems": items}:
            found = f"[{', '.join(map(_type_of, items))}]"
        case {"type": "array", "items": item}:
            found = f"{_type_of(item)}[]"
        case {"type": "object", "additionalProperties": values}:
            found = f"Record<string, {_type_of(values)}>"
        case _:
            found = {"integer": "number"}.get(schema["type"], schema["type"])
    return str(found)


if __name__ == "__main__":
    PATH.write_text(declarations(), "utf-8")
