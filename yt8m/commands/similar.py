"""Similarity of segments or videos, by the embeddings that inference.py --embeddings writes.

  yt8m-similar --embeddings=A.npy --query=Eq0a:15 --top_k=10                   the nearest segments
  yt8m-similar --embeddings=A.npy --queries=ids.txt                            those of each row that a file names
  yt8m-similar --embeddings=A.npy --text='a drum solo' --backbone=hf:clip       the nearest to words
  yt8m-similar --embeddings=A.npy --pairs=pairs.csv                            rank correlation with annotated pairs
  yt8m-similar --embeddings=A.npy,B.npy --search --pairs=pairs.csv --dim=256   weights that rank the pairs best
  yt8m-similar --embeddings=A.npy,B.npy --weights=1,2 --dim=256 --projection=AB.npz --output_file=AB.npy
  yt8m-similar --embeddings=AB.npy --output_index=AB.index                     an index, for millions of rows
  yt8m-similar --embeddings=AB.npy --index=AB.index --query=Eq0a:15
  yt8m-similar --embeddings=newA.npy,newB.npy --projection=AB.npz --output_file=newAB.npy

Several files are projected jointly: each row is L2-normalised and weighted, those of all files are concatenated, and
a truncated SVD reduces them to --dim numbers. All files must hold the same rows in the same order, as those made of the
same records do.
"""

import csv
import dataclasses
import functools
import json
import sys
from collections.abc import Callable
from typing import Any

from yt8m.commands import command_line
from yt8m.options import option
from yt8m.text import printable
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarOptions(command_line.Options):
    """What to compare, and how several files are projected."""

    embeddings: tuple[str, ...] = option((), "Files of embeddings, .npy or .parquet.", required=True)
    weights: tuple[float, ...] = option((), "A weight for each of --embeddings.", above=0, defaults_to="1 each")
    search: bool = option(
        False,
        "Search of the weights of --embeddings by which cosines rank --pairs best; equal ones stay where others gain "
        "no more than a standard error on pairs left out.",
    )
    seed: int = option(0, "Seed of the parts into which --search divides the pairs.", low=0)
    dim: int | None = option(
        None, "Dimensions of the joint vectors, reduced by a truncated SVD that is fitted on all rows.", low=1
    )
    projection: str = option("", "File (.npz) of weights and SVD: written with --dim, and read without, for new rows.")
    output_file: str = option("", "File of embeddings to write: the joint vectors, as .npy or .parquet.")
    pairs: str = option("", "CSV of id_a,id_b,score: print the rank correlation of cosines with these scores.")
    query: str = option("", "The row, id:start for a segment or the id of a video, whose nearest to list.")
    queries: str = option(
        "", "File of rows as of --query, one a line: CSV of query,rank,id,cosine of the nearest of each."
    )
    text: str = option("", "Words whose nearest rows to list, of embeddings that yt8m-video wrote of --backbone.")
    backbone: str = option("", "Backbone of images and texts that made the embeddings, as hf:DIR of a CLIP model.")
    top_k: int = option(10, "Rows to list for each query or --text.", unit="rows", low=1)
    output_index: str = option(
        "", "Folder of an index to write, for fast and approximate search; of one .npy file of embeddings."
    )
    index: str = option("", "Folder of an index that --output_index wrote, to search by.", defaults_to="exact search")
    probes: int = option(
        32,
        "Cells of the index that a search looks at: more find more, and take longer.",
        unit="cells",
        low=1,
        high=1 << 20,
    )
    check_recall: int = option(
        0,
        "Rows to search both ways: prints which share of the --top_k nearest --index finds, and the time of each.",
        unit="rows",
        low=0,
        high=1 << 20,
    )

    def _check(self):
        self._check_search()
        outputs = (self.output_file, self.output_index, self.dim)
        if not any((*outputs, self.pairs, self.query, self.queries, self.text, self.check_recall)):
            raise InputError(
                "nothing to do: give --query, --queries, --text, --pairs, --output_file, --output_index or --dim"
            )
        if self.check_recall and not self.index:
            raise InputError("--check_recall compares an index with exact search: give --index")
        if bool(self.text) != bool(self.backbone):
            raise InputError("--text and --backbone, which reads it, go together: give both")
        if self.text and (self.projection or self.dim or len(self.embeddings) > 1):
            raise InputError("--text is compared to embeddings as a backbone gives them: one file, and no projection")
        if self.dim and not (self.projection or self.output_file or self.search):
            raise InputError("--dim fits a projection: give --projection or --output_file, or it is lost")
        if self.weights and self.projection and not self.dim:
            raise InputError("--projection holds its weights: leave --weights out, or give --dim to fit it anew")
        if self.weights and len(self.weights) != len(self.embeddings):
            given, count = ",".join(f"{weight:g}" for weight in self.weights), len(self.embeddings)
            raise InputError(f"--weights={given}: expected {count} positive numbers, one for each of --embeddings")

    def _check_search(self):
        if not self.search:
            return
        if self.weights or not self.pairs or len(self.embeddings) < 2:
            raise InputError(
                "--search finds --weights for two --embeddings or more, by --pairs: give the latter two alone"
            )
        if self.projection and not self.dim:
            raise InputError("--projection holds its weights: leave --search out, or give --dim to fit it anew")


def main(options: SimilarOptions) -> None:
    """The outputs that the options ask for, each in one pass over the files."""
    from yt8m.runtime.files import check_writable
    from yt8m.similarity.embedding_files import EmbeddingFile, form_of
    from yt8m.similarity.embedding_set import EmbeddingSet
    from yt8m.similarity.index import NeighbourIndex, check_index_path, recall, write_index
    from yt8m.similarity.nearest import nearest, nearest_to
    from yt8m.similarity.pairs import read_pairs, score_pairs

    for path in filter(None, (options.output_file, options.projection if options.dim else "")):
        check_writable(path)
    if options.output_index:
        check_index_path(options.output_index)
    if options.output_file:
        form_of(options.output_file)
    files = [EmbeddingFile(path) for path in options.embeddings]
    pairs = read_pairs(options.pairs) if options.pairs else None
    weights = _search(options, files, pairs) if options.search else options.weights or (1.0,) * len(files)
    embeddings = EmbeddingSet(files, _projection(options, files, weights))
    queries = _read_queries(options.queries, embeddings) if options.queries else []
    if options.output_file:
        _write(embeddings, options.output_file)
    if pairs:
        print(json.dumps(score_pairs(embeddings, pairs)))
    if options.output_index:
        cells = write_index(embeddings, options.output_index)
        print(f"wrote {options.output_index}: {files[0].num_rows:,} rows in {cells:,} cells")
    find_nearest: Callable[..., Any] = functools.partial(nearest, embeddings)
    find_nearest_to: Callable[..., Any] = functools.partial(nearest_to, embeddings)
    if options.index:
        index = NeighbourIndex(options.index, embeddings, probes=options.probes)
        find_nearest, find_nearest_to = index.nearest, index.nearest_to
        if options.check_recall:
            print(json.dumps(recall(embeddings, index, top_k=options.top_k, queries=options.check_recall, seed=0)))
    if options.query:
        _list(find_nearest([embeddings.parse_key(options.query)], top_k=options.top_k)[0])
    if queries:
        try:
            found = find_nearest(queries, top_k=options.top_k)
        except InputError as error:
            raise InputError(f"{options.queries}: {error}") from error
        _list_each(queries, found)
    if options.text:
        _list(find_nearest_to(_text_vector(options, files[0])[None], top_k=options.top_k)[0])


def _search(options, files, pairs):
    """The weights that are found, which are printed with what they gain."""
    from yt8m.runtime.progress import Progress
    from yt8m.similarity.weight_search import WeightedCosines, search_weights

    similar = WeightedCosines(files, pairs, dim=options.dim)
    with Progress("searching", unit="evaluations") as progress:
        found = search_weights(similar, pairs, seed=options.seed, progress=progress)
    print(json.dumps(dataclasses.asdict(found)))
    return found.weights


def _read_queries(path, embeddings):
    from yt8m.text import read_lines

    queries = []
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            try:
                queries.append(embeddings.parse_key(line.strip()))
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    if not queries:
        raise InputError(f"{path} holds no queries: one id a line, or id:start")
    return queries


def _text_vector(options, file):
    from yt8m.features.backbones import load_backbone

    vector = load_backbone(options.backbone).embed_text(options.text)
    if len(vector) != file.size:
        raise InputError(
            f"{file.path} has vectors of {file.size} dimensions, and {options.backbone} of {len(vector)}: name the "
            "backbone that made them"
        )
    return vector


def _list(found):
    """Prints (key, cosine) pairs as CSV."""
    rows = ((printable(str(key)), f"{cosine:.6f}") for key, cosine in found)
    csv.writer(sys.stdout, lineterminator="\n").writerows([("id", "cosine"), *rows])


def _list_each(queries, found):
    """Prints the (key, cosine) pairs of each query as one CSV."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("query", "rank", "id", "cosine"))
    for query, entries in zip(queries, found):
        for rank, (key, cosine) in enumerate(entries, start=1):
            writer.writerow((printable(str(query)), rank, printable(str(key)), f"{cosine:.6f}"))


def _projection(options, files, weights):
    """The JointProjection that the options ask for, fitted where --dim is given, then saved where --projection is."""
    from yt8m.runtime.progress import Progress
    from yt8m.similarity.projection import JointProjection, fit_projection, read_projection

    if options.projection and not options.dim:
        return read_projection(options.projection)
    if not options.dim:
        return JointProjection(weights, tuple(file.size for file in files))
    with Progress("fitting", total=files[0].num_rows, unit="rows") as progress:
        projection = fit_projection(files, weights, dim=options.dim, progress=progress)
    if options.projection:
        projection.save(options.projection)
        held = projection.shares.sum()
        print(f"wrote {options.projection}: {options.dim} dimensions hold {held:.1%} of the squares")
    return projection


def _write(embeddings, path):
    from yt8m.runtime.progress import Progress
    from yt8m.similarity.embedding_files import EmbeddingWriter

    total = embeddings.files[0].num_rows
    with EmbeddingWriter(path, segments=embeddings.files[0].segments) as writer:
        with Progress("writing", total=total, unit="rows") as progress:
            for rows in embeddings.blocks():
                writer.write(rows)
                progress.update(len(rows.ids))
    print(f"wrote {path}: {writer.num_rows:,} rows of {writer.size}")


def run() -> None:
    """Entry point of the console script."""
    command_line.run(
        main, SimilarOptions, resume_hint="Outputs that were not done are not there: the same command makes them."
    )


if __name__ == "__main__":
    run()
