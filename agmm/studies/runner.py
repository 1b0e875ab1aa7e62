"""Train every setting of a study on every manifest with every seed, and tabulate the scores."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from agmm.config.metrics import METRICS
from agmm.config.protocol import ProtocolName
from agmm.config.training import TrainConfig
from agmm.distributed import join_ranks
from agmm.errors import TrainingError
from agmm.evaluation.evaluate_run import evaluate_run
from agmm.inference.protocols import Protocol
from agmm.losses.build import build_loss
from agmm.runs.checkpoint import read_checkpoint_info
from agmm.runs.files import STATE_NAME
from agmm.studies.results import (
    REPORT_NAME,
    RESULTS_NAME,
    annotation_names,
    format_report,
    read_results,
    write_results,
)
from agmm.studies.study import MOST_RUNS, Setting, Study
from agmm.training.regime import resolve_loss
from agmm.training.stages import require_no_presence, run_stages
from data_manifests import Manifest
from data_manifests.errors import counted
from data_manifests.files.atomic import write_atomically
from data_manifests.files.lock import FolderLock

# How often to check whether another process has finished.
_POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Plan:
    """One run of a study.

    Args:
        annotation: Name of the manifest in tables.
        manifest: Training data.
        setting: Row of the study.
        config: All settings.
        run_dir: Folder of its stages.
    """

    annotation: str
    manifest: Manifest
    setting: Setting
    config: TrainConfig
    run_dir: Path

    @property
    def key(self) -> tuple[str, str, str]:
        """Unique key of the run in the study."""
        return self.annotation, self.setting.name, str(self.config.seed)


def plan_runs(
    study: Study, manifests: Sequence[Manifest], base: TrainConfig, seeds: Sequence[int], out_dir: Path
) -> list[Plan]:
    """All runs of a study; settings that differ only in the number of stages share a folder.

    Raises:
        TrainingError: If a setting names a missing manifest.
        ValueError: If a setting cannot be used, or there is nothing to run.
    """
    if not manifests or not seeds:
        raise ValueError("A study needs at least one manifest and one seed.")
    if (most := len(study.settings) * len(manifests) * len(seeds)) > MOST_RUNS:
        raise ValueError(
            f"{counted(len(study.settings), 'setting')}, {counted(len(manifests), 'manifest')} and "
            f"{counted(len(seeds), 'seed')} are {most:,} runs; the limit is {MOST_RUNS:,}. Part the study."
        )
    for setting in study.settings:
        if missing := [path for path in setting.manifests if not path.exists()]:
            raise TrainingError(f"setting '{setting.name}' names the manifest {missing[0]}, which is missing.")
    folders: dict[str, str] = {}
    annotation_folders: set[str] = set()
    plans = []
    for annotation, manifest in zip(annotation_names(manifests), manifests, strict=True):
        annotation_folder = _slug(annotation, annotation_folders)
        annotation_folders.add(annotation_folder)
        for setting in study.settings:
            if not setting.trains_on(manifest):
                continue
            # TOML has dates, JSON does not. No option takes one; reported below.
            what = json.dumps([setting.changes, setting.pseudo_classes, setting.soft], sort_keys=True, default=str)
            folder = folders.setdefault(what, _slug(setting.name, set(folders.values())))
            for seed in seeds:
                config = resolve_loss(manifest, setting.apply(base, seed))
                build_loss(config)  # wrong options fail before the first run
                if setting.soft:
                    require_no_presence(config)
                run_dir = out_dir / "runs" / annotation_folder / folder / f"seed-{seed}"
                plans.append(Plan(annotation, manifest, setting, config, run_dir))
    if not plans:
        raise ValueError("No setting of the study uses these manifests.")
    return plans


def run_study(
    study: Study,
    manifests: Sequence[Manifest],
    base: TrainConfig,
    out_dir: Path,
    *,
    seeds: Sequence[int] = (0,),
    split: str = "val",
    protocol: ProtocolName = "whole",
    pseudo_protocol: Protocol | None = None,
    threshold: float = 0.0,
    overwrite: bool = False,
    quiet: bool = False,
    on_run: Callable[[int, int, Plan], None] = lambda number, total, plan: None,
) -> list[dict[str, str]]:
    """Run a study; a repeated call does the missing runs, and several processes share the work.

    Args:
        study: The settings to compare.
        manifests: Training data; one column of the report each.
        base: Settings that the study's rows change.
        out_dir: Gets ``results.csv`` with one row per run, ``report.md``, and the runs in ``runs/``.
        seeds: Each setting is trained once per seed.
        split: Split to score.
        protocol: Evaluation protocol.
        pseudo_protocol: How training images are segmented between stages; by default multi-scale.
        threshold: See ``agmm.training.stages.run_stages``.
        overwrite: Repeat runs that exist.
        quiet: Show no progress on stderr.
        on_run: Called before each run with its number, the number of runs, and the run.

    Returns:
        The rows of ``results.csv``.

    Raises:
        TrainingError: As ``agmm.training.train.train_network``; finished runs are kept.
        ValueError: If a setting is invalid, or differs from that of an existing run.
    """
    plans = plan_runs(study, manifests, base, seeds, out_dir)
    for plan in plans:  # now, not after the first run
        plan.manifest.rows_of(plan.config.train_split)
        plan.manifest.rows_of(split)
    ranks = join_ranks(base.device)
    checksums = _checksums(plans, split, protocol, f"{pseudo_protocol}\n{threshold}")
    study = study.labelled_by(threshold, str(pseudo_protocol or Protocol("multi-scale")))
    path = out_dir / RESULTS_NAME
    done = {} if overwrite else read_results(path)
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    begun: set[Path] = set()
    # Ranks of torchrun process the list together; independent processes divide it.
    shares_work = ranks.num_ranks == 1 and not overwrite
    with closing(_take_turns(plans, shares_work)) as turns:
        for number, plan in turns:
            if shares_work:
                done = read_results(path)
            row = done.get(plan.key)
            if row is None or row["settings_sha256"] != checksums[plan.key]:
                on_run(number, len(plans), plan)
                if ranks.is_first and not overwrite:
                    _take_first_stage(plan, plans)
                ranks.wait()
                run = run_stages(
                    plan.manifest, plan.config, plan.run_dir, stages=plan.setting.stages, protocol=pseudo_protocol,
                    threshold=threshold, soft=plan.setting.soft, pseudo_classes=plan.setting.pseudo_classes,
                    overwrite=overwrite and plan.run_dir not in begun, quiet=quiet,
                )[-1].run_dir  # fmt: skip
                row = _score(plan, run, split, protocol, amp=ranks.uses_bfloat16(plan.config.amp))
                row |= {"run": run.relative_to(out_dir).as_posix(), "settings_sha256": checksums[plan.key]}
            begun.add(plan.run_dir)
            rows[plan.key] = row
            if ranks.is_first:
                _record(out_dir, rows, plans, checksums, study, manifests, base)
    return [rows[plan.key] for plan in plans]


def _take_turns(plans: Sequence[Plan], shares_work: bool) -> Generator[tuple[int, Plan]]:
    """Number and plan of each run, its folder locked meanwhile; runs that other processes hold come again later."""
    to_do, passed_over = deque(enumerate(plans, start=1)), 0
    while to_do:
        number, plan = to_do.popleft()
        lock = FolderLock(plan.run_dir)
        if shares_work and not lock.try_acquire():
            to_do.append((number, plan))
            passed_over += 1
            if passed_over == len(to_do):  # other processes hold everything that is left
                time.sleep(_POLL_SECONDS)
                passed_over = 0
            continue
        passed_over = 0
        try:
            yield number, plan
        finally:
            lock.release()


def _score(plan: Plan, run: Path, split: str, protocol: ProtocolName, *, amp: bool) -> dict[str, str]:
    """The row of a finished run in ``results.csv``."""
    (record, *_) = evaluate_run(run, plan.manifest, split=split, protocol=protocol, device=plan.config.device, amp=amp)
    if record["miou"] is None:
        raise TrainingError(f"{plan.manifest.path}: no pixel of split '{split}' has a class to compare with.")
    return {
        "annotation": plan.annotation, "setting": plan.setting.name, "stages": str(plan.setting.stages),
        "seed": str(plan.config.seed), "split": split, "protocol": record["protocol"],
        **{name: str(record[name]) for name in METRICS}, "best_epoch": str(record["epoch"]),
    }  # fmt: skip


def _take_first_stage(plan: Plan, plans: Sequence[Plan]) -> None:
    """Reuse the first stage of a finished run that differs only in later stages."""
    own = plan.run_dir / "stage-1"
    if own.exists():
        return
    for other in plans:
        found = other.run_dir / own.name
        if found == own or (other.annotation, other.config) != (plan.annotation, plan.config):
            continue
        if (state := found / STATE_NAME).is_file() and read_checkpoint_info(state).epoch >= plan.config.epochs:
            partial = own.with_name(f".{own.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(found, partial)
            partial.rename(own)
            return


def _checksums(
    plans: Sequence[Plan], split: str, protocol: str, between_stages: str
) -> dict[tuple[str, str, str], str]:
    """Return a short checksum of the inputs of each run's score."""
    of_manifests = {plan.manifest.path: plan.manifest.sha256() for plan in plans}
    result = {}
    for plan in plans:
        # Where it runs and is logged is not part of it: processes that share a study have devices of their own.
        config = replace(plan.config, device="auto", workers=0, log="csv")
        settings = [config.to_toml(), of_manifests[plan.manifest.path], split, protocol, str(plan.setting.stages)]
        if plan.setting.stages > 1:
            settings += [between_stages, plan.setting.pseudo_classes, *(["soft"] if plan.setting.soft else [])]
        result[plan.key] = hashlib.sha256("\n".join(settings).encode()).hexdigest()[:16]
    return result


def _record(
    out_dir: Path,
    rows: Mapping[tuple[str, str, str], dict[str, str]],
    plans: Sequence[Plan],
    checksums: Mapping[tuple[str, str, str], str],
    study: Study,
    manifests: Sequence[Manifest],
    base: TrainConfig,
) -> None:
    """Write results and report: this process's rows, and those that others have written."""
    lock = FolderLock(out_dir)
    while not lock.try_acquire():
        time.sleep(0.1)
    try:
        known = {**read_results(out_dir / RESULTS_NAME), **rows}
        keys = [plan.key for plan in plans if plan.key in known]
        write_results(out_dir / RESULTS_NAME, [known[key] for key in dict.fromkeys([*keys, *known])])
        of_study = [known[key] for key in keys if known[key]["settings_sha256"] == checksums[key]]
        write_atomically(out_dir / REPORT_NAME, format_report(study, manifests, of_study, base).encode())
    finally:
        lock.release()


def _slug(name: str, taken: set[str]) -> str:
    """A folder's name, short enough for any disk."""
    slug = re.sub(r"[^a-z0-9.]+", "-", name.lower())[:100].strip("-.") or "setting"
    return slug if slug not in taken else next(s for n in range(2, 10**6) if (s := f"{slug}-{n}") not in taken)
