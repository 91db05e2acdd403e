"""``python -m tests.soak [--seconds N]``: the long form of ``test_soak``."""

import argparse
import sys
import tempfile
from pathlib import Path

import trio

from tests.endtoend.gateway_process import development_certificates
from tests.soak.soaking import soak


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--chargers", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-soak-") as name:
        folder = Path(name)
        certificates = development_certificates(folder / "certs")
        try:
            reported = trio.run(soak, folder, certificates, options.seconds, options.chargers)
        except BaseException:
            log = folder / "gateway.log"
            if log.exists():
                print("\n".join(log.read_text(errors="replace").splitlines()[-40:]), file=sys.stderr)
            raise
    print(reported)


if __name__ == "__main__":
    main()
