"""Tables of all options of all commands, as docs/options.md has them.

.venv/bin/python -m yt8m.commands.option_table > docs/options.md
"""

import importlib

from yt8m.commands.command_line import Options, command_fields
from yt8m.options import Field

COMMANDS = {
    "train": "TrainOptions",
    "eval": "EvalOptions",
    "inference": "InferenceOptions",
    "ensemble": "EnsembleOptions",
    "export": "ExportOptions",
    "tune": "TuneOptions",
    "selftrain": "SelfTrainOptions",
    "adapt": "AdaptOptions",
    "cache": "CacheOptions",
    "doctor": "DoctorOptions",
    "pack": "PackOptions",
    "tokenizer": "TokenizerOptions",
    "video": "VideoOptions",
    "similar": "SimilarOptions",
    "demo": "DemoOptions",
}
"""Commands and the classes of their options."""

_HEAD = """# Options

Every flag of every command, as `--help` shows it. This page is made of the declarations in the code by
`.venv/bin/python -m yt8m.commands.option_table`; a test compares the two.

All commands take absl's own flags too: `--flagfile=FILE` reads flags from a file, `--verbosity=0` shows what TensorFlow
and JAX tell of themselves, `--helpfull` lists the rest.
"""


def options_of(command: str) -> type[Options]:
    """The class of a command's options."""
    return getattr(importlib.import_module(f"yt8m.commands.{command}"), COMMANDS[command])


def table() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD]
    training = {field.flag for _, field in command_fields(options_of("train"))}
    for command in COMMANDS:
        fields = sorted((field for _, field in command_fields(options_of(command))), key=lambda field: field.flag or "")
        parts.append(f"\n## yt8m-{command}\n")
        if command in ("tune", "selftrain"):
            parts.append("All flags of `yt8m-train`, and:\n")
            fields = [field for field in fields if field.flag not in training]
        parts.append("| flag | default | valid | what it is |")
        parts.append("| --- | --- | --- | --- |")
        parts += [_row(field) for field in fields]
    return "\n".join(parts) + "\n"


def _row(field: Field) -> str:
    default = "required" if field.option.required else field.default_words()
    cells = (f"`--{field.flag}`", default, field.values(), field.option.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(table(), end="")
