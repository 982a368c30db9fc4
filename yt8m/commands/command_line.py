"""Command lines: flags made of options, and how commands start, stop and fail."""

import contextlib
import dataclasses
import functools
import json
import os
import sys
import tempfile
import typing
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from absl import flags, logging

from yt8m.config import SWITCHES
from yt8m.options import Config, Field, fields_of, option
from yt8m.runtime.files import temporary_folder
from yt8m.runtime.progress import progress_style
from yt8m.runtime.quiet_imports import quieten_tensorflow
from yt8m.text import printable
from yt8m.types import DataWarning, InputError, VideosWarning

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(Config):
    """Base of the options of a command: its fields are its flags.

    configs: further flags, those of some fields of a run's configs: dict of config to names of fields. given: the
    values of these, where they were given: dict of config to dict of field to value.
    """

    configs: ClassVar[Mapping[type, tuple[str, ...]]] = {}

    given: dict[type, dict[str, Any]] = dataclasses.field(default_factory=dict)
    quiet: bool = option(False, "Output of results, warnings and errors alone.")
    json_logs: bool = option(False, "Progress and messages on standard error as JSON, one object a line.")

    def of(self, config_class: type) -> dict[str, Any]:
        """Fields of ``config_class`` whose flags were given, with their values."""
        return self.given.get(config_class, {})

    def prepare(self) -> None:
        """Called before the command; what must be set before libraries are imported."""


def run(
    main: Callable[..., int | None], options_class: type[Options], *, resume_hint: str = "", takes_files: bool = False
) -> None:
    """Parses the command line, calls ``main`` with an instance of ``options_class`` and exits with what it returns.

    takes_files: arguments that are no flags go to ``main`` as a second argument, a list, instead of being an error.
    InputError and bad flags: one sentence on standard error, exit 2. Ctrl-C: ``resume_hint``, exit 130.
    """
    quieten_tensorflow()
    try:
        options, files = parse(sys.argv, options_class, document=sys.modules[main.__module__].__doc__)
        if files and not takes_files:
            raise InputError(f"unexpected argument {files[0]!r}: every option is a flag, as in --batch_size=128")
        options.prepare()
        style = "quiet" if options.quiet else "json" if options.json_logs else "text"
        with progress_style(style), _told_warnings(style), _temporary_files_together():
            sys.exit(main(options, files) if takes_files else main(options))
    except InputError as error:
        _fail(f"error: {error}", EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        _fail(f"interrupted. {resume_hint}".rstrip(), EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def parse(arguments: list[str], options_class: type[Options], *, document: str | None) -> tuple[Options, list[str]]:
    """The options that a command line gives, and its arguments that are no flags.

    arguments: with the program's name first. document: what --help prints above the flags. Raises InputError.
    """
    values = flags.FlagValues()
    # Flags may stand behind files too.
    values.set_gnu_getopt(True)
    fields = command_fields(options_class)
    for _, field in fields:
        flag = _make_flag(field)
        flags.DEFINE_flag(flag, values, module_name=arguments[0])
        values.register_key_flag_for_module(arguments[0], flag)
    # absl's own: --flagfile, --verbosity and the like.
    values.append_flag_values(flags.FLAGS)
    _define_help(values, arguments[0], document or "")
    try:
        _, *files = values(arguments)
    except flags.Error as error:
        raise InputError(f"{' '.join(str(error).split()).removeprefix('flag ').rstrip('.')}. See --help") from None
    flags.FLAGS.mark_as_parsed()
    if not values["verbosity"].present:
        # What TensorFlow and JAX tell of themselves is for --verbosity=0.
        logging.set_verbosity(logging.WARNING)
    return _collect(fields, values, options_class), files


def command_fields(options_class: type[Options]) -> list[tuple[type, Field]]:
    """The options of a command that have flags: (config that the option is a field of, Field), its own ones first."""
    found: list[tuple[type, Field]] = [
        (options_class, field) for field in fields_of(options_class).values() if field.flag
    ]
    for parent in reversed(options_class.__mro__):
        for config_class, names in vars(parent).get("configs", {}).items():
            known = fields_of(config_class)
            found += [(config_class, known[name]) for name in names or known if known[name].flag]
    return list({field.flag: (config_class, field) for config_class, field in reversed(found)}.values())[::-1]


def _collect(fields, values, options_class):
    own, given = {}, {}
    for config_class, field in fields:
        value = values[field.flag].value
        if field.option.required and value in (None, "", []):
            # An empty one is that of a shell variable that is not set.
            raise InputError(f"--{field.flag} must be given. See --help")
        if value is None:
            continue
        value = tuple(value) if field.option.repeated else value
        if config_class is options_class:
            own[field.name] = value
        else:
            given.setdefault(config_class, {})[field.name] = value
    return options_class(**own, given=given)


class _Parser(flags.ArgumentParser):
    """Parses and checks the text of a flag as its Field says."""

    def __init__(self, field):
        self.field = field
        self.syntactic_help = field.values()

    def flag_type(self):
        return self.field.values()

    def parse(self, argument):
        kind = self.field.kind
        parts = argument.split(",") if typing.get_origin(kind) is tuple else [argument]
        if typing.get_origin(kind) is tuple:
            (kind, *_) = typing.get_args(kind)
        parsed = [
            self._parse_part(kind, part.strip() if len(parts) > 1 else part) for part in parts if part or kind is str
        ]
        if typing.get_origin(self.field.kind) is not tuple:
            return parsed[0] if parsed else self._parse_part(kind, "")
        return tuple(part for part in parsed if part != "")

    def _parse_part(self, kind, text):
        if self.field.option.choices == SWITCHES:
            text = {"true": "on", "false": "off"}.get(text, text)
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {self.field.values()}") from None
        self.field.option.check(value)
        return value


def _make_flag(field):
    option_ = field.option
    help_text = f"{option_.help} Default: {field.default_words()}."
    if option_.required:
        help_text = f"{option_.help} Required."
    if field.kind is bool:
        return flags.BooleanFlag(field.flag, None, help_text)
    parser, serializer = _Parser(field), flags.ArgumentSerializer()
    if option_.repeated:
        return _RepeatedFlag(parser, serializer, field.flag, None, help_text)
    # A switch may stand alone, as --name or --noname.
    return flags.Flag(parser, serializer, field.flag, None, help_text, boolean=option_.choices == SWITCHES)


class _RepeatedFlag(flags.MultiFlag):
    """A flag whose values, one for each time it is given, make one tuple."""

    def _parse(self, argument):
        parts = argument if isinstance(argument, list) else [argument]
        return [part for text in parts for part in self.parser.parse(text)]


def _define_help(values, program, document):
    class HelpFlag(flags.BooleanFlag):
        def __init__(self, name, help_text, describe):
            super().__init__(name, False, help_text, allow_hide_cpp=True)
            self.describe = describe

        def parse(self, argument):
            if self._parse(argument):
                print(f"{document}\nflags:\n{self.describe()}")
                sys.exit(0)

    describe = functools.partial(values.module_help, program)
    flags.DEFINE_flag(HelpFlag("help", "show this help", describe), values, module_name=program)
    flags.DEFINE_flag(HelpFlag("helpfull", "show absl's own flags too", values.get_help), values, module_name=program)


@contextlib.contextmanager
def _told_warnings(style="text"):
    """Context in which a DataWarning is one line on standard error, each text once; style: as of progress_style."""
    told = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        show = warnings.showwarning

        def tell(message, category, *where, **options):
            topic = category if issubclass(category, VideosWarning) else str(message)
            if not issubclass(category, DataWarning):
                show(message, category, *where, **options)
            elif topic not in told:
                told.add(topic)
                text = _one_line(message)
                line = json.dumps({"event": "warning", "text": text}) if style == "json" else f"warning: {text}"
                print(line, file=sys.stderr, flush=True)

        warnings.showwarning = tell
        yield


@contextlib.contextmanager
def _temporary_files_together():
    """Context in which temporary files, also those of libraries, lie in a folder that the next command clears."""
    before = tempfile.gettempdir()
    with contextlib.ExitStack() as stack:
        # Where there can be none, whoever needs one says so.
        with contextlib.suppress(OSError):
            tempfile.tempdir = stack.enter_context(temporary_folder(before))
        try:
            yield
        finally:
            tempfile.tempdir = before


def _fail(sentence, status):
    sys.stdout.flush()
    print(f"{os.path.basename(sys.argv[0])}: {_one_line(sentence)}", file=sys.stderr)
    sys.exit(status)


def _one_line(message):
    """A message with what files and ids may have put into it made harmless to a terminal."""
    return printable(str(message).replace("\n", " "))
