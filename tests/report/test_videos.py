"""The page of videos beside their timelines: what it says, and, in a real browser, that it plays from where one clicks."""

import base64
import re
import time

import numpy as np
import pytest

from tests.helpers.browser import find_chromium, open_page
from tests.helpers.videos import numbered, write_video
from yt8m.ranking.timelines import Timeline
from yt8m.report.videos import make_media, write_video_report
from yt8m.types import InputError

EVIL = "<script>document.title='broken'</script>"
needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed; CHROMIUM=PATH names one")


def timeline(name="clip", seconds=20):
    starts = np.arange(0, seconds, 5)
    scores = np.linspace(0, 1, 2 * len(starts), dtype=np.float32).reshape(2, -1)
    return Timeline(video_id=name, starts=starts, end=seconds, class_ids=np.array([0, 1]), scores=scores)


def write(folder, source, **options):
    media = make_media(source, folder / "page.html", **{"embed": False} | options)
    write_video_report(
        folder / "page.html", [(timeline(), media)], class_names={0: EVIL, 1: "dog"}, kind="uncalibrated"
    )
    return folder / "page.html"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a b#c?.mp4", "./clips/a%20b%23c%3F.mp4"),
        ('x" onerror="y.mp4', "./clips/x%22%20onerror%3D%22y.mp4"),
        ("javascript:alert(1).mp4", "./clips/javascript%3Aalert%281%29.mp4"),
        ("ünï.webm", "./clips/%C3%BCn%C3%AF.webm"),
    ],
)
def test_files_are_referenced_from_where_the_page_is(tmp_path, name, address):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / name).write_bytes(b"x")
    media = make_media(str(tmp_path / "clips" / name), tmp_path / "page.html", embed=False)
    assert media.address == address
    assert EVIL not in write(tmp_path, str(tmp_path / "clips" / name)).read_text()


def test_a_file_may_be_embedded(tmp_path):
    (tmp_path / "a.webm").write_bytes(b"content")
    page = write(tmp_path, str(tmp_path / "a.webm"), embed=True, thumbnails=[(0, b"jpeg"), (10, b"jpeg2")])
    text = page.read_text()
    assert f'src="data:video/webm;base64,{base64.b64encode(b"content").decode()}"' in text
    assert re.findall(r'<img src="data:image/jpeg;base64,(\S+)" alt="" style="left:(\S+)%"', text) == [
        (base64.b64encode(b"jpeg").decode(), "0.00"), (base64.b64encode(b"jpeg2").decode(), "50.00"),
    ]  # fmt: skip


def test_sound_alone_has_a_player_of_sound(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"content")
    text = write(tmp_path, str(tmp_path / "a.wav"), has_video=False).read_text()
    assert '<audio class="player" controls preload="metadata" src="./a.wav"></audio>' in text


def test_what_a_browser_cannot_open_is_said(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="gs://bucket/a.mp4 cannot be played by a browser"):
        make_media("gs://bucket/a.mp4", tmp_path / "page.html", embed=False)
    assert make_media("https://a.org/b.mp4", tmp_path / "page.html", embed=True).address == "https://a.org/b.mp4"
    (tmp_path / "a.mp4").write_bytes(b"content")
    monkeypatch.setattr("yt8m.report.videos._MOST_EMBEDDED", 3)
    with pytest.raises(InputError, match="a.mp4 has 7 bytes, too many to embed"):
        make_media(str(tmp_path / "a.mp4"), tmp_path / "page.html", embed=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a video of 20 seconds that Chromium plays."""
    folder = tmp_path_factory.mktemp("page")
    pictures = [numbered(number // 5, height=96, width=192) for number in range(100)]
    write_video(folder / "clip.webm", [k / 5 for k in range(100)], pictures=pictures, codec="libvpx-vp9")
    return folder


def wait_for(page, expression, wanted):
    """Waits, ten seconds at most, until a JavaScript expression has a value."""
    until = time.monotonic() + 10
    while (found := page.evaluate(expression)) != wanted:
        assert time.monotonic() < until, (expression, found, wanted)
        time.sleep(0.05)


def press(page, key):
    page.evaluate(
        f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}, bubbles: true}})), null"
    )


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("embed", [False, True])
@pytest.mark.parametrize(("width", "phone"), [(1200, False), (390, True)])
def test_a_click_plays_from_there(folder, embed, width, phone):
    path = write(folder, str(folder / "clip.webm"), embed=embed, thumbnails=[])
    player = "document.querySelector('.player')"
    with open_page(path, width=width, height=800, phone=phone) as page:
        wait_for(page, f"{player}.readyState > 0", True)
        # The middle of the strip: the segment from 10 on.
        page.click(".strip")
        wait_for(page, f"{player}.currentTime >= 10 && {player}.currentTime < 15 && !{player}.paused", True)
        wait_for(page, f"{player}.currentTime > 10.5", True)
        left = page.evaluate("parseFloat(document.querySelector('.playhead').style.left)")
        assert 50 < left < 75 and page.evaluate("document.querySelectorAll('.playhead').length") == 2
        page.evaluate("document.querySelector('.strip').focus(), null")
        press(page, " ")
        wait_for(page, f"{player}.paused", True)
        for key, second in (("Home", 0), ("ArrowRight", 5), ("ArrowRight", 10), ("ArrowLeft", 5), ("End", 15)):
            press(page, key)
            wait_for(page, f"{player}.currentTime", second)
            assert page.evaluate("document.activeElement.getAttribute('aria-valuenow')") == str(second)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.errors == [] and page.evaluate("document.title") == "What happens in the videos, and when"
        wanted = {f"file://{path}"} if embed else {f"file://{path}", f"file://{folder}/clip.webm"}
        assert {address for address in page.requests if not address.startswith("data:")} == wanted


@pytest.mark.slow
@needs_browser
def test_a_file_that_the_browser_does_not_play_is_said(folder):
    (folder / "text.mp4").write_bytes(b"no video")
    path = write(folder, str(folder / "text.mp4"))
    with open_page(path, width=800, height=800) as page:
        wait_for(page, "document.querySelector('.player').hidden", True)
        said = page.evaluate("document.querySelector('.unplayable').textContent")
        assert said.startswith("This browser does not play text.mp4")
        assert page.evaluate("document.querySelector('.unplayable').hidden") is False
