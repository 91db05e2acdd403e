"""The documentation site as it is assembled. `make docs` builds it, with no broken link."""

import re
from pathlib import Path

import pytest

from scripts import reference, site

FILES = reference.described()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reference, by name."""
    folder = tmp_path_factory.mktemp("reference")
    reference.write(folder, site.tabs)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_the_reference_has_each_method_message_and_enum(pages: dict[str, str]) -> None:
    """With its path, its Python name, the role that it needs, and whether it may be repeated."""
    for file in FILES:
        page = pages[f"{Path(file.name).stem}.md"]
        for service in file.service:
            for method in service.method:
                assert f"### {method.name} {{#{method.name}}}" in page
                assert f"`/gateway.api.v1.{service.name}/{method.name}`" in page
                assert f"[{method.name}]({Path(file.name).stem}.md#{method.name})" in pages["index.md"]
        for message in file.message_type:
            assert f"{message.name}" in page
        for enum in file.enum_type:
            assert all(f"| `{value.name}` | {value.number} |" in page for value in enum.value)
    start = pages["operation.md"].partition("### StartCharging ")[2].partition("### ")[0]
    assert "`gateway.operations.start_charging(v1.StartChargingRequest(...))`" in start
    assert "| needs | operate |" in start
    assert "with the same `request_id` it is safe to repeat" in start
    assert '=== "Go"' in start


def test_types_are_linked_to_where_they_are_described(pages: dict[str, str]) -> None:
    """Each link of the reference has its heading, in its own page or another's."""
    headings = {name: set(re.findall(r"^### .*\{#(\w+)\}$", text, re.MULTILINE)) for name, text in pages.items()}
    for name, text in pages.items():
        for target, anchor in re.findall(r"\]\(([\w.]*)#(\w+)\)", text):
            assert anchor in headings[target or name], f"{name}: {target}#{anchor}"


def test_an_example_is_cut_by_its_marks(tmp_path: Path) -> None:
    """Without them; a file that lacks one ends the build."""
    path = tmp_path / "a.py"
    path.write_text("x = 1\n# [part]\ny = 2\n\nz = 3\n# [part]\n", encoding="utf-8")
    assert site.cut(path, "part") == "y = 2\n\nz = 3\n"
    with pytest.raises(site.SiteError, match=r"a\.py has no part \[other\]"):
        site.cut(path, "other")


def test_each_part_of_the_examples_is_shown_in_three_languages() -> None:
    """Those that a page asks for are there; one that no language has ends the build."""
    for mark in ("provision", "watch", "follow", "charge"):
        assert re.findall(r'^=== "(\w+)"$', site.tabs(mark), re.MULTILINE) == ["Python", "Go", "TypeScript"]
    with pytest.raises(site.SiteError, match="no example"):
        site.tabs("nothing")
    assert "# [" not in site.with_examples("<!-- examples: watch -->")


def test_links_lead_to_pages_of_the_site() -> None:
    """Those to files of the repository alone become their names; one that leads nowhere ends the build."""
    known = {"docs/errors.md": "errors.md", "CHANGELOG.md": "changelog.md"}
    text = "[a](../errors.md#x) [b](../../CHANGELOG.md) [c](../../Makefile) [`d`](../../Makefile) [e](x:y) `[f](g)`"
    assert site.with_links(text, "docs/cookbook/p.md", "cookbook/p.md", known) == (
        "[a](../errors.md#x) [b](../changelog.md) c (`Makefile`) `d` [e](x:y) `[f](g)`"
    )
    with pytest.raises(site.SiteError, match="there is no docs/nowhere"):
        site.with_links("[a](nowhere.md)", "docs/p.md", "p.md", known)


def test_what_a_page_fetches_from_elsewhere_is_found(tmp_path: Path) -> None:
    """Scripts, styles and pictures; a link that a reader follows is none."""
    page = (
        '<script src="https://cdn.example/x.js"></script><link href=//fonts.example/a.css><a href="https://x.y">x</a>'
    )
    (tmp_path / "a.html").write_text(page + '<img src="b.png"><link href="c.css">', encoding="utf-8")
    assert len(site.fetched(tmp_path)) == 2


def test_every_page_of_the_documents_is_in_the_navigation() -> None:
    """`make docs` would refuse it too, but later."""
    settings = (site.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for source, place in site.places().items():
        if place.endswith(".md") and not place.startswith(("reference/", "adr/")):
            assert f" {place}\n" in settings, source
