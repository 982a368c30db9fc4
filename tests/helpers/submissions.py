"""Submissions drawn at random."""

import random

import numpy as np

from benchmarks import plain
from yt8m.ranking.submission import write_submission

ALPHABETS = {
    "short": ("ab", 2),
    "youtube": ("abcdefghijkXYZ0189-_", 4),
    "eleven": ("abcXYZ019-_", 11),
    "unicode": ("aß中😀:;|'", 3),
    "long": ("ab", 100),
    "mixed": ("abc", None),
}


def rankings_of(name, *, files=3, classes=4, size=60, universe=100, seed=0):
    """A list of {class id: list of segments}, some classes missing, drawn from a common set."""
    generator = random.Random(seed)
    letters, length = ALPHABETS[name]
    lengths = (1, 3, 7, 8, 9, 30, 63, 64, 65, 200)
    ids = ["".join(generator.choices(letters, k=length or generator.choice(lengths))) for _ in range(universe // 4)]
    segments = sorted({f"{video}:{5 * generator.randrange(61)}" for video in ids for _ in range(4)})
    result = []
    for _ in range(files):
        chosen = [c for c in range(classes) if generator.random() < 0.8] or [0]
        result.append({c: generator.sample(segments, min(size, len(segments) * 2 // 3)) for c in chosen})
    return result


def write_all(folder, rankings):
    paths = []
    for index, ranking in enumerate(rankings):
        paths.append(str(folder / f"model{index}.csv"))
        plain.write(paths[-1], ranking)
    return paths


def write_case(folder, *, seed=0, files=4, classes=5, size=120, rated=60, positives=0.4):
    """(paths, labels path): lists that agree in part, so that their unions are longer than each."""
    generator = random.Random(seed)
    segments = [f"v{i:02}:{5 * j}" for i in range(25) for j in range(10)]
    paths = []
    for index in range(files):
        rankings = {}
        for c in range(classes):
            order = sorted(range(250), key=lambda i: i + generator.gauss(0, 10 + 120 * (index + c) / 8))
            rankings[c] = [segments[(i * 77 + c) % 250] for i in order[:size]]
        if index == 1:
            del rankings[3]
        paths.append(str(folder / f"model{index}.csv"))
        plain.write(paths[-1], rankings)
    with open(folder / "labels.csv", "w", encoding="utf-8") as file:
        for c in range(classes):
            for segment in generator.sample(segments, rated):
                file.write(f"{segment},{c},{int(generator.random() < positives)}\n")
    return paths, folder / "labels.csv"


def with_scores(paths, folder, *, lowest=0.0):
    """Paths of the same lists as parquet, with scores in steps of 0.05 from 1 down to ``lowest``."""
    outputs = []
    for path in paths:
        rankings = plain.read(path)
        scores = {c: np.round(np.linspace(1, lowest, len(segments)) * 20) / 20 for c, segments in rankings.items()}
        outputs.append(str(folder / path.rpartition("/")[2].replace(".csv", ".parquet")))
        write_submission(outputs[-1], rankings, scores=scores)
    return outputs
