r"""Packing of your own features, or of videos, as TFRecords, with labels or rated intervals from CSV files.

  yt8m-pack --features='clip:clip/*.npy' --features='audio:audio/*.npy' --pca=clip:256 \
      --labels_csv=labels.csv --vocabulary=vocabulary.csv --output_dir=records --prefix=train
  yt8m-pack --input_data_pattern='videos/*.npz' --intervals_csv=intervals.csv --output_dir=records
  yt8m-pack --videos='videos/*.mp4' --intervals_csv=intervals.csv --output_dir=clips
  yt8m-pack --records='validate/*.tfrecord' --texts_csv=texts.csv --output_dir=with_texts

A file's name without suffix is the video's id. Arrays are (frames, size), of floats, or of uint8 where quantised
already. docs/own_features.md goes the whole way from there to a submission. Of --videos the pictures are stored, for
models of clips: docs/clips.md. --texts_csv puts titles, speech and other texts beside: docs/text.md.
"""

import dataclasses
import math
import warnings
from typing import TYPE_CHECKING

from yt8m.commands import command_line
from yt8m.commands.annotation_options import AnnotationOptions
from yt8m.commands.clip_outputs import store_clips
from yt8m.commands.groups import RayOptions
from yt8m.config import PATTERN_HELP
from yt8m.data.making.settings import STANDARDIZE, PackSettings
from yt8m.features.settings import ClipSettings
from yt8m.options import fields_of, option
from yt8m.text import counted, printable
from yt8m.types import DataWarning, InputError

if TYPE_CHECKING:
    from yt8m.data.making.packer import Packer

_RATES = (0.01, 100_000)
_EACH = "for each of several features"
_OF_FEATURES = (
    *("features", "input_data_pattern", "feature_names", "pca", "standardize", "use_projection"),
    *("frames_per_second", "skip_incomplete"),
)
_OF_ANNOTATIONS = ("labels_csv", "intervals_csv", "vocabulary", "subset")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackOptions(AnnotationOptions, RayOptions):
    """Options of packing."""

    configs = {PackSettings: (), ClipSettings: ()}

    features: tuple[str, ...] = option(
        (), "NAME:GLOB of the .npy, .npz, parquet or .pb files of one feature; once for each feature.", repeated=True
    )
    input_data_pattern: str = option(
        "", "Glob of .npz, parquet or MediaPipe's .pb files that hold all features of a video each."
    )
    feature_names: tuple[str, ...] = option(
        (), "Arrays to take from --input_data_pattern.", defaults_to="all that the first file has"
    )
    output_dir: str = option("", "Folder of the records.", required=True)
    pca: tuple[str, ...] = option((), f"NAME:SIZE, {_EACH}: fit a PCA with whitening that leaves SIZE dimensions.")
    standardize: tuple[str, ...] = option((), "Features to standardise: each dimension to mean 0 and variance 1.")
    use_projection: tuple[str, ...] = option(
        (), f"NAME:FILE, {_EACH}: apply what an earlier --pca or --standardize has fitted."
    )
    frames_per_second: tuple[str, ...] = option((), f"NAME:RATE, {_EACH}: frame rate, where it is not 1.")
    skip_incomplete: bool = option(False, "Skip videos that lack a feature, instead of stopping.")
    videos: tuple[str, ...] = option(
        (),
        "Videos whose pictures are stored as clip records, in place of features: files, globs, folders, addresses, or "
        "CSVs with the columns video_id and path; may be given several times.",
        repeated=True,
    )
    texts_csv: tuple[str, ...] = option(
        (),
        "Texts of videos, as titles, speech or tags: CSV with the columns video_id, field and text, and start and end, "
        "seconds, where texts are of a part; words.csv of yt8m-video is one. Once for each file.",
        repeated=True,
    )
    records: str = option(
        "",
        f"Records of any level, such as YouTube-8M's, that are copied into OUTPUT_DIR with --texts_csv. {PATTERN_HELP}",
    )
    workers: int = option(1, "Processes that decode --videos, one each at a time.", unit="processes", low=1, high=1024)
    skip_unreadable: bool = option(False, "Go on without those of --videos that cannot be read, instead of stopping.")

    def _check(self):
        super()._check()
        given = [field.flag for field in fields_of(ClipSettings).values() if field.name in self.of(ClipSettings)]
        given += [name for name in ("workers", "ray", "skip_unreadable") if getattr(self, name) not in (1, "", False)]
        if given and not self.videos:
            raise InputError(f"--{given[0]} is for --videos: give it too, or leave it out")
        if self.records:
            self._check_records()
        of_settings = fields_of(PackSettings)
        given = [name for name in _OF_FEATURES if getattr(self, name)]
        given += [of_settings[name].flag for name in ("method", "sanitize_ids") if self.of(PackSettings).get(name)]
        if given and self.videos:
            raise InputError(f"--{given[0]} is for features, and --videos have pictures: leave one of them out")

    def _check_records(self):
        own = [name for name in (*_OF_FEATURES, *_OF_ANNOTATIONS, "videos") if getattr(self, name)]
        given = own + [fields_of(PackSettings)[name].flag for name in self.of(PackSettings)]
        if given:
            raise InputError(
                f"--{given[0]} is for records that are made, and --records are there: leave one of them out"
            )
        if not self.texts_csv:
            raise InputError("--records are copied with the texts of --texts_csv: give it too")


def main(options: PackOptions) -> None:
    """Packs, and says what was lost on the way."""
    from yt8m.data.making.text_tables import read_text_tables, say_whose_texts

    texts = read_text_tables(options.texts_csv) if options.texts_csv else {}
    if options.records:
        from yt8m.data.making.text_adder import add_texts
        from yt8m.data.tfrecord import list_files

        files = list_files(options.records)
        count = add_texts(files, texts, options.output_dir, paths=options.texts_csv)
        print(f"copied {counted(count, 'record')} of {counted(len(files), 'file')} to {options.output_dir}")
        return
    if options.videos:
        from yt8m.features.inputs import find_videos

        sources = find_videos(options.videos)
        if texts:
            say_whose_texts(texts, sources, paths=options.texts_csv)
        store_clips(options, sources, options.output_dir, texts=texts)
        return
    from yt8m.data.making.packer import Packer

    videos, settings = _videos(options), _settings(options)
    found = options.read_annotations(videos.ids, options.output_dir, complete=settings.rest)
    if texts:
        say_whose_texts(texts, found.ids, paths=options.texts_csv)
    packer = Packer(
        videos.only(found.ids),
        options.output_dir,
        settings,
        labels=found.labels,
        intervals=found.intervals,
        texts=texts,
        num_classes=found.num_classes,
    )
    if packer.renamed:
        old, new = next(iter(packer.renamed.items()))
        print(f"renamed {len(packer.renamed)} ids, the first {old!r} to {new}; pack.json has all")
    packer.run()
    report_packed(packer, intervals_csv=options.intervals_csv)


def _videos(options):
    from yt8m.data.making.raw_videos import RawVideos

    if bool(options.features) == bool(options.input_data_pattern):
        raise InputError("give either --features, once for each, or --input_data_pattern, or --videos")
    if options.features:
        videos = RawVideos.of_features(dict(_pair("features", text) for text in options.features))
    else:
        videos = RawVideos.of_videos(options.input_data_pattern, list(options.feature_names) or None)
    for video_id, missing in videos.incomplete.items():
        if not options.skip_incomplete:
            raise InputError(f"video {video_id} has no {', '.join(missing)}: --skip_incomplete leaves such videos out")
    if videos.incomplete:
        print(f"left out {len(videos.incomplete)} videos that lack a feature")
    return videos


def _settings(options):

    fit = dict(_pair("pca", text, _number(int, 1, 100_000)) for text in options.pca)
    use = dict(_pair("use_projection", text) for text in options.use_projection)
    asked = [*fit, *options.standardize, *use]
    for name in asked:
        if asked.count(name) > 1:
            raise InputError(f"{name} can have one of --pca, --standardize and --use_projection")
    return PackSettings(
        **options.of(PackSettings),
        rates=dict(_pair("frames_per_second", text, _number(float, *_RATES)) for text in options.frames_per_second),
        fit=fit | dict.fromkeys(options.standardize, STANDARDIZE),
        use=use,
    )


def _pair(flag, text, read=str):

    name, colon, value = text.partition(":")
    try:
        if not (name and colon and value):
            raise ValueError
        return name, read(value)
    except ValueError:
        example = {"pca": "rgb:1024", "frames_per_second": "rgb:25"}.get(flag, "rgb:path")
        bounds = " to ".join(f"{bound:g}" for bound in _RATES)
        hint = f", with a rate of {bounds}" if flag == "frames_per_second" else ""
        raise InputError(f"--{flag}={text} is not understood: give NAME:VALUE, as in {example}{hint}") from None


def _number(kind, low, high):
    def read(text):
        value = kind(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def report_packed(packer: "Packer", *, intervals_csv: str = "", details: bool = True) -> None:
    """Prints what a Packer has packed, and warns of what it left out or cut.

    intervals_csv: path, for the sentences. details: whether to print numbers of each feature.
    """
    shards = packer.log["shards"].values()
    records, ratings = (sum(shard[key] for shard in shards) for key in ("records", "ratings"))
    rated = f" with {counted(ratings, 'rating')}" if details or ratings else ""
    print(f"packed {counted(records, 'video')}{rated} into {counted(len(shards), 'file')} in {packer.output_dir}")
    totals = packer.totals()
    facts = {
        "csv": intervals_csv,
        "num_intervals": packer.num_intervals,
        "min_overlap": packer.settings.min_overlap,
        "num_videos": records,
        "num_cut": sum(total["cut"] for total in totals.values()),
    }
    for text in packer.left_out().sentences(**facts):
        _warn(text)
    for feature, total in totals.items():
        name = printable(feature)
        values = total["values"]
        if not values and not details:
            continue
        if not values:
            print(f"  {name}: {total['frames']:,} frames, their bytes as they were")
            continue
        mean = total["sum"] / values
        spread = math.sqrt(max(total["sum_of_squares"] / values - mean * mean, 0))
        share = total["clipped"] / values
        if details:
            said = f"standard deviation {spread * 4 / 255:.3f}, {share:.2%} clipped"
            print(f"  {name}: {total['frames']:,} frames, {said}")
        if share > 0.1 or (share > 0 and details):
            _say_what_was_cut(name, share, feature in packer.projections)
        if spread < 8:
            hint = "" if feature in packer.projections else ": see --standardize"
            _warn(f"{name} varies so little that few of the 256 levels are used{hint}")


def _warn(text):
    warnings.warn(text, DataWarning, stacklevel=2)


def _say_what_was_cut(name, share, projected):
    """Says how many values were cut: as a warning where that is more than whitened features lose anyway."""
    text = f"{share:.2%} of the values of {name} were outside [-2, 2] and were cut to it"
    if share > 0.1:
        _warn(text if projected else f"{text}: --standardize={name} or --pca scales them")
    elif projected:
        print(f"  {text}, as 4.6% of a normal distribution of variance 1 are")
    else:
        _warn(text)


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, PackOptions, resume_hint="The same command resumes after the last whole file.")


if __name__ == "__main__":
    run()
