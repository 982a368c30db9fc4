"""Decoding: pictures at chosen times and sound of any file that FFmpeg reads, in the memory of a few frames."""

from yt8m.features.decoding.pictures import Fitting, Grid, read_pictures
from yt8m.features.decoding.probe import VideoInfo, probe_video, stated_seconds
from yt8m.features.decoding.sound import read_sound

__all__ = ["Fitting", "Grid", "VideoInfo", "probe_video", "read_pictures", "read_sound", "stated_seconds"]
