"""Writes a trained model for serving: SavedModel, ONNX or LiteRT.

  export.py --train_dir=runs/finetuned --format=savedmodel,onnx --segment_label_ids_file=segment_label_ids.csv

A SavedModel takes the uint8 frames of one video and ranks its segments; ONNX and LiteRT score segments of 5 frames.
Dequantisation is inside all of them.
"""

from absl import flags

from yt8m.commands import command_line, run_flags
from yt8m.types import InputError

FLAGS = flags.FLAGS
_FORMATS = ("savedmodel", "onnx", "litert")

flags.DEFINE_string("train_dir", None, "Folder of the run whose best model is exported.", required=True)
flags.DEFINE_string("output_dir", None, "Folder to write to. Default: --train_dir.")
flags.DEFINE_list("format", ["savedmodel"], f"Forms to write, comma-separated: {', '.join(_FORMATS)}.")
run_flags.define_class_flag()
flags.DEFINE_string("vocabulary", None, "CSV with Index and Name, for the names of classes. Default: no names.")
flags.DEFINE_integer("top_k", 20, "Classes that the SavedModel lists for a segment, best first.", lower_bound=1)
run_flags.define_view_flags()


def main():
    """Exports the run's best model."""
    from yt8m.inference.model_export import default_path, export
    from yt8m.models.checkpoints import load_model
    from yt8m.vocabulary import read_class_names

    unknown = [form for form in FLAGS.format if form not in _FORMATS]
    if unknown:
        raise InputError(f"--format={','.join(FLAGS.format)}: {unknown[0]} is none of {', '.join(_FORMATS)}")
    names = read_class_names(FLAGS.vocabulary) if FLAGS.vocabulary else None
    model, run = load_model(FLAGS.train_dir)
    class_ids = run_flags.class_ids_from_flags(run.data.num_classes)
    for form in FLAGS.format:
        path = default_path(FLAGS.output_dir or FLAGS.train_dir, form)
        export(
            model,
            path,
            form=form,
            config=run.data,
            class_ids=class_ids,
            class_names=names,
            top_k=FLAGS.top_k,
            views=run_flags.views_from_flags(run),
        )
        print(f"wrote {path}: {len(class_ids)} classes")


def run():
    """Entry point of the console script."""
    command_line.run(main)


if __name__ == "__main__":
    run()
