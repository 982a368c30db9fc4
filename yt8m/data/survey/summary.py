"""A Survey as facts for a program and as a page for a reader."""

import dataclasses
import itertools
from typing import Any

import numpy as np

from yt8m.config import TextConfig
from yt8m.data.survey.findings import ERROR, NOTE, WARNING
from yt8m.data.survey.survey import Survey
from yt8m.data.survey.texts import text_lines

SEVERITIES = {ERROR: "errors", WARNING: "warnings", NOTE: "notes"}
_BAR = 30
_BINS = 8
_LISTED = 8


def summarize(
    survey: Survey,
    *,
    names: dict[int, str] | None = None,
    segment_classes: set[int] | None = None,
    max_tokens: int = TextConfig().max_tokens,
) -> dict[str, Any]:
    """Dict, as JSON has it, of what ``survey``, a Survey, found.

    names: dict of class id to name; segment_classes: ids that segments are rated for; None where unknown. max_tokens:
    those that are read of an example. Classes that stand in the records and not there are added to the survey's
    findings.
    """
    tally, config = survey.tally, survey.config
    _note_unknown_classes(tally, names, segment_classes)
    seen = np.flatnonzero(tally.videos + tally.rated)
    facts = {
        "files": len(survey.files),
        "bytes": survey.bytes,
        "records": tally.records,
        "bad_records": tally.bad_records,
        "level": config.level,
        "features": config.features,
        "id_keys": survey.id_keys,
        "videos_without_labels": tally.unlabeled,
        "rated_videos": tally.rated_videos,
        "rated_segments": tally.rated_segments,
        "ratings": tally.ratings,
        "positive_ratings": int(tally.positive.sum()),
        "num_classes": config.num_classes,
        "classes_never_seen": sorted(set(names or range(config.num_classes)) - set(seen.tolist())),
        "classes": {
            int(class_id): {
                "name": (names or {}).get(int(class_id)),
                "videos": int(tally.videos[class_id]),
                "ratings": int(tally.rated[class_id]),
                "positive_ratings": int(tally.positive[class_id]),
            }
            for class_id in seen
        },
    }
    if config.level == "frame":
        facts["frames"] = _frames(tally.lengths)
    elif config.level == "clip":
        facts["seconds"] = _frames(tally.lengths)
        facts["pictures"] = tally.pictures.facts()
    if texts := tally.texts.facts(max_tokens=max_tokens):
        facts["texts"] = texts
    for severity, plural in SEVERITIES.items():
        found = [dataclasses.asdict(finding) for finding in tally.findings.of(severity)]
        facts[plural] = [{key: value for key, value in item.items() if key != "severity"} for item in found]
    return facts


def _note_unknown_classes(tally, names, segment_classes):
    for what, counts, known in (
        ("labels of classes that the vocabulary does not name", tally.videos, names),
        ("ratings of classes that segments are not ranked for", tally.rated, segment_classes),
    ):
        for class_id in np.flatnonzero(counts).tolist() if known is not None else ():
            if class_id not in known:
                tally.findings.warning(what, f"class {class_id}", int(counts[class_id]))


def _frames(lengths):
    if not lengths:
        return {"total": 0, "histogram": {}}
    values = np.array(sorted(lengths))
    counts = np.array([lengths[value] for value in values])
    ends = np.cumsum(counts)
    at = lambda share: int(values[np.searchsorted(ends, share * ends[-1])])
    return {
        "total": int((values * counts).sum()),
        "least": int(values[0]),
        "median": at(0.5),
        "most": int(values[-1]),
        "histogram": {int(value): int(count) for value, count in zip(values, counts)},
    }


def page(facts: dict[str, Any]) -> str:
    """The ``facts`` of summarize as lines of text: errors, then warnings, then notes, then what there is."""
    lines = [_verdict(facts), ""]
    for plural in SEVERITIES.values():
        for finding in facts[plural]:
            lines.append(f"{plural.removesuffix('s').upper()}: {finding['count']:,} x {finding['what']}")
            lines += [f"    {example}" for example in finding["examples"]]
            if finding["count"] > len(finding["examples"]) > 1:
                lines.append(f"    and {finding['count'] - len(finding['examples']):,} more")
        if facts[plural]:
            lines.append("")
    sizes = ", ".join(f"{name} ({size})" for name, size in facts["features"].items())
    keys = ", ".join(f"{key} in {count:,} file(s)" for key, count in facts["id_keys"].items())
    lines += [
        f"files      {facts['files']:,}, {facts['bytes'] / 1e6:,.1f} MB",
        f"records    {facts['records']:,}, of which {facts['bad_records']:,} bad and not counted below",
        f"schema     {facts['level']} level; {sizes or 'no features'}; ids as {keys or 'nothing'}",
    ]
    if facts["level"] == "clip":
        lines += _picture_lines(facts["pictures"])
    if facts["level"] != "video":
        unit = "frames" if facts["level"] == "frame" else "seconds"
        lines += _length_lines(facts[unit], unit)
        lines.append(
            f"ratings    {facts['ratings']:,}, {facts['positive_ratings']:,} of them positive, of "
            f"{facts['rated_segments']:,} segments in {facts['rated_videos']:,} videos"
        )
    lines += text_lines(facts.get("texts", {}), facts["records"] - facts["bad_records"])
    return "\n".join(lines + _class_lines(facts)) + "\n"


def _verdict(facts):
    errors, warnings = (sum(finding["count"] for finding in facts[plural]) for plural in ("errors", "warnings"))
    if errors:
        return f"NOT USABLE as it is: {errors:,} errors, {warnings:,} warnings"
    return f"usable: no errors, {warnings:,} warnings"


def _picture_lines(pictures):
    if not pictures["total"]:
        return []
    listed = [
        ", ".join(f"{value} in {count:,}" for value, count in itertools.islice(pictures[name].items(), _LISTED))
        + (", ..." if len(pictures[name]) > _LISTED else "")
        for name in ("sizes", "a_second")
    ]
    return [
        f"pictures   {pictures['total']:,}, of {pictures['bytes'] / pictures['total'] / 1000:.1f} kB in the mean",
        f"           width x height: {listed[0]} clips",
        f"           pictures a second: {listed[1]} clips",
    ]


def _length_lines(frames, unit):
    if not frames["histogram"]:
        return []
    span = frames["most"] - frames["least"] + 1
    width = -(-span // _BINS)
    counts = [0] * -(-span // width)
    for value, count in frames["histogram"].items():
        counts[(value - frames["least"]) // width] += count
    lines = [
        f"{unit:<10} {frames['total']:,}; a video has {frames['least']} to {frames['most']}, "
        f"half of them at most {frames['median']}"
    ]
    for number, count in enumerate(counts):
        first = frames["least"] + number * width
        last = min(first + width - 1, frames["most"])
        name = f"{first}-{last}" if last > first else str(first)
        lines.append(f"{name:>13} {_bar(count, max(counts))} {count:,}")
    return lines


def _class_lines(facts):
    classes, never = facts["classes"], facts["classes_never_seen"]
    lines = [
        f"classes    {len(classes):,} of {len(classes) + len(never):,} seen; "
        f"{facts['videos_without_labels']:,} videos without labels"
    ]
    order = sorted(classes, key=lambda key: -classes[key]["videos"] - classes[key]["ratings"])
    if not order:
        return lines
    most = max(_amount(classes[key]) for key in order)
    shown = order if len(order) <= 2 * _LISTED else [*order[:_LISTED], None, *order[-3:]]
    for key in shown:
        if key is None:
            lines.append(f"{'...':>13}")
            continue
        item = classes[key]
        ratings = f", {item['positive_ratings']:,} of {item['ratings']:,} ratings" if item["ratings"] else ""
        bar = _bar(_amount(item), most)
        lines.append(f"{key:>13} {bar} {item['videos']:,} videos{ratings}  {item['name'] or ''}".rstrip())
    if never:
        listed = ", ".join(map(str, never[:_LISTED])) + (", ..." if len(never) > _LISTED else "")
        lines.append(f"           never seen: {listed}")
    return lines


def _amount(item):
    return item["videos"] + item["ratings"]


def _bar(count, most):
    return ("#" * -(-count * _BAR // max(most, 1))).ljust(_BAR)
