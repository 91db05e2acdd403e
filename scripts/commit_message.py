"""Check a commit message: a subject of at most 72 characters, then an empty line, then the why.

The commit-msg hook of ``.pre-commit-config.yaml`` runs it with the file that holds the message. Prints each fault and
ends with 1 if there is one, which keeps git from committing; the message stays in ``.git/COMMIT_EDITMSG``.
"""

import re
import sys
from pathlib import Path

SUBJECT_CHARACTERS = 72
"""What ``git log --oneline`` and a mail's subject show on a line of 80."""

SCISSORS = re.compile(r"^# -+ >8 -+$")
"""Git's line above the diff of ``git commit --verbose``; nothing from here on becomes a part of the message."""

FOLDED = re.compile(r"^(?:fixup|squash|amend)! ")
"""What ``git commit --fixup`` puts before the subject that the commit will be folded into."""


def message_lines(text: str) -> list[str]:
    """Return the lines that git will keep: no comments, no diff, no empty lines around them."""
    kept: list[str] = []
    for line in text.splitlines():
        if SCISSORS.match(line):
            break
        if not line.startswith("#"):
            kept.append(line.rstrip())
    while kept and not kept[0]:
        del kept[0]
    while kept and not kept[-1]:
        del kept[-1]
    return kept


def faults(text: str) -> list[str]:
    """Return one line for each thing that is wrong with a message. An empty one has none: git itself refuses it."""
    lines = message_lines(text)
    if not lines:
        return []
    found = []
    subject = lines[0]
    while folded := FOLDED.match(subject):
        subject = subject[folded.end() :]
    if len(subject) > SUBJECT_CHARACTERS:
        found.append(f"the subject has {len(subject)} characters, {SUBJECT_CHARACTERS} are the most: {subject}")
    if len(lines) > 1 and lines[1]:
        found.append(f"the second line is not empty: {lines[1]}")
    return found


def main(arguments: list[str]) -> int:
    """Check the message in the file that git names. Returns 0 for a good one, 1 for faults, 2 for a wrong call."""
    if len(arguments) != 1:
        print("usage: commit_message.py FILE", file=sys.stderr)
        return 2
    found = faults(Path(arguments[0]).read_text(encoding="utf-8"))
    for each in found:
        print(f"commit message: {each}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
