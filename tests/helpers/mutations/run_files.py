"""Arrays, models and the JSON of runs made wrong at random."""

import dataclasses
import functools
import json
import pathlib
import random

import numpy as np

from tests.helpers.mutations.base import KINDS, OTHER, REFUSED, SAME, TOLD, Case, damaged
from tests.helpers.records import CONFIG
from yt8m.config import ModelConfig, RunConfig, TrainConfig
from yt8m.data.feature_origins import check_origins, read_origins
from yt8m.data.making.raw_videos import RawVideos
from yt8m.data.seen_videos import SeenVideos
from yt8m.ensemble.weights_file import read_weights
from yt8m.models import checkpoints
from yt8m.models.base import build_model


@KINDS.register("arrays")
def arrays(rng: random.Random, folder: pathlib.Path) -> Case:
    """A file of features with damaged bytes; plain .npy has no checksum, so that only its header is damaged."""
    frames = np.arange(60, dtype=np.float32).reshape(12, 5)
    form = rng.choice(["npz", "compressed", "npy"])
    path = str(folder / ("v.npy" if form == "npy" else "v.npz"))
    {"npz": lambda: np.savez(path, rgb=frames), "compressed": lambda: np.savez_compressed(path, rgb=frames)}.get(
        form, lambda: np.save(path, frames)
    )()

    def read():
        videos = RawVideos.of_features({"rgb": path}) if form == "npy" else RawVideos.of_videos(path, ["rgb"])
        return {name: values.tolist() for name, values in videos.read("v").items()}

    clean = read()
    data = pathlib.Path(path).read_bytes()
    if form == "npy":
        header = len(data) - frames.nbytes
        way = rng.choice(["header", "cut", "more"])
        if way == "header":
            place = rng.randrange(header - 1)
            data = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        data = data[: rng.randrange(len(data))] if way == "cut" else data + b"more" * (way == "more")
        allowed, what = (SAME, REFUSED), f"npy {way}"
    else:
        data, what = damaged(rng, data)
        allowed, what = (SAME, REFUSED), f"{form} {what}"
    pathlib.Path(path).write_bytes(data)
    return Case(read, clean, path, allowed, what)


_JSON_VALUES = [None, True, -1, 0, 1e308, 10**30, "", "x", [], [1], {}, {"x": 1}, "\x1b[31m"]


def changed_json(rng, text):
    """(text with a value changed, lost or cut, what was done)."""
    if rng.random() < 0.3:
        data, what = damaged(rng, text.encode())
        return data, what
    if rng.random() < 0.1:
        return b"[" * 10**5, "deep"
    content = json.loads(text)
    place, path = content, []
    while isinstance(place, dict) and place:
        key = rng.choice(sorted(place))
        path.append(key)
        if not isinstance(place[key], dict) or not place[key] or rng.random() < 0.3:
            if rng.random() < 0.3:
                del place[key]
            else:
                place[key] = rng.choice(_JSON_VALUES)
            break
        place = place[key]
    return json.dumps(content).encode(), ".".join(path)


def _json_case(rng, path, text, read, allowed=(SAME, OTHER, REFUSED)):
    pathlib.Path(path).write_text(text)
    clean = read()
    data, what = changed_json(rng, text)
    pathlib.Path(path).write_bytes(data)
    return Case(read, clean, path, allowed, f"{what}: {data[:80]!r}")


@KINDS.register("json: origins of features")
def origins_json(rng: random.Random, folder: pathlib.Path) -> Case:
    """A features.json, as records and runs have it, that is wrong; what it is compared with is unharmed."""
    path = str(folder / "features.json")
    (folder / "run").mkdir()
    digest = "0" * 64
    made = {"projection": "rgb.projection.npz", "projection_digest": digest, "settings": {"views": 1}}
    origins = {"rgb": {"spec": "onnx:a.onnx", "digest": digest, "size": 4} | made}
    text = json.dumps(origins)
    (folder / "run" / "features.json").write_text(text)

    def read():
        check_origins(str(folder / "run"), [str(folder / "a.tfrecord")])
        return repr(read_origins(str(folder)))

    # What is another origin, and none that is damaged, is told of the records.
    return dataclasses.replace(_json_case(rng, path, text, read), path=str(folder))


@KINDS.register("json: weights")
def weights_json(rng: random.Random, folder: pathlib.Path) -> Case:
    """A file of ensemble weights that is wrong."""
    path = str(folder / "weights.json")
    text = json.dumps({"weights": [0.5, 0.25, 0.25], "w0": 6.0, "w0_share": None, "fusion": "reciprocal_rank"})
    return _json_case(rng, path, text, lambda: repr(read_weights(path, num_files=3, top_n=10)))


def _run():
    return RunConfig(
        data=CONFIG, model=ModelConfig(name="logistic"), train=TrainConfig(segment_labels=True), train_data_pattern="x"
    )


@KINDS.register("json: config of a run")
def run_json(rng: random.Random, folder: pathlib.Path) -> Case:
    """A config.json that is wrong."""
    checkpoints.write_run_config(str(folder), _run())
    path = folder / "config.json"
    return _json_case(rng, str(path), path.read_text(), lambda: checkpoints.read_run_config(str(folder)).to_dict())


@KINDS.register("json: metrics of a run")
def metrics_json(rng: random.Random, folder: pathlib.Path) -> Case:
    """A metrics.jsonl that is wrong."""
    for step in range(3):
        checkpoints.append_metrics(str(folder), {"step": step, "map_at_k": 0.5})
    path = folder / "metrics.jsonl"
    clean = checkpoints.read_metrics(str(folder))
    data, what = damaged(rng, path.read_bytes())
    path.write_bytes(data)
    return Case(lambda: checkpoints.read_metrics(str(folder)), clean, str(path), (SAME, TOLD, OTHER, REFUSED), what)


@KINDS.register("seen videos")
def seen_videos(rng: random.Random, folder: pathlib.Path) -> Case:
    """A list of seen videos with damaged bytes."""
    path, seen = str(folder / "seen_videos.npz"), SeenVideos()
    seen.add(str(number) for number in range(50))
    seen.save(path)

    def read():
        found = SeenVideos.load(path)
        return [name for name in map(str, range(60)) if found is not None and name in found]

    clean = read()
    data, what = damaged(rng, pathlib.Path(path).read_bytes())
    pathlib.Path(path).write_bytes(data)
    return Case(read, clean, path, (SAME, REFUSED), what)


@functools.cache
def _saved_model():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model = build_model(ModelConfig(name="logistic"), CONFIG)
        checkpoints.save_best(folder, model)
        return pathlib.Path(checkpoints.model_path(folder)).read_bytes()


@KINDS.register("model")
def saved_model(rng: random.Random, folder: pathlib.Path) -> Case:
    """A best.keras with damaged bytes."""
    checkpoints.write_run_config(str(folder), _run())
    path = folder / "best.keras"
    path.write_bytes(_saved_model())

    def read():
        model, _ = checkpoints.load_model(str(folder))
        return [np.asarray(weight).tolist() for weight in model.weights]

    clean = read()
    data, what = damaged(rng, _saved_model())
    path.write_bytes(data)
    return Case(read, clean, str(path), (SAME, REFUSED), what)
