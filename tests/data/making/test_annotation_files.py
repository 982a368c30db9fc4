"""Annotations in the formats of data sets and of annotation tools, read as those of our own tables are."""

import json
import random
import warnings

import pytest

from yt8m.data.making.annotation_files import AnnotationFile, videos_of_subset
from yt8m.data.making.annotations import ClassIds, Interval, read_intervals, read_labels
from yt8m.types import DataWarning, InputError
from yt8m.vocabulary import read_class_codes, read_class_names

NAMES = {0: "Diving", 1: "High jump", 2: "Speech"}
CODES = {0: "/m/d1", 1: "/m/h1", 2: "/m/s1"}
CLASSES = ClassIds(NAMES, CODES)

ACTIVITYNET = {
    "version": "VERSION 1.3",
    "taxonomy": [],
    "database": {
        "abc": {
            "subset": "training",
            "duration": 30.5,
            "annotations": [
                {"segment": [1.5, 9.0], "label": "Diving"},
                {"segment": [9.0, 9.0], "label": "Diving"},
                {"segment": [20, 30.5], "label": "High jump"},
                {"segment": [3, 4], "label": "Swimming"},
            ],
        },
        "def": {"subset": "validation", "annotations": [{"segment": [0, 4], "label": "Speech"}]},
        "ghi": {"subset": "testing", "annotations": []},
    },
}
AUDIOSET = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=2, num_segs=2, num_unique_labels=3, num_positive_labels=3
# YTID, start_seconds, end_seconds, positive_labels
--a_b, 30.000, 40.000, "/m/s1,/m/d1"
c-d, 0.000, 10.000, "/m/h1"
"""
STRONG = (
    "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"
    "b0R_30000\t0.627\t7.237\t/m/s1\nb0R_30000\t0.000\t0.627\t/m/d1\n"
)
VIA = """# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# Notes:
# - temporal coordinate of [4.633] denotes a still video frame at 4.633 sec.
# SHAPE_ID = {"POINT":1,"RECTANGLE":2}
# ATTRIBUTE = {"1":{"aname":"TEMPORAL-SEGMENTS","type":1,"options":{}},"2":{"aname":"what","type":2,"options":{"0":"Diving","1":"Speech"}}}
# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata
"1_a","[""clips/Ali, baba.ogv""]",0,"[0.808,4.558]","[]","{""1"":""High jump""}"
"1_b","[""Ali, baba.ogv""]",0,"[5,7.25]","[]","{""2"":""0,1""}"
"1_c","[""http://x.org/v%201.mp4?t=1""]",0,"[1,2]","[]","{""2"":""1""}"
"1_d","[""Ali, baba.ogv""]",0,"[2.41]","[2,1,2,3,4]","{""1"":""Speech""}"
"""
ELAN = (
    '"#file:///talks/one.eaf"\n'
    "Begin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec\tDuration - ss.msec"
    "\twho\twhat\n"
    "00:00:01.500\t1.5\t00:00:04.000\t4.0\t2.5\tSpeech\t\n00:01:01.000\t61\t00:01:02.250\t62.25\t1.25\tSpeech\tDiving\n"
)
BARE_ELAN = "what\tAnn\t00:00:01.500\t1.5\t00:00:04.000\t4.0\t00:00:02.500\t2.5\tSpeech\n\t\t5000\t6500\tDiving\n"


def quiet(read, *arguments, **options):
    """What a reader gives, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return read(*arguments, **options), [str(item.message) for item in caught]


def test_activitynet(tmp_path):
    path = tmp_path / "activity_net.v1-3.min.json"
    path.write_text(json.dumps(ACTIVITYNET))
    found, said = quiet(read_intervals, path, CLASSES)
    assert found == {"abc": [Interval(1.5, 9, 0, 1.0), Interval(20, 30.5, 1, 1.0)], "def": [Interval(0, 4, 2, 1.0)]}
    assert [text.removeprefix(f"{path}: ") for text in said] == [
        f"1 of 5 annotations are left out, because they are no interval of seconds: the first is {path}, database, 'abc', "
        "annotation 1, 9-9 s",
        "1 of 5 annotations are left out, because the vocabulary does not have their class: the first is 'Swimming' in "
        f"{path}, database, 'abc', annotation 3",
        "1 videos have no annotations, the first ghi: with --rate_the_rest all of their segments are rated 0; --subset "
        "takes a part that has",
    ]
    assert quiet(read_intervals, path, CLASSES, subset="validation") == ({"def": [Interval(0, 4, 2, 1.0)]}, [])
    assert quiet(read_labels, path, CLASSES)[0] == {"abc": (0, 1), "def": (2,)}
    assert videos_of_subset(path, "testing") == {"ghi"}
    assert AnnotationFile(path, timed=True).class_names() == ["Diving", "High jump", "Speech", "Swimming"]
    with pytest.raises(InputError, match="has no subset 'train'; --subset can be testing, training, validation"):
        read_intervals(path, CLASSES, subset="train")
    with pytest.raises(InputError, match="annotation 0: the vocabulary has no class 'Diving'; did you mean 'Driving'"):
        read_intervals(path, ClassIds({0: "Driving"}))


@pytest.mark.parametrize(
    ("change", "sentence"),
    {
        "no list": (lambda video: video.pop("annotations"), "'abc' has no list of annotations"),
        "no label": (lambda video: video["annotations"][0].pop("label"), "annotation 0 has no label"),
        "text": (lambda video: video["annotations"][2].update(segment=["1", "2"]), r"annotation 2: segment must be"),
        "three": (lambda video: video["annotations"][2].update(segment=[1, 2, 3]), r"segment must be \[start, end\]"),
        "infinite": (lambda video: video["annotations"][0].update(segment=[1, float("inf")]), "in seconds, not"),
        "no object": (lambda video: video["annotations"].__setitem__(0, 7), "annotation 0 has no label"),
    }.values(),
)
def test_damaged_activitynet_is_told_with_its_place(tmp_path, change, sentence):
    content = json.loads(json.dumps(ACTIVITYNET))
    change(content["database"]["abc"])
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=rf"a\.json, database, 'abc'.*{sentence.removeprefix(chr(39) + 'abc' + chr(39))}"
    ):
        read_intervals(tmp_path / "a.json", CLASSES)


@pytest.mark.parametrize("named_by", ["folder", "glob"])
def test_thumos(tmp_path, named_by):
    folder = tmp_path / "annotation"
    folder.mkdir()
    (folder / "Diving_val.txt").write_text("video_validation_0000690  6.2 10.4\nvideo_validation_0000690  12.0 14.0\n")
    (folder / "High jump_test.txt").write_text("\nvideo_test_0000051 0.5 2\n")
    (folder / "Ambiguous_val.txt").write_text("video_validation_0000690 20 30\nvideo_test_0000051 1 2\n")
    path = folder if named_by == "folder" else f"{folder}/*.txt"
    found, said = quiet(read_intervals, path, CLASSES)
    assert found == {
        "video_validation_0000690": [Interval(6.2, 10.4, 0, 1.0), Interval(12, 14, 0, 1.0)],
        "video_test_0000051": [Interval(0.5, 2, 1, 1.0)],
    }
    assert said == [
        f"{path}: 2 of 5 annotations are left out, because they are ambiguous: the first is {folder}/Ambiguous_val.txt, "
        "line 1"
    ]
    (folder / "Diving_val.txt").write_text("v 1 2\nv 1\n")
    with pytest.raises(InputError, match=r"Diving_val.txt, line 2: expected video_id start end, not 'v 1'"):
        read_intervals(path, CLASSES)


def test_audioset(tmp_path):
    path = tmp_path / "balanced_train_segments.csv"
    path.write_text(AUDIOSET)
    assert read_labels(path, CLASSES) == {"--a_b": (0, 2), "c-d": (1,)}
    assert read_intervals(path, CLASSES) == {
        "--a_b": [Interval(30, 40, 2, 1.0), Interval(30, 40, 0, 1.0)],
        "c-d": [Interval(0, 10, 1, 1.0)],
    }
    path.write_text(AUDIOSET.replace("40.000", "x"))
    with pytest.raises(InputError, match="line 4: end_seconds 'x' is not a finite number"):
        read_labels(path, CLASSES)
    strong = tmp_path / "audioset_train_strong.tsv"
    strong.write_text(STRONG)
    assert read_intervals(strong, CLASSES) == {
        "b0R_30000": [Interval(0.627, 7.237, 2, 1.0), Interval(0, 0.627, 0, 1.0)]
    }
    rows = STRONG.splitlines()
    strong.write_text("\n".join([f"{rows[0]}\tpresent", f"{rows[1]}\tNOT_PRESENT", f"{rows[2]}\tPRESENT"]))
    assert [item.score for item in read_intervals(strong, CLASSES)["b0R_30000"]] == [0.0, 1.0]
    assert read_labels(strong, CLASSES) == {"b0R_30000": (0,)}


def test_via(tmp_path):
    path = tmp_path / "via.csv"
    path.write_text(VIA)
    found, said = quiet(read_intervals, path, CLASSES)
    assert found == {
        "Ali, baba": [Interval(0.808, 4.558, 1, 1.0), Interval(5, 7.25, 0, 1.0), Interval(5, 7.25, 2, 1.0)],
        "v 1": [Interval(1, 2, 2, 1.0)],
    }
    assert (
        len(said) == 1
        and f"1 of 5 annotations are left out, because they have no beginning and end in time, or no class: the first is {path}, line 10"
        in said[0]
    )
    assert found["Ali, baba"][1].line == 8
    for change, sentence in {
        '"[5,7.25]"': "line 8: temporal_coordinates is not the JSON that VIA writes: '5'",
        '"[""a"",7.25]"': r"line 8: temporal_coordinates must be \[start, end\] in seconds",
    }.items():
        path.write_text(VIA.replace('"[5,7.25]"', "5" if "5,7" in change else change))
        with pytest.raises(InputError, match=sentence):
            quiet(read_intervals, path, CLASSES)
    # What somebody marked is not left out for a slip of the pen.
    path.write_text(VIA.replace("High jump", "Hihg jump"))
    with pytest.raises(InputError, match="line 7: the vocabulary has no class 'Hihg jump'; did you mean 'High jump'"):
        read_intervals(path, CLASSES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ELAN, [Interval(1.5, 4, 2, 1.0), Interval(61, 62.25, 2, 1.0), Interval(61, 62.25, 0, 1.0)]),
        (BARE_ELAN, [Interval(1.5, 4, 2, 1.0), Interval(5, 6.5, 0, 1.0)]),
    ],
)
def test_elan(tmp_path, text, expected):
    (tmp_path / "talk.txt").write_text(text)
    assert read_intervals(tmp_path / "talk.txt", CLASSES) == {"talk": expected}
    (tmp_path / "other.txt").write_text(text)
    assert set(read_intervals(f"{tmp_path}/*.txt", CLASSES)) == {"talk", "other"}
    (tmp_path / "talk.txt").write_text(text + "x\ty\n")
    with pytest.raises(InputError, match=r"talk\.txt, line \d: (2 fields, and 7 columns|expected tier, participant)"):
        read_intervals(tmp_path / "talk.txt", CLASSES)


def test_lists_of_paths(tmp_path):
    (tmp_path / "list.csv").write_text("clips/a.mp4,52;3;10\n/data/b.mkv,7\nc.d,8;9;\n")
    assert read_labels(tmp_path / "list.csv", ClassIds()) == {"a": (3, 10, 52), "b": (7,), "c.d": (8, 9)}


def test_vocabularies(tmp_path):
    files = {
        "class_labels_indices.csv": 'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n',
        "mid_to_display_name.tsv": "/m/09x0r\tSpeech\n/m/05zppz\tMale speech, man speaking\n",
        "vocabulary.csv": 'Index,KnowledgeGraphId,Name\n0,/m/09x0r,Speech\n1,/m/05zppz,"Male speech, man speaking"\n',
        "names.txt": "Speech\nMale speech, man speaking\n",
        "detclasslist.txt": "0 Speech\n1 Male speech, man speaking\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        assert read_class_names(tmp_path / name) == {0: "Speech", 1: "Male speech, man speaking"}, name
        codes = {} if name.endswith(".txt") else {0: "/m/09x0r", 1: "/m/05zppz"}
        assert read_class_codes(tmp_path / name) == codes
    (tmp_path / "detclasslist.txt").write_text("7 BaseballPitch\n9 Diving\n")
    assert read_class_names(tmp_path / "detclasslist.txt") == {7: "BaseballPitch", 9: "Diving"}
    (tmp_path / "a.tsv").write_text("/m/1\tSpeech\n/m/2\n")
    with pytest.raises(InputError, match="a.tsv, line 2: expected code and name, separated by a tab"):
        read_class_names(tmp_path / "a.tsv")


@pytest.mark.parametrize(
    ("name", "text"),
    {
        "a.json": json.dumps(ACTIVITYNET),
        "Diving_val.txt": "v 1 2\nw 3 4.5\n",
        "s.csv": AUDIOSET,
        "s.tsv": STRONG,
        "via.csv": VIA,
        "e.txt": ELAN,
        "b.txt": BARE_ELAN,
    }.items(),
)
def test_damage_is_read_or_told(tmp_path, name, text):
    """One to three bytes are changed, doubled or dropped: annotations, or one sentence that names the file."""
    path = tmp_path / name
    for seed in range(150):
        rng = random.Random(seed)
        data = bytearray(text.encode())
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(data))
            data[place : place + 1] = rng.choice(
                [b"", b"\0", b'"', b",", b"\t", b"\xe9", b"\r", b"-", b"1e999", b"\n", b"[", b"}"]
            )
        path.write_bytes(data)
        for read in (read_intervals, read_labels):
            try:
                quiet(read, path, CLASSES)
            except InputError as error:
                assert name in str(error) and "\n" not in str(error), f"seed {seed}: {bytes(data)}"


def test_intervals_survive_each_format(tmp_path):
    """Random intervals, written in each format that has video ids, come back the same."""
    for seed in range(20):
        rng = random.Random(seed)
        wanted = [
            (f"v{rng.randrange(3)}", round(start := rng.uniform(0, 50), 3), round(start + rng.uniform(0.1, 9), 3), rng.randrange(3))
            for _ in range(rng.randint(1, 9))
        ]  # fmt: skip
        database: dict = {}
        for video_id, start, end, class_id in wanted:
            items = database.setdefault(video_id, {"subset": "training", "annotations": []})["annotations"]
            items.append({"segment": [start, end], "label": NAMES[class_id]})
        (tmp_path / "a.json").write_text(json.dumps({"database": database}))
        rows = [f'{v}, {start}, {end}, "{CODES[c]}"' for v, start, end, c in wanted]
        (tmp_path / "b.csv").write_text("# YTID, start_seconds, end_seconds, positive_labels\n" + "\n".join(rows))
        rows = [f"{v}\t{start}\t{end}\t{CODES[c]}" for v, start, end, c in wanted]
        (tmp_path / "c.tsv").write_text(STRONG.splitlines()[0] + "\n" + "\n".join(rows))
        (tmp_path / "d.csv").write_text("\n".join(f"{v},{start},{end},{NAMES[c]}" for v, start, end, c in wanted))
        thumos = tmp_path / f"thumos{seed}"
        thumos.mkdir()
        for class_id in {c for *_, c in wanted}:
            lines = [f"{v} {start} {end}" for v, start, end, c in wanted if c == class_id]
            (thumos / f"{NAMES[class_id]}_val.txt").write_text("\n".join(lines))
        expected: dict = {}
        for video_id, start, end, class_id in wanted:
            expected.setdefault(video_id, []).append(Interval(start, end, class_id, 1.0))
        for path in ("a.json", "b.csv", "c.tsv", "d.csv", thumos):
            found = read_intervals(tmp_path / path, CLASSES)
            order = lambda item: (item.class_id, item.start, item.end)
            assert {k: sorted(v, key=order) for k, v in found.items()} == {
                k: sorted(v, key=order) for k, v in expected.items()
            }, f"seed {seed}, {path}"


def test_nothing_there_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="the folder .*empty has no annotation files"):
        read_intervals(tmp_path / "empty", CLASSES)
    with pytest.raises(InputError, match="cannot read .*none"):
        read_intervals(tmp_path / "none*.txt", CLASSES)
    with pytest.raises(InputError, match="--subset=a is for ActivityNet's JSON"):
        (tmp_path / "i.csv").write_text("v,0,5,1\n")
        read_intervals(tmp_path / "i.csv", CLASSES, subset="a")


def test_warnings_are_of_data(tmp_path):
    (tmp_path / "Ambiguous_val.txt").write_text("v 1 2\n")
    with pytest.warns(DataWarning, match="ambiguous"):
        assert read_intervals(tmp_path / "Ambiguous_val.txt", CLASSES) == {}
