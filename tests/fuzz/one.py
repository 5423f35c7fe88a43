"""`python -m tests.fuzz.one TARGET FOLDER SECONDS`: one target under atheris, which ends the process at a finding."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

OURS = ["asyncdsm", "asyncdsm_aio_pika", "asyncdsm_aiokafka", "asyncdsm_asgi", "asyncdsm_botocore"]


def main(name: str, folder: str, seconds: str) -> None:
    """Fuzz for so many seconds; what is found stands in the folder then."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=OURS):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.seeds import SEEDS

    corpus = Path(folder, "corpus", name)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=2048", "-timeout=20", f"-artifact_prefix={folder}/{name}-"]
    atheris.Setup([name, *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
