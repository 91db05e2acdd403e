"""Completes what `make dist` has built to a release: list of its parts, trials, the image's base, and the checksums.

    python scripts/release.py FOLDER [--trial]

Refuses where the release would not be what it says: a version that the changelog does not know, changes that are not
committed, a commit that is not tagged with the version. ``--trial`` goes on all the same.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import environments  # noqa: E402 - the folder is no package that is installed
from scripts.dist import checksums, version  # noqa: E402

ENVIRONMENT = ROOT / ".venv-release"
"""The release's tools, which must not be where the gateway runs: they bring what ``jsonschema`` then imports."""


def problems(wanted: str, changelog: str, changed: str, tags: str) -> Iterator[str]:
    """Reasons for which a version can't be released. ``changed``: `git status --porcelain`; ``tags``: those of the
    commit, a line each."""
    if not re.search(rf"^## \[{re.escape(wanted)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no section [{wanted}] with a date"
    if changed.strip():
        yield f"there are changes that are not committed: {len(changed.splitlines())} files"
    if f"v{wanted}" not in tags.split():
        yield f"the commit has no tag v{wanted}"


def sbom(folder: Path, tools: Path) -> Path:
    """Write the list of the release's parts, CycloneDX in JSON: each locked package with its digests."""
    path = folder / f"gateway-{version()}.cdx.json"
    command = [str(tools / "cyclonedx-py"), "requirements", "requirements.lock", "--pyproject", "pyproject.toml"]
    command += ["--mc-type", "application", "--output-reproducible", "--of", "JSON", "-o", str(path)]
    subprocess.run(command, cwd=ROOT, check=True)
    return path


def try_files(folder: Path, tools: Path) -> None:
    """Run the program from the wheel's file alone, and from the sources', in environments that are made for that and
    thrown away; by uv and by pipx. Raises SystemExit where one is not this version."""
    [wheel], [sources] = folder.glob("gateway-*.whl"), folder.glob(f"gateway-{version()}.tar.gz")
    uv = [str(environments.UV), "tool", "run", "--isolated", "--python", sys.executable, "--from"]
    pipx = [str(tools / "pipx"), "run", "--no-cache", "--python", sys.executable, "--spec"]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "PIPX_HOME": home}
        for file, tool in product((wheel, sources), (uv, pipx)):
            command, name = [*tool, str(file), "gateway", "--version"], Path(tool[0]).name
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.stdout.split() != ["gateway", version()]:
                raise SystemExit(f"{file.name}, run by {name}, says {done.stdout.strip()!r}\n{done.stderr[-2000:]}")
            print(f"{file.name} runs by {name}")


BASE_TIMEOUT = 60
"""Seconds for a registry of images to answer."""


def base_of(dockerfile: str) -> str:
    """The name of the image's base, with the default of each argument."""
    given = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    return re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], given["BASE"])


def digest_of(image: str) -> str | None:
    """The digest that a registry has the image under now; None: no tool that asks is there, or none is reached."""
    long = f"docker://docker.io/library/{image}"
    for command in (
        ["skopeo", "inspect", "--format", "{{.Digest}}", long],
        ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", image],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BASE_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and (found := re.fullmatch(r"sha256:[0-9a-f]{64}", done.stdout.strip())):
            return found[0]
    return None


def pin_base(folder: Path, image: str) -> Path | None:
    """Write what builds the image of this release on the very base of today: `docker build $(cat image-arguments)`.

    Where no registry of images is reached nothing is written, and it is said.
    """
    path = folder / "image-arguments"
    path.unlink(missing_ok=True)
    digest = digest_of(image)
    if digest is None:
        print(f"no registry of images was reached: the image's base {image} is not pinned")
        return None
    path.write_text(f"--build-arg BASE={image}@{digest}\n", encoding="utf-8")
    print(f"the image's base is {image}@{digest}")
    return path


def git(*arguments: str) -> str:
    """The output of a git command."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def main(folder: Path, *, trial: bool) -> None:
    """Complete the release in ``folder``, or end with the reasons why not."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = list(problems(version(), changelog, git("status", "--porcelain"), git("tag", "--points-at", "HEAD")))
    for problem in found:
        print(f"{'trial: ' if trial else ''}{problem}", file=sys.stderr)
    if found and not trial:
        raise SystemExit(1)
    tools = environments.environment(ENVIRONMENT, ROOT / "requirements-release.lock").parent
    try_files(folder, tools)
    sbom(folder, tools)
    pin_base(folder, base_of((ROOT / "Dockerfile").read_text(encoding="utf-8")))
    print(checksums(folder).read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--trial"]):
        sys.exit("usage: python scripts/release.py FOLDER [--trial]")
    main(Path(sys.argv[1]).resolve(), trial=len(sys.argv) == 3)
