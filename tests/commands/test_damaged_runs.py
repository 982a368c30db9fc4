"""Files of a run that are cut, changed, missing or of another shape, under every command that reads them."""

import itertools
import os
import shutil

import numpy as np
import pytest

from tests.helpers.commands import call, passed
from tests.helpers.records import make_video
from yt8m.data.tfrecord import write_records

SHAPES = [b"", b"[]", b"{}", b"null", b"1e999", b'{"a": 1}', b"[[[", b"\xff\xfe{", b"\x00" * 50, b"PK\x03\x04"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder of a finished run, flags of the command that made it)."""
    folder = tmp_path_factory.mktemp("run")
    for number in range(3):
        videos = [make_video(f"v{number}{video}", labels=(video,)) for video in range(6)]
        write_records(folder / f"{number}.tfrecord", videos)
    flags = (
        "--model=moe",
        '--model_config={"hidden_sizes": [4], "num_mixtures": 1}',
        "--num_classes=10",
        "--segment_labels",
        f"--train_data_pattern={folder}/*.tfrecord",
        "--holdout_files=1",
        "--num_epochs=2",
        "--batch_size=8",
        "--checkpoint_minutes=0",
    )
    passed("train", *flags, f"--train_dir={folder}/run")
    return folder / "run", flags


def damage(path, random):
    """Changes a file in one of several ways; words that say how."""
    data = path.read_bytes()
    way = int(random.integers(6))
    if way == 0:
        path.write_bytes(data[: random.integers(len(data))])
    elif way == 1:
        changed = bytearray(data)
        for _ in range(int(random.integers(1, 4))):
            changed[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
    elif way == 2:
        path.write_bytes(SHAPES[int(random.integers(len(SHAPES)))])
    elif way == 3:
        path.unlink()
    elif way == 4:
        path.unlink()
        path.mkdir()
    else:
        # A value of another type or sign somewhere in JSON.
        words = (
            (b"0", b"-7"),
            (b"1", b'"x"'),
            (b"[", b"{"),
            (b"null", b"[]"),
            (b"true", b"0"),
            (b'"', b""),
            (b"{", b"["),
        )
        old, new = words[int(random.integers(len(words)))]
        path.write_bytes(data.replace(old, new, 1 + int(random.integers(3))))
    return way


def commands(folder, flags, tmp_path):
    data = f"--input_data_pattern={flags[4].partition('=')[2]}"
    return [
        ("train", *flags, f"--train_dir={folder}"),
        ("eval", f"--train_dir={folder}"),
        ("inference", f"--train_dir={folder}", data, f"--output_file={tmp_path}/out.csv"),
        ("export", f"--train_dir={folder}", f"--output_dir={tmp_path}/exported"),
        ("adapt", f"--train_dir={folder}", data, f"--output_dir={tmp_path}/adapted"),
        ("train", *flags[3:], f"--init_from={folder}", f"--train_dir={tmp_path}/next"),
        ("train", *flags[3:], f"--init_from={folder}", "--init_optimizer", f"--train_dir={tmp_path}/next"),
    ]


@pytest.mark.filterwarnings("ignore::yt8m.types.DataWarning")
@pytest.mark.parametrize(
    "seeds", [range(3), pytest.param(range(100, 160), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_damage_is_survived_or_told_in_one_sentence(run, tmp_path, seeds):
    source, flags = run
    names = sorted(path.name for path in source.iterdir() if path.is_file())
    assert {"config.json", "inputs.json", "state.json", "metrics.jsonl", "seen_videos.npz", "best.keras"} < set(names)
    # Export takes the longest and reads what the others read.
    places = itertools.cycle((0, 1, 2, 0, 5, 6, 0, 1, 2, 4))
    for seed, place in zip(seeds, places):
        random = np.random.default_rng(seed)
        folder, scratch = tmp_path / "run", tmp_path / "scratch"
        for path in (folder, scratch):
            shutil.rmtree(path, ignore_errors=True)
        scratch.mkdir()
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("tensorboard"))
        name = names[int(random.integers(len(names)))]
        way = damage(folder / name, random)
        command = commands(folder, flags, scratch)[place]
        where = f"seed {seed}, {name} damaged in way {way}, {command[0]}"
        try:
            result = call(*command)
        except BaseException as error:
            raise AssertionError(f"{where}: {error!r}") from error
        assert result.returncode in (0, 2), where
        if result.returncode:
            last = result.stderr.strip().splitlines()[-1]
            assert last.startswith(f"{command[0]}.py: error: ") and len(last) < 2000, where
        assert not [entry for entry in os.listdir(folder) if entry.startswith(".")], where
