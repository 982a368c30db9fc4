"""Words of videos, read off their pictures and heard, and what they say of classes."""

import dataclasses
import os
from collections.abc import Mapping

from yt8m.commands.annotation_options import AnnotationOptions
from yt8m.data.making.annotations import ClassIds
from yt8m.data.making.text_tables import Texts, read_text_tables
from yt8m.features.words.evidence import find_evidence, write_evidence
from yt8m.features.words.matching import NameMatcher, read_aliases
from yt8m.features.words.reading import TextReader, read_texts_of_videos
from yt8m.features.words.screen import ScreenReader
from yt8m.features.words.speech import SpeechReader
from yt8m.features.words.texts import write_texts
from yt8m.options import option
from yt8m.runtime.parquet import import_pyarrow
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordOptions(AnnotationOptions):
    """Words as evidence of classes."""

    ocr_every: int | None = option(
        None,
        "Reading of the texts in pictures, one picture each so many seconds, into the records and "
        "OUTPUT_DIR/words.csv, and as evidence of classes that have names into OUTPUT_DIR/words.parquet, which "
        "ensemble.py weighs.",
        unit="seconds",
        low=1,
        high=3600,
        defaults_to="none",
    )
    ocr_model: str = option("", "ONNX file of a recognition network of PaddleOCR, for another script than RapidOCR's.")
    asr: str = option(
        "", "Folder of a Whisper model for faster-whisper: hears speech, to be used as the texts in pictures are."
    )
    aliases_csv: str = option("", "CSV of class,alias: other names by which classes are looked for in texts.")

    def _check(self):
        super()._check()
        if self.ocr_model and not self.ocr_every:
            raise InputError("--ocr_model is for --ocr_every: give both")
        if self.aliases_csv and not (self.ocr_every or self.asr):
            raise InputError("--aliases_csv is for --ocr_every or --asr: give one of them")

    def prepare_words(self, names: Mapping[int, str] | None, *, seconds: int | None) -> "Words | None":
        """What reads the texts and looks for names in them; None where no texts are asked for.

        names: dict of class id to name, None where they are not known. seconds: how much of a video is looked at.
        Raises InputError where something is missing, before the work.
        """
        if not (self.ocr_every or self.asr):
            return None
        screen = ScreenReader(every=self.ocr_every, model=self.ocr_model) if self.ocr_every else None
        reader = TextReader(screen, SpeechReader(self.asr) if self.asr else None, seconds)
        if not names:
            if self.aliases_csv:
                raise InputError("--aliases_csv needs the names of the classes: give --vocabulary")
            return Words(reader=reader, matcher=None)
        import_pyarrow()
        aliases = read_aliases(self.aliases_csv, ClassIds(dict(names)).read) if self.aliases_csv else []
        return Words(reader=reader, matcher=NameMatcher(names, aliases))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """A TextReader, and a NameMatcher, None where classes have no names."""

    reader: TextReader
    matcher: NameMatcher | None

    def write(
        self, sources: Mapping[str, str], seconds: Mapping[str, int], output_dir: str, *, workers: int, ray: str
    ) -> Texts:
        """Writes the texts of videos to words.csv and the evidence in them to words.parquet, and says so.

        Returns the texts of words.csv. sources: dict of video id to path or address; seconds: dict of video id to its
        length.
        """
        texts = read_texts_of_videos(
            sources, seconds, self.reader, os.path.join(output_dir, "texts"), workers=workers, ray=ray
        )
        table, ranking = (os.path.join(output_dir, name) for name in ("words.csv", "words.parquet"))
        write_texts(table, texts)
        print(f"wrote {table}: {sum(map(len, texts.values())):,} texts of {len(texts):,} videos")
        if self.matcher is None:
            print("texts are matched to no classes, because these have no names: --vocabulary gives them")
        else:
            self._write_evidence(ranking, texts, seconds)
        return read_text_tables([table]) if any(texts.values()) else {}

    def _write_evidence(self, ranking, texts, seconds):
        count = write_evidence(ranking, find_evidence(texts, self.matcher, seconds))
        if count:
            print(f"wrote {ranking}: evidence of {count:,} classes")
            return
        print("no text has the name of a class")
        if os.path.exists(ranking):
            os.unlink(ranking)
