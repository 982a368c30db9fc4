"""Findings about a data set: of each kind the number and the first few places."""

import dataclasses
import re

ERROR, WARNING, NOTE = "error", "warning", "note"
EXAMPLES = 5
"""Places that are kept of each kind."""


@dataclasses.dataclass
class Finding:
    """``count`` times ``what``; examples: the first places, as text."""

    severity: str
    what: str
    count: int = 0
    examples: list = dataclasses.field(default_factory=list)


class Findings:
    """Findings by kind, in the order in which the kinds were first met."""

    def __init__(self):
        self._kinds = {}

    def error(self, problem: str, place: str) -> None:
        """The reader stops at ``place`` because of ``problem``; those that differ in numbers or names are one kind."""
        kind = re.sub(r"'(\\.|[^'\\])*'", "...", problem)
        self.add(ERROR, re.sub(r"(?<![\w.-])-?\d[\d,]*\b", "#", kind), [f"{place}: {problem}"], 1)

    def warning(self, what: str, place: str, count: int = 1) -> None:
        """A problem that does not stop the reader, and that may make training or scores other than meant."""
        self.add(WARNING, what, [place], count)

    def note(self, what: str, place: str, count: int = 1) -> None:
        """Unusual and harmless."""
        self.add(NOTE, what, [place], count)

    def add(self, severity: str, what: str, examples: list[str], count: int) -> None:
        """``count`` times ``what``, of which ``examples`` is a list of the first, as text; nothing where it is 0."""
        if count:
            finding = self._kinds.setdefault((severity, what), Finding(severity, what))
            finding.count += count
            finding.examples += examples[: EXAMPLES - len(finding.examples)]

    def of(self, severity: str) -> list[Finding]:
        """List of the Findings of one severity."""
        return [finding for finding in self._kinds.values() if finding.severity == severity]
