"""curves.html: the course of a run in one small file that opens without a network."""

from daskpar.report.curves.live import LiveCurves, write_curves
from daskpar.report.curves.page import Curves

__all__ = ["Curves", "LiveCurves", "write_curves"]
