"""Names from outside, cut, and with nothing in them that a terminal or a reader of lines would obey."""

from __future__ import annotations

from asyncdsm.agent.graph import Link, Node
from asyncdsm.agent.words import change_text

LONGEST = 60


def plain(name: str, longest: int = LONGEST) -> str:
    """Return the name in one line of printable characters."""
    shown = "".join(character if character.isprintable() else "�" for character in name[:longest])
    return shown + ("…" if len(name) > longest else "")


def label_of(node: Node) -> str:
    """Return what a node is called, with its environment or type where that says more."""
    where = plain(node.where)
    return f"{plain(node.label)} ({where})" if where and node.name else plain(node.label)


def says(link: Link) -> str:
    """Return what a hop is like now: how long it takes, how often, since when, for which group, how far behind."""
    if link.edge is None:
        return ""
    present = link.edge["present"]
    parts = [present["label"], f"{present['rate']:.3g}/s", change_text(present)]
    if link.edge["group"]:
        parts.append(f"group {plain(link.edge['group'])}")
    if link.edge["lag"]:
        parts.append(f"{link.edge['lag']} behind")
    return ", ".join(part for part in parts if part)
