"""Inputs of every kind that we read, drawn at random and made wrong at random, with what ought to come of each.

A kind is a function of a random.Random and a folder that writes an input there and returns a Case. The same seed gives
the same case.
"""

from tests.helpers.mutations import clips, neighbours, rankings, records, run_files, tables, texts
from tests.helpers.mutations.base import KINDS, verdict

__all__ = ["KINDS", "clips", "neighbours", "rankings", "records", "run_files", "tables", "texts", "verdict"]
