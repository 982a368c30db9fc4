"""Options: one declaration gives the check, the words and the flag."""

import dataclasses
import typing

import numpy as np
import pytest

from yt8m.commands import command_line
from yt8m.commands.command_line import Options, command_fields, parse
from yt8m.commands.option_table import COMMANDS, options_of
from yt8m.config import TrainConfig
from yt8m.options import Config, fields_of, option
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Oven(Config):
    """Something with an option of each kind."""

    heat: float = option(0.5, "Heat.", low=0, below=1)
    minutes: int | None = option(None, "Time.", unit="minutes", low=1, high=1500, flag="time")
    mode: str = option("top", "Mode.", choices=("top", "bottom"))
    racks: tuple[int, ...] = option((1, 2), "Racks.", low=0)
    fan: bool = option(False, "Fan.", defaults_to="as the mode says")
    hidden: int = option(3, "No flag.", flag=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OvenOptions(Options):
    """A command on ovens."""

    configs = {Oven: (), TrainConfig: ("batch_size",)}

    name: str = option("", "Name.", required=True)
    parts: tuple[str, ...] = option((), "Parts.", repeated=True)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"heat": 1.0}, "heat is 1.0; it must be at least 0 and below 1"),
        ({"heat": float("nan")}, "heat is nan; it must be at least 0 and below 1"),
        ({"heat": "hot"}, "heat is 'hot'; it must be a number, at least 0 and below 1"),
        ({"minutes": 0}, "minutes is 0; it must be at least 1 and at most 1,500"),
        ({"minutes": 2.5}, "minutes is 2.5; it must be a whole number of minutes, at least 1 and at most 1,500"),
        ({"minutes": True}, "minutes is True; it must be a whole number of minutes"),
        ({"mode": "side"}, "mode is 'side'; valid: top, bottom"),
        ({"racks": (1, -1)}, "racks is (1, -1); it must be at least 0"),
        ({"racks": "1,2"}, "racks is '1,2'; it must be comma-separated whole numbers, at least 0"),
        ({"fan": 1}, "fan is 1; it must be true or false"),
        ({"hidden": None}, "hidden is None; it must be a whole number"),
    ],
)
def test_values_are_checked(changes, sentence):
    with pytest.raises(InputError) as error:
        Oven(**changes)
    assert str(error.value).startswith(sentence)


def test_good_values_pass():
    oven = Oven(heat=0, minutes=1500, racks=(0,), fan=True)
    assert Oven.from_json(oven.to_json()) == oven


def test_words_of_values_and_defaults():
    fields = fields_of(Oven)
    words = {name: (field.values(), field.default_words(), field.flag) for name, field in fields.items()}
    assert words == {
        "heat": ("a number, at least 0 and below 1", "0.5", "heat"),
        "minutes": ("a whole number of minutes, at least 1 and at most 1,500", "none", "time"),
        "mode": ("top or bottom", "top", "mode"),
        "racks": ("comma-separated whole numbers, at least 0", "1,2", "racks"),
        "fan": ("true or false", "as the mode says", "fan"),
        "hidden": ("a whole number", "3", None),
    }


def parsed(*arguments):
    return parse(["oven.py", *arguments], OvenOptions, document="Ovens.")


def test_a_command_line_gives_its_own_options_and_those_of_configs():
    options, files = parsed(
        "--name=a", "x.csv", "--heat=0.25", "--racks=3,0", "--fan", "--parts=p", "--parts=q", "y.csv"
    )
    assert (options.name, options.parts, options.quiet, files) == ("a", ("p", "q"), False, ["x.csv", "y.csv"])
    assert options.of(Oven) == {"heat": 0.25, "racks": (3, 0), "fan": True} and options.of(TrainConfig) == {}
    assert Oven(**options.of(Oven)) == Oven(heat=0.25, racks=(3, 0), fan=True)
    assert parsed("--name=a", "--nofan", "--batch_size=8")[0].of(TrainConfig) == {"batch_size": 8}


def test_the_same_process_takes_one_command_line_after_another():
    assert parsed("--name=a", "--heat=0.25")[0].of(Oven) == {"heat": 0.25}
    assert parsed("--name=b")[0].of(Oven) == {}


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ((), "--name must be given"),
        (("--name=",), "--name must be given"),
        (("--name=a", "--heat=2"), "--heat=2: it must be at least 0 and below 1"),
        (("--name=a", "--time=1.5"), "--time=1.5: '1.5' is not a whole number of minutes, at least 1"),
        (("--name=a", "--mode=side"), "--mode=side: valid: top, bottom"),
        (("--name=a", "--racks=1,x"), "--racks=1,x: 'x' is not comma-separated whole numbers"),
        (("--name=a", "--het=1"), "Unknown command line flag 'het'"),
        (("--name=a", "--hidden=1"), "Unknown command line flag 'hidden'"),
    ],
)
def test_bad_flags_are_one_sentence(arguments, sentence):
    with pytest.raises(InputError) as error:
        parsed(*arguments)
    assert str(error.value).startswith(sentence) and str(error.value).endswith(". See --help")


def test_help_shows_every_flag_with_default_and_bounds(capsys):
    with pytest.raises(SystemExit) as stop:
        parsed("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0 and text.startswith("Ovens. flags: oven.py:")
    assert "--time: Time. Default: none. (a whole number of minutes, at least 1 and at most 1,500)" in text
    assert "--[no]fan: Fan. Default: as the mode says." in text and "--name: Name. Required." in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_its_help_bounds_and_one_flag(command):
    flags = set()
    for config_class, field in command_fields(options_of(command)):
        where = f"{config_class.__name__}.{field.name}"
        assert field.option.help.endswith((".", "'")) and field.option.help[0].isupper(), where
        assert field.flag not in flags, where
        flags.add(field.flag)
        if field.kind in (int, float):
            assert field.option.bounds(), where
        if not field.option.required and field.default is not None:
            field.option.check(field.default if not isinstance(field.default, tuple) else (*field.default, None)[0])
    assert {"quiet", "json_logs"} <= flags


EXTREMES = (
    "nan",
    "inf",
    "-inf",
    "1e400",
    "-1",
    "0",
    "1",
    "-0.5",
    "2.5",
    str(10**30),
    str(-(10**30)),
    "1" * 5000,
    "x",
    "",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_numeric_flag_is_held_to_its_bounds(command):
    """Values about each bound and extremes; whether they are valid is judged here anew."""
    options_class = options_of(command)
    fields = [field for _, field in command_fields(options_class)]
    required = [f"--{field.flag}=x" for field in fields if field.option.required]
    checked = 0
    for field in fields:
        kind = typing.get_args(field.kind)[0] if typing.get_origin(field.kind) is tuple else field.kind
        if kind not in (int, float):
            continue
        bounds = {name: getattr(field.option, name) for name in ("low", "high", "above", "below")}
        around = [limit + step for limit in bounds.values() if limit is not None for step in (-1, 0, 1)]
        for text in (*EXTREMES, *map(str, around)):
            valid = _is_number(kind, text) and _is_within(kind(text), **bounds)
            if field.kind is not kind and not text:
                continue
            try:
                parse([command, *required, f"--{field.flag}={text}"], options_class, document="")
                assert valid, (field.flag, text)
            except InputError as error:
                # Some options are then checked against each other.
                assert valid != (f"--{field.flag}={text}" in str(error)) and "\n" not in str(error)
            checked += 1
    assert checked > len(EXTREMES)


def _is_number(kind, text):
    try:
        value = kind(text)
    except ValueError:
        return False
    return abs(value) < 2**63 if kind is int else np.isfinite(value)


def _is_within(value, *, low, high, above, below):
    low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
    above, below = (-np.inf if above is None else above), (np.inf if below is None else below)
    return low <= value <= high and above < value < below


def test_warnings_about_data_are_told_once(capsys):
    import warnings

    from yt8m.types import DataWarning, UnevenLengthsWarning

    with command_line._told_warnings():
        for text in ("a", "b", "a"):
            warnings.warn(text, DataWarning, stacklevel=1)
            warnings.warn(f"video {text}", UnevenLengthsWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: a\nwarning: video a\nwarning: b\n"
