"""Tables of texts, and the records that they are written into."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.commands import passed, refused
from tests.helpers.records import make_video
from tests.helpers.texts import whole
from yt8m.data.making.text_tables import read_text_tables
from yt8m.data.texts import parse_texts
from yt8m.data.tfrecord import VideoRecord, list_files
from yt8m.features.words.texts import SPEECH, TITLE, read_texts, write_texts
from yt8m.runtime.files import read_json
from yt8m.types import DataWarning, InputError, TimedText

TABLE = """video_id,field,text
a,title,"Cats, and  dogs"
b,tags,sea
b,tags,dog
zz,title,of no video
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text(TABLE)
    return str(path)


def texts_of(pattern, *fields):
    """Dict of id to the texts of records, as (field, start, end, text)."""
    found = {}
    for path in list_files(pattern):
        for serialized in tf.data.TFRecordDataset(path).as_numpy_iterator():
            context = tf.train.Example.FromString(serialized).features.feature
            parsed = parse_texts(tf.constant([serialized]), fields)
            found[context["id"].bytes_list.value[0].decode()] = [
                (field, start, end, text.decode())
                for field, of in parsed.items()
                for text, start, end in zip(*(values[0].numpy().tolist() for values in of))
            ]
    return found


def test_a_header_says_whether_there_are_times(tmp_path, table):
    assert read_text_tables([table])["a"] == (whole("title", "Cats, and dogs"),)
    timed = tmp_path / "timed.csv"
    timed.write_text("text,field,end,start,video_id\nlater,asr,9.5,5,a\nfirst,asr,5,0,a\nall of it,asr,,,a\n")
    whole_video = whole("asr", "all of it")
    assert read_texts(timed) == {"a": [TimedText(0, 5, "asr", "first"), whole_video, TimedText(5, 9.5, "asr", "later")]}
    write_texts(tmp_path / "again.csv", read_texts(timed))
    assert read_texts(tmp_path / "again.csv") == read_texts(timed)
    assert [len(texts) for texts in read_text_tables([table, str(timed)]).values()] == [4, 2, 1]


def test_what_is_left_out_is_counted(tmp_path, table):
    path = tmp_path / "more.csv"
    path.write_text("video_id,field,text\nb,tags,dog\nb,title,\nc,title,  \nd,asr,x\n")
    with pytest.warns(DataWarning, match="3 of 8 texts are left out: 2 are empty, 1 there twice"):
        found = read_text_tables([table, str(path)])
    assert sorted(found) == ["a", "b", "d", "zz"] and len(found["b"]) == 2


@pytest.mark.parametrize(
    "content, message",
    [
        (b"video_id,text\na,x\n", "holds no texts of videos: it has no column field"),
        (b"video_id,start,field,text\na,1,asr,x\n", "has a column start, and times have two: start and end"),
        (b"video_id,start,end,field,text\na,4,2,asr,x\n", "line 2: start 4 is behind end 2"),
        (b"video_id,start,end,field,text\na,4,,asr,x\n", "line 2: end '' is not a finite number"),
        (b"video_id,field,text\na,a/b,x\n", "line 2: field 'a/b' is no name of a field"),
        (b"video_id,field,text\na,asr,caf\xe9\n", "line 2: byte 0xe9 is no UTF-8"),
        (b"video_id,field,text\n,asr,x\n", "line 2: there is no video_id"),
        (b"video_id,field,text\n", "holds no texts"),
        (b"", "holds no texts of videos"),
    ],
)
def test_bad_tables_are_named(tmp_path, content, message):
    path = tmp_path / "texts.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"texts.csv.*{message}"):
        read_text_tables([str(path)])


def test_texts_are_packed_beside_features(tmp_path, table):
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        np.savez(tmp_path / "in" / f"{name}.npz", clip=np.zeros((8, 4), np.uint8))
    words = tmp_path / "words.csv"
    write_texts(words, {"b": [TimedText(0, 8, TITLE, "b"), TimedText(2, 3, SPEECH, "云顶")]})
    given = [f"--input_data_pattern={tmp_path}/in/*.npz", f"--texts_csv={table}"]
    result = passed("pack", *given, f"--texts_csv={words}", f"--output_dir={tmp_path}/out")
    assert "texts of 2 of 3 videos" in result.stdout
    assert "has texts of 1 video that are not there, the first zz" in result.stderr
    found = texts_of(f"{tmp_path}/out/*.tfrecord", "title", "tags", "speech")
    inf = float("inf")
    assert found == {
        "a": [("title", 0, inf, "Cats, and dogs")],
        "b": [("title", 0, 8, "b"), ("tags", 0, inf, "sea"), ("tags", 0, inf, "dog"), ("speech", 2, 3, "云顶")],
        "c": [],
    }
    assert "packed from other files or with other flags" in refused("pack", *given, f"--output_dir={tmp_path}/out")


def test_records_that_are_there_get_texts(tmp_path, write, table):
    frames, means = make_video("a"), VideoRecord(video_id="b", features={"mean_rgb": [0.5, 1.0]}, labels=(3,))
    write("frames.tfrecord", frames, make_video("q"))
    write("means.tfrecord.gz", means)
    (tmp_path / "pack.json").write_text('{"num_classes": 5, "shards": {}}')
    origins = '{"rgb": {"spec": "imagenet", "digest": "1"}}'
    (tmp_path / "features.json").write_text(origins)
    given = [f"--records={tmp_path}/*.tfrecord*", f"--output_dir={tmp_path}/out"]
    result = passed("pack", *given, f"--texts_csv={table}")
    assert "texts of 2 of 3 videos" in result.stdout and "copied 3 records of 2 files" in result.stdout
    raw = {
        path.name: list(
            tf.data.TFRecordDataset(
                str(path), compression_type="GZIP" if path.suffix == ".gz" else ""
            ).as_numpy_iterator()
        )
        for path in (tmp_path / "out").glob("*.tfrecord*")
    }
    assert sorted(raw) == ["frames.tfrecord", "means.tfrecord.gz"]
    assert raw["frames.tfrecord"] == [
        dataclasses.replace(frames, texts=(whole("title", "Cats, and dogs"),)).serialize(),
        make_video("q").serialize(),
    ]
    tags = (whole("tags", "sea"), whole("tags", "dog"))
    assert raw["means.tfrecord.gz"] == [dataclasses.replace(means, texts=tags).serialize()]
    # Other texts of the same field take the place of those that are there, and others stay.
    other = tmp_path / "other.csv"
    other.write_text("video_id,field,text\na,title,new\nq,asr,x\n")
    passed(
        "pack", f"--records={tmp_path}/out/frames.tfrecord", f"--texts_csv={other}", f"--output_dir={tmp_path}/third"
    )
    found = texts_of(f"{tmp_path}/third/*.tfrecord", "title", "asr")
    assert {key: [text[-1] for text in texts] for key, texts in found.items()} == {"a": ["new"], "q": ["x"]}
    assert read_json(tmp_path / "third" / "pack.json")["num_classes"] == 5
    assert (tmp_path / "third" / "features.json").read_text() == origins


def test_what_cannot_get_texts_is_named(tmp_path, write, table):
    path = write("v.tfrecord", make_video("v"))
    records = f"--records={path}"
    assert "none of which is there" in refused("pack", records, f"--texts_csv={table}", f"--output_dir={tmp_path}/out")
    assert "is the folder of" in refused("pack", records, f"--texts_csv={table}", f"--output_dir={tmp_path}")
    assert "give it too" in refused("pack", records, f"--output_dir={tmp_path}/out")
    assert "--pca is for records that are made" in refused(
        "pack", records, f"--texts_csv={table}", "--pca=rgb:3", f"--output_dir={tmp_path}/out"
    )
    (tmp_path / "folder").mkdir()
    again = tmp_path / "folder" / "v.tfrecord"
    again.write_bytes((tmp_path / "v.tfrecord").read_bytes())
    said = refused("pack", f"--records={path},{again}", f"--texts_csv={table}", f"--output_dir={tmp_path}/out")
    assert "have one name" in said
