"""Self-training: a teacher labels unlabelled segments, a student learns from them, and becomes the next teacher.

train_dir/
  round-0/student/            the first teacher's run, where none is given
  round-1/teacher.parquet     what the teacher says of the unlabelled segments
  round-1/pseudo/             the segments it is sure of, and pseudo.json, how many of each class
  round-1/student/            the run of the student
  rounds.json                 the rounds so far
  config.json, best.keras     of the best student, so that the folder is that of a run
"""

import collections
import dataclasses
import json
import os
import pathlib
import shutil
from typing import Any

from yt8m.config import RunConfig
from yt8m.data.labels import read_rated_labels
from yt8m.data.splits import Source
from yt8m.inference.jobs import Execution
from yt8m.inference.model_evaluation import evaluate_model, headline
from yt8m.inference.prediction import predict_segments
from yt8m.inference.scorer import Scorer
from yt8m.models import checkpoints
from yt8m.ranking.metrics import POSITIVE
from yt8m.ranking.submission import write_lists
from yt8m.runtime.files import atomic_path, write_text
from yt8m.runtime.parts import PartsFolder
from yt8m.training.pseudo_labels import best_f1_thresholds, choose_segments, write_pseudo_labels
from yt8m.training.train import Resources, train
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTraining:
    """Settings of self-training.

    teacher: folder of a run, or a parquet submission of the unlabelled segments; "" trains one first, like the students
    but without pseudo-labels. iterations: most rounds. threshold: least score of a pseudo-label; by_class: the score of
    each class's best F1 on the holdout instead. most: pseudo-labelled segments of a round, None for all that reach the
    threshold. views: of a segment, that the teacher's scores are averaged over.
    """

    teacher: str = ""
    iterations: int = 3
    threshold: float = 0.95
    by_class: bool = False
    most: int | None = None
    views: tuple[int | str, ...] = (0,)


def self_train(
    run: RunConfig,
    *,
    source: Source,
    holdout: Source | None,
    unlabelled: Source,
    train_dir: str,
    settings: SelfTraining = SelfTraining(),
    resources: Resources = Resources(),
) -> list[dict[str, Any]]:
    """Trains students one after the other, as long as each is better than those before: a list of dict, one a round.

    run: RunConfig of every student; each starts from run.init_from. source, holdout: as in train, rated segments.
    unlabelled: Source of the videos to label, which must not be the holdout's. resources: as in train.

    Students are trained on run.train.pseudo_ratio pseudo-labelled segments for each rated one; of the former with
    cross-entropy to the teacher's scores, which has the gradient of the KL divergence from them (Hinton et al. 2015).
    A result has ``round``, ``holdout``, the score of its student's model, and, but for round 0, ``records``, ``sure``
    and ``chosen``, see yt8m.training.pseudo_labels. With run.adapt_bn the model is the one whose batch norm is adapted:
    it is what is scored, compared, published and taught by, and ``holdout_before_adaptation`` is told beside. Resumes
    where it was stopped.
    """
    if holdout is None:
        raise InputError("self-training goes by the holdout: give holdout_files, holdout_fraction or eval_data_pattern")
    teacher = settings.teacher
    if settings.by_class and teacher.endswith(".parquet"):
        raise InputError("thresholds by class are chosen on the holdout, which takes a teacher that is a run")
    if any(character in train_dir for character in ",*?["):
        raise InputError(
            f"{train_dir} has a comma or a wildcard in its name, which the patterns of its files cannot have"
        )
    os.makedirs(train_dir, exist_ok=True)
    counts = _class_counts(source, run.data)
    results = []
    if not teacher:
        print("round 0: training the teacher")
        teacher = os.path.join(train_dir, "round-0", "student")
        results.append({"round": 0} | _train(run, teacher, source, holdout, resources))
    elif os.path.isdir(teacher):
        results.append({"round": 0, "holdout": headline(_score(teacher, holdout, run))[1], "run": teacher})
    for number in range(1, settings.iterations + 1):
        folder = os.path.join(train_dir, f"round-{number}")
        made = _label(teacher, unlabelled, holdout, run, folder, counts=counts, settings=settings, number=number)
        print(f"round {number}: {made['records']} pseudo-labelled segments of {len(made['chosen'])} classes")
        print(f"round {number}: {made['told']}")
        pattern = os.path.join(folder, "pseudo", "pseudo-*.tfrecord")
        student = os.path.join(folder, "student")
        trained = _train(run.replace(pseudo_data_pattern=pattern), student, source, holdout, resources)
        best = trained["holdout"]
        before = max((result["holdout"] for result in results), default=None)
        results.append({"round": number} | trained | made)
        _publish(train_dir, results)
        print(f"round {number}: holdout {best:.4f}" + (f", best before {before:.4f}" if before is not None else ""))
        if before is not None and best <= before:
            print("that is no better: stopping here")
            break
        teacher = student
    _publish(train_dir, results)
    return results


def _train(run, folder, source, holdout, resources):
    """Trains a student: dict of its run's folder and the holdout score of its model, before adaptation too if any."""
    state = train(run, source=source, holdout=holdout, train_dir=folder, resources=resources)
    if not run.adapt_bn:
        return {"holdout": state.best, "run": folder}
    # 0.2.0 finished runs without keeping the score of the adapted model.
    adapted = state.adapted if state.adapted is not None else headline(_score(folder, holdout, run))[1]
    return {"holdout": adapted, "holdout_before_adaptation": state.best, "run": folder}


def _publish(train_dir, results):
    """Writes rounds.json, and makes the folder that of the best student's run."""
    write_text(os.path.join(train_dir, "rounds.json"), json.dumps(results, indent=2) + "\n")
    best = max(results, key=lambda result: result["holdout"])["run"]
    checkpoints.write_run_config(train_dir, checkpoints.read_run_config(best))
    with atomic_path(os.path.join(train_dir, "best.keras")) as temporary:
        shutil.copyfile(checkpoints.model_path(best), temporary)


def _class_counts(source, config):
    """Dict of class id to its rated positives among the videos to train on."""
    _, class_ids, scores = read_rated_labels(list(source.files), config, keep=source.keep)
    counts = dict(collections.Counter(class_ids[scores >= POSITIVE].tolist()))
    if not counts:
        raise InputError(
            f"the training files hold no rated positives: {source.files[0]} and {len(source.files) - 1} more"
        )
    return counts


def _label(teacher, unlabelled, holdout, run, folder, *, counts, settings, number):
    """Writes the pseudo-labels of a round, unless they are there: the dict of pseudo.json."""
    summary = os.path.join(folder, "pseudo", "pseudo.json")
    if os.path.exists(summary):
        return json.loads(pathlib.Path(summary).read_text(encoding="utf-8"))
    os.makedirs(folder, exist_ok=True)
    predictions = teacher if teacher.endswith(".parquet") else os.path.join(folder, "teacher.parquet")
    if not os.path.exists(predictions):
        _predict(teacher, unlabelled, run, predictions, class_ids=sorted(counts), views=settings.views)
    thresholds = dict.fromkeys(counts, settings.threshold)
    if settings.by_class:
        evaluation = _score(teacher, holdout, run)["evaluation"]
        labels = evaluation.labels
        thresholds |= best_f1_thresholds(
            labels.class_ids, labels.positive, evaluation.scores, otherwise=settings.threshold
        )
    seed = (run.train.seed, number)
    choice = choose_segments(predictions, thresholds=thresholds, class_counts=counts, most=settings.most, seed=seed)
    write_pseudo_labels(
        os.path.join(folder, "pseudo"), choice, unlabelled, run.data, details={"thresholds": thresholds}
    )
    return json.loads(pathlib.Path(summary).read_text(encoding="utf-8"))


def _predict(teacher, unlabelled, run, path, *, class_ids, views):
    model, _ = checkpoints.load_model(teacher)
    parts = PartsFolder(f"{path}.parts", identity=checkpoints.model_path(teacher))
    top = predict_segments(
        model, unlabelled, run.data, class_ids=class_ids, views=views, execution=Execution(folder=parts)
    )
    write_lists(path, top)
    parts.remove()


def _score(teacher, holdout, run):
    model, _ = checkpoints.load_model(teacher)
    scorer = Scorer(model, batch_size=run.train.batch_size)
    return evaluate_model(scorer, holdout, run.data, segment_labels=True)
