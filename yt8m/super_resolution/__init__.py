"""Networks that enlarge the pictures of clips."""

from yt8m.registry import Registry

RESOLVERS = Registry(
    "super-resolution network",
    modules={"basicvsr": "yt8m.super_resolution.basicvsr", "espcn": "yt8m.super_resolution.espcn"},
)
