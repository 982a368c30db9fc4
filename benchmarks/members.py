"""Five small models of different kinds on real sound, as submissions with scores to fuse.

  .venv/bin/python -m benchmarks.members --desed='desed_segments/*.tfrecord' --audioset='audioset/*.tfrecord'

Each is pre-trained on the clips' labels, an epoch, and trained on the segments of half of the videos; the segments of
the other half are ranked: --output_dir holds MODEL.parquet of each, and labels.csv. Models that are there are kept.
"""

import os
import pathlib

from absl import app, flags

from yt8m.runtime.progress import progress_style

FLAGS = flags.FLAGS
flags.DEFINE_string("desed", None, "Rated segments.", required=True)
flags.DEFINE_string("audioset", None, "Clips to pre-train on.", required=True)
flags.DEFINE_string("output_dir", "runs/members", "Folder for runs, submissions and labels.")

_MIXTURES = {"num_mixtures": 2}
MEMBERS = {
    "logistic": ("logistic", {}),
    "moe": ("moe", _MIXTURES),
    "gated_netvlad": ("gated_netvlad", _MIXTURES | {"num_clusters": 8, "hidden_size": 128}),
    "nextvlad": ("nextvlad", {"num_clusters": 8, "groups": 4, "expansion": 1, "hidden_size": 128}),
    "frame_bert": (
        "frame_bert",
        _MIXTURES | {"num_layers": 2, "num_heads": 4, "hidden_size": 128, "feed_forward_size": 512},
    ),
}


@progress_style("quiet")
def main(_):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from yt8m.data.labels import load_rated_labels
    from yt8m.data.splits import split_sources

    folder = pathlib.Path(FLAGS.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    trained, ranked = split_sources(train_data_pattern=FLAGS.desed, holdout_fraction=0.5)
    labels = load_rated_labels(ranked)
    labels.write_csv(folder / "labels.csv")
    for name, model in MEMBERS.items():
        output = folder / f"{name}.parquet"
        if not output.exists():
            _make(output, model, folder / "runs" / name, trained, ranked, labels)
        print(f"{output} {_score(output, labels):.4f}", flush=True)


def _make(output, model, folder, trained, ranked, labels):
    from yt8m.data.splits import Source
    from yt8m.data.tfrecord import list_files
    from yt8m.inference.prediction import predict_segments
    from yt8m.ranking.submission import write_lists
    from yt8m.training.train import train

    clips = Source(tuple(list_files(FLAGS.audioset)))
    start, end = str(folder / "pretrained"), str(folder / "finetuned")
    train(_config(model, FLAGS.audioset, num_classes=527, num_epochs=1, batch_size=64), source=clips, train_dir=start)
    settings = {"num_epochs": 12, "batch_size": 32, "segment_labels": True}
    run = _config(model, FLAGS.desed, num_classes=10, init_from=start, **settings)
    train(run, source=trained, train_dir=end)
    write_lists(output, predict_segments(end, ranked, run.data, class_ids=labels.classes))


def _config(model, pattern, *, num_classes, init_from="", **settings):
    from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig

    return RunConfig(
        data=DataConfig(num_classes=num_classes, num_frames=5, feature_names=("audio",), feature_sizes=(128,)),
        model=ModelConfig(name=model[0], hyperparameters=model[1]),
        train=TrainConfig(base_learning_rate=1e-3, **settings),
        train_data_pattern=pattern,
        init_from=init_from,
    )


def _score(path, labels):
    from yt8m.ranking.evaluation import evaluate_submission

    return evaluate_submission(path, labels).map_at_k


if __name__ == "__main__":
    app.run(main)
