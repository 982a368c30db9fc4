"""Similarity of segments or videos, by the embeddings that inference.py --embeddings writes.

  yt8m-similar --embeddings=A.npy --query=Eq0a:15 --top_k=10                   the nearest segments
  yt8m-similar --embeddings=A.npy --pairs=pairs.csv                            rank correlation with annotated pairs
  yt8m-similar --embeddings=A.npy,B.npy --weights=1,2 --dim=256 --projection=AB.npz --output_file=AB.npy
  yt8m-similar --embeddings=newA.npy,newB.npy --projection=AB.npz --output_file=newAB.npy

Several files are projected jointly: each row is L2-normalised and weighted, those of all files are concatenated, and
a truncated SVD reduces them to --dim numbers. All files must hold the same rows in the same order, as those made of the
same records do.
"""

import csv
import json
import sys

from absl import flags

from yt8m.commands import command_line
from yt8m.types import InputError

FLAGS = flags.FLAGS

flags.DEFINE_list("embeddings", None, "Files of embeddings, .npy or .parquet, with commas between.", required=True)
flags.DEFINE_list("weights", None, "A positive weight for each of --embeddings. Default: 1 each.")
flags.DEFINE_integer(
    "dim",
    None,
    "Dimensions of the joint vectors, reduced by a truncated SVD that is fitted on all rows.",
    lower_bound=1,
)
flags.DEFINE_string(
    "projection", None, "File (.npz) of weights and SVD: written with --dim, and read without, for new rows."
)
flags.DEFINE_string("output_file", None, "File of embeddings to write: the joint vectors, as .npy or .parquet.")
flags.DEFINE_string("pairs", None, "CSV of id_a,id_b,score: print the rank correlation of cosines with these scores.")
flags.DEFINE_string("query", None, "The row, id:start for a segment or the id of a video, whose nearest to list.")
flags.DEFINE_integer("top_k", 10, "Rows to list for --query.", lower_bound=1)


def main():
    """The outputs that the flags ask for, each in one pass over the files."""
    from yt8m.runtime.files import check_writable
    from yt8m.similarity.embedding_files import EmbeddingFile, form_of
    from yt8m.similarity.embedding_set import EmbeddingSet
    from yt8m.similarity.nearest import nearest
    from yt8m.similarity.pairs import read_pairs, score_pairs

    if not (FLAGS.output_file or FLAGS.pairs or FLAGS.query or FLAGS.dim):
        raise InputError("nothing to do: give --query, --pairs, --output_file or --dim")
    for path in filter(None, (FLAGS.output_file, FLAGS.projection if FLAGS.dim else None)):
        check_writable(path)
    if FLAGS.output_file:
        form_of(FLAGS.output_file)
    files = [EmbeddingFile(path) for path in FLAGS.embeddings]
    pairs = read_pairs(FLAGS.pairs) if FLAGS.pairs else None
    embeddings = EmbeddingSet(files, _projection(files))
    if FLAGS.output_file:
        _write(embeddings)
    if pairs:
        print(json.dumps(score_pairs(embeddings, pairs)))
    if FLAGS.query:
        found = nearest(embeddings, embeddings.parse_key(FLAGS.query), top_k=FLAGS.top_k)
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([("id", "cosine"), *((key, f"{cosine:.6f}") for key, cosine in found)])


def _projection(files):
    """The JointProjection that the flags ask for, fitted and saved where --dim is given."""
    from yt8m.runtime.progress import Progress
    from yt8m.similarity.projection import JointProjection, fit_projection, read_projection

    if FLAGS.projection and not FLAGS.dim:
        if FLAGS.weights:
            raise InputError("--projection holds its weights: leave --weights out, or give --dim to fit it anew")
        return read_projection(FLAGS.projection)
    weights = _weights(len(files))
    if not FLAGS.dim:
        return JointProjection(weights, tuple(file.size for file in files))
    if not FLAGS.projection and not FLAGS.output_file:
        raise InputError("--dim fits a projection: give --projection or --output_file, or it is lost")
    with Progress("fitting", total=files[0].num_rows, unit="rows") as progress:
        projection = fit_projection(files, weights, dim=FLAGS.dim, progress=progress)
    if FLAGS.projection:
        projection.save(FLAGS.projection)
        print(f"wrote {FLAGS.projection}: {FLAGS.dim} dimensions hold {projection.shares.sum():.1%} of the squares")
    return projection


def _weights(count):
    try:
        weights = tuple(float(text) for text in FLAGS.weights or ["1"] * count)
    except ValueError:
        weights = ()
    if len(weights) != count or min(weights) <= 0:
        raise InputError(
            f"--weights={','.join(FLAGS.weights)}: expected {count} positive numbers, one for each of --embeddings"
        )
    return weights


def _write(embeddings):
    from yt8m.runtime.progress import Progress
    from yt8m.similarity.embedding_files import EmbeddingWriter

    total = embeddings.files[0].num_rows
    with EmbeddingWriter(FLAGS.output_file, segments=embeddings.files[0].segments) as writer:
        with Progress("writing", total=total, unit="rows") as progress:
            for rows in embeddings.blocks():
                writer.write(rows)
                progress.update(len(rows.ids))
    print(f"wrote {FLAGS.output_file}: {writer.num_rows:,} rows of {writer.size}")


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="Outputs that were not done are not there: the same command makes them.")


if __name__ == "__main__":
    run()
