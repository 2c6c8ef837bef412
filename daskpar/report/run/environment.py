"""Environment of runs: versions, BLAS, machine, and the SHA-256 of the parameters."""

from __future__ import annotations

from collections.abc import Sequence

from daskpar.report.run.folder import mapping
from daskpar.report.run.html import Html, counted, table
from daskpar.report.run.scores import chip
from daskpar.report.run.subject import Subject


def environment(runs: Sequence[Subject]) -> Html:
    """Return a table with a column for each run."""
    each = [_facts(run) for run in runs]
    keys = dict.fromkeys(key for facts in each for key in facts)
    rows = [[key, *(facts.get(key, "–") for facts in each)] for key in keys]
    heads = ["", *(chip(i, run.name) for i, run in enumerate(runs))] if len(runs) > 1 else []
    return table(heads, rows, "settings")


def _facts(run: Subject) -> dict[str, object]:
    summary = run.recorded.summary
    facts: dict[str, object] = {"folder": str(run.recorded.folder)}
    facts |= {str(name): str(value) for name, value in mapping(summary.get("machine")).items()}
    libraries = [
        " ".join(str(library[key]) for key in ("library", "version", "architecture") if library.get(key))
        + (
            f", {counted(threads, 'thread')} a task"
            if isinstance(threads := library.get("threads"), int)
            else ""
        )
        for listed in mapping(summary.get("blas")).values()
        if isinstance(listed, list)
        for library in map(mapping, listed)
    ]
    if libraries:
        facts["BLAS"] = "; ".join(dict.fromkeys(libraries))
    facts |= {str(name): str(value) for name, value in mapping(summary.get("versions")).items()}
    if run.network is not None:
        facts["state shown"] = run.network.place
    digest = summary.get("parameters_sha256") or (run.network and run.network.digest)
    if isinstance(digest, str) and digest:
        facts["parameters, SHA-256"] = Html(f"<code>{table_safe(digest)}</code>")
    return facts


def table_safe(digest: str) -> str:
    """Return a digest without anything but letters and digits."""
    return "".join(character for character in digest if character.isalnum())
