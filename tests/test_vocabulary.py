"""Class ids and names."""

import pytest

from tests.helpers import shared_path
from yt8m.types import InputError
from yt8m.vocabulary import read_class_names, read_segment_class_ids


@pytest.fixture
def write(tmp_path):
    def write_file(text):
        path = tmp_path / "ids.csv"
        path.write_text(text)
        return path

    return write_file


def test_segment_class_ids(write):
    assert read_segment_class_ids(write("Index\n7\n3\n\n12\n")) == (3, 7, 12)
    assert read_segment_class_ids(write("Index,Name\n7,Car\n"), num_classes=8) == (7,)
    assert read_segment_class_ids(write("7\n3\n")) == read_segment_class_ids(write("\ufeff7,Car\r\n3,Cat")) == (3, 7)


@pytest.mark.parametrize(
    "text, message",
    [
        ("Index\n3\nx\n", "line 3: 'x' is not a class id"),
        ("Index\n-3\n", "line 2: '-3' is not a class id"),
        ("Index\n3\n10\n", r"line 3: class id 10 is outside \[0, 10\)"),
        ("Index\n3\n4\n3\n", "line 4: class id 3 stands on line 2 already"),
        ("Index\n", "holds no class ids"),
        ("", "holds no class ids"),
    ],
)
def test_bad_segment_class_ids(write, text, message):
    with pytest.raises(InputError, match=f"ids.csv,? ?{message}"):
        read_segment_class_ids(write(text), num_classes=10)


def test_class_names(write):
    names = read_class_names(write('Index,TrainVideoCount,Name,Text\n0,5,Game,"one, two"\n2,3,Car,\n4,1,,\n'))
    assert names == {0: "Game", 2: "Car", 4: ""}


def test_bad_class_names(write, tmp_path):
    with pytest.raises(InputError, match="has no column Name"):
        read_class_names(write("Index,Title\n0,Game\n"))
    with pytest.raises(InputError, match="line 2: 'x' is not a class id"):
        read_class_names(write("Index,Name\nx,Game\n"))
    with pytest.raises(InputError, match="cannot read .*gone.csv: No such file"):
        read_class_names(tmp_path / "gone.csv")


def test_the_real_vocabulary():
    folder = shared_path("data/yt8m_csv")
    ids = read_segment_class_ids(folder / "segment_label_ids.csv", num_classes=3862)
    names = read_class_names(folder / "vocabulary.csv")
    assert len(ids) == 1000 and ids[:3] == (3, 7, 8)
    assert len(names) == 3862 and (names[0], names[3]) == ("Game", "Concert") and set(ids) <= set(names)
