"""Export of a trained model for serving: SavedModel, ONNX or LiteRT.

  export.py --train_dir=runs/finetuned --format=savedmodel,onnx --segment_label_ids_file=segment_label_ids.csv

A SavedModel takes the uint8 frames of one video and ranks its segments; ONNX and LiteRT score segments of 5 frames. Of
a model of clips all of them take clips. Dequantisation is inside all of them.
"""

import dataclasses

from yt8m.commands import command_line
from yt8m.commands.groups import ClassOptions, ViewOptions
from yt8m.options import option

_FORMATS = ("savedmodel", "onnx", "litert")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions(ClassOptions, ViewOptions):
    """Options of export."""

    train_dir: str = option("", "Folder of the run whose best model is exported.", required=True)
    output_dir: str = option("", "Folder to write to.", defaults_to="--train_dir")
    format: tuple[str, ...] = option(("savedmodel",), "Formats to write, as in savedmodel,onnx.", choices=_FORMATS)
    top_k: int = option(20, "Classes that the SavedModel lists for a segment, best first.", unit="classes", low=1)


def main(options: ExportOptions) -> None:
    """Exports the run's best model."""
    from yt8m.inference.model_export import default_path, export
    from yt8m.models.checkpoints import load_model

    names = options.class_names() or None
    model, run = load_model(options.train_dir)
    class_ids = options.class_ids(run.data.num_classes)
    for form in options.format:
        path = default_path(options.output_dir or options.train_dir, form)
        export(
            model,
            path,
            form=form,
            config=run.data,
            class_ids=class_ids,
            class_names=names,
            top_k=options.top_k,
            views=options.views(run, train_dir=options.train_dir),
        )
        print(f"wrote {path}: {len(class_ids)} classes")


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, ExportOptions)


if __name__ == "__main__":
    run()
