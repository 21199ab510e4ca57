"""Doxygen's input filter: the headers' plain comments become ones that it reads.

Usage: headers.py FILE. Prints the file, line for line, where

  // above a declaration, and at the top of the file   is ///, and /// \\file
  // behind a member or an enumerator                  is ///<
  what is indented in a comment                        is code
  Errors: Promises: REQUIRES: Thread-safety: ...       begins a paragraph

What stands inside of functions and requirements is left as it is. What is not for users is blanked
out: the namespaces detail and core (but for the base class whose members are those of every cached
function), and members that are protected, deleted or defaulted.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

COMMENT = re.compile(r"(\s*)// ?(.*)")
BEHIND = re.compile(r"(\s*[^\s/].*?)\s*// ?(.*)")
SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b(?![^;{}]*\))")
HIDDEN = re.compile(r"namespace (detail|core) \{")
STRING = re.compile(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'')
IMPLIED = re.compile(r"\s+(explicit )?[~\w].*\) (noexcept )?= (delete|default);")
PARAGRAPH = re.compile(
    r"(^|(?<=\. ))(Errors|Promises[^:.]*|REQUIRES|Thread-safety|Keys|Values|Layout):(?= )"
)


def escaped(text: str) -> str:
    """The text without what Doxygen would take for commands, tags or links."""
    return re.sub(r"[\\@<>#%&$]", r"\\\g<0>", text)


def spoken(texts: list[str]) -> list[str]:
    """The lines of a comment, with marks of Doxygen's around code and before paragraphs."""
    made: list[str] = []
    in_code = False
    for at, text in enumerate(texts):
        following = texts[at + 1] if at + 1 < len(texts) else ""
        is_code = text.startswith("  ") or (in_code and not text and following.startswith("  "))
        if is_code and not in_code and made:
            made[-1] += " \\code{.cpp}"
        end = "\\endcode " if in_code and not is_code else ""
        in_code = is_code
        if not is_code:
            text = PARAGRAPH.sub(r"<br><b>\g<0></b>", escaped(text), count=1)
        made.append(end + text)
    if in_code:
        made[-1] += " \\endcode"
    return made


class Scopes:
    """Which braces are open, and whether declarations stand in all of them."""

    def __init__(self) -> None:
        self._open: list[bool] = []
        self._head = ""

    def hold_declarations(self) -> bool:
        """Whether a comment here is one on a declaration."""
        return all(self._open)

    def read(self, code: str) -> None:
        """Goes on by a line without its comment."""
        for char in STRING.sub("", code) + "\n":
            if char == "{":
                self._open.append(SCOPE.search(self._head) is not None)
            elif char == "}" and self._open:
                self._open.pop()
            self._head = "" if char in "{};" else self._head + char


def documented(lines: list[str]) -> list[str]:
    """The lines of a header as Doxygen is to see them."""
    made: list[str] = []
    scopes = Scopes()
    hidden = 0  # braces that are open in what is hidden
    for block in blocks(lines):
        line = block[0]
        if hidden or HIDDEN.fullmatch(line):
            code = STRING.sub("", line.partition("//")[0])
            hidden += code.count("{") - code.count("}")
            made += [""] * len(block)
        elif COMMENT.fullmatch(line):
            texts = [COMMENT.fullmatch(one).group(2) for one in block]
            marks = (
                [f"/// {text}" for text in spoken(texts)] if scopes.hold_declarations() else block
            )
            made += marks if made else ["/// \\file", *marks]
        elif line == "#pragma once" or IMPLIED.fullmatch(line):
            made += [] if line == "#pragma once" else [""]  # in whose place \file stands
        else:
            behind = BEHIND.fullmatch(line)
            code = (behind.group(1) if behind else line).replace("protected:", "private:")
            scopes.read(code)
            shows = behind and scopes.hold_declarations() and code.strip() != "}"
            made.append(f"{code}  ///< {escaped(behind.group(2))}" if shows else code)
    return made


def blocks(lines: list[str]) -> list[list[str]]:
    """Comments of several lines in one, every other line by itself."""
    made: list[list[str]] = []
    for line in lines:
        if made and COMMENT.fullmatch(line) and COMMENT.fullmatch(made[-1][0]):
            made[-1].append(line)
        else:
            made.append([line])
    return made


if __name__ == "__main__":
    print(*documented(Path(sys.argv[1]).read_text("utf-8").splitlines()), sep="\n")
