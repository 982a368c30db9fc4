"""Class ids and names, as the YouTube-8M CSV files give them."""

from yt8m.tables import is_number, read_columns, read_rows
from yt8m.types import InputError, StrPath


def read_segment_class_ids(path: StrPath, *, num_classes: int | None = None) -> tuple[int, ...]:
    """Ids of the classes that segments are ranked for.

    path: CSV with ids in its first column, as in ``segment_label_ids.csv``; a first line without one is a header.
    num_classes: ids must lie in [0, num_classes) where given.
    Returns a sorted tuple of int. Raises InputError naming the file and line of a bad or repeated id.
    """
    ids = {}
    for number, row in enumerate(read_rows(path)):
        if number == 0 and not is_number(row.fields[0]):
            continue
        class_id = row.class_id(0)
        if num_classes is not None and class_id >= num_classes:
            raise InputError(f"{row.where}: class id {class_id} is outside [0, {num_classes})")
        if class_id in ids:
            raise InputError(f"{row.where}: class id {class_id} stands on line {ids[class_id]} already")
        ids[class_id] = row.line
    if not ids:
        raise InputError(f"{path} holds no class ids")
    return tuple(sorted(ids))


def read_class_names(path: StrPath) -> dict[int, str]:
    """Dict of class id to name from a CSV with the columns Index and Name, as in ``vocabulary.csv``.

    Raises InputError naming the file and line of a bad or repeated id.
    """
    names = {}
    for row in read_columns(path, ("Index", "Name"), what="class names"):
        class_id = row.class_id(0)
        if class_id in names:
            raise InputError(f"{row.where}: class id {class_id} stands in the file already")
        names[class_id] = row.fields[1]
    return names
