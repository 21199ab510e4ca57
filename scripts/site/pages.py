"""MkDocs hook: pages from outside of docs, links as the repository has them, the C++ reference.

In the repository a link leads from file to file, and so it has to: it is read there, too. On the
site a link to a page leads to that page, one to another file of the repository becomes its path in
words, and one to `cpp:FILE` leads into what Doxygen wrote. What leads nowhere fails the build.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOXYGEN = ROOT / "build/doxygen/html"
CPP_FOLDER = "reference/cpp"
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "CHANGELOG.md": "changes.md",
}
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# A link or an image; what is in backquotes is none.
LINK = re.compile(r"`[^`\n]*`|(!?)\[((?:[^\[\]]|`[^`]*`)*)\]\(([^()\s]+)\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Adds the pages and files that do not lie in docs."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for path in sorted(DOXYGEN.rglob("*")):
        if path.is_file():
            name = f"{CPP_FOLDER}/{path.relative_to(DOXYGEN).as_posix()}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """The page's text with links as the site needs them; code blocks stay as they are."""
    del config
    places = {Path(file.abs_src_path).resolve(): file for file in files}
    here = Path(page.file.abs_src_path).resolve()

    def turned(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        if target is None or re.match(r"(https?|mailto):|#", target):
            return found.group()
        if target.startswith("cpp:"):
            return f"[{text}]({_way(page.file.src_uri, f'{CPP_FOLDER}/{target[4:]}')})"
        path, hash_sign, anchor = target.partition("#")
        there = (here.parent / path).resolve()
        if there in places:
            file = places[there]
            if text in (path, there.name) and file.page is not None:
                text = file.page.title or text  # here nobody sees the names of files
            return f"{mark}[{text}]({_way(page.file.src_uri, file.src_uri)}{hash_sign}{anchor})"
        if there.exists():
            name = there.relative_to(ROOT).as_posix()
            return f"`{name}`" if name in text.strip("`") else f"{text} (`{name}`)"
        return found.group()  # MkDocs says that it leads nowhere

    kept = FENCE.findall(markdown)
    parts = [LINK.sub(turned, part) for part in FENCE.split(markdown)]
    return "".join(part + code for part, code in zip(parts, [*kept, ""], strict=True))


def _way(from_page: str, to: str) -> str:
    return os.path.relpath(to, os.path.dirname(from_page) or ".")  # noqa: PTH120 - URLs
