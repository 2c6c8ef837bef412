"""curves.html: the curves of a run in one small file that opens without a network."""

from daskpar.report.curves.page import Curves, write_curves

__all__ = ["Curves", "write_curves"]
