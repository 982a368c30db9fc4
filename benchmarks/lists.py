"""Submission files of any size to measure with: lists that agree in part, as those of related models do."""

import os
import resource

import numpy as np

_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", np.uint8)


def write_submissions(folder, *, files, classes, rows, id_length=4, spread=0.15, seed=0):
    """Writes ``files`` submissions with ``rows`` segments in each of ``classes`` classes; returns (paths, segments).

    Each file ranks a common order of 2.5 * rows segments, disturbed by ``spread`` of its length. segments: (N,) bytes.
    """
    generator = np.random.default_rng(seed)
    videos = np.unique(generator.choice(_LETTERS, (int(rows * 2.5) // 60 + 2, id_length)), axis=0)
    segments = np.array([b"%s:%d" % (video.tobytes(), 5 * j) for video in videos for j in range(60)])
    paths = [os.path.join(folder, f"model{index}.csv") for index in range(files)]
    outputs = [open(path, "wb") for path in paths]
    for output in outputs:
        output.write(b"Class,Segments\n")
    for class_id in range(classes):
        common = generator.permutation(len(segments))
        for output in outputs:
            keys = np.arange(len(common)) + generator.normal(size=len(common)) * len(common) * spread
            chosen = common[np.argsort(keys)[:rows]]
            output.write(b"%d,%s\n" % (class_id, b" ".join(segments[chosen].tolist())))
    for output in outputs:
        output.close()
    return paths, segments


def write_labels(path, segments, paths, *, classes, pairs, seed=0):
    """Writes ``pairs`` ratings, most of them of segments near the top of the first file, where positives are likely."""
    generator = np.random.default_rng(seed)
    per_class = max(pairs // classes, 1)
    with open(paths[0], "rb") as file, open(path, "w", encoding="utf-8") as labels:
        file.readline()
        for class_id in range(classes):
            listed = file.readline().partition(b",")[2].split()
            depths = np.unique((generator.random(per_class) ** 3 * len(listed)).astype(int))
            others = generator.choice(segments, per_class - len(depths))
            chosen = {listed[depth]: depth / len(listed) for depth in depths} | dict.fromkeys(others.tolist(), 1.0)
            for segment, depth in chosen.items():
                labels.write(f"{segment.decode()},{class_id},{int(generator.random() < 0.7 * (1 - depth) + 0.05)}\n")


def peak_megabytes():
    """Largest resident size of this process and of its largest child so far."""
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own / 1024, children / 1024
