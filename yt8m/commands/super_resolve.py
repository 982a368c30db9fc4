"""Super-resolution for small video: a network trained on clips of one's own, and what it is worth on others of them.

  yt8m-super-resolve --train_data_pattern='clips/*.tfrecord' --holdout_fraction=0.1 --train_dir=runs/enlarger
  yt8m-super-resolve --train_dir=runs/enlarger --eval_data_pattern='other/*.tfrecord' --backbone=efficientnet-lite0
  yt8m-super-resolve --train_dir=runs/enlarger --input_data_pattern='small/*.tfrecord' --output_dir=enlarged

The clips are what yt8m-video --clips or yt8m-pack --videos has made. They are made smaller, and the network learns to
undo it. yt8m-video --super_resolve=runs/enlarger uses it on videos that are small by themselves, and
--input_data_pattern on clip records that are, with their labels and ratings as they were. The table says how
close bilinear and bicubic interpolation and the network come to held-out clips, and with --backbone how close features
do: where the network is no closer than bicubic, leave it out.
"""

import dataclasses

from yt8m.commands import command_line
from yt8m.config import PATTERN_HELP
from yt8m.features.settings import ClipSettings
from yt8m.options import option
from yt8m.super_resolution.config import SuperResolutionConfig
from yt8m.text import counted
from yt8m.types import InputError

_FRAMES = 15
"""Pictures of a held-out clip that are looked at."""

_WIDTH = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuperResolveOptions(command_line.Options):
    """Options of training and scoring a super-resolution network."""

    configs = {SuperResolutionConfig: (), ClipSettings: ("quality",)}

    train_dir: str = option("", "Folder of the run.", required=True)
    train_data_pattern: str = option(
        "", f"Clip records to train on. {PATTERN_HELP}", defaults_to="none: the run is scored as it is"
    )
    eval_data_pattern: str = option("", f"Clip records to score on. {PATTERN_HELP}")
    holdout_fraction: float = option(
        0.0, "Fraction of the videos to hold out, by their ids, instead of --eval_data_pattern.", low=0, below=1
    )
    input_data_pattern: str = option(
        "", f"Clip records to enlarge: those of less than 96 pixels, the shorter side, to 128. {PATTERN_HELP}"
    )
    output_dir: str = option("", "Folder to write these to, in files of the same names.")
    init_weights: str = option(
        "",
        "Checkpoint of BasicSR to start from, a .pth file: of BasicVSR, or of SPyNet, which is its optical flow alone.",
    )
    backbone: str = option(
        "", "Backbone whose features are compared too, as in efficientnet-lite0; see docs/backbones.md."
    )
    accept_changed_inputs: bool = option(
        False, "Going on with a run although the files that it was begun with have changed."
    )


def main(options: SuperResolveOptions) -> None:
    """Trains where there is something to train on, scores where something is held out, enlarges what is to be."""
    from yt8m.data.splits import open_source, split_sources
    from yt8m.super_resolution.run import load_resolver

    if options.holdout_fraction and not options.train_data_pattern:
        raise InputError("--holdout_fraction is of --train_data_pattern: give both, or --eval_data_pattern")
    if bool(options.input_data_pattern) != bool(options.output_dir):
        raise InputError("--input_data_pattern is written to --output_dir, enlarged: give both, or neither")
    holdout = open_source(options.eval_data_pattern)
    if options.train_data_pattern:
        source, holdout = split_sources(
            train_data_pattern=options.train_data_pattern,
            eval_data_pattern=options.eval_data_pattern,
            holdout_fraction=options.holdout_fraction,
            seed=SuperResolutionConfig(**options.of(SuperResolutionConfig)).seed,
        )
        _train(options, source, holdout)
    elif holdout is None and not options.output_dir:
        raise InputError(
            "there is nothing to do: give --train_data_pattern to train, --eval_data_pattern to score, "
            "--input_data_pattern to enlarge"
        )
    if holdout is not None:
        print(_table(load_resolver(options.train_dir), holdout, options))
    if options.output_dir:
        _enlarge(options)


def _train(options, source, holdout):
    from yt8m.training.super_resolution import train_resolver

    def initialize(model):
        from yt8m.runtime.torch_file import read_torch_file
        from yt8m.super_resolution.published_weights import take_published

        take_published(
            model, read_torch_file(_bytes_of(options.init_weights), options.init_weights), options.init_weights
        )

    train_resolver(
        SuperResolutionConfig(**options.of(SuperResolutionConfig)),
        source,
        holdout,
        run_dir=options.train_dir,
        initialize=initialize if options.init_weights else None,
        accept_changed_inputs=options.accept_changed_inputs,
    )


def _enlarge(options):
    from yt8m.commands.record_facts import found_num_classes
    from yt8m.data.making.resolved_clips import resolve_clips
    from yt8m.data.tfrecord import list_files
    from yt8m.features.resolving import Resolving

    files = list_files(options.input_data_pattern)
    clips, enlarged = resolve_clips(
        files,
        options.output_dir,
        Resolving(options.train_dir),
        **options.of(ClipSettings),
        num_classes=found_num_classes(files[0]),
    )
    print(f"wrote {counted(clips, 'clip')} to {options.output_dir}, {enlarged:,} of them enlarged")


def _bytes_of(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"--init_weights={path} cannot be read: {error.strerror}") from error


def _table(model, holdout, options):
    """Scores of interpolation and of the network, a line each."""
    from yt8m.training.super_resolution import evaluate_resolver

    scores = evaluate_resolver(model, holdout, num_frames=_FRAMES, backbone=options.backbone or None)
    clips = scores["network"]["clips"]
    columns = {"psnr": "PSNR, dB", "ssim": "SSIM", "cosine": f"features of {options.backbone}, cosine"}
    shown = [name for name in columns if name in scores["network"]]
    lines = [f"{counted(clips, 'held-out clip')}, made {model.scale} times smaller and larger again:"]
    lines.append(" " * _WIDTH + "".join(f"  {columns[name]:>10}" for name in shown))
    for way, values in scores.items():
        cells = (f"  {values[name]:>{max(10, len(columns[name]))}.{2 if name == 'psnr' else 4}f}" for name in shown)
        lines.append(f"{way:<{_WIDTH}}{''.join(cells)}")
    return "\n".join(lines)


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, SuperResolveOptions, resume_hint="The same command goes on from the last checkpoint.")


if __name__ == "__main__":
    run()
