"""What the scripts at the top level share: how they start, stop and fail.

Part of the scripts' layer: nothing else in the package imports it, so that no flag is read below the scripts.
"""

import os
import re
import sys

from absl import app, flags, logging

from yt8m.runtime.progress import set_style
from yt8m.types import InputError

flags.DEFINE_bool("quiet", False, "Say nothing but results and errors.")
flags.DEFINE_bool("json_logs", False, "Progress and messages on standard error as JSON, an object a line.")

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def run(main, *, resume_hint="", takes_files=False):
    """Parses the flags, calls ``main()`` and exits with what it returns (None is 0).

    takes_files: arguments that are no flags go to ``main`` as one list, instead of being an error.
    InputError and bad flags: one sentence on standard error, exit 2. Ctrl-C: ``resume_hint``, exit 130.
    """
    # TensorFlow is imported later, if at all, and then speaks of its instruction sets.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _describe_command(main)
    try:
        # Flags may stand behind the files too.
        flags.FLAGS.set_gnu_getopt(takes_files)
        app.run(lambda arguments: _call(main, arguments, takes_files), flags_parser=_parse)
    except InputError as error:
        _fail(f"error: {error}", EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        _fail(f"interrupted. {resume_hint}".rstrip(), EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _describe_command(main):
    """Makes --help tell of the command whose ``main`` this is: absl tells of the program that was started, a shim of it."""
    sys.modules["__main__"].__doc__ = sys.modules[main.__module__].__doc__
    for module, defined in flags.FLAGS.flags_by_module_dict().items():
        if module.startswith(__package__):
            for flag in defined:
                flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)


def _parse(arguments):
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        raise InputError(f"{_one_line(error)}. See --help") from error
    except SystemExit:
        # Only --help ends parsing, and it was asked for.
        sys.exit(0)


def _call(main, arguments, takes_files):
    if not flags.FLAGS["verbosity"].present:
        # What TensorFlow and JAX tell of themselves is for --verbosity=0.
        logging.set_verbosity(logging.WARNING)
    set_style("quiet" if flags.FLAGS.quiet else "json" if flags.FLAGS.json_logs else "text")
    backend = flags.FLAGS["backend"].value if "backend" in flags.FLAGS else None
    if backend:
        # Keras, which reads this, is imported later.
        os.environ["KERAS_BACKEND"] = backend
    if "backend" in flags.FLAGS and os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        from yt8m.runtime.devices import leave_accelerators_to_keras

        leave_accelerators_to_keras()
    if takes_files:
        return main(arguments[1:])
    if len(arguments) > 1:
        raise InputError(f"unexpected argument {arguments[1]!r}: every option is a flag, as in --batch_size=128")
    return main()


def _one_line(error):
    text = " ".join(str(error).split()).removeprefix("flag ").rstrip(".")
    missing = re.findall(r"Flag (--\w+) must have a value other than None", text)
    return f"{' and '.join(missing)} must be given" if missing else text


def _fail(sentence, status):
    sys.stdout.flush()
    print(f"{os.path.basename(sys.argv[0])}: {sentence}", file=sys.stderr)
    sys.exit(status)
