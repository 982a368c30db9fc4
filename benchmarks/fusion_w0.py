"""MAP of equal weights by w0, over lists of several lengths: what the default share of the list rests on.

  .venv/bin/python -m benchmarks.fusion_w0 --submissions='runs/demo/submissions/*.tta.csv' \\
      --labels=runs/demo/data/test_labels.csv
  .venv/bin/python -m benchmarks.fusion_w0 --made_up

Prints rows of a Markdown table: the segments of a list, and what each w0, as a share of them, gains over w0 = 1. Lists
are cut to random parts of the videos, --draws of each size; or made up, of five models, by length and positives.
"""

import glob

import numpy as np
from absl import app, flags

from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.segment_objective import SegmentObjective
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import Submission

FLAGS = flags.FLAGS
flags.DEFINE_list("submissions", None, "Submissions, or patterns of them.")
flags.DEFINE_string("labels", None, "Ratings: CSV of vid:start,class,score.")
flags.DEFINE_integer("draws", 12, "Draws of the videos of each part.", lower_bound=1)
flags.DEFINE_bool("made_up", False, "Rankings made up instead.")

SHARES = (0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 1.0, 3.0)
PARTS = (1.0, 0.5, 0.25, 0.125)
MADE_UP = ((300, 60, 0.5), (3000, 150, 0.0), (3000, 1000, 0.5), (30000, 100, 0.5), (30000, 3000, 0.5))
"""Segments of a list, positives among them, and how much of the models' noise is common."""


def main(_):
    print(f"| lists | {' | '.join(f'{share:g}' for share in SHARES)} |")
    print(f"| --- |{' --- |' * len(SHARES)}")
    for name, objectives in _made_up() if FLAGS.made_up else _parts():
        gains = np.mean([_gains(objective) for objective in objectives], axis=0)
        print(f"| {name} | {' | '.join(f'{gain:+.4f}' for gain in gains)} |", flush=True)


def _gains(objective):
    equal = (1.0,) * objective.num_files
    first = objective(Fusion(equal, w0=1.0))
    return [objective(Fusion(equal, w0_share=share)) - first for share in SHARES]


def _parts():
    paths = sorted(path for pattern in FLAGS.submissions for path in glob.glob(pattern))
    labels = RatedLabels.from_csv(FLAGS.labels)
    lists = []
    for path in paths:
        with Submission(path) as submission:
            lists.append({class_id: segments.byte_texts() for class_id, segments in submission.items()})
    videos = sorted({_video(text) for text in next(iter(lists[0].values()))})
    for part in PARTS:
        objectives = []
        for draw in range(FLAGS.draws if part < 1 else 1):
            chosen = np.random.default_rng(draw).choice(videos, int(part * len(videos)), replace=False)
            objectives.append(_objective(lists, labels, set(chosen.tolist())))
        yield f"{objectives[0].lengths.max():,} segments", objectives


def _objective(lists, labels, videos):
    """The SegmentObjective of the segments of ``videos`` alone."""
    ranks, class_ids, rows_kept, lengths = [], [], [], []
    for class_id in labels.classes:
        rows = np.arange(len(labels))[labels.rows(class_id)]
        rows = rows[[_video(labels.texts[row]) in videos for row in rows]]
        if not labels.positive[rows].any():
            continue
        kept = [[text for text in of_file[class_id] if _video(text) in videos] for of_file in lists]
        places = [{text: place for place, text in enumerate(texts)} for texts in kept]
        ranks.append(np.array([[own.get(labels.texts[row], np.inf) for row in rows] for own in places], float))
        class_ids += [class_id] * len(rows)
        rows_kept += rows.tolist()
        lengths.append([len(texts) for texts in kept])
    return SegmentObjective(
        np.concatenate(ranks, axis=1),
        np.array(class_ids),
        labels.positive[rows_kept],
        labels.videos[rows_kept],
        lengths=np.array(lengths).T,
    )


def _video(text):
    return text.rpartition(b":")[0]


def _made_up():
    for size, positives, common in MADE_UP:
        name = f"{size:,} segments, {positives:,} positive, {common:.0%} common"
        yield name, [_drawn(size, positives, common, seed) for seed in range(3)]


def _drawn(size, positives, common, seed, *, classes=4, strength=2.0):
    generator = np.random.default_rng(seed)
    positive = np.arange(size) < positives
    ranks = []
    for _ in range(classes):
        noise = common**0.5 * generator.normal(size=size) + (1 - common) ** 0.5 * generator.normal(size=(5, size))
        ranks.append(np.argsort(np.argsort(-(strength * positive + noise), axis=1), axis=1).astype(float))
    return SegmentObjective(
        np.concatenate(ranks, axis=1),
        np.repeat(np.arange(classes), size),
        np.tile(positive, classes),
        np.zeros(classes * size, np.int64),
        lengths=np.full((5, classes), size),
    )


if __name__ == "__main__":
    app.run(main)
