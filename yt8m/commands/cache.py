"""Packs rated segments for train.py --cache_dir, which otherwise does so itself before its first epoch.

  yt8m-cache --input_data_pattern='validate/*.tfrecord' --cache_dir=cache

Each file is packed by itself and at once used by any run that trains on it or holds it out, with the same features and
vocabulary. A file that has changed is packed anew, one that is packed is left alone.
"""

from absl import flags

from yt8m.commands import command_line, run_flags

FLAGS = flags.FLAGS

flags.DEFINE_string("input_data_pattern", None, f"Files to pack. {run_flags.PATTERN_HELP}", required=True)
flags.DEFINE_string("cache_dir", None, "Folder of the packed files, as for train.py.", required=True)
flags.DEFINE_integer(
    "margin",
    0,
    "Frames kept on either side of each segment, for train.py's views: 2 for --augment_dilute and --augment_enlarge, at "
    "least those of --augment_shift.",
    lower_bound=0,
)
run_flags.define_feature_flags()
run_flags.define_unrated_flag()


def main():
    """Packs what is not packed yet."""
    from yt8m.data.cache import open_cache
    from yt8m.data.tfrecord import list_files

    files = list_files(FLAGS.input_data_pattern)
    cache = open_cache(FLAGS.cache_dir, files, run_flags.data_config_from_flags(files), margin=FLAGS.margin)
    print(f"{len(cache):,} rated segments of {len(files)} file(s) are packed in {FLAGS.cache_dir}")


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="The same command goes on behind the last whole file.")


if __name__ == "__main__":
    run()
