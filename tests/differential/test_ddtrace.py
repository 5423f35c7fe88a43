"""asyncdsm and ddtrace name the same pathways, read each other's contexts and count into the same bins."""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any

from asyncdsm.core.context import node_hash, pathway_hash
from asyncdsm.core.histogram import bin_index
from asyncdsm.core.pathway import Pathway
from asyncdsm.delivery.sketch import encode
from tests.differential.process import ask

SEED = 20260801
NS_PER_MS = 1_000_000
EARLIEST_MS, LATEST_MS = 600_000_000_000, 2_150_000_000_000  # 1989 to 2038


def random_text(random: Random, longest: int) -> str:
    """Return a text that is not empty, of any characters that UTF-8 can write."""
    ranges = [(0x20, 0x7F), (0xA0, 0x800), (0x4E00, 0x9FFF), (0x1F300, 0x1FAFF)]
    return "".join(chr(random.randrange(*random.choice(ranges))) for _ in range(random.randint(1, longest)))


def random_checkpoint(random: Random) -> dict[str, Any]:
    """Return a question for ddtrace's hash; every checkpoint has a direction."""
    tags = [f"{random_text(random, 8)}:{random_text(random, 30)}" for _ in range(random.randint(0, 6))]
    tags.insert(random.randint(0, len(tags)), random.choice(["direction:in", "direction:out"]))
    return {
        "service": random_text(random, 20),
        "env": random.choice([None, "prod", random_text(random, 12)]),
        "tags": tags,
        "parent": random.choice([0, random.getrandbits(64)]),
    }


def random_contexts(random: Random, count: int) -> list[Pathway]:
    """Return contexts whose times lie in the middle of a millisecond: ddtrace's floats blur its borders."""
    return [
        Pathway(
            random.getrandbits(random.choice([8, 63, 64])),
            random.randrange(EARLIEST_MS, LATEST_MS) * NS_PER_MS + NS_PER_MS // 2,
            random.randrange(EARLIEST_MS, LATEST_MS) * NS_PER_MS + NS_PER_MS // 2,
        )
        for _ in range(count)
    ]


def random_value(random: Random) -> float:
    """Return a latency or a size: zero now and then, else anything from 1e-9 to 1e9."""
    return 0.0 if random.random() < 0.02 else math.exp(random.uniform(math.log(1e-9), math.log(1e9)))


def test_thousand_pathways_have_the_hashes_of_ddtrace() -> None:
    """Whatever the service, the env, the tags and the parent."""
    random = Random(SEED)
    questions = [random_checkpoint(random) for _ in range(1000)]
    ours = [
        pathway_hash(node_hash(asked["service"], asked["env"], tuple(asked["tags"])), asked["parent"])
        for asked in questions
    ]
    assert ours == ask(hashes=questions)["hashes"]


def test_headers_are_byte_for_byte_those_of_ddtrace() -> None:
    """And we read from them what ddtrace put in, to the millisecond."""
    contexts = random_contexts(Random(SEED), 1000)
    headers = ask(contexts=[[*context] for context in contexts])["contexts"]
    assert [context.encode_base64() for context in contexts] == headers
    assert [Pathway.decode_base64(header) for header in headers] == [whole_milliseconds(each) for each in contexts]


def test_ddtrace_reads_headers_of_asyncdsm() -> None:
    """The same hash and times, to the millisecond."""
    contexts = random_contexts(Random(SEED + 1), 1000)
    read = ask(headers=[context.encode_base64() for context in contexts])["headers"]
    assert read == [
        [context.hash, context.pathway_start_ns // NS_PER_MS, context.edge_start_ns // NS_PER_MS]
        for context in contexts
    ]


def test_sketches_are_byte_for_byte_those_of_ddtrace() -> None:
    """One value in each: its bin, and how a sketch is written."""
    random = Random(SEED)
    values = [0.0, 1e-9, 1.0, 1e9, *(random_value(random) for _ in range(2000))]
    ours = [encode({bin_index(value): 1.0}).hex() for value in values]
    assert ours == ask(sketches=[[value] for value in values])["sketches"]


def test_sketches_of_many_values_are_byte_for_byte_those_of_ddtrace() -> None:
    """Counts add up, gaps between bins are written alike, and beyond 2048 bins the same ones collapse."""
    random = Random(SEED)
    samples = [[random_value(random) for _ in range(random.randint(2, 200))] for _ in range(200)]
    ours = [encode(Counter(map(bin_index, sample))).hex() for sample in samples]
    assert ours == ask(sketches=samples)["sketches"]


def whole_milliseconds(context: Pathway) -> Pathway:
    """Return what the wire carries of a context."""
    starts = (start // NS_PER_MS * NS_PER_MS for start in context[1:])
    return Pathway(context.hash, *starts)
