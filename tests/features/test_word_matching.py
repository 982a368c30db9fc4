"""Names of classes in texts of any script, read rightly or not."""

import random
import string
import unicodedata

import pytest

from yt8m.data.making.annotations import ClassIds
from yt8m.features.words.matching import NameMatcher, read_aliases
from yt8m.features.words.tokens import tokens
from yt8m.types import DataWarning, InputError

NAMES = {
    0: "Guitar", 1: "Acoustic guitar", 2: "Video game", 3: "Game", 4: "Minecraft", 5: "Pokémon (video game series)",
    6: "Футбол", 7: "云顶之弈", 8: "ギター", 9: "기타", 10: "FIFA 15", 11: "Cornet", 12: "Winter", 13: "Driving",
    14: "Motorcycle racing", 15: "Гитара", 16: "Fishing", 17: "Clown", 18: "Painting",
    19: "Printing press", 20: "PlayStation 3",
}  # fmt: skip


@pytest.fixture(scope="module")
def matcher():
    return NameMatcher(NAMES)


def found(matcher, text, **options):
    return {match.class_id: match.strength for match in matcher(text, **options)}


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "How to play the GUITARS": {0: 0.5},
        # The longest name first, and no word in two names.
        "acoustic guitar solo": {1: 1.0},
        "an acoustic-guitar_and a guitar": {1: 1.0, 0: 0.5},
        "video games": {2: 1.0},
        "video: the games": {3: 0.5},
        "POKEMON": {5: 0.5},
        "ＦＩＦＡ １５": {10: 1.0},
        "fifa 16": {},
        "Пенальти: ФУТБОЛ 2021": {6: 0.5},
        "два аккорда на гитаре": {15: 0.5},
        "杀手17云顶之弈": {7: 1.0},
        "初心者のギター講座": {8: 1.0},
        "기타를 치다": {9: 0.5},
        "guitarist": {},
        "gui tar": {},
        "": {},
        "!!! | 。": {},
    }.items(),
)
def test_names_in_texts(matcher, text, expected):
    assert found(matcher, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "Minecralt lets play": {4: 0.25},
        "M1NECRAFT": {4: 0.25},
        "rnotorcycle racin": {14: 0.5},
        "Acousticguitar": {1: 0.5},
        "gultar": {0: 0.25},
        "gu1tar": {0: 0.25},
        # Words of their own, which differ by a letter.
        "the corner, the winner, a diving board": {},
        "FIFA I5": {},
        "a slow down": {},
        # A word of the vocabulary was read right.
        "fishing": {16: 0.5},
        "printing": {},
        "paintlng": {18: 0.25},
        "playstatlon 3": {20: 0.5},
        "playstation 4": {},
    }.items(),
)
def test_misread_names(matcher, text, expected):
    pytest.importorskip("rapidfuzz", reason="rapidfuzz is not installed: pip install -e '.[test]'")
    assert found(matcher, text, misread=True) == expected


def test_what_was_read_right_is_not_looked_for_as_misread(matcher):
    assert found(matcher, "M1NECRAFT Minecralt") == {}


def test_one_error_is_forgiven_in_eight_letters():
    """Any letter of a longer name may be another, missing or doubled; two errors are one too many."""
    pytest.importorskip("rapidfuzz", reason="rapidfuzz is not installed: pip install -e '.[test]'")
    for seed in range(200):
        rng = random.Random(seed)
        letters = [letter for letter in string.ascii_lowercase if letter not in "silrnv"]
        name = "".join(rng.choice(letters) for _ in range(rng.randint(8, 15)))
        matcher = NameMatcher({3: name})
        place = rng.randrange(len(name))
        other = rng.choice([letter for letter in letters if letter != name[place]])
        wrong = rng.choice([other, "", name[place] * 2])
        misread = name[:place] + wrong + name[place + 1 :]
        assert found(matcher, f"a {misread} b", misread=True) == {3: 0.25}, f"seed {seed}: {misread} for {name}"
        assert found(matcher, f"a {misread}zzz b", misread=True) == {}, f"seed {seed}"


def test_names_are_found_wherever_they_stand():
    """Random texts with names put in: these are found, whatever the case, the form of letters and the marks around."""
    filler = ["the", "на", "и", "of", "42", "mixer", "plate"]
    for seed in range(200):
        rng = random.Random(seed)
        class_id = rng.choice(list(NAMES))
        name = NAMES[class_id].partition(" (")[0]
        form = rng.choice([str.upper, str.lower, str.title, lambda text: unicodedata.normalize("NFD", text)])
        words = rng.choices(filler, k=5)
        words.insert(rng.randrange(6), form(name))
        text = rng.choice([" ", " - ", ", ", "_", " | "]).join(words)
        assert class_id in found(NameMatcher(NAMES), text), f"seed {seed}: {text}"
        assert found(NameMatcher(NAMES), " ".join(w for w in words if w != form(name))) == {}, f"seed {seed}"


def test_tokens():
    assert tokens("Les Écoles d'été: 3ème") == ("les", "ecole", "d", "ete", "3eme")
    assert tokens("ｶﾞｲﾄﾞ ガイド") == ("ガ", "イ", "ド", "ガ", "イ", "ド")
    assert tokens("64㎅") == ("64kb",)
    assert tokens("हिन्दी गाने") == ("हिन्दी", "गाने")
    assert tokens("parties boss as IES") == ("party", "boss", "as", "ies")
    assert tokens("гитарами гитаре") == ("гитар", "гитар")


def test_shared_names_share_what_they_say():
    assert found(NameMatcher({1: "Bass (fish)", 2: "Bass (guitar)"}), "bass") == {1: 0.25, 2: 0.25}


def test_one_character_is_too_little():
    with pytest.warns(DataWarning, match="1 names of classes are not looked for in texts.* the first is 车"):
        matcher = NameMatcher({1: "车", 2: "汽车"})
    assert found(matcher, "汽车和车") == {2: 0.5}


def test_aliases(tmp_path):
    (tmp_path / "a.csv").write_text("class,alias\nMinecraft,mc speedrun\n4,我的世界\n3,guitar\n")
    aliases = read_aliases(tmp_path / "a.csv", ClassIds(NAMES).read)
    assert aliases == [(4, "mc speedrun"), (4, "我的世界"), (3, "guitar")]
    matcher = NameMatcher(NAMES, aliases)
    assert found(matcher, "MC Speedruns") == {4: 1.0} and found(matcher, "玩我的世界") == {4: 1.0}
    # What somebody wrote goes before the names.
    assert found(matcher, "guitar") == {3: 0.5}
    for line, sentence in {
        "Minecraf,x": "line 2: the vocabulary has no class 'Minecraf'; did you mean 'Minecraft'",
        "4,!": "line 2: the alias '!' has neither letters nor digits",
        "4": "line 2: expected class,alias",
    }.items():
        (tmp_path / "a.csv").write_text(f"class,alias\n{line}\n")
        with pytest.raises(InputError, match=sentence):
            read_aliases(tmp_path / "a.csv", ClassIds(NAMES).read)
