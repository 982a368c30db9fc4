"""Super-resolution for small video: a network trained on clips of one's own, and what it is worth on others of them.

  yt8m-super-resolve --train_data_pattern='clips/*.tfrecord' --holdout_fraction=0.1 --train_dir=runs/enlarger
  yt8m-super-resolve --train_dir=runs/enlarger --eval_data_pattern='other/*.tfrecord' --backbone=efficientnet-lite0

The clips are what yt8m-video --clips or yt8m-pack --videos has made. They are made smaller, and the network learns to
undo it. yt8m-video --super_resolve=runs/enlarger uses it on videos that are small by themselves. The table says how
close bilinear and bicubic interpolation and the network come to held-out clips, and with --backbone how close features
do: where the network is no closer than bicubic, leave it out.
"""

import dataclasses

from yt8m.commands import command_line
from yt8m.config import PATTERN_HELP
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

    configs = {SuperResolutionConfig: ()}

    train_dir: str = option("", "Folder of the run.", required=True)
    train_data_pattern: str = option(
        "", f"Clip records to train on. {PATTERN_HELP}", defaults_to="none: the run is scored as it is"
    )
    eval_data_pattern: str = option("", f"Clip records to score on. {PATTERN_HELP}")
    holdout_fraction: float = option(
        0.0, "Fraction of the videos to hold out, by their ids, instead of --eval_data_pattern.", low=0, below=1
    )
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
    """Trains where there is something to train on, and scores where something is held out."""
    from yt8m.data.splits import open_source, split_sources
    from yt8m.super_resolution.run import load_resolver

    if options.holdout_fraction and not options.train_data_pattern:
        raise InputError("--holdout_fraction is of --train_data_pattern: give both, or --eval_data_pattern")
    holdout = open_source(options.eval_data_pattern)
    if options.train_data_pattern:
        source, holdout = split_sources(
            train_data_pattern=options.train_data_pattern,
            eval_data_pattern=options.eval_data_pattern,
            holdout_fraction=options.holdout_fraction,
            seed=SuperResolutionConfig(**options.of(SuperResolutionConfig)).seed,
        )
        _train(options, source, holdout)
    elif holdout is None:
        raise InputError("there is nothing to do: give --train_data_pattern to train, --eval_data_pattern to score")
    if holdout is not None:
        print(_table(load_resolver(options.train_dir), holdout, options))


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
