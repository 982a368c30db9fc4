"""Self-training: teachers label unlabelled segments or videos, students learn from them, and are the next teachers.

train_dir/
  round-0/student/            the first teacher's run, where none is given
  round-1/teacher.parquet     what the teachers say of the unlabelled examples
  round-1/pseudo/             the examples they are sure of, and pseudo.json, how many of each class
  round-1/student/            the run of the student; of several students each has its own name
  rounds.json                 the rounds so far
  config.json, best.keras     of the best student, so that the folder is that of a run
  ensemble.json               in place of these, with several students: the runs of the best round
"""

import collections
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from yt8m.config import RunConfig
from yt8m.data.feature_origins import origins_of_files
from yt8m.data.labels import read_rated_labels, read_video_labels
from yt8m.data.manifest import check_manifest, inputs_of, kept_options, make_manifest, run_options, write_manifest
from yt8m.data.splits import Source
from yt8m.models import checkpoints
from yt8m.ranking.metrics import POSITIVE
from yt8m.runtime.files import atomic_path, make_folder, read_json, write_text
from yt8m.runtime.locks import locked_folder
from yt8m.training.finishing import copy_provenance
from yt8m.training.precision import settled
from yt8m.training.pseudo_labels import best_f1_thresholds, choose_segments, write_pseudo_labels
from yt8m.training.teachers import Judgement, is_file, judge, predictions_of
from yt8m.training.train import Resources, train
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTraining:
    """Settings of self-training.

    teachers: folders of runs, or of self-training with several students, or files of what a teacher says of the
    unlabelled examples (a parquet submission, or a CSV of whole videos); their mean teaches. Empty trains the students
    first, without pseudo-labels. iterations: most rounds. threshold: least score of a pseudo-label; by_class: the score
    of each class's best F1 on the holdout instead. most: pseudo-labelled examples of a round, None for as many as reach
    the threshold. views: of a segment, that a teacher's scores are averaged over, None for the shifts of its own run.
    """

    teachers: tuple[str, ...] = ()
    iterations: int = 3
    threshold: float = 0.95
    by_class: bool = False
    most: int | None = None
    views: tuple[int | str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """A run of a round. run: its folder. holdout: score of its model, None for a given teacher that is one of several.

    before_adaptation: that of the model before its batch norm was adapted, None where it was not.
    """

    name: str
    run: str
    holdout: float | None = None
    before_adaptation: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dict of what is known."""
        known = {"holdout": self.holdout, "holdout_before_adaptation": self.before_adaptation}
        return {name: value for name, value in known.items() if value is not None} | {"run": self.run}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """A round: its students, and the holdout score of their mean, or of the only one.

    pseudo: what pseudo.json says of the examples they learned from, see yt8m.training.pseudo_labels; empty in round 0.
    """

    number: int
    holdout: float
    students: tuple[Student, ...]
    pseudo: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def runs(self) -> tuple[str, ...]:
        """The folders of the students."""
        return tuple(student.run for student in self.students)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dict, as in rounds.json: of a single student what it is, of several a list, ``members``."""
        if len(self.students) == 1:
            return {"round": self.number} | self.students[0].to_dict() | {"holdout": self.holdout} | dict(self.pseudo)
        members = [{"name": student.name} | student.to_dict() for student in self.students]
        return {"round": self.number, "holdout": self.holdout, "members": members} | dict(self.pseudo)


def self_train(
    runs: RunConfig | Sequence[RunConfig],
    *,
    source: Source,
    holdout: Source | None,
    unlabelled: Source,
    train_dir: str,
    settings: SelfTraining = SelfTraining(),
    resources: Resources = Resources(),
) -> list[Round]:
    """Trains students round after round, as long as each round is better than those before: a list of Round.

    runs: RunConfig of the student of every round, or several of as many students; each starts from its run's init_from.
    source, holdout: as in train: rated segments, or whole videos where the runs are without segment_labels. unlabelled:
    Source of the videos to label, which must not be the holdout's. resources: as in train.

    All students of a round learn from the same pseudo-labelled examples, those that the teachers' mean is sure of, and
    are together the teachers of the next round, which the holdout score of their own mean decides on. They see
    run.train.pseudo_ratio of them for each rated one, with cross-entropy to the teachers' scores, which has the
    gradient of the KL divergence from them (Hinton et al. 2015). With run.adapt_bn a student is the model whose batch
    norm is adapted: that is what is scored, compared, published, and what teaches. Resumes where it was stopped, with
    the same settings and files alone: InputError names what differs, but for ``iterations``.
    """
    runs = (runs,) if isinstance(runs, RunConfig) else tuple(runs)
    if holdout is None:
        raise InputError("self-training goes by the holdout: give holdout_files, holdout_fraction or eval_data_pattern")
    _check(runs, train_dir, settings)
    origins_of_files([*source.files, *holdout.files, *unlabelled.files])
    students = kept_options(train_dir).get("students", {})
    job = _Job(
        runs={
            name: settled(
                run, kept=students.get(name, {}).get("train", {}).get("mixed_precision"), placement=resources.placement
            )
            for name, run in zip(member_names(runs), runs)
        },
        source=source,
        holdout=holdout,
        unlabelled=unlabelled,
        train_dir=train_dir,
        settings=settings,
        resources=resources,
    )
    manifest = job.manifest()
    with locked_folder(train_dir) if resources.placement.is_chief else contextlib.nullcontext():
        check_manifest(train_dir, manifest, accept_changed_inputs=resources.accept_changed_inputs)
        if resources.placement.is_chief:
            write_manifest(train_dir, manifest)
        return _train_rounds(job)


def _train_rounds(job):
    settings, runs, train_dir = job.settings, list(job.runs.values()), job.train_dir
    counts = _class_counts(job.source, runs[0])
    teachers = job.first_teachers()
    rounds: list[Round] = []
    if not teachers:
        print(f"round 0: training the {'teacher' if len(runs) == 1 else f'{len(runs)} teachers'}")
        rounds.append(job.train_round(0))
        teachers = rounds[0].runs
    elif not any(map(is_file, teachers)):
        names = _distinct(map(_folder_name, teachers))
        given = tuple(Student(name=name, run=run) for name, run in zip(names, teachers))
        rounds.append(Round(number=0, holdout=job.judge(teachers).value, students=given))
    for number in range(1, settings.iterations + 1):
        pseudo = job.label(number, teachers, counts)
        kind = "segments" if runs[0].train.segment_labels else "videos"
        print(f"round {number}: {pseudo['records']} pseudo-labelled {kind} of {len(pseudo['chosen'])} classes")
        if "told" in pseudo:
            # Not in what 0.2.0 wrote.
            print(f"round {number}: {pseudo['told']}")
        before = max((done.holdout for done in rounds), default=None)
        rounds.append(job.train_round(number, pseudo=pseudo))
        best = rounds[-1].holdout
        _publish(train_dir, rounds)
        print(f"round {number}: holdout {best:.4f}" + (f", best before {before:.4f}" if before is not None else ""))
        if before is not None and best <= before:
            print("that is no better: stopping here")
            break
        teachers = rounds[-1].runs
    _publish(train_dir, rounds)
    return rounds


def member_names(runs: Sequence[RunConfig]) -> list[str]:
    """Names of the students' folders: "student" for a single one, else each run's init_from, preset or model."""
    if len(runs) == 1:
        return ["student"]
    return _distinct(_folder_name(run.init_from) if run.init_from else run.preset or run.model.name for run in runs)


def _folder_name(path):
    return os.path.basename(os.path.normpath(path))


def _distinct(names):
    """The names, of which one that comes again has a number behind it."""
    found: dict[str, None] = {}
    for name in names:
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        found[next(other for other in itertools.chain([name], numbered) if other not in found)] = None
    return list(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    """What is the same in all rounds. runs: dict of student to RunConfig; the rest as of self_train."""

    runs: Mapping[str, RunConfig]
    source: Source
    holdout: Source
    unlabelled: Source
    train_dir: str
    settings: SelfTraining
    resources: Resources
    judged: dict[tuple[str, ...], Judgement] = dataclasses.field(default_factory=dict)

    @property
    def run(self):
        """The RunConfig of the first student."""
        return next(iter(self.runs.values()))

    def first_teachers(self):
        """Folders of runs, or files, that teach round 1; none where the students do."""
        return tuple(itertools.chain.from_iterable(map(checkpoints.members_of, self.settings.teachers)))

    def manifest(self):
        """The Manifest of everything that the rounds come of; more of them may be asked for."""
        settings = dataclasses.asdict(self.settings)
        del settings["teachers"], settings["iterations"]
        students = {name: run_options(run) for name, run in self.runs.items()}
        files = inputs_of(self.run, self.source, self.holdout) | {"to label": self.unlabelled}
        # Runs by their models, wherever they are.
        files["teachers"] = [path if is_file(path) else checkpoints.model_path(path) for path in self.first_teachers()]
        initial = dict.fromkeys(run.init_from for run in self.runs.values() if run.init_from)
        files["initial models"] = list(map(checkpoints.model_path, initial))
        return make_manifest(files, {"settings": settings, "students": students})

    def judge(self, teachers):
        """The Judgement of runs; made once."""
        key = tuple(teachers)
        if key not in self.judged:
            self.judged[key] = judge(teachers, self.holdout, run=self.run)
        return self.judged[key]

    def train_round(self, number, *, pseudo=None):
        """Trains the students of a round."""
        students = []
        for name, run in self.runs.items():
            if pseudo is not None:
                pattern = os.path.join(self._folder(number), "pseudo", "pseudo-*.tfrecord")
                run = run.replace(pseudo_data_pattern=pattern)
            if len(self.runs) > 1:
                print(f"round {number}: {name}")
            students.append(self._train(name, run, os.path.join(self._folder(number), name)))
        runs = [student.run for student in students]
        holdout = students[0].holdout if len(students) == 1 else self.judge(runs).value
        return Round(number=number, holdout=holdout, students=tuple(students), pseudo=pseudo or {})

    def _train(self, name, run, folder):
        state = train(run, source=self.source, holdout=self.holdout, train_dir=folder, resources=self.resources)
        if not run.adapt_bn:
            return Student(name=name, run=folder, holdout=state.best)
        # 0.2.0 finished runs without keeping the score of the adapted model.
        adapted = self.judge((folder,)).value if state.adapted is None else state.adapted
        return Student(name=name, run=folder, holdout=adapted, before_adaptation=state.best)

    def label(self, number, teachers, counts):
        """Writes the pseudo-labels of a round, unless they are there: the dict of pseudo.json."""
        summary = pathlib.Path(self._folder(number), "pseudo", "pseudo.json")
        if summary.exists():
            return _read_summary(summary)
        make_folder(self._folder(number))
        settings, run = self.settings, self.run
        predictions = predictions_of(
            teachers,
            self.unlabelled,
            path=os.path.join(self._folder(number), "teacher.parquet"),
            run=run,
            class_ids=sorted(counts),
            views=settings.views,
        )
        thresholds = dict.fromkeys(counts, settings.threshold)
        if settings.by_class:
            judged = self.judge(teachers)
            pairs = (judged.class_ids, judged.positive, judged.scores)
            thresholds |= best_f1_thresholds(*pairs, otherwise=settings.threshold)
        seed = (run.train.seed, number)
        choice = choose_segments(predictions, thresholds=thresholds, class_counts=counts, most=settings.most, seed=seed)
        write_pseudo_labels(
            summary.parent,
            choice,
            self.unlabelled,
            _all_features(self.runs.values()),
            segments=run.train.segment_labels,
            details={"teachers": list(teachers), "thresholds": thresholds},
        )
        return _read_summary(summary)

    def _folder(self, number):
        return os.path.join(self.train_dir, f"round-{number}")


def _read_summary(path):
    """What write_pseudo_labels says of a round's examples."""
    return read_json(path, what="the summary of pseudo-labels", fields={"records": int, "chosen": dict})


def _check(runs, train_dir, settings):
    """Raises InputError for what does not go together."""
    if settings.by_class and runs[0].train.segment_labels and any(map(is_file, settings.teachers)):
        raise InputError(
            "thresholds by class are chosen on the holdout: those of segments take a teacher that is a run"
        )
    if any(character in train_dir for character in ",*?["):
        raise InputError(
            f"{train_dir} has a comma or a wildcard in its name, which the patterns of its files cannot have"
        )
    for name in ("data.num_classes", "data.level", "train.segment_labels", "train.seed"):
        section, field = name.split(".")
        found = {getattr(getattr(run, section), field) for run in runs}
        if len(found) > 1:
            raise InputError(
                f"the students differ in {field} ({', '.join(sorted(map(str, found)))}): all learn from the same "
                "examples, and are scored on the same holdout"
            )


def _all_features(runs):
    """The DataConfig that reads the features of all ``runs``."""
    runs = list(runs)
    features = {name: size for run in runs for name, size in run.data.features.items()}
    return runs[0].data.replace(
        feature_names=tuple(features), feature_sizes=tuple(features.values()), video_frames=0, video_radius=None
    )


def _class_counts(source, run):
    """Dict of class id to its positives among the examples to train on."""
    counts: collections.Counter[int] = collections.Counter()
    if run.train.segment_labels:
        _, class_ids, scores = read_rated_labels(list(source.files), run.data, keep=source.keep)
        counts.update(class_ids[scores >= POSITIVE].tolist())
    else:
        for video_id, labels in zip(*read_video_labels(list(source.files), run.data)):
            if source.keep is None or source.keep(video_id):
                counts.update(set(labels.tolist()))
    if not counts:
        kind = "rated positives" if run.train.segment_labels else "labels of videos"
        raise InputError(f"the training files hold no {kind}: {source.files[0]} and {len(source.files) - 1} more")
    return dict(counts)


def _publish(train_dir, rounds):
    """Writes rounds.json, and what the best round came to: a run, or of several students ensemble.json."""
    write_text(os.path.join(train_dir, "rounds.json"), json.dumps([done.to_dict() for done in rounds], indent=2) + "\n")
    best = max(rounds, key=lambda done: done.holdout)
    one = len(best.students) == 1
    for name in ("ensemble.json",) if one else ("config.json", "best.keras"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(train_dir, name))
    if not one:
        write_text(os.path.join(train_dir, "ensemble.json"), json.dumps(best.to_dict(), indent=2) + "\n")
        return
    (run,) = best.runs
    checkpoints.write_run_config(train_dir, checkpoints.read_run_config(run))
    with atomic_path(os.path.join(train_dir, "best.keras")) as temporary:
        shutil.copyfile(checkpoints.model_path(run), temporary)
    copy_provenance(run, train_dir)
