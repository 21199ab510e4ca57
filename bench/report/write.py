"""Makes the page, the plots and the README's table out of the results of a run.

Usage: write.py RESULTS [--root ROOT]. The page and the plots lie beside RESULTS; with --root, the
README.md there gets its table and docs/SCALING.md its figures. Without matplotlib there are no
plots.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from homes_tables import scaling_block, with_scaling_block
from page import page
from tables import readme_block, targets_table, with_readme_block


def plots_beside(results: dict[str, object], folder: Path) -> set[str]:
    try:
        from plots import write_plots
    except ImportError as error:
        print(f"no plots: {error}")
        return set()
    return write_plots(results, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--root", type=Path)
    given = parser.parse_args()
    results = json.loads(given.results.read_text("utf-8"))
    plots = plots_beside(results, given.results.parent)
    written = given.results.with_name("README.md")
    written.write_text(page(results, plots), "utf-8")
    print(targets_table(results))
    if results.get("python"):
        print(readme_block(results))
        if given.root:
            readme = given.root / "README.md"
            readme.write_text(with_readme_block(readme.read_text("utf-8"), results), "utf-8")
    if results.get("homes"):
        print(scaling_block(results))
        if given.root:
            scaling = given.root / "docs" / "SCALING.md"
            scaling.write_text(with_scaling_block(scaling.read_text("utf-8"), results), "utf-8")
    print(f"{written} and {', '.join(sorted(plots)) or 'no plots'}")


if __name__ == "__main__":
    main()
