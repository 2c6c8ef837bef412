"""The reference page has every public name."""

from __future__ import annotations

from guides.fences import ROOT
from guides.generated import check_guide
from guides.reference import reference_tables


def test_the_reference_has_every_public_name(write_guides: bool) -> None:
    check_guide(ROOT / "daskpar" / "REFERENCE.md", reference_tables(), write_guides)
