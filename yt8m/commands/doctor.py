"""Check-up of a data set before training: what it holds and what is wrong with it.

  yt8m-doctor 'validate/*.tfrecord' --vocabulary=vocabulary.csv --json=facts.json
  yt8m-doctor 'train/*.tfrecord' --against='validate/*.tfrecord'

Errors make the reader stop: each is given with file and record. Warnings do not, and are worth a look.
Exit status: 0 where there are no errors, 2 where there are.
"""

import dataclasses
import json

from yt8m.commands import command_line
from yt8m.commands.groups import ClassOptions, FeatureOptions
from yt8m.config import DataConfig, RunConfig, TextConfig, TrainConfig
from yt8m.options import option
from yt8m.text import printable
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorOptions(ClassOptions, FeatureOptions):
    """Options of the check-up."""

    configs = {RunConfig: ("holdout_files",), TrainConfig: ("seed",)}

    against: str = option("", "Other files, such as those held out, none of whose videos may be among these.")
    expect_records: int | None = option(
        None,
        "Number of records that the files must hold together; a file cut between two records has fewer.",
        unit="records",
        low=0,
        defaults_to="any",
    )
    tokenizer: str = option("", "Tokenizer, tokenizer.json, by which the tokens of texts are counted.")
    max_tokens: int = option(
        TextConfig().max_tokens,
        "Tokens of a video that training would read, for the count of those that have more; with --tokenizer.",
        unit="tokens",
        low=1,
    )
    json: str = option("", "JSON file to write the same facts to, all classes and lengths included.")


def main(options: DoctorOptions, patterns: list[str]) -> int:
    """Prints the page; returns the exit status."""
    from yt8m.data.splits import split_files
    from yt8m.data.survey.duplicates import note_leaks, note_repeats, note_split_leaks
    from yt8m.data.survey.findings import ERROR
    from yt8m.data.survey.summary import page, summarize
    from yt8m.data.survey.survey import Survey
    from yt8m.data.tfrecord import list_files, match_files
    from yt8m.data.tokens import load_tokenizer
    from yt8m.runtime.files import check_writable, write_text
    from yt8m.vocabulary import read_segment_class_ids

    if not patterns:
        raise InputError("no files are named: give paths or globs, as in 'validate/*.tfrecord'")
    files = match_files(patterns)
    others = list_files(options.against) if options.against else None
    names = options.class_names()
    ids_file = options.segment_label_ids_file
    segment_classes = set(read_segment_class_ids(ids_file)) if ids_file else None
    if options.json:
        check_writable(options.json)
    config = _config(options, files)
    if names and "num_classes" not in options.of(DataConfig):
        config = config.replace(num_classes=max(names) + 1)
    holdout_files = options.of(RunConfig).get("holdout_files", 0)
    seed = options.of(TrainConfig).get("seed", 0)
    sides = split_files(files, holdout_files=holdout_files, seed=seed) if holdout_files else None
    tokenizer = load_tokenizer(options.tokenizer) if options.tokenizer else None
    survey = Survey(files, config, tokenizer=tokenizer)
    note_repeats(survey)
    if options.expect_records not in (None, survey.tally.records):
        text = f"{survey.tally.records:,} records, and {options.expect_records:,} are expected"
        survey.tally.findings.add(ERROR, "another number of records than --expect_records", [text], 1)
    if others:
        note_leaks(survey, others)
    if sides:
        note_split_leaks(survey, *sides)
    facts = summarize(survey, names=names or None, segment_classes=segment_classes, max_tokens=options.max_tokens)
    if options.json:
        write_text(options.json, json.dumps(facts, indent=1) + "\n")
    print(printable(page(facts), keep="\n"), end="")
    return command_line.EXIT_BAD_INPUT if facts["errors"] else 0


def _config(options, files):
    """The DataConfig of the first of ``files`` that can be read."""
    from yt8m.data.tfrecord import check_file

    first = None
    for file in files:
        try:
            check_file(file)
            return options.data_config([file])
        except InputError as error:
            first = first or error
    raise first


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, DoctorOptions, takes_files=True)


if __name__ == "__main__":
    run()
