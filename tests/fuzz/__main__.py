"""``python -m tests.fuzz TARGET [--seconds N]``: look for inputs that break a target, guided by coverage.

Needs atheris (the dependency group ``fuzz``; ``make fuzz`` installs it). What is found is written beside the corpus as
``crash-...``; shrunk and renamed, it belongs into the corpus.
"""

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import mutate

CORPUS = Path(__file__).parent / "corpus"
WORDS = CORPUS.parent / "words.txt"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(path.name for path in CORPUS.iterdir()))
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--found", type=Path, help="a folder for what is found, kept for the next time")
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install --group fuzz, or make fuzz")
    with atheris.instrument_imports(include=["gateway", "websockets", "json"]):
        from tests.fuzz.targets import TARGETS
    with tempfile.TemporaryDirectory() as scratch:
        found = options.found or Path(scratch)
        found.mkdir(parents=True, exist_ok=True)
        arguments = [
            sys.argv[0],
            f"-max_total_time={options.seconds}",
            "-max_len=8192",
            "-timeout=5",  # seconds for one input: whatever takes so long is a bug too
            "-rss_limit_mb=2048",
            f"-seed={options.seed}",
            f"-dict={WORDS}",
            f"-artifact_prefix={CORPUS / options.target}/",
            "-print_final_stats=1",
            str(found),
            str(CORPUS / options.target),
        ]
        mutator = {"custom_mutator": _mutator(atheris)} if options.target == "messages" else {}
        atheris.Setup(arguments, TARGETS[options.target], **mutator)
        atheris.Fuzz()


def _mutator(atheris: Any) -> Callable[[bytes, int, int], bytes]:
    words = re.findall(r'^"([^"\\\\]+)"$', WORDS.read_text(encoding="utf-8"), re.MULTILINE)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        dice = random.Random(seed)
        changed = mutate(data, words, dice) if dice.random() < 0.8 else None
        if changed is None or len(changed) > max_size:
            return bytes(atheris.Mutate(data, max_size))
        return changed

    return mutator


if __name__ == "__main__":
    main()
