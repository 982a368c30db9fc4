"""Train and holdout."""

import pytest

from tests.helpers.records import make_video
from yt8m.data.splits import IdSplit, check_disjoint, split_files, split_sources
from yt8m.types import DataWarning, InputError

FILES = [f"train{index:04d}.tfrecord" for index in range(20)]


def test_files_are_parted():
    train, holdout = split_files(FILES, holdout_files=6, seed=3)
    assert len(holdout) == 6 and sorted(train + holdout) == FILES
    assert train == sorted(train) and holdout == sorted(holdout)


def test_the_order_of_the_files_does_not_matter_but_the_seed_does():
    assert split_files(FILES[::-1], holdout_files=6, seed=3) == split_files(FILES, holdout_files=6, seed=3)
    assert split_files(FILES, holdout_files=6, seed=4) != split_files(FILES, holdout_files=6, seed=3)


def test_something_must_remain_to_train_on():
    assert split_files(FILES, holdout_files=0) == (FILES, [])
    for number in (20, 21, -1):
        with pytest.raises(InputError, match=f"holdout_files is {number}, but the pattern matches 20"):
            split_files(FILES, holdout_files=number)


def test_id_split_is_stable():
    split = IdSplit(fraction=0.5, seed=1)
    held_out = [name for name in "abcdefghijklmnop" if split.in_holdout(name)]
    # Written down: a change would mix train and holdout of models trained before it.
    assert "".join(held_out) == "aehijkp"
    assert [name for name in "abcdefghijklmnop" if not split.in_train(name)] == held_out


def test_id_split_takes_its_fraction():
    names = [f"video{index}" for index in range(4000)]
    held_out = {name for name in names if IdSplit(fraction=0.2).in_holdout(name)}
    assert abs(len(held_out) - 800) < 5 * 25
    other = {name for name in names if IdSplit(fraction=0.2, seed=1).in_holdout(name)}
    assert abs(len(held_out & other) - 160) < 5 * 13
    assert held_out < {name for name in names if IdSplit(fraction=0.3).in_holdout(name)}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 20])
def test_id_split_needs_a_fraction(fraction):
    with pytest.raises(InputError, match="holdout_fraction"):
        IdSplit(fraction=fraction)


def test_check_disjoint_names_the_video_and_both_files(write, capsys):
    train = [write("a.tfrecord", make_video("a")), write("b.tfrecord", make_video("b"), make_video("both"))]
    holdout = [write("c.tfrecord", make_video("c")), write("d.tfrecord", make_video("both"))]
    check_disjoint(train, holdout[:1])
    assert "3/3" in capsys.readouterr().err
    with pytest.raises(InputError) as error:
        check_disjoint(train, holdout)
    assert all(text in str(error.value) for text in ("video both ", train[1], holdout[1]))


def test_check_disjoint_with_a_corrupt_record(write):
    path = write("a.tfrecord", make_video("a"), make_video(""), make_video("c"))
    other = write("b.tfrecord", make_video("c"))
    with pytest.raises(InputError, match="a.tfrecord, record 1: id is missing"):
        check_disjoint([path], [other])
    with pytest.raises(InputError, match="video c is in"), pytest.warns(DataWarning, match="skipped 1 corrupt record"):
        check_disjoint([path], [other], skip_corrupt=True)


def test_split_sources_takes_one_way_to_hold_out(write, tmp_path):
    files = [write(f"{name}.tfrecord", make_video(name)) for name in "abc"]
    pattern = f"{tmp_path}/*.tfrecord"
    train, holdout = split_sources(train_data_pattern=pattern, holdout_files=1)
    assert sorted(train.files + holdout.files) == files
    train, holdout = split_sources(train_data_pattern=pattern, holdout_fraction=0.5, seed=1)
    assert train.files == holdout.files == tuple(files)
    assert [holdout.keep(name) for name in "abc"] == [True, False, False] == [not train.keep(name) for name in "abc"]
    train, holdout = split_sources(train_data_pattern=files[0], eval_data_pattern=files[1])
    assert (train.files, holdout.files) == ((files[0],), (files[1],))
    assert split_sources(train_data_pattern=pattern)[1] is None
    with pytest.raises(InputError, match="holdout_files and holdout_fraction"):
        split_sources(train_data_pattern=pattern, holdout_files=1, holdout_fraction=0.5)
