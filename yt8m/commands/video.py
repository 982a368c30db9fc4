r"""Timelines and features of videos: which classes are present, and when.

  yt8m-video 'clips/*.mp4' --output_dir=out                                       ImageNet's classes, untrained
  yt8m-video clips --output_dir=out --intervals_csv=intervals.csv --vocabulary=vocabulary.csv     records to train on
  yt8m-video new.mp4 --output_dir=out2 --train_dir=runs/mine                      the classes of a run trained on these
  yt8m-video clips --output_dir=out --clips --intervals_csv=intervals.csv          clip records in place of features

Arguments: video and sound files, globs, folders, or addresses. Of each video a timeline is printed, and written as JSON
and as WebVTT chapters to OUTPUT_DIR/timelines; its features go to OUTPUT_DIR/features, and, as TFRecords for train.py
and inference.py, to OUTPUT_DIR/records. --report=FILE.html plays each video beside its timeline. With --clips the
pictures are stored instead, in OUTPUT_DIR/clips, for models of clips: docs/clips.md.

The same command again goes on with the videos that are left.
"""

import dataclasses
import os
import warnings
from collections.abc import Mapping

from yt8m.commands import command_line
from yt8m.commands.clip_outputs import store_clips
from yt8m.commands.groups import RayOptions
from yt8m.commands.pack import report_packed
from yt8m.commands.video_outputs import find_classes, write_outputs
from yt8m.commands.word_options import WordOptions
from yt8m.data.making.settings import STANDARDIZE, PackSettings
from yt8m.features.inputs import find_videos
from yt8m.features.settings import ClipSettings, ExtractionSettings
from yt8m.options import fields_of, option
from yt8m.types import DataWarning, InputError, TimedText, names_of_views

_OF_FEATURES = (
    "backbone",
    "train_dir",
    "class_names",
    "pca",
    "output_file",
    "embeddings",
    "report",
    "ocr_every",
    "asr",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoOptions(WordOptions, RayOptions):
    """Options of yt8m-video."""

    configs = {
        ExtractionSettings: (),
        PackSettings: ("prefix", "num_shards", "shard_megabytes", "min_overlap", "rest"),
        ClipSettings: ("rate", "side", "quality"),
    }

    output_dir: str = option("", "Folder of features, records and timelines.", required=True)
    backbone: tuple[str, ...] = option(
        (),
        "Backbones, one feature each: rgb of the first that sees, audio of the first that hears, then rgb2 and so on. "
        "docs/backbones.md has them all.",
        defaults_to="efficientnet-lite0,logmel, or with --train_dir those of the run",
    )
    train_dir: str = option("", "Folder of a run on records of yt8m-video, whose classes the timelines have.")
    class_names: str = option(
        "",
        "Classes to look for without training, by a backbone of images and texts, such as hf:DIR of a CLIP model: "
        "names separated by semicolons, or a CSV with the columns Index and Name.",
    )
    pca: tuple[str, ...] = option(
        (), "NAME:SIZE, for each of several features: PCA with whitening, in place of standardisation."
    )
    clips: bool = option(
        False, "Clip records of the videos' pictures, in OUTPUT_DIR/clips, in place of features and timelines."
    )
    workers: int = option(1, "Processes that extract, a video each at a time.", unit="processes", low=1, high=1024)
    skip_unreadable: bool = option(False, "Go on without the videos that cannot be read, instead of stopping.")
    top_k: int = option(10, "Most classes in a timeline.", unit="classes", low=1, high=100_000)
    threshold: float | None = option(
        None,
        "Least score of a class that is present.",
        low=0,
        high=1,
        defaults_to="0.5, of a backbone's own classes 0.2",
    )
    output_file: str = option(
        "",
        "Submission to write, .csv, .csv.gz or .parquet: the segments ranked for each class of a backbone's own or of "
        "--class_names.",
    )
    embeddings: str = option(
        "",
        "File to write, .npy or .parquet: the mean feature of the first backbone in each segment, for yt8m-similar.",
    )
    report: str = option("", "HTML file to write: each video beside its timeline.")
    embed: bool = option(False, "Videos within the report's file, instead of references to theirs.")

    def _check(self):
        super()._check()
        if self.train_dir and (self.backbone or self.class_names or self.pca):
            raise InputError("--train_dir knows its backbones and classes: leave --backbone, --class_names, --pca out")
        if self.train_dir and self.output_file:
            raise InputError("--output_file is for classes without training: inference.py ranks a run's on the records")
        if self.embed and not self.report:
            raise InputError("--embed is for --report: give both")
        if self.of(ClipSettings) and not self.clips:
            raise InputError("--clip_rate, --clip_side and --jpeg_quality are of --clips: give it too")
        given = [name for name in _OF_FEATURES if getattr(self, name)]
        given += [name for name in self.of(ExtractionSettings) if name not in fields_of(ClipSettings)]
        if given and self.clips:
            raise InputError(
                f"--{given[0]} is of features, and --clips stores pictures in their place: give one of them"
            )


def main(options: VideoOptions, arguments: list[str]) -> None:
    """Extracts, packs, and shows what is in the videos."""
    if options.clips:
        store_clips(options, find_videos(arguments), os.path.join(options.output_dir, "clips"), replace=True)
        return
    from yt8m.features.extraction import Extractor
    from yt8m.features.feature_folder import FeatureFolder
    from yt8m.features.jobs import extract_videos
    from yt8m.report.videos import check_playable
    from yt8m.runtime.files import check_writable
    from yt8m.similarity.embedding_files import form_of

    if options.embeddings:
        form_of(options.embeddings)
    for path in filter(None, (options.report, options.output_file, options.embeddings)):
        check_writable(path)
    sources = find_videos(arguments)
    if options.report:
        for source in sources.values():
            check_playable(source, embed=options.embed)
    extractor = Extractor(*_specs(options))
    described = extractor.described()
    if options.train_dir:
        from yt8m.data.feature_origins import check_described

        check_described(options.train_dir, described)
    # What may be wrong with the options is found before the work.
    classes = find_classes(options, extractor)
    rest = options.of(PackSettings).get("rest", False)
    annotations = options.read_annotations(list(sources), options.output_dir, complete=rest)
    fit = _fit(options, extractor)
    known = classes.names if classes else {}
    names = known if options.class_names else annotations.class_names or known
    words = options.prepare_words(names, seconds=extractor.settings.max_seconds)
    folder = FeatureFolder(os.path.join(options.output_dir, "features"), described)
    failed = extract_videos(sources, extractor, folder, workers=options.workers, ray=options.ray)
    _say_what_failed(options, failed, len(sources))
    ids = [video_id for video_id in sources if video_id not in failed]
    kept = {video_id: sources[video_id] for video_id in ids}
    texts: Mapping[str, tuple[TimedText, ...]] = {}
    if words:
        seconds = {video_id: folder.about(video_id)["seconds"] for video_id in ids}
        texts = words.write(kept, seconds, options.output_dir, workers=options.workers, ray=options.ray)
    _pack(options, extractor, folder, ids, annotations, fit, texts)
    write_outputs(options, classes, folder, extractor.views_of_features, kept)


def _specs(options):
    """(specs of the backbones, ExtractionSettings): those given, or those of --train_dir."""
    settings = options.of(ExtractionSettings)
    if not options.train_dir:
        return options.backbone or ("efficientnet-lite0", "logmel"), ExtractionSettings(**settings)
    from yt8m.data.feature_origins import read_origins

    origins = read_origins(options.train_dir)
    if origins is None:
        raise InputError(f"{options.train_dir} knows no backbones: it was not trained on records of yt8m-video")
    first = next(iter(origins.values()))
    specs = [origin["spec"] for _, origin in sorted(origins.items(), key=lambda item: _place(item[0]))]
    resolver = next((origin["resolver"] for origin in origins.values() if "resolver" in origin), "")
    known = first["settings"] | {"max_seconds": None, "super_resolve": resolver}
    return specs, ExtractionSettings.from_dict(known | settings)


def _place(name):
    """Order in which features get their names back: rgb, rgb2, audio, audio2."""
    kind = name.rstrip("0123456789")
    return kind != "rgb", int(name.removeprefix(kind) or 1)


def _say_what_failed(options, failed, count):
    if not failed:
        return
    if count == 1:
        raise InputError(*failed.values())
    for sentence in failed.values():
        warnings.warn(sentence, DataWarning, stacklevel=2)
    if len(failed) == count:
        raise InputError(f"none of the {count:,} videos can be read")
    if not options.skip_unreadable:
        raise InputError(
            f"{len(failed)} of {count} videos cannot be read; the features of the others are kept: leave these out, or "
            "give --skip_unreadable"
        )


def _fit(options, extractor):
    """Dict of feature to the dimensions that PCA leaves of it, or STANDARDIZE; empty for those of a run."""
    if options.train_dir:
        return {}
    backbones = extractor.named
    fit = {name: STANDARDIZE for name, backbone in backbones.items() if not backbone.stores_bytes}
    for text in options.pca:
        name, _, size = text.partition(":")
        if name not in backbones or not size.isdecimal() or not 1 <= int(size) <= backbones[name].size:
            sizes = ", ".join(f"{name}:{backbone.size}" for name, backbone in backbones.items())
            raise InputError(f"--pca={text} is not understood: give NAME:SIZE, at most {sizes}")
        fit[name] = int(size)
    return fit


def _pack(options, extractor, folder, ids, annotations, fit, texts):
    from yt8m.data.feature_origins import projections_of, write_origins
    from yt8m.data.making.packer import Packer
    from yt8m.data.making.raw_videos import RawVideos

    ids = [video_id for video_id in ids if video_id in annotations.ids]
    videos = RawVideos({name: {video_id: folder.file(video_id) for video_id in ids} for name in folder.names})
    use = projections_of(options.train_dir) if options.train_dir else {}
    records = os.path.join(options.output_dir, "records")
    views = {name: of for name, of in names_of_views(extractor.views_of_features).items() if name != of}
    settings = PackSettings(**options.of(PackSettings), fit=fit, use=use, views=views)
    packer = Packer(
        videos,
        records,
        settings,
        labels=annotations.labels,
        intervals=annotations.intervals,
        num_classes=annotations.num_classes,
        texts=texts,
        replace=True,
    )
    packer.run()
    projections = {name: use.get(name) or packer.projection_path(name) for name in {**use, **fit}}
    write_origins(records, extractor.described(), projections)
    report_packed(packer, intervals_csv=options.intervals_csv, details=False)


def run() -> None:
    """Entry point of the console script."""
    hint = "The same command goes on with the videos that are left."
    command_line.run(main, VideoOptions, resume_hint=hint, takes_files=True)


if __name__ == "__main__":
    run()
