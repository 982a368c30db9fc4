"""Makes TFRecords of features of one's own, with labels or rated intervals from CSV files.

  yt8m-pack --features='clip:clip/*.npy' --features='audio:audio/*.npy' --pca=clip:256 \
      --labels_csv=labels.csv --vocabulary=vocabulary.csv --output_dir=records --prefix=train
  yt8m-pack --input_data_pattern='videos/*.npz' --intervals_csv=intervals.csv --output_dir=records

A file's name without suffix is the video's id. Arrays are (frames, size), of floats, or of uint8 where quantised
already. docs/own_features.md goes the whole way from there to a submission.
"""

import math

from absl import flags

from yt8m.commands import command_line

FLAGS = flags.FLAGS
_EACH = "for each of several features, comma-separated"

flags.DEFINE_multi_string("features", [], "NAME:GLOB of the .npy, .npz or parquet files of one feature; once for each.")
flags.DEFINE_string("input_data_pattern", None, "Glob of .npz or parquet files that hold all features of a video each.")
flags.DEFINE_list("feature_names", None, "Arrays to take from those. Default: all that the first file has.")
flags.DEFINE_string("output_dir", None, "Folder of the records.", required=True)
flags.DEFINE_string("prefix", "part", "Of the records' names, as in train0000.tfrecord.")
flags.DEFINE_integer("num_shards", None, "Number of files. Default: by --shard_megabytes.", lower_bound=1)
flags.DEFINE_integer("shard_megabytes", 100, "Size of a file, about.", lower_bound=1)
flags.DEFINE_string("labels_csv", None, "Lines video_id,class[,class...]: classes that are somewhere in a video.")
flags.DEFINE_string(
    "intervals_csv", None, "Lines video_id,start,end,class[,score]: seconds that were rated; score 1 is there, 0 is not."
)
flags.DEFINE_string("vocabulary", None, "CSV with the columns Index and Name, for CSVs that name their classes.")
flags.DEFINE_float(
    "min_overlap", 2.5, "Seconds of a 5-second segment that an interval must cover to rate it.", lower_bound=0.001, upper_bound=5
)
flags.DEFINE_bool(
    "rate_the_rest", False, "The intervals tell all: a segment that a class does not touch is rated 0 for it."
)
flags.DEFINE_list("pca", [], f"NAME:SIZE, {_EACH}: fits a PCA with whitening that leaves SIZE dimensions.")
flags.DEFINE_list("standardize", [], "Features whose dimensions are brought to mean 0 and variance 1.")
flags.DEFINE_list("use_projection", [], f"NAME:FILE, {_EACH}: applies what an earlier --pca or --standardize has fitted.")
flags.DEFINE_list("frames_per_second", [], f"NAME:RATE, {_EACH}: rate of the frames, where it is not 1.")
flags.DEFINE_enum("resample", "mean", ("mean", "nearest"), "What a second has: the mean of its frames or the middle one.")
flags.DEFINE_bool("skip_incomplete", False, "Leave out videos that lack a feature, instead of stopping.")


def main():
    """Packs, and says what was lost on the way."""
    from yt8m.data.making.annotations import ClassIds, read_intervals, read_labels
    from yt8m.data.making.packer import Packer
    from yt8m.types import InputError
    from yt8m.vocabulary import read_class_names

    classes = ClassIds(read_class_names(FLAGS.vocabulary) if FLAGS.vocabulary else None)
    labels = read_labels(FLAGS.labels_csv, classes) if FLAGS.labels_csv else None
    intervals = read_intervals(FLAGS.intervals_csv, classes) if FLAGS.intervals_csv else None
    if FLAGS.rate_the_rest and intervals is None:
        raise InputError("--rate_the_rest needs --intervals_csv")
    videos = _videos()
    packer = Packer(videos, FLAGS.output_dir, _settings(), labels=labels, intervals=intervals)
    for path, found in ((FLAGS.labels_csv, labels), (FLAGS.intervals_csv, intervals)):
        if found is not None:
            _say_who_is_missing(path, found, videos)
    packer.run()
    _report(packer)


def _videos():
    from yt8m.data.making.raw_videos import RawVideos
    from yt8m.types import InputError

    if bool(FLAGS.features) == bool(FLAGS.input_data_pattern):
        raise InputError("give either --features, once for each, or --input_data_pattern")
    if FLAGS.features:
        videos = RawVideos.of_features(dict(_pair("features", text) for text in FLAGS.features))
    else:
        videos = RawVideos.of_videos(FLAGS.input_data_pattern, FLAGS.feature_names)
    for video_id, missing in videos.incomplete.items():
        if not FLAGS.skip_incomplete:
            raise InputError(f"video {video_id} has no {', '.join(missing)}: --skip_incomplete leaves such videos out")
    if videos.incomplete:
        print(f"left out {len(videos.incomplete)} videos that lack a feature")
    return videos


def _settings():
    from yt8m.data.making.packer import STANDARDIZE, PackSettings
    from yt8m.types import InputError

    fit = dict(_pair("pca", text, _positive(int)) for text in FLAGS.pca)
    use = dict(_pair("use_projection", text) for text in FLAGS.use_projection)
    asked = [*fit, *FLAGS.standardize, *use]
    for name in asked:
        if asked.count(name) > 1:
            raise InputError(f"{name} can have one of --pca, --standardize and --use_projection")
    return PackSettings(
        prefix=FLAGS.prefix,
        num_shards=FLAGS.num_shards,
        shard_megabytes=FLAGS.shard_megabytes,
        rates=dict(_pair("frames_per_second", text, _positive(float)) for text in FLAGS.frames_per_second),
        method=FLAGS.resample,
        fit=fit | dict.fromkeys(FLAGS.standardize, STANDARDIZE),
        use=use,
        min_overlap=FLAGS.min_overlap,
        rest=FLAGS.rate_the_rest,
    )


def _pair(flag, text, read=str):
    from yt8m.types import InputError

    name, colon, value = text.partition(":")
    try:
        if not (name and colon and value):
            raise ValueError
        return name, read(value)
    except ValueError:
        example = {"pca": "rgb:1024", "frames_per_second": "rgb:25"}.get(flag, "rgb:path")
        raise InputError(f"--{flag}={text} is not understood: give NAME:VALUE, as in {example}") from None


def _positive(kind):
    def read(text):
        value = kind(text)
        if not 0 < value < math.inf:
            raise ValueError
        return value

    return read


def _say_who_is_missing(path, found, videos):
    """Warns of lines without a video; raises InputError where that is all of them."""
    from yt8m.data.record_checks import warn_once
    from yt8m.types import InputError

    absent = sorted(set(found) - set(videos.ids))
    if absent and len(absent) == len(found):
        raise InputError(f"{path} is of other videos: none of its ids, say {absent[0]}, has a file, say {videos.ids[0]}")
    if absent:
        warn_once(path, f"{path} has {len(absent)} videos without files, the first {absent[0]}")
    unnamed = len(videos.ids) - (len(found) - len(absent))
    if unnamed:
        print(f"{unnamed} of {len(videos.ids)} videos are not in {path}")


def _report(packer):
    from yt8m.data.record_checks import warn_once

    shards = packer.log["shards"].values()
    records, ratings = (sum(shard[key] for shard in shards) for key in ("records", "ratings"))
    print(f"packed {records:,} videos with {ratings:,} ratings into {len(shards)} file(s) in {FLAGS.output_dir}")
    for name, counted in packer.totals().items():
        values = counted["values"]
        if not values:
            print(f"  {name}: {counted['frames']:,} frames, their bytes as they were")
            continue
        mean = counted["sum"] / values
        spread = math.sqrt(max(counted["sum_of_squares"] / values - mean * mean, 0))
        share = counted["clipped"] / values
        print(f"  {name}: {counted['frames']:,} frames, standard deviation {spread * 4 / 255:.3f}, {share:.2%} clipped")
        if share > 0:
            warn_once(name, f"{share:.2%} of the values of {name} were outside [-2, 2] and were cut to it{_advice(name, share)}")
        if spread < 8:
            warn_once(f"{name} spread", f"{name} varies so little that few of the 256 levels are used: see --standardize")


def _advice(name, share):
    # A normal distribution of variance 1 has 4.6% there, and so have whitened features.
    return f": --standardize={name} or --pca scales them" if share > 0.1 else ""


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="The same command goes on behind the last whole file.")


if __name__ == "__main__":
    run()
