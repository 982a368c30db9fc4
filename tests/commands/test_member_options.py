import json

import pytest

from tests.helpers.commands import refused
from yt8m.commands.command_line import parse
from yt8m.commands.member_options import member_options
from yt8m.commands.selftrain import SelfTrainOptions
from yt8m.config import AugmentConfig, RunConfig, TrainConfig
from yt8m.types import InputError

FLAGS = ("selftrain", "--train_dir=x", "--to_label_data_pattern=y", "--num_epochs=3", "--base_learning_rate=0.01")


def members_of(*flags):
    options, _ = parse([*FLAGS, *flags], SelfTrainOptions, document="")
    return member_options(options, options.members)


def test_folders_are_what_members_start_from():
    (single,) = members_of()
    assert single.train_dir == "x" and RunConfig not in single.given
    both = members_of("--members=runs/a,runs/b")
    assert [member.of(RunConfig)["init_from"] for member in both] == ["runs/a", "runs/b"]
    assert all(member.of(TrainConfig) == {"num_epochs": 3, "base_learning_rate": 0.01} for member in both)


def test_a_file_has_flags_of_each(tmp_path):
    path = tmp_path / "members.json"
    changes = [
        {"init_from": "runs/a", "augment_shift": 2, "feature_names": ["audio"]},
        {"model": "moe", "model_config": {"num_mixtures": 4}, "base_learning_rate": 1},
    ]
    path.write_text(json.dumps(changes))
    first, second = members_of(f"--members={path}")
    assert first.of(RunConfig) == {"init_from": "runs/a"} and first.of(AugmentConfig) == {"shift": 2}
    assert first.of(TrainConfig)["base_learning_rate"] == 0.01 and first.model == ""
    assert second.model == "moe" and json.loads(second.model_config) == {"num_mixtures": 4}
    assert second.of(TrainConfig) == {"num_epochs": 3, "base_learning_rate": 1} and RunConfig not in second.given


@pytest.mark.parametrize(
    "members, message",
    [
        ('[{"init_from": "a"}]', "--members names a single one"),
        ('[{"seed": 3}, {}]', "members.json, member 1: seed is the same for all members"),
        ('[{}, {"lerning_rate": 3}]', "members.json, member 2: there is no flag --lerning_rate of train.py"),
        ('[{}, {"base_learning_rate": -1}]', "member 2: base_learning_rate is -1; it must be above 0"),
        ('{"init_from": "a"}', "is not a list of objects"),
        ("[", "does not parse"),
    ],
)
def test_what_makes_no_members_is_said(tmp_path, members, message):
    path = tmp_path / "members.json"
    path.write_text(members)
    with pytest.raises(InputError, match=message):
        members_of(f"--members={path}")


def test_self_training_refuses_what_contradicts_itself():
    flags = ("--train_dir=x", "--to_label_data_pattern=y", "--train_data_pattern=z")
    said = refused("selftrain", *flags, "--members=a,b", "--init_from=c")
    assert "--members says what each student starts from: leave out --init_from" in said
