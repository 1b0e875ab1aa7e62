"""Keep what studies came to, and show it in the documentation.

    python studies/keep_results.py runs/camvid runs/camvid-variants runs/camvid-long

For each folder NAME that `agmm ablate studies/NAME.toml` has filled, wholly or in part: `studies/results/NAME.md` is
the report of what is there, `NAME.csv` the scores of its runs, `logs/NAME/` the log of every run in six digits. Then
the tables between `<!-- table of FILE -->` and `<!-- end -->` in docs/study-*.md are written again from
`studies/results/FILE`, with a link to the study in place of what each row changes. Without a folder it only does the
latter.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

from agmm.config.recipes import load_config
from agmm.studies.results import RESULTS_NAME, format_report, read_results, write_results
from agmm.studies.runner import plan_runs
from agmm.studies.study import read_study
from data_manifests import read_manifest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "studies/results"
PAGES = sorted((ROOT / "docs").glob("study-*.md"))
_TABLE = re.compile(r"(<!-- table of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def keep(folder: Path) -> None:
    """Write report, scores and logs of a study's folder."""
    study = read_study(ROOT / "studies" / f"{folder.name}.toml")
    base = load_config(config_path=study.base)
    manifests = [read_manifest(path) for path in study.manifests]
    scores = read_results(folder / RESULTS_NAME)
    plans = plan_runs(study, manifests, base, study.seeds or (0,), folder)
    rows = [scores[plan.key] for plan in plans if plan.key in scores]
    write_results(RESULTS / f"{folder.name}.csv", rows)
    (RESULTS / f"{folder.name}.md").write_text(format_report(study, manifests, rows, base))
    if (folder / "runs").is_symlink():  # scored in another way, trained and logged by another study
        return
    logs = RESULTS / "logs" / folder.name
    logs.mkdir(parents=True, exist_ok=True)
    for old in logs.iterdir():
        old.unlink()
    for run in sorted({(folder / row["run"]).parent for row in rows}):
        for log in sorted(run.glob("stage-*/log.csv")):
            name = "--".join(log.parent.relative_to(folder / "runs").parts)
            (logs / f"{name}.csv").write_text(in_six_digits(log.read_text()))


def in_six_digits(log: str) -> str:
    """A log with its numbers rounded."""
    head, *lines = csv.reader(log.splitlines())
    rounded = [[f"{float(value):.6g}" if value else "" for value in line] for line in lines]
    return "".join(",".join(line) + "\n" for line in [head, *rounded])


def with_tables(page: str) -> str:
    """The page with the tables that ``studies/results`` holds; of a report those between its title and its settings."""

    def table(found: re.Match[str]) -> str:
        text, changes, _ = (RESULTS / found[2]).read_text().partition("\nChanges in each row")
        if changes:
            name, tables = f"studies/{Path(found[2]).stem}.toml", text.partition("\n")[2].strip()
            text = f"{tables}\n\n[`{name}`](../{name}) has the settings of each row."
        return f"{found[1]}\n{text.strip()}\n\n{found[3]}"

    return _TABLE.sub(table, page)


def main() -> None:
    """Read the command line, keep the results, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="*", metavar="FOLDER")
    for study in parser.parse_args().studies:
        keep(study)
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))


if __name__ == "__main__":
    main()
