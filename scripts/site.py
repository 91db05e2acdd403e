"""Assembles and builds the documentation site: `make docs`.

    python -m scripts.site MERMAID

``MERMAID``: the script that draws diagrams, which the site serves itself. Pages are those of `docs/`, some others of
the repository, and a reference made from the protos (``scripts.reference``). Examples are cut from the files that
`make test-examples` runs, by their marks. A broken link, a missing mark and anything fetched from elsewhere end it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts import reference

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / ".site" / "pages"
HTML = ROOT / ".site" / "html"
CONFIG = ROOT / ".site" / "mkdocs.yml"

OTHERS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "README.md": "quick-start.md",
    "clients/python/README.md": "python-client.md",
    "examples/clients/README.md": "examples.md",
    "examples/night/README.md": "night.md",
}
"""Pages of the repository outside `docs/`, and their places in the site. The readme's is taken by its longer form."""

PROTOS = "protos/gateway/api/v1"

LANGUAGES = {
    "Python": ("python", "examples/clients/python/charge.py"),
    "Go": ("go", "examples/clients/go/main.go"),
    "TypeScript": ("typescript", "examples/clients/typescript/src/charge.ts"),
}
"""By the name of a tab: the language of its code, and the file that it is cut from."""

TOKEN = re.compile(
    r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)"
    r"|^```.*?^```|`[^`\n]+`",
    re.MULTILINE | re.DOTALL,
)
"""A link, or code, in which brackets are no links."""

ALL = re.compile(r"^<!-- examples: (\S+) -->$", re.MULTILINE)
ONE = re.compile(r"^<!-- example: (\S+) (\S+) -->$", re.MULTILINE)

ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//[^\s\">]+|<link\b[^>]*>", re.IGNORECASE
)


class SiteError(Exception):
    """The site can't be made of what is there."""


def cut(path: Path, mark: str) -> str:
    """The part of a file between two lines that hold only a mark: ``# [mark]`` or ``// [mark]``."""
    line = re.compile(rf"^(?:#|//) \[{re.escape(mark)}\]\n", re.MULTILINE)
    parts = line.split(path.read_text(encoding="utf-8"))
    if len(parts) != 3:
        raise SiteError(f"{path.name} has no part [{mark}]")
    return parts[1].strip("\n") + "\n"


def tabs(mark: str) -> str:
    """An example in all languages that have it, each in a tab."""
    found = []
    for name, (language, path) in LANGUAGES.items():
        code = cut(ROOT / path, mark) if f"[{mark}]" in (ROOT / path).read_text(encoding="utf-8") else ""
        if code:
            body = "".join(f"    {line}\n" if line else "\n" for line in code.splitlines())
            found.append(f'=== "{name}"\n\n    ```{language}\n{body}    ```\n')
    if not found:
        raise SiteError(f"no example has a part [{mark}]")
    return "\n".join(found)


def with_examples(text: str) -> str:
    """A page with its examples in the place of their comments."""
    text = ALL.sub(lambda match: tabs(match[1]), text)
    return ONE.sub(lambda match: f"```python\n{cut(ROOT / match[1], match[2])}```", text)


def places() -> dict[str, str]:
    """By the path of a file in the repository its place in the site."""
    docs = ROOT / "docs"
    found = {f"docs/{path.relative_to(docs)}": str(path.relative_to(docs)) for path in sources(docs)}
    for path in (ROOT / PROTOS).glob("*.proto"):
        found[f"{PROTOS}/{path.name}"] = f"reference/{path.stem}.md"
    return {PROTOS: "reference/index.md", **OTHERS, **found}


def sources(docs: Path) -> Iterator[Path]:
    """The files of `docs/` that are part of the site."""
    for path in sorted(docs.rglob("*")):
        if path.is_file() and path.suffix in (".md", ".toml", ".svg", ".png") and docs / "site" not in path.parents:
            yield path


def with_links(text: str, source: str, place: str, known: dict[str, str]) -> str:
    """A page with its links as they are in the site. What is in the repository alone keeps its name, and no link."""

    def relink(match: re.Match[str]) -> str:
        words, target, anchor = match["words"], match["target"], match["anchor"] or ""
        if not target or ":" in target:
            return match[0]
        path = os.path.normpath(os.path.join(os.path.dirname(source), target))
        if path in known:
            return f"[{words}]({os.path.relpath(known[path], os.path.dirname(place) or '.')}{anchor})"
        if not (ROOT / path).exists():
            raise SiteError(f"{source}: there is no {path}")
        return words if "`" in words else f"{words} (`{path}`)"

    return TOKEN.sub(relink, text)


def assemble(mermaid: Path) -> None:
    """Write the site's pages and its configuration."""
    shutil.rmtree(ROOT / ".site", ignore_errors=True)
    known = places()
    docs = {f"docs/{path.relative_to(ROOT / 'docs')}" for path in sources(ROOT / "docs")}
    for source in [*docs, *OTHERS]:
        place = known[source]
        if source == "README.md":
            continue
        target = PAGES / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            text = (ROOT / source).read_text(encoding="utf-8")
            target.write_text(with_examples(with_links(text, source, place, known)), encoding="utf-8")
        else:
            shutil.copy(ROOT / source, target)
    (PAGES / "reference").mkdir()
    written = reference.write(PAGES / "reference", tabs)
    (PAGES / "assets").mkdir(exist_ok=True)
    shutil.copy(mermaid, PAGES / "assets" / "mermaid.js")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").replace(".site/", "")
    decisions = sorted(Path(name).name for name in docs if name.startswith("docs/adr/"))
    settings = settings.replace("      # REFERENCE\n", "".join(f"      - reference/{name}\n" for name in written))
    settings = settings.replace("          # DECISIONS\n", "".join(f"          - adr/{name}\n" for name in decisions))
    CONFIG.write_text(settings, encoding="utf-8")


def fetched(html: Path) -> list[str]:
    """Tags of the pages that would have a browser fetch something from elsewhere."""
    found = []
    for path in sorted(html.rglob("*.html")):
        for tag in ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            if "<link" not in tag.lower() or re.search(r"href=\"?(?:https?:)?//", tag):
                found.append(f"{path.relative_to(html)}: {tag}")
    return found


def main(mermaid: Path) -> None:
    """Build the site, or end with what is wrong."""
    try:
        assemble(mermaid)
    except SiteError as error:
        raise SystemExit(f"error: {error}") from None
    # Not with --quiet: it hides warnings from --strict, too.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(CONFIG)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        raise SystemExit(f"{built.stdout}{built.stderr}\nerror: the documentation site has faults")
    found = fetched(HTML)
    if found:
        raise SystemExit("\n".join(["error: a page fetches something from elsewhere:", *found]))
    print(f"{len(list(HTML.rglob('*.html')))} pages in {HTML.relative_to(ROOT)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.site MERMAID")
    main(Path(sys.argv[1]))
