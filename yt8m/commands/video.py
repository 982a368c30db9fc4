r"""Timelines and features of videos: which classes are present, and when.

  yt8m-video 'clips/*.mp4' --output_dir=out                                       ImageNet's classes, untrained
  yt8m-video clips --output_dir=out --intervals_csv=intervals.csv --vocabulary=vocabulary.csv     records to train on
  yt8m-video new.mp4 --output_dir=out2 --train_dir=runs/mine                      the classes of a run trained on these

Arguments: video and sound files, globs, folders, or addresses. Of each video a timeline is printed, and written as JSON
and as WebVTT chapters to OUTPUT_DIR/timelines; its features go to OUTPUT_DIR/features, and, as TFRecords for train.py
and inference.py, to OUTPUT_DIR/records. --report=FILE.html plays each video beside its timeline.

The same command again goes on with the videos that are left.
"""

import dataclasses
import os
import shutil
import sys
import warnings

from yt8m.commands import command_line
from yt8m.commands.annotation_options import AnnotationOptions
from yt8m.commands.groups import RayOptions
from yt8m.commands.pack import report_packed
from yt8m.data.making.settings import STANDARDIZE, PackSettings
from yt8m.features.settings import ExtractionSettings
from yt8m.options import option
from yt8m.types import DataWarning, InputError

_SHOWN = 5
"""Timelines that are printed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoOptions(AnnotationOptions, RayOptions):
    """Options of yt8m-video."""

    configs = {
        ExtractionSettings: (),
        PackSettings: ("prefix", "num_shards", "shard_megabytes", "min_overlap", "rest"),
    }

    output_dir: str = option("", "Folder of features, records and timelines.", required=True)
    backbone: tuple[str, ...] = option(
        (),
        "Backbones, one feature each: rgb of the first that sees, audio of the first that hears, then rgb2 and so on. "
        "docs/backbones.md has them all.",
        defaults_to="efficientnet-lite0,logmel, or with --train_dir those of the run",
    )
    train_dir: str = option("", "Folder of a run on records of yt8m-video, whose classes the timelines have.")
    class_names: tuple[str, ...] = option(
        (),
        "Names of any classes, which a backbone of images and texts, such as hf:DIR of a CLIP model, looks for without "
        "training.",
    )
    pca: tuple[str, ...] = option(
        (), "NAME:SIZE, for each of several features: PCA with whitening, in place of standardisation."
    )
    workers: int = option(1, "Processes that extract, a video each at a time.", unit="processes", low=1, high=1024)
    skip_unreadable: bool = option(False, "Go on without the videos that cannot be read, instead of stopping.")
    top_k: int = option(10, "Most classes in a timeline.", unit="classes", low=1, high=100_000)
    threshold: float | None = option(
        None,
        "Least score of a class that is present.",
        low=0,
        high=1,
        defaults_to="0.5 of a run's classes, 0.2 of a backbone's own",
    )
    report: str = option("", "HTML file to write: each video beside its timeline.")
    embed: bool = option(False, "Videos within the report's file, instead of references to theirs.")

    def _check(self):
        if self.train_dir and (self.backbone or self.class_names or self.pca):
            raise InputError("--train_dir knows its backbones and classes: leave --backbone, --class_names, --pca out")
        if self.embed and not self.report:
            raise InputError("--embed is for --report: give both")


def main(options: VideoOptions, arguments: list[str]) -> None:
    """Extracts, packs, and shows what is in the videos."""
    from yt8m.features.extraction import Extractor
    from yt8m.features.feature_folder import FeatureFolder
    from yt8m.features.inputs import find_videos
    from yt8m.features.jobs import extract_videos
    from yt8m.runtime.files import check_writable

    if options.report:
        check_writable(options.report)
    sources = find_videos(arguments)
    extractor = Extractor(*_specs(options))
    described = extractor.described()
    # Before the work, because names may not be looked for.
    heads = {} if options.train_dir else _heads(options, dict(zip(extractor.names, extractor.backbones)))
    if options.train_dir:
        from yt8m.data.feature_origins import check_described

        check_described(options.train_dir, described)
    # Before the work too, so that a bad file of annotations is told.
    rest = options.of(PackSettings).get("rest", False)
    annotations = options.read_annotations(list(sources), options.output_dir, complete=rest)
    fit = _fit(options, extractor)
    folder = FeatureFolder(os.path.join(options.output_dir, "features"), described)
    failed = extract_videos(sources, extractor, folder, workers=options.workers, ray=options.ray)
    _say_what_failed(options, failed, len(sources))
    ids = [video_id for video_id in sources if video_id not in failed]
    _pack(options, extractor, folder, ids, annotations, fit)
    timelines, names, kind = _timelines(options, extractor, folder, ids, heads)
    _show(options, timelines, names, kind)
    if options.report:
        _write_report(options, folder, timelines, names, kind)


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
    # Of a longer video as many seconds as in training are no part of what features are.
    specs = [origin["spec"] for _, origin in sorted(origins.items(), key=lambda item: _place(item[0]))]
    return specs, ExtractionSettings.from_dict(first["settings"] | settings)


def _place(name):
    """Order in which features get their names back: rgb, rgb2, audio, audio2."""
    kind = name.rstrip("0123456789")
    return kind != "rgb", int(name.removeprefix(kind) or 1)


def _say_what_failed(options, failed, count):
    for sentence in failed.values():
        warnings.warn(sentence, DataWarning, stacklevel=2)
    if not failed:
        return
    if len(failed) == count:
        raise InputError(f"none of the {count} videos can be read" if count > 1 else next(iter(failed.values())))
    if not options.skip_unreadable:
        raise InputError(
            f"{len(failed)} of {count} videos cannot be read; the features of the others are kept: leave these out, or "
            "give --skip_unreadable"
        )


def _fit(options, extractor):
    """Dict of feature to the dimensions that PCA leaves of it, or STANDARDIZE; empty for those of a run."""
    if options.train_dir:
        return {}
    backbones = dict(zip(extractor.names, extractor.backbones))
    fit = {name: STANDARDIZE for name, backbone in backbones.items() if not backbone.stores_bytes}
    for text in options.pca:
        name, _, size = text.partition(":")
        if name not in backbones or not size.isdecimal() or not 1 <= int(size) <= backbones[name].size:
            sizes = ", ".join(f"{name}:{backbone.size}" for name, backbone in backbones.items())
            raise InputError(f"--pca={text} is not understood: give NAME:SIZE, at most {sizes}")
        fit[name] = int(size)
    return fit


def _pack(options, extractor, folder, ids, annotations, fit):
    from yt8m.data.feature_origins import read_origins, write_origins
    from yt8m.data.making.packer import Packer
    from yt8m.data.making.raw_videos import RawVideos

    ids = [video_id for video_id in ids if video_id in annotations.ids]
    videos = RawVideos({name: {video_id: folder.file(video_id) for video_id in ids} for name in folder.names})
    origins = read_origins(options.train_dir) if options.train_dir else {}
    use = {
        name: os.path.join(options.train_dir, origin["projection"])
        for name, origin in origins.items()
        if name in folder.names and origin.get("projection")
    }
    records = os.path.join(options.output_dir, "records")
    settings = PackSettings(**options.of(PackSettings), fit=fit, use=use)
    packer = Packer(
        videos,
        records,
        settings,
        labels=annotations.labels,
        intervals=annotations.intervals,
        num_classes=annotations.num_classes,
        replace=True,
    )
    packer.run()
    projections = {name: use.get(name) or packer.projection_path(name) for name in {**use, **fit}}
    write_origins(records, extractor.described(), projections)
    report_packed(packer, intervals_csv=options.intervals_csv, details=False)


def _timelines(options, extractor, folder, ids, heads):
    """(Timelines of the videos, class names, words on what the scores are)."""
    if options.train_dir:
        return _run_timelines(options, folder, ids)
    from yt8m.features.tagging import tag_segments

    if not heads:
        print("no timelines: none of the backbones knows classes; --train_dir takes those of a run")
        return [], {}, ""
    timelines = []
    for video_id in ids:
        timeline = tag_segments(folder.load(video_id), heads, video_id=video_id)
        timelines.append(timeline.take(timeline.best_rows(options.top_k)))
    names = [name for head in heads.values() for name in head.class_names]
    specs = [
        backbone.spec.partition(":")[0] for name, backbone in zip(folder.names, extractor.backbones) if name in heads
    ]
    return timelines, dict(enumerate(names)), f"of {' and '.join(specs)}, untrained"


def _heads(options, backbones):
    """Dict of feature name to LinearHead, of the backbones that know classes, or, by --class_names, texts."""
    if not options.class_names:
        return {name: backbone.head for name, backbone in backbones.items() if backbone.head is not None}
    names = list(options.class_names)
    problem = None
    for feature, backbone in backbones.items():
        try:
            return {feature: backbone.head_for_names(names)}
        except InputError as error:
            problem = problem or error
    raise problem or InputError("--class_names needs a backbone")


def _run_timelines(options, folder, ids):
    from yt8m.data.feature_origins import read_origins
    from yt8m.data.making.projection import Projection
    from yt8m.inference.trained import TrainedRun
    from yt8m.vocabulary import read_class_names

    trained = TrainedRun(options.train_dir)
    origins = read_origins(options.train_dir)
    projections = {
        name: Projection.load(os.path.join(options.train_dir, origin["projection"]))
        for name, origin in origins.items()
        if origin.get("projection")
    }
    names = read_class_names(options.vocabulary) if options.vocabulary else {}
    timelines = []
    for video_id in ids:
        features = folder.load(video_id)
        features = {
            name: projections[name](array) if name in projections else array for name, array in features.items()
        }
        timeline = trained.predict(features, video_id=video_id)
        timelines.append(timeline.take(timeline.best_rows(options.top_k)))
    calibration = trained.calibration
    kind = f"calibrated on rated pairs ({calibration.method})" if calibration else "uncalibrated"
    return timelines, names, kind


def _threshold(options):
    if options.threshold is not None:
        return options.threshold
    return 0.5 if options.train_dir else 0.2


def _full(options):
    """The score at which a timeline is full: no backbone is as sure of anything as a trained run."""
    return min(1.0, 2 * _threshold(options))


def _show(options, timelines, names, kind):
    from yt8m.ranking.timelines import write_chapters, write_intervals
    from yt8m.report.terminal import draw_timeline

    folder, threshold = os.path.join(options.output_dir, "timelines"), _threshold(options)
    width = shutil.get_terminal_size().columns
    for number, timeline in enumerate(timelines):
        path = os.path.join(folder, timeline.video_id)
        write_intervals(f"{path}.json", timeline, threshold=threshold, names=names, scores=kind)
        write_chapters(f"{path}.vtt", timeline, threshold=threshold, names=names)
        if number < _SHOWN:
            print(
                draw_timeline(
                    timeline,
                    names=names,
                    kind=kind,
                    threshold=threshold,
                    width=width,
                    stream=sys.stdout,
                    full=_full(options),
                )
            )
    if timelines:
        more = f", of which {_SHOWN} are shown" if len(timelines) > _SHOWN else ""
        print(f"wrote {len(timelines):,} timelines to {folder}{more}")


def _write_report(options, folder, timelines, names, kind):
    from yt8m.features.thumbnails import make_thumbnails
    from yt8m.report.videos import make_media, write_video_report

    shown = []
    for timeline in timelines:
        source = folder.about(timeline.video_id)["source"]
        has_video = any(name.startswith("rgb") for name in folder.names)
        thumbnails = make_thumbnails(source, seconds=timeline.end) if has_video else ()
        with warnings.catch_warnings():
            # What is damaged was told when features were extracted.
            warnings.simplefilter("ignore", DataWarning)
            media = make_media(source, options.report, embed=options.embed, has_video=has_video, thumbnails=thumbnails)
        shown.append((timeline, media))
    write_video_report(options.report, shown, class_names=names, kind=kind, full=_full(options))
    print(f"wrote {options.report}")


def run() -> None:
    """Entry point of the console script."""
    hint = "The same command goes on with the videos that are left."
    command_line.run(main, VideoOptions, resume_hint=hint, takes_files=True)


if __name__ == "__main__":
    run()
