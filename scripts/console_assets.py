"""Copy the console's vendored assets from npm's packages, and note their digests: `make console-assets`.

They are committed, so that a clone without Node shows the console; `tests/console/test_assets.py` finds what differs.
"""

import hashlib
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "gateway" / "console" / "static"
DIGESTS = STATIC / "VENDORED"

ASSETS = {
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "uplot.LICENSE": "uplot/LICENSE",
}
"""By name: where it is in node_modules."""


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Copy, and write the digests."""
    lines = []
    for name, source in ASSETS.items():
        shutil.copyfile(ROOT / "node_modules" / source, STATIC / name)
        lines.append(f"{digest(STATIC / name)}  {name}  {source}\n")
    DIGESTS.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} files copied to {STATIC.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
