"""Where videos are read from, and what a file cannot make the reader open."""

import functools
import http.server
import io
import sys
import threading
import types

import pytest

from tests.helpers.videos import number_of, write_video
from yt8m.features.backbones import PictureInput
from yt8m.features.decoding import Grid, probe_video, read_pictures, read_sound
from yt8m.types import InputError

av = pytest.importorskip("av", reason="PyAV is not installed: pip install -e '.[video]'")


def read(source):
    grids = [Grid(rate=1, input=PictureInput(size=None))]
    return [number_of(picture) for _, _, picture in read_pictures(source, grids)]


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "secret.mp4", [number / 25 for number in range(60)])


@pytest.fixture
def web(tmp_path):
    """Address of a server of the test's folder."""
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def playlists(target):
    """Name to text of files that only name another one."""
    return {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{target}\n#EXT-X-ENDLIST\n",
        "a.ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "a.mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT3S"><Period><AdaptationSet contentType="video"><Representation id="0" '
        f'bandwidth="1" mimeType="video/mp4"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5555 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
    }


@pytest.mark.parametrize("name", playlists(""))
@pytest.mark.parametrize("form", ["{}", "file:{}", "concat:{}", "subfile,,start,0,end,0,,:{}"])
@pytest.mark.parametrize("suffix", ["", ".mp4"])
def test_a_file_cannot_name_another_local_one(tmp_path, video, name, form, suffix):
    path = tmp_path / (name + suffix)
    for target in (form.format(video), form.format("secret.mp4")):
        path.write_text(playlists(target)[name])
        for reading in (probe_video, read, lambda path: list(read_sound(path, samples=16_000))):
            with pytest.raises(InputError, match="cannot be read as a video or as sound"):
                reading(str(path))


@pytest.mark.parametrize("name", ["a.m3u8", "a.ffconcat", "a.mpd"])
def test_nor_can_one_on_the_web(tmp_path, video, web, name):
    for target in (video, f"file:{video}", f"file://{video}", f"concat:{video}"):
        (tmp_path / name).write_text(playlists(target)[name])
        with pytest.raises(InputError):
            read(f"{web}/{name}")


@pytest.mark.parametrize(
    "prefix", ["file:", "concat:", "subfile,,start,0,end,0,,:", "pipe:", "fd:", "cache:", "async:"]
)
def test_protocols_of_ffmpeg_are_names_of_files_that_are_not_there(video, prefix):
    with pytest.raises(InputError, match="is not there"):
        probe_video(prefix + video)


def test_over_http(video, web):
    assert read(f"{web}/secret.mp4") == [0, 25, 50]
    assert probe_video(f"{web}/secret.mp4").width == 96
    with pytest.raises(InputError, match=f"^{web}/absent.mp4 cannot be read as a video or as sound: .*404") as error:
        probe_video(f"{web}/absent.mp4")
    assert "\n" not in str(error.value)


def test_buckets_are_read_through_fsspec(monkeypatch, video):
    opened = []

    def opener(address, mode):
        opened.append((address, mode))
        if address.startswith("gs://"):
            raise ImportError("Please install gcsfs to access Google Storage")
        if "absent" in address:
            raise FileNotFoundError(address)
        with open(video, "rb") as file:
            content = io.BytesIO(file.read())
        return types.SimpleNamespace(open=lambda: content)

    monkeypatch.setitem(sys.modules, "fsspec", types.SimpleNamespace(open=opener))
    assert read("s3://bucket/a.mp4") == [0, 25, 50] and opened == [("s3://bucket/a.mp4", "rb")]
    with pytest.raises(InputError, match="gs://bucket/a.mp4 cannot be opened: Please install gcsfs"):
        probe_video("gs://bucket/a.mp4")
    with pytest.raises(InputError, match="s3://bucket/absent.mp4 is not there"):
        probe_video("s3://bucket/absent.mp4")


def test_without_fsspec_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InputError, match="gs://b/a.mp4: to read from gs:// fsspec is needed: pip install fsspec"):
        probe_video("gs://b/a.mp4")


def test_without_pyav_one_sentence_says_what_to_install(monkeypatch, video):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="PyAV is needed: pip install 'yt8m\\[video\\]'"):
        read(video)
