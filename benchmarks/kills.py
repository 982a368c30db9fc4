"""What becomes of each stage when it is killed at any time and started again: the same result, and nothing left behind.

    .venv/bin/python -m benchmarks.kills [--kills=20] [--stages=train,pack] [--seed=0] [--folder=/tmp/kills]

Each stage runs once to its end. Then, for each kill, it is started in a folder of its own, gets SIGKILL (every fourth
time SIGTERM) at a random moment between its first sign of life and its end, and is started again until it ends. Its
results must be those of the run that was not killed: models by their weights, all other files byte for byte. Prints a
table; the exit status is 1 where something differs or stays behind. The machine should be idle, or kills come late.
"""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile

import numpy as np
from absl import app, flags

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
_TRAIN = (
    "train.py --model=logistic --num_classes=10 --train_data_pattern=data/*.tfrecord --holdout_files=1 --num_epochs=3 "
    "--batch_size=4 --checkpoint_minutes=0"
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A command as typed in a folder, what must have run there before, and the files that it promises, as globs."""

    command: str
    results: tuple[str, ...]
    after: tuple[str, ...] = ()


_CLIPS = (
    "train.py --model=slowfast --num_classes=10 --train_data_pattern=clips/*.tfrecord --holdout_files=1 --num_epochs=2 "
    '--batch_size=4 --checkpoint_minutes=0 --num_frames=4 --clip_size=24 --model_config={"depth":14,"width":8}'
)
_RUN = ("config.json", "best.keras", "metrics.jsonl", "inputs.json")
STAGES = {
    "train": Stage(f"{_TRAIN} --train_dir=run", tuple(f"run/{name}" for name in _RUN)),
    "fine-tune": Stage(
        f"{_TRAIN} --segment_labels --init_from=run --train_dir=fine",
        tuple(f"fine/{name}" for name in _RUN),
        ("train",),
    ),
    "selftrain": Stage(
        f"{_TRAIN.replace('train.py', 'selftrain.py')} --segment_labels --to_label_data_pattern=data/*.tfrecord "
        "--nocheck_split --pseudo_threshold=0.01 --iterations=2 --train_dir=self",
        ("self/best.keras", "self/rounds.json", "self/round-*/*/*.tfrecord", "self/round-*/*/best.keras"),
    ),
    "tune": Stage(
        f"{_TRAIN.replace('train.py', 'tune.py')} --num_epochs=1 --max_trials=3 --train_dir=tune",
        ("tune/search.json", "tune/trials.csv", "tune/runs/*/best.keras"),
    ),
    "pack": Stage(
        "-m yt8m.commands.pack --input_data_pattern=arrays/*.npz --labels_csv=labels.csv --num_shards=8 "
        "--output_dir=packed",
        ("packed/*",),
    ),
    "cache": Stage(
        "-m yt8m.commands.cache --input_data_pattern=data/*.tfrecord --num_classes=10 --cache_dir=cache",
        ("cache/*",),
    ),
    "inference": Stage(
        "inference.py --train_dir=fine --input_data_pattern=data/*.tfrecord --batch_size=1 --output_file=out.csv",
        ("out.csv",),
        ("train", "fine-tune"),
    ),
    "ensemble": Stage(
        "ensemble.py --search --submissions=A.csv.gz,B.csv.gz --labels=ratings.csv --workers=2 --search_steps=20 "
        "--weights_file=weights.json --output_file=fused.csv",
        ("weights.json", "fused.csv"),
    ),
    "eval": Stage(
        "eval.py --submission=A.csv.gz --labels=ratings.csv --per_class_csv=classes.csv --bootstrap=50 "
        "--report=report.html",
        ("classes.csv", "report.html"),
    ),
    "video": Stage(
        "-m yt8m.commands.video videos --output_dir=video --workers=2 --report=page.html --intervals_csv=intervals.csv",
        ("video/records/*", "video/timelines/*", "page.html"),
    ),
    "export": Stage("export.py --train_dir=run --output_dir=out", ("out/*/variables/variables.data*",), ("train",)),
    "clips": Stage(
        "-m yt8m.commands.pack --videos=videos --intervals_csv=intervals.csv --num_shards=4 --workers=2 "
        "--output_dir=clips",
        ("clips/*",),
    ),
    "train on clips": Stage(
        f"{_CLIPS} --segment_labels --train_dir=action", tuple(f"action/{name}" for name in _RUN), ("clips",)
    ),
    "adapt": Stage(
        "adapt.py --train_dir=action --input_data_pattern=clips/*.tfrecord --batch_size=4 --output_dir=adapted",
        ("adapted/*.json", "adapted/best.keras"),
        ("clips", "train on clips"),
    ),
    "super-resolve": Stage(
        "-m yt8m.commands.super_resolve --train_data_pattern=clips/*.tfrecord --holdout_fraction=0.3 --network=espcn "
        "--width=4 --num_frames=2 --patch=16 --batch_size=2 --max_steps=560 --train_dir=enlarger",
        ("enlarger/best.keras", "enlarger/*.json*"),
        ("clips",),
    ),
    "enlarge": Stage(
        "-m yt8m.commands.super_resolve --train_dir=enlarger --input_data_pattern=clips/*.tfrecord "
        "--output_dir=enlarged",
        ("enlarged/*",),
        ("clips", "super-resolve"),
    ),
    "texts": Stage(
        "-m yt8m.commands.pack --records=data/*.tfrecord --texts_csv=texts.csv --output_dir=texts", ("texts/*",)
    ),
    "tokenizer": Stage(
        "-m yt8m.commands.tokenizer texts/*.tfrecord --vocabulary_size=500 --output_file=tokenizer.json",
        ("tokenizer.json",),
        ("texts",),
    ),
    "train on texts": Stage(
        "train.py --model=multimodal_bert --num_classes=10 --train_data_pattern=texts/*.tfrecord --holdout_files=1 "
        "--num_epochs=2 --batch_size=4 --checkpoint_minutes=0 --num_frames=4 --max_tokens=8 --tokenizer=tokenizer.json "
        '--model_config={"num_layers":2,"num_heads":2,"hidden_size":8,"feed_forward_size":8} --train_dir=words',
        tuple(f"words/{name}" for name in (*_RUN, "tokenizer.json")),
        ("texts", "tokenizer"),
    ),
    "pairs": Stage(
        f"{_TRAIN.replace('--holdout_files=1', '--holdout_fraction=0.3')} --pairs=pairs.csv --embedding_size=4 "
        "--train_dir=alike",
        tuple(f"alike/{name}" for name in _RUN),
    ),
    "index": Stage("-m yt8m.commands.similar --embeddings=rows.npy --output_index=rows.index", ("rows.index/*",)),
}


def main(_):
    """Prints the table of the stages asked for."""
    stages = FLAGS.stages or list(STAGES)
    print("| stage | kills | in its work | same result | left behind |\n| --- | --- | --- | --- | --- |", flush=True)
    failed = False
    if FLAGS.folder:
        os.makedirs(FLAGS.folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FLAGS.folder or None, prefix="kills-") as folder:
        for name in stages:
            found = try_stage(name, pathlib.Path(folder), kills=FLAGS.kills, seed=FLAGS.seed)
            print(found.row(), flush=True)
            for line in found.problems:
                print(line, file=sys.stderr, flush=True)
            failed |= bool(found.problems)
    sys.exit(1 if failed else 0)


@dataclasses.dataclass
class Found:
    """What became of a stage. at_work: kills that met the process; problems: lines that say what differs or stays."""

    stage: str
    kills: int = 0
    at_work: int = 0
    same: int = 0
    left: int = 0
    problems: list = dataclasses.field(default_factory=list)

    def row(self):
        """A row of the table."""
        return f"| {self.stage} | {self.kills} | {self.at_work} | {self.same} | {self.left} |"


def try_stage(name, folder, *, kills, seed):
    """Found of a stage, of which a run that is not killed is made first. folder: for everything."""
    stage, found = STAGES[name], Found(name)
    prepared = folder / f"{name}-prepared"
    make_inputs(prepared)
    for before in stage.after:
        finish(STAGES[before].command, prepared)
    straight = shutil.copytree(prepared, folder / f"{name}-straight")
    start = time.monotonic()
    finish(stage.command, straight)
    seconds = time.monotonic() - start
    expected = results_of(straight, stage)
    for number in range(kills):
        random = np.random.default_rng([seed, number, *name.encode()])
        place = shutil.copytree(prepared, folder / f"{name}-{number}")
        number_of_signal = signal.SIGTERM if number % 4 == 3 else signal.SIGKILL
        where = f"{name}, seed {seed}, kill {number} ({number_of_signal.name})"
        found.kills += 1
        met, alive = kill(stage.command, place, after=seconds * random.uniform(0.2, 0.9), how=number_of_signal)
        found.at_work += met
        finish(stage.command, place)
        left = leftovers_in(place) + alive
        differing = [path for path, digest in results_of(place, stage).items() if expected.get(path) != digest]
        missing = [path for path in expected if path not in results_of(place, stage)]
        found.same += not differing and not missing
        found.left += bool(left)
        if differing or missing or left:
            found.problems.append(f"{where}: differs {differing}, missing {missing}, left behind {left}")
        shutil.rmtree(place)
    return found


def make_inputs(folder):
    """Tiny records, features, ratings and submissions, the same each time."""
    from yt8m.data.tfrecord import FrameRecord, write_records
    from yt8m.ranking.submission import write_submission

    random = np.random.default_rng(0)
    for name in ("data", "arrays", "tmp"):
        (folder / name).mkdir(parents=True)
    for number in range(4):
        records = []
        for video in range(8):
            features = {"rgb": random.integers(0, 256, (15, 16), np.uint8)}
            segments = tuple((5 * s, int(random.integers(10)), float(random.integers(2))) for s in range(3))
            labels = tuple(sorted(set(random.integers(0, 10, 3).tolist())))
            records.append(
                FrameRecord(video_id=f"v{number}{video}", features=features, labels=labels, segments=segments)
            )
        write_records(folder / "data" / f"{number}.tfrecord", records)
    make_videos(folder / "videos", random)
    rows = (f"clip{number},{5 * place},{5 * place + 5},{place}\n" for number in range(8) for place in range(4))
    (folder / "intervals.csv").write_text("".join(rows))
    for video in range(200):
        np.savez(folder / "arrays" / f"v{video}.npz", rgb=random.normal(size=(60, 64)).astype(np.float32))
    (folder / "labels.csv").write_text("".join(f"v{video},{video % 10}\n" for video in range(200)))
    segments = [f"v{video}:{5 * place}" for video in range(200) for place in range(20)]
    for name in ("A.csv.gz", "B.csv.gz"):
        lists = {class_id: [segments[row] for row in random.permutation(len(segments))] for class_id in range(10)}
        write_submission(folder / name, lists)
    rated = [(segment, class_id) for segment in segments[::7] for class_id in range(10)]
    rows = (f"{segment},{class_id},{int(random.integers(2))}\n" for segment, class_id in rated)
    (folder / "ratings.csv").write_text("".join(rows))
    make_texts_and_pairs(folder, random)


def make_texts_and_pairs(folder, random):
    """Texts and pairs of the videos of the records, and embeddings."""
    from yt8m.similarity.embedding_files import EmbeddingWriter, Rows

    words = [f"word{number}" for number in range(60)]
    ids = [f"v{number}{video}" for number in range(4) for video in range(8)]
    texts = ["video_id,start,end,field,text\n"]
    for video_id in ids:
        texts.append(f"{video_id},,,title,{' '.join(random.choice(words, 5))}\n")
        texts += [f"{video_id},{start},{start + 4},asr,{' '.join(random.choice(words, 9))}\n" for start in (0, 5, 10)]
    (folder / "texts.csv").write_text("".join(texts))
    # In threes, so that some can be held out.
    pairs = [(ids[place], ids[place // 3 * 3 + (place + 1) % 3]) for place in range(30)]
    (folder / "pairs.csv").write_text("".join(f"{one},{other},{random.random():.3f}\n" for one, other in pairs))
    with EmbeddingWriter(folder / "rows.npy", segments=False) as writer:
        values = random.normal(size=(20_000, 32)).astype(np.float32)
        writer.write(Rows([f"r{row}" for row in range(len(values))], None, values))


def make_videos(folder, random):
    """Eight videos of 20 seconds, of one colour a second."""
    import av

    folder.mkdir()
    for number in range(8):
        with av.open(str(folder / f"clip{number}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for colour in random.integers(0, 256, (20, 3), np.uint8).repeat(5, axis=0):
                picture = np.broadcast_to(colour, (64, 96, 3)).copy()
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())


def start_process(command, folder):
    """The command in a session of its own, with temporary files in ``folder``/tmp."""
    script, *arguments = command.split()
    program = [sys.executable, script if script == "-m" else str(ROOT / script), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), "CUDA_VISIBLE_DEVICES": ""}
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(program, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)


def finish(command, folder):
    """Runs the command to its end."""
    status = start_process(command, folder).wait()
    if status:
        raise RuntimeError(f"{command} ended with {status}: {(folder / 'log.txt').read_text()[-2000:]}")


def kill(command, folder, *, after, how):
    """(whether the process was still at work, what of its session lives on 15 s later, as a list of words)."""
    process = start_process(command, folder)
    try:
        process.wait(after)
        return False, []
    except subprocess.TimeoutExpired:
        process.send_signal(how)
    process.wait()
    # A worker that has just been started looks for its parent once it has imported what it works with.
    deadline = time.monotonic() + 15
    while (alive := processes_of(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return True, [f"process {pid}" for pid in alive]


def processes_of(session):
    """Ids of the running processes of a session."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of_session) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def leftovers_in(folder):
    """Hidden files and folders, parts of jobs, and temporary files."""
    found = [path for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".parts")]
    return [str(path.relative_to(folder)) for path in [*found, *(folder / "tmp").iterdir()]]


def results_of(folder, stage):
    """Dict of each file of the results to a digest of what it says."""
    paths = sorted(path for pattern in stage.results for path in folder.glob(pattern) if path.is_file())
    # The name of a packed file has a digest of its source's folder.
    names = [str(path.relative_to(folder)).partition(".tfrecord-")[0] for path in paths]
    return {name: digest(path) for name, path in zip(names, paths)}


def digest(path):
    """Of a model its config and weights, of evaluations all but the training loss, of other files the bytes."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            parts = [(name, archive.getinfo(name).CRC) for name in ("config.json", "model.weights.h5")]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    if path.name == "metrics.jsonl":
        # A running mean that a resumption cuts in other parts, equal to rounding.
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        kept = [{key: value for key, value in line.items() if key != "train_loss"} for line in lines]
        return hashlib.sha256(json.dumps(kept).encode()).hexdigest()
    if path.name == "pack.json":
        # Times of the features, which every copy of the inputs has of its own.
        return hashlib.sha256(json.dumps(json.loads(path.read_text())["shards"]).encode()).hexdigest()
    if path.suffix == ".segments":
        from yt8m.data.cache_file import read_cache_file

        packed = read_cache_file(path)
        arrays = collections.ChainMap({"rows": packed.rows}, packed.index)
        return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()
    if path.name == "inputs.json":
        entries = [entry["digest"] for of in json.loads(path.read_text())["files"].values() for entry in of]
        return hashlib.sha256(json.dumps(entries).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def define_flags():
    """The flags of the command."""
    flags.DEFINE_integer("kills", 20, "Kills of each stage.", lower_bound=1)
    flags.DEFINE_list("stages", [], f"Stages to kill, of {', '.join(STAGES)}; empty for all.")
    flags.DEFINE_integer("seed", 0, "Seed of the moments of the kills.")
    flags.DEFINE_string("folder", "", "Folder to work in; empty for the system's temporary one.")


if __name__ == "__main__":
    define_flags()
    app.run(main)
