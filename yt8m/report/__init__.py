"""Reports on evaluations and ensembles, one self-contained HTML page each, and timelines for a terminal."""

from yt8m.report.ensemble import ensemble_parts, write_ensemble_report
from yt8m.report.evaluation import write_evaluation_report
from yt8m.report.gains import gains_part

__all__ = ["ensemble_parts", "gains_part", "write_ensemble_report", "write_evaluation_report"]
