"""The words that the spell check is told of."""

from pathlib import Path

WORDS = Path(__file__).parents[2].joinpath("docs", "words.txt").read_text("utf-8").splitlines()


def test_words_are_sorted_and_each_is_there_once() -> None:
    assert sorted(set(WORDS), key=lambda word: (word.casefold(), word)) == WORDS
