"""Splits strings into what a person sees as one character: a letter with its accents, a flag, an emoji of several.

This is the part of Unicode's grapheme clusters (UAX #29) that names have: marks, joined and modified emoji, flags, and
Hangul that is written letter by letter.
"""

from __future__ import annotations

from collections.abc import Iterator
from unicodedata import category

JOINER = "\u200d"
LONGEST_CLUSTER = 32
"""Characters of a cluster at most: a letter may have any number of accents."""
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_HANGUL_BEGINS, _HANGUL_PARTS = range(0x1100, 0x1160), range(0x1160, 0x1200)


def split_clusters(text: str) -> list[str]:
    """Return the clusters of a string, which make it up."""
    clusters: list[str] = []
    for character in text:
        if clusters and len(clusters[-1]) < LONGEST_CLUSTER and _continues(clusters[-1], character):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def cut_clusters(text: str, longest: int) -> str:
    """Return the first whole clusters of a string that have at most `longest` characters; of one, those that do."""
    if len(text) <= longest:
        return text
    kept = "".join(_take_whole(split_clusters(text[: longest + LONGEST_CLUSTER]), longest))
    return kept or text[:longest]


def joins_emoji(text: str, index: int) -> bool:
    """Return whether the character at an index is a joiner between two symbols, which then are one emoji."""
    before = text[:index][-2:].rstrip("\ufe0f" + "".join(map(chr, _SKIN_TONES)))[-1:]
    after = text[index + 1 : index + 2]
    return text[index] == JOINER and bool(before and after) and category(before) == category(after) == "So"


def _take_whole(clusters: list[str], longest: int) -> Iterator[str]:
    room = longest
    for cluster in clusters:
        room -= len(cluster)
        if room < 0:
            return
        yield cluster


def _continues(cluster: str, character: str) -> bool:
    """Return whether a character belongs to the cluster before it."""
    last, code = cluster[-1], ord(character)
    return (
        character == JOINER
        or category(character).startswith("M")
        or code in _SKIN_TONES
        or (last == JOINER and category(character) == "So")
        or (code in _FLAG_LETTERS and len(cluster) == 1 and ord(last) in _FLAG_LETTERS)
        or (code in _HANGUL_PARTS and (ord(last) in _HANGUL_BEGINS or ord(last) in _HANGUL_PARTS))
    )
