"""Says what a data set holds and what is wrong with it, before a run does.

  yt8m-doctor 'validate/*.tfrecord' --vocabulary=vocabulary.csv --json=facts.json
  yt8m-doctor 'train/*.tfrecord' --against='validate/*.tfrecord'

Errors make the reader stop: what is wrong stands there with file and record. Warnings do not, and are worth a look.
Exit status: 0 where there are no errors, 2 where there are.
"""

import json

from absl import flags

from yt8m.commands import command_line, run_flags

FLAGS = flags.FLAGS

run_flags.define_feature_flags()
run_flags.define_class_flag()
flags.DEFINE_string("vocabulary", None, "CSV with the names of the classes, columns Index and Name.")
flags.DEFINE_string("against", None, "Other files, of which no video may be among these: say, those held out.")
flags.DEFINE_integer("holdout_files", 0, "Sees to it that no video is on both sides of this split, as train.py draws it.")
flags.DEFINE_integer("seed", 0, "Of that split.")
flags.DEFINE_string("json", None, "File to write the same facts to, all classes and lengths included.")


def main(patterns):
    """Prints the page; returns the exit status."""
    from yt8m.data.splits import split_files
    from yt8m.data.survey.duplicates import note_leaks, note_repeats, note_split_leaks
    from yt8m.data.survey.summary import page, summarize
    from yt8m.data.survey.survey import Survey
    from yt8m.data.tfrecord import list_files, match_files
    from yt8m.runtime.files import check_writable, write_text
    from yt8m.types import InputError
    from yt8m.vocabulary import read_class_names, read_segment_class_ids

    if not patterns:
        raise InputError("no files are named: give paths or globs, as in 'validate/*.tfrecord'")
    files = match_files(patterns)
    others = list_files(FLAGS.against) if FLAGS.against else None
    names = read_class_names(FLAGS.vocabulary) if FLAGS.vocabulary else None
    segment_classes = read_segment_class_ids(FLAGS.segment_label_ids_file) if FLAGS.segment_label_ids_file else None
    if FLAGS.json:
        check_writable(FLAGS.json)
    config = _config(files)
    if names and FLAGS.num_classes is None:
        config = config.replace(num_classes=max(names) + 1)
    sides = split_files(files, holdout_files=FLAGS.holdout_files, seed=FLAGS.seed) if FLAGS.holdout_files else None
    survey = Survey(files, config)
    note_repeats(survey)
    if others:
        note_leaks(survey, others)
    if sides:
        note_split_leaks(survey, *sides)
    facts = summarize(survey, names=names, segment_classes=segment_classes and set(segment_classes))
    if FLAGS.json:
        write_text(FLAGS.json, json.dumps(facts, indent=1) + "\n")
    print(page(facts), end="")
    return command_line.EXIT_BAD_INPUT if facts["errors"] else 0


def _config(files):
    """The DataConfig of the first of ``files`` that can be read."""
    from yt8m.data.tfrecord import check_file
    from yt8m.types import InputError

    first = None
    for file in files:
        try:
            check_file(file)
            return run_flags.data_config_from_flags([file])
        except InputError as error:
            first = first or error
    raise first


def run():
    """Entry point of the console script."""
    command_line.run(main, takes_files=True)


if __name__ == "__main__":
    run()
