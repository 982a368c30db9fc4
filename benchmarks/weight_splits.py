"""What a search of ensemble weights holds on videos that it has not seen, over random splits.

  .venv/bin/python -m benchmarks.weight_splits --submissions='runs/demo/submissions/*.tta.csv' \\
      --labels=runs/demo/data/test_labels.csv [--splits=20] [--shares=0.5,0.25] [--search_method=bagging]
  .venv/bin/python -m benchmarks.weight_splits --made_up=weak

--made_up draws rankings anew for each split: one model is weak, or two are alike, or all unequal, or independent.
Searches on a share of the rated videos, scores on the others, and prints rows of a Markdown table: MAP of equal weights
with w0 = 1 and with the best, over the splits, of 1, 32, 300 and 1000; then, against the first, equal weights with the
default w0 and the weights found (with the splits that they win), and these against the second; last the gain over the
default that the search said, out of fold, and what it was.
"""

import glob
import time

import numpy as np
from absl import app, flags

from yt8m.ensemble.fusion import METHODS, Fusion
from yt8m.ensemble.segment_objective import SegmentObjective
from yt8m.ensemble.weight_search import METHODS as SEARCH_METHODS
from yt8m.ensemble.weight_search import SearchSettings, search_weights
from yt8m.ranking.rated_labels import RatedLabels

FLAGS = flags.FLAGS
flags.DEFINE_list("submissions", None, "Submissions, or patterns of them.")
flags.DEFINE_string("labels", None, "Ratings: CSV of vid:start,class,score.")
flags.DEFINE_enum("made_up", None, ("weak", "alike", "unequal", "independent"), "Rankings to draw instead.")
flags.DEFINE_integer("splits", 20, "Random splits of the videos.", lower_bound=2)
flags.DEFINE_list("shares", ["0.5", "0.25"], "Shares of the videos to search on.")
flags.DEFINE_enum("search_method", "bagging", SEARCH_METHODS, "Search method.")
flags.DEFINE_enum("method", "reciprocal_rank", METHODS, "Fusion method that is searched.")

CONSTANTS = (1.0, 32.0, 300.0, 1000.0)


def main(_):
    objective = None if FLAGS.made_up else _read()
    name = FLAGS.made_up or FLAGS.labels
    print("| data | share | w0 = 1 | best w0 | default w0 | searched | wins | against best w0 | gain said | gain |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for share in map(float, FLAGS.shares):
        began = time.process_time()
        rows = np.array([_split(objective, share, seed) for seed in range(FLAGS.splits)])
        seconds = (time.process_time() - began) / FLAGS.splits
        ranks, (plain, found, said) = rows[:, : len(CONSTANTS)], rows[:, len(CONSTANTS) :].T
        best = int(np.argmax(ranks.mean(axis=0)))
        first = ranks[:, 0]
        cells = [name, f"{share:g}", f"{first.mean():.4f}"]
        cells += [f"{ranks[:, best].mean():.4f} ({CONSTANTS[best]:g})", _mean(plain - first), _mean(found - first)]
        cells += [f"{int((found > first).sum())} of {len(rows)}", _mean(found - ranks[:, best])]
        cells += [f"{np.nanmean(said):+.4f}", _mean(found - plain)]
        print(f"| {' | '.join(cells)} |", flush=True)
        print(f"{seconds:.1f} s of processor time a split", flush=True)


def _read():
    paths = sorted(path for pattern in FLAGS.submissions for path in glob.glob(pattern))
    labels = RatedLabels.from_csv(FLAGS.labels)
    ranks = SegmentObjective.from_submissions(paths, labels)
    if FLAGS.method in ("mean", "geometric_mean"):
        return SegmentObjective.from_submissions(paths, labels, by_score=True), ranks
    return ranks, ranks


def _split(objective, share, seed):
    """Scores on the videos left out: of the four constants, of the default, of what was found; and the gain said."""
    generator = np.random.default_rng([seed, int(share * 1000)])
    searched, ranks = objective or [draw(FLAGS.made_up, seed)] * 2
    chosen = np.zeros(ranks.num_videos, bool)
    chosen[generator.permutation(len(chosen))[: round(share * len(chosen))]] = True
    inside = searched.restrict(chosen[searched.videos])
    outside, outside_ranks = (part.restrict(~chosen[part.videos]) for part in (searched, ranks))
    equal = (1.0,) * ranks.num_files
    plain = Fusion(equal, method=FLAGS.method)
    settings = SearchSettings(FLAGS.search_method, seed=seed)
    result = search_weights(inside, plain=plain, settings=settings)
    constants = [outside_ranks(Fusion(equal, w0=w0)) for w0 in CONSTANTS]
    return [*constants, outside(plain), outside(result.fusion), result.gain.mean if result.gain else np.nan]


def _mean(differences):
    error = differences.std(ddof=1) / len(differences) ** 0.5
    return f"{differences.mean():+.4f} ± {error:.4f}"


def draw(kind, seed, *, classes=20, segments=600, videos=100, rated=0.25):
    """A SegmentObjective of five models that score positives higher, by a strength each, over noise in common.

    kind: "weak", one model is next to useless; "alike", two are nearly the same; "unequal", strengths from 2 to 0.4;
    "independent", one strength and nothing in common. About 30% of the segments are positive, and a quarter is rated.
    """
    generator = np.random.default_rng(seed)
    strengths = {"weak": [0.3, 1.5, 1.5, 1.5, 1.5], "unequal": [2, 1.6, 1.2, 0.8, 0.4]}.get(kind, [1.5] * 5)
    ranks, positives, kept = [], [], []
    for _ in range(classes):
        positive = generator.random(segments) < min(0.3 * np.exp(generator.normal(0, 0.5)), 0.8)
        own, common = generator.normal(size=(5, segments)), generator.normal(size=segments)
        noise = own if kind == "independent" else np.sqrt(0.3) * common + np.sqrt(0.7) * own
        if kind == "alike":
            noise[1] = 0.98 * noise[0] + 0.2 * generator.normal(size=segments)
        scores = np.array(strengths)[:, None] * positive + noise
        ranks.append(np.argsort(np.argsort(-scores, axis=1), axis=1).astype(float))
        positives.append(positive)
        kept.append(generator.random(segments) < rated)
    kept = np.concatenate(kept)
    class_ids, places = np.repeat(np.arange(classes), segments), np.tile(np.arange(segments) % videos, classes)
    return SegmentObjective(
        np.concatenate(ranks, axis=1)[:, kept],
        class_ids[kept],
        np.concatenate(positives)[kept],
        places[kept],
        lengths=np.full((5, classes), segments),
    )


if __name__ == "__main__":
    app.run(main)
