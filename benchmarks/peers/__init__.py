"""The same models as users of other frameworks write them, which the package is held against."""
