"""The main job end to end on synthetic data, in minutes: `make demo`.

Writes a small YouTube-8M, pre-trains models of every family on its noisy video labels, fine-tunes them on rated
segments, ranks the test segments with and without shifted views, searches ensemble weights on the holdout, fuses, and
scores every step on the test ratings. Nothing is arranged: the table shows what was measured.

  yt8m-demo --actions=bright --output_dir=runs/actions

writes clip records instead, of digits and textures that move, in 20 classes that no single frame tells apart:
docs/clips.md.
"""

import dataclasses
import json
import os
import time

from yt8m.commands import command_line
from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.making.settings import ACTION_SIZES, ACTION_VERSIONS
from yt8m.options import option
from yt8m.runtime.files import atomic_path, write_text
from yt8m.runtime.parallel import processors
from yt8m.types import InputError

SIZE = "small"
HOLDOUT_FILES = 2
PRETRAIN_EPOCHS = 15
FINETUNE_EPOCHS = 8
BOOTSTRAP_DRAWS = 1000
REPORT_VIDEOS = 12


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model of the demo: a small version of one of the paper's, with the shifts that the paper has for it."""

    model: str
    num_frames: int
    sampling: str
    tta: tuple
    hyperparameters: dict
    learning_rate: float = 1e-3

    @property
    def shifts(self) -> tuple[int, ...]:
        """All shifts, first to last."""
        return tuple(range(self.tta[0], self.tta[1] + 1))


_BERT = {"num_layers": 2, "num_heads": 4, "hidden_size": 128, "feed_forward_size": 512, "num_mixtures": 2}
ENTRIES = {
    "Logistic": Entry("logistic", 15, "random", (-1, 1), {}, learning_rate=3e-3),
    "GatedNetVLAD": Entry(
        "gated_netvlad", 15, "random", (-1, 1), {"num_clusters": 8, "hidden_size": 128, "num_mixtures": 2}
    ),
    "MixNeXtVLAD": Entry(
        "mix_nextvlad",
        15,
        "random",
        (-1, 1),
        {"num_clusters": 8, "groups": 4, "expansion": 1, "hidden_size": 128, "gating_reduction": 8},
    ),
    "BERTMean": Entry("frame_bert", 5, "sequence", (-2, 1), _BERT | {"pooling": "mean"}),
    "BERTCrossAttn": Entry("frame_bert", 5, "sequence", (-1, 1), _BERT | {"pooling": "attention", "cross_modal": True}),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoOptions(command_line.Options):
    """Options of the demo."""

    output_dir: str = option("runs/demo", "Folder for data, runs, submissions, table, picture and report.")
    seed: int = option(0, "Seed of the data and of all training.", low=0)
    actions: str = option(
        "",
        "Version of generated clips of actions to write below --output_dir, in place of the demo: bright; "
        "low_resolution, of 10 to 64 pixels; or dark, with noise.",
        choices=("", *ACTION_VERSIONS),
    )
    actions_size: str = option(
        "small", "Number of clips of --actions: 80, 1,400 or 5,200 in all.", choices=ACTION_SIZES
    )
    actions_a_clip: int = option(
        1, "Actions of five seconds in each clip of --actions.", unit="actions", low=1, high=1000
    )

    def _check(self):
        super()._check()
        if not self.actions and (self.actions_size != "small" or self.actions_a_clip != 1):
            raise InputError("--actions_size and --actions_a_clip are of --actions: give it too")


def main(options: DemoOptions) -> None:
    """Runs the demo."""
    if options.actions:
        _write_actions(options)
        return
    from yt8m.data.making.synthetic import write_demo

    started = time.monotonic()
    root = options.output_dir
    manifest = write_demo(os.path.join(root, "data"), seed=options.seed, size=SIZE)
    print(
        f"wrote {manifest['train']['videos']} videos to train on, {manifest['validate']['videos']} with rated segments"
    )
    demo = _Demo(root, options.seed, manifest["num_classes"])
    for number, (name, entry) in enumerate(ENTRIES.items(), 1):
        print(f"\n[{number}/{len(ENTRIES)}] {name}")
        demo.run_model(name, entry)
    print("\nensemble")
    demo.run_ensemble()
    demo.finish(time.monotonic() - started)


def _write_actions(options):
    from yt8m.data.making.actions import SPLITS, write_actions

    manifest = write_actions(
        options.output_dir,
        seed=options.seed,
        size=options.actions_size,
        version=options.actions,
        actions=options.actions_a_clip,
        workers=processors(),
    )
    counts = ", ".join(f"{manifest[split]['clips']:,} in {split}" for split in SPLITS)
    print(f"wrote {options.actions} clips of {manifest['num_classes']} actions to {options.output_dir}: {counts}")


class _Demo:
    def __init__(self, root, seed, num_classes):
        from yt8m.ranking.evaluation import RatedLabels
        from yt8m.vocabulary import read_segment_class_ids

        self.root = root
        self.seed = seed
        self.num_classes = num_classes
        self.class_ids = read_segment_class_ids(self.path("data", "segment_label_ids.csv"))
        self.labels = RatedLabels.from_csv(self.path("data", "test_labels.csv"))
        self.models = {}
        self.ensemble = {}
        self.search = None

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def run_model(self, name, entry):
        """Trains one model and scores each of its stages on the test ratings."""
        started = time.monotonic()
        data = DataConfig(num_classes=self.num_classes, num_frames=entry.num_frames, sampling=entry.sampling)
        settings = {"base_learning_rate": entry.learning_rate, "batch_size": 64, "seed": self.seed}
        # The same demo on every machine.
        settings["mixed_precision"] = "off"
        pretrained, finetuned = self.path("pretrained", name), self.path("finetuned", name)
        self._train(entry, data, TrainConfig(num_epochs=PRETRAIN_EPOCHS, **settings), pretrained, part="train")
        config = TrainConfig(num_epochs=FINETUNE_EPOCHS, segment_labels=True, **settings)
        self._train(entry, data, config, finetuned, part="validate", init_from=pretrained)
        row = {"pretrained": self._score(self._predict(pretrained, "test", (0,), f"{name}.pretrained.csv"))}
        row["finetuned"] = self._score(self._predict(finetuned, "test", (0,), f"{name}.csv"))
        row["tta"] = self._score(self._predict(finetuned, "test", entry.shifts, f"{name}.tta.csv"))
        self._predict(finetuned, "holdout", entry.shifts, f"{name}.tta.holdout.csv")
        self.models[name] = row | {"shifts": list(entry.tta), "seconds": round(time.monotonic() - started)}
        print("test MAP " + ", ".join(f"{stage} {row[stage]:.4f}" for stage in ("pretrained", "finetuned", "tta")))

    def run_ensemble(self):
        """Equal weights, and weights searched on the holdout, both applied to the test submissions."""
        from yt8m.data.labels import load_rated_labels
        from yt8m.ensemble.fusion import Fusion, fuse
        from yt8m.ensemble.segment_objective import SegmentObjective
        from yt8m.ensemble.weight_search import SearchSettings
        from yt8m.ensemble.weights_file import read_weights, search_into_file
        from yt8m.ranking.bootstrap import paired_difference
        from yt8m.ranking.evaluation import evaluate_submission
        from yt8m.types import MAX_SEGMENTS_PER_CLASS

        test = [self._submission(f"{name}.tta.csv") for name in ENTRIES]
        holdout = [self._submission(f"{name}.tta.holdout.csv") for name in ENTRIES]
        validate = self.path("data", "validate", "*.tfrecord")
        held_out, _ = self._source("holdout")
        plain = Fusion((1.0,) * len(test))
        self.search = search_into_file(
            SegmentObjective.from_submissions(holdout, load_rated_labels(held_out)),
            self.path("weights.json"),
            described={"submissions": holdout, "labels": validate},
            plain=plain,
            settings=SearchSettings(seed=self.seed),
        )
        searched = read_weights(self.path("weights.json"), num_files=len(test), top_n=MAX_SEGMENTS_PER_CLASS)
        for kind, fusion in (("equal", plain), ("searched", searched)):
            output = self._submission(f"ensemble.{kind}.csv")
            fuse(test, output, fusion=fusion)
            scored = {"map_at_k": self._score(output), "weights": list(fusion.weights), "w0": fusion.w0_words()}
            self.ensemble[kind] = scored
        best = max(self.models, key=lambda name: self.models[name]["tta"])
        scored = [
            evaluate_submission(path, self.labels)
            for path in (self._submission("ensemble.searched.csv"), self._submission(f"{best}.tta.csv"))
        ]
        self.ensemble["against"] = best
        self.ensemble["difference"] = paired_difference(*scored, num_samples=BOOTSTRAP_DRAWS, seed=self.seed)

    def finish(self, seconds):
        """Prints the table, writes it and the picture."""
        table = _table(self.models, self.ensemble)
        print(f"\n{table}")
        results = {"models": self.models, "ensemble": self.ensemble, "seconds": round(seconds)}
        write_text(self.path("results.json"), json.dumps(results, indent=2) + "\n")
        write_text(self.path("results.txt"), table)
        _draw(self.models, self.ensemble, self.path("demo.png"))
        self.write_report()
        print(f"in {seconds / 60:.1f} minutes. Picture: {self.path('demo.png')}. Report: {self.path('report.html')}")

    def write_report(self):
        """report.html: what each step gains, the ensemble, and where it errs on the test ratings."""
        from yt8m.models.checkpoints import read_metrics
        from yt8m.ranking.bootstrap import bootstrap_interval
        from yt8m.ranking.diagnosis import videos_by_mistakes
        from yt8m.ranking.evaluation import evaluate_submission
        from yt8m.ranking.timelines import read_timelines
        from yt8m.report import ensemble_parts, gains_part, write_evaluation_report
        from yt8m.vocabulary import read_class_names

        fused = self._submission("ensemble.searched.csv")
        evaluation = evaluate_submission(fused, self.labels)
        interval = bootstrap_interval(evaluation, num_samples=BOOTSTRAP_DRAWS, seed=self.seed)
        videos = [video_id for video_id, _, _ in videos_by_mistakes(evaluation, limit=REPORT_VIDEOS)]
        best = self.ensemble["against"]
        write_evaluation_report(
            self.path("report.html"),
            title="Demo: an ensemble on synthetic video segments",
            results=evaluation.summary() | {"interval": list(interval)},
            evaluation=evaluation,
            learning={name: read_metrics(self.path("finetuned", name)) for name in self.models},
            class_names=read_class_names(self.path("data", "vocabulary.csv")),
            timelines=read_timelines(fused, videos, class_ids=evaluation.class_ids.tolist()),
            probabilities=(f"the best model, {best}, on its holdout", self._score_holdout(best)),
            extra=[
                gains_part(self.models, self.ensemble),
                *ensemble_parts([self._submission(f"{name}.tta.csv") for name in self.models], search=self.search),
            ],
        )

    def _score_holdout(self, name):
        """The Evaluation, with scores, of a fine-tuned model without shifts."""
        from yt8m.inference.model_evaluation import evaluate_model
        from yt8m.inference.scorer import Scorer
        from yt8m.models.checkpoints import load_model

        model, run = load_model(self.path("finetuned", name))
        holdout, _ = self._source("holdout")
        return evaluate_model(Scorer(model, batch_size=128), holdout, run.data, segment_labels=True)["evaluation"]

    def _train(self, entry, data, config, folder, *, part, init_from=""):
        from yt8m.training.train import train

        source, holdout = self._source(part)
        run = RunConfig(
            data=data,
            model=ModelConfig(name=entry.model, hyperparameters=entry.hyperparameters),
            train=config,
            train_data_pattern=self.path("data", part, "*.tfrecord"),
            holdout_files=HOLDOUT_FILES if holdout else 0,
            init_from=init_from,
            tta=entry.tta,
        )
        train(run, source=source, holdout=holdout, train_dir=folder)

    def _source(self, part):
        """(Source to use, Source held out or None) of "train", "test", "validate" or its "holdout"."""
        from yt8m.data.splits import split_sources

        folder = "validate" if part == "holdout" else part
        source, holdout = split_sources(
            train_data_pattern=self.path("data", folder, "*.tfrecord"),
            holdout_files=HOLDOUT_FILES if folder == "validate" else 0,
            seed=self.seed,
        )
        return (holdout, None) if part == "holdout" else (source, holdout)

    def _predict(self, run_folder, part, shifts, name):
        from yt8m.inference.prediction import predict_segments
        from yt8m.models.checkpoints import load_model
        from yt8m.ranking.submission import write_lists

        model, run = load_model(run_folder)
        source, _ = self._source(part)
        top = predict_segments(model, source, run.data, class_ids=self.class_ids, views=shifts, batch_size=256)
        write_lists(self._submission(name), top)
        return self._submission(name)

    def _submission(self, name):
        return self.path("submissions", name)

    def _score(self, path):
        from yt8m.ranking.evaluation import evaluate_submission

        return evaluate_submission(path, self.labels).map_at_k


def _table(models, ensemble):
    lines = [
        "Segment MAP on the test ratings",
        f"{'':15} {'pre-trained':>11} {'fine-tuned':>11} {'gain':>8} {'+ TTA':>16} {'gain':>8} {'weight':>7}",
    ]
    weights = ensemble["searched"]["weights"]
    for (name, row), weight in zip(models.items(), weights):
        gain, gain_of_views = row["finetuned"] - row["pretrained"], row["tta"] - row["finetuned"]
        first, last = row["shifts"]
        lines.append(
            f"{name:15} {row['pretrained']:11.4f} {row['finetuned']:11.4f} {gain:+8.4f} "
            f"{row['tta']:8.4f} [{first:2},{last:2}] {gain_of_views:+8.4f} {weight / sum(weights):7.1%}"
        )
    difference = ensemble["difference"]
    equal, searched = ensemble["equal"], ensemble["searched"]
    lines += [
        f"{'Ensemble, equal weights':57} {equal['map_at_k']:.4f}",
        f"{'Ensemble, searched weights':57} {searched['map_at_k']:.4f}  (w0 = {searched['w0']})",
        f"searched weights against the best single model on this test, {ensemble['against']}: "
        f"{difference['difference']:+.4f}, 95% interval [{difference['low']:+.4f}, {difference['high']:+.4f}]",
    ]
    return "\n".join(lines) + "\n"


_STAGES = {
    "pretrained": ("pre-trained", "#b8bfc8"),
    "finetuned": ("fine-tuned", "#4c78a8"),
    "tta": ("+ TTA", "#e4572e"),
}


def _draw(models, ensemble, path):
    """Stages of every model as dots on one line each, the ensembles below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(models)
    figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
    for position, name in enumerate(names):
        values = [models[name][stage] for stage in _STAGES]
        axes.plot([min(values), max(values)], [position] * 2, color="#d9dde2", linewidth=3, zorder=1)
        for stage, (label, colour) in _STAGES.items():
            axes.scatter(
                models[name][stage], position, color=colour, s=70, zorder=2, label=label if position == 0 else None
            )
    for position, kind in enumerate(("equal", "searched"), len(names)):
        value = ensemble[kind]["map_at_k"]
        axes.scatter(value, position, marker="D", color="#2a7f62", s=70, label="ensemble" if kind == "equal" else None)
        axes.annotate(f"{value:.3f}", (value, position), xytext=(8, -4), textcoords="offset points", fontsize=9)
    best = max(row["tta"] for row in models.values())
    axes.axvline(best, color="#e4572e", linewidth=1, linestyle=":", label=f"best single, {best:.3f}")
    axes.set_yticks(range(len(names) + 2), [*names, "Ensemble, equal", "Ensemble, searched"])
    axes.invert_yaxis()
    axes.set_xlabel("segment MAP on the test ratings")
    axes.set_title("What fine-tuning, shifted views and the ensemble gain", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, DemoOptions, resume_hint="The same command resumes it.")


if __name__ == "__main__":
    run()
