"""Benchmarks: each prints ratios of two things run side by side in one process."""

from yt8m.runtime.quiet_imports import quieten_tensorflow

quieten_tensorflow()
