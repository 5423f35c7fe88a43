"""Names with emoji of several characters, accents and flags are cut between what a person sees as one character."""

from __future__ import annotations

import pytest

from asyncdsm.map.graphemes import LONGEST_CLUSTER, cut_clusters, split_clusters
from asyncdsm.map.name_cell import fit_name
from asyncdsm.map.strings import cut_to_cells, plain_text

ENGINEER = "\U0001f469\U0001f3fd\u200d\U0001f4bb"
ACCENTED, FLAG, HANGUL = "e\u0301", "\U0001f1e9\U0001f1ea", "\u1112\u1161\u11ab"


@pytest.mark.parametrize("whole", [ENGINEER, ACCENTED, FLAG, HANGUL, "❤\ufe0f\u200d🔥", "宽"], ids=ascii)
def test_what_is_seen_as_one_character_is_never_split(whole: str) -> None:
    assert split_clusters(f"a{whole}b{whole}{whole}") == ["a", whole, "b", whole, whole]
    name = f"{whole}" * 30
    for cells in range(1, 62):
        for shown in (fit_name(name, cells), cut_to_cells(name, cells), plain_text(name, cells)):
            if whole[:cells] == whole:
                assert shown.replace(whole, "") in {"", "…"}, (cells, shown)


def test_two_flags_are_two() -> None:
    assert split_clusters(FLAG * 3 + FLAG[0]) == [FLAG, FLAG, FLAG, FLAG[0]]


def test_name_loses_its_middle_and_keeps_its_accents() -> None:
    assert fit_name(f"{ACCENTED}abcdef{ACCENTED}", 3) == f"{ACCENTED}…{ACCENTED}"


def test_letter_with_any_number_of_accents_is_cut_somewhere() -> None:
    name = "a" + "\u0301" * 900
    assert max(map(len, split_clusters(name))) == LONGEST_CLUSTER
    assert len(plain_text(name)) == 193
    assert len(cut_clusters(name, 5)) == 5
