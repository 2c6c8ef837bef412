"""report.html: all about a run, or several side by side, in one file that opens without a network."""

from daskpar.report.run.page import report_html
from daskpar.report.run.subject import Subject

__all__ = ["Subject", "report_html"]
