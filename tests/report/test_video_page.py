"""The page of one video: what it says by value, and what a reader can do with it in a browser."""

import base64
import dataclasses
import datetime
import io
import re
import urllib.parse

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from l2l.inference.result import Asked, Choice, Moment, Result
from l2l.media.decoding.decoder import Decoders
from l2l.media.picture import jpeg
from l2l.media.picture.thumbnails import read_pictures
from l2l.media.tally import Decoded
from l2l.models.backbones import frontend
from l2l.report import video_page, video_parts
from tests.helpers import browser as chrome
from tests.helpers.browser import wait_for
from tests.helpers.videos import number_of, write_video

EVIL = "<img src=x onerror=alert(1)> & \"b\" 'c'.mp4"
LABELS = ("<script>alert('x')</script>", "tuning a guitar", "naïve")
SECONDS, FPS = 12.0, 15
TIMES = np.arange(12, dtype=np.float32) + 0.5
PICKS = {"image": (8, 2, 5), "audio": (3, 3, 9)}
WEIGHTS = {"image": (0.3, 0.1, 0.2), "audio": (0.05, 0.2, 0.15)}
SHARES = np.array([(0.9, 0.1), (0.25, 0.75), (0.5, 0.5)], np.float32)


def result_of(path, **changes):
    """What a skimmer with three looks might find."""
    found = Result(
        path=str(path),
        asked=Asked("skim", "0123456789abcdef", 3, 2, True),
        labels=LABELS,
        scores=np.array([0.2, 0.7, 0.1], np.float32),
        calibrated=False,
        moments=tuple(Moment(m, float(TIMES[PICKS[m][t]]), WEIGHTS[m][t], t + 1) for t in range(3) for m in PICKS),
        times=TIMES,
        indexed=np.ones(12, bool),
        attention={m: np.eye(12, dtype=np.float32)[list(PICKS[m])] for m in PICKS},
        shares=SHARES,
        evidence=np.array([[0.5, 0.3, 0.2], [0.4, 0.5, 0.1], [0.2, 0.7, 0.1]], np.float32),
        looks=3,
        silence="",
        notes=(),
        gmacs={"indexing": 12.0, "skimming": 0.5, "recognition": 0.0},
        seconds={"decode": 0.5, "features": 1.25, "skimming": 0.25, "compile": 0.75},
        decoded={"image": Decoded(1.25, 4_321), "audio": Decoded(12.0, 1_234_567)},
    )
    return dataclasses.replace(found, **changes)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Twelve seconds with a keyframe every second and clicks in the fourth and the tenth."""
    path = tmp_path_factory.mktemp("videos") / EVIL
    return write_video(path, seconds=SECONDS, fps=FPS, clicks=(3.25, 9.75), options={"g": "15", "sc_threshold": "0"})


@pytest.fixture(scope="module")
def page(video, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(video_page.html_of(result_of(video), video, folder=path.parent), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chrome.chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def test_pictures_are_those_on_display(video):
    times = (7.0, 0.45, 99.0, 3.3, 3.3)
    found = read_pictures(video, times, short_side=36)
    assert [number_of(jpeg.decode_jpeg(x)) for x in found] == [105, 6, 179, 49, 49]
    assert jpeg.decode_jpeg(found[0]).shape == (36, 48, 3)
    near = read_pictures(video, (6.6, 7.4, 7.6), short_side=36, slack=0.45)
    assert [number_of(jpeg.decode_jpeg(x)) for x in near] == [105, 105, 120]  # the keyframes
    assert read_pictures(video, (), short_side=36) == []


def test_axis():
    stretch = video_parts.axis(np.array([1.0, 3.0, 5.0]))
    assert (stretch.left, stretch.right, stretch.start, stretch.hop, stretch.positions) == (0, 6, 0, 2, 3)
    assert stretch.ticks == [(pytest.approx(100 * s / 6), f"0:0{s}") for s in range(6)]
    short = video_parts.axis(np.array([0.25, 0.75, 1.25]))
    assert [text for _, text in short.ticks] == ["0:00.0", "0:00.5", "0:01.0"]
    whole = video_parts.axis(np.array([0.25, 5.25]), 8.0)
    assert (whole.left, whole.right, whole.start) == (0, 8, -2.25)
    assert video_parts.axis(np.array([0.5])).right == 1.0


def test_lanes_and_moments(video):
    result = result_of(video)
    for lane, m in zip(video_page.lanes(result), PICKS, strict=True):
        assert lane.modality == m
        assert lane.picks == [(p, t) for t, p in enumerate(PICKS[m])]
        assert lane.shares == SHARES[:, list(PICKS).index(m)].tolist()
        assert picture(lane.heat).size == (12, 3)
        assert np.asarray(picture(lane.heat))[..., 3].tolist() == (255 * result.attention[m]).tolist()
    reel = video_page.read(Decoders(), video, [8.5, 2.5, 5.5])
    assert reel.length == pytest.approx(SECONDS, abs=0.1)
    assert len(reel.strip) == video_page.STRIP
    shown = video_page.moments(result, reel)
    assert [x.number for x in shown["audio"]] == [1, 2, 3]
    assert [x.begin for x in shown["image"]] == [8.0, 2.0, 5.0]
    numbers = [number_of(np.asarray(picture(x.image).convert("RGB"))) for x in shown["image"]]
    assert numbers == [round(FPS * s) for s in (8.5, 2.5, 5.5)] or numbers == [127, 37, 82]
    bright = [np.asarray(picture(x.image).convert("L")).max(axis=0) > 150 for x in shown["audio"]]
    assert [b.any() for b in bright] == [True, True, True]
    assert abs(bright[0].argmax() - 25) <= 2  # a click at 3.25 s, in the second that begins at 3 s
    assert abs(bright[2].argmax() - 75) <= 2


def test_sound_is_the_log_mel_of_every_second():
    wave = np.random.default_rng(0).integers(-9000, 9000, 70 * frontend.RATE + 5, dtype=np.int16)
    mel = video_page.whole_mel(wave)
    assert mel.shape == (7100, frontend.BANDS)
    for second in (0, 63, 64, 69):
        alone = np.asarray(frontend.log_mel(wave[None, second * frontend.RATE : (second + 1) * frontend.RATE]))[0, :100]
        np.testing.assert_allclose(mel[100 * second : 100 * second + 100], alone, atol=1e-4)
    whole, seconds = video_page.sound_of(mel)
    assert seconds == pytest.approx(71.0, abs=0.05)
    assert picture(whole).size == (1420, frontend.BANDS)
    assert not video_page.heard(None, 3.0)


def test_evidence(video):
    drawn = video_page.evidence(result_of(video)).series
    assert [s.name for s in drawn] == [LABELS[1], LABELS[0], LABELS[2]]
    assert [text for _, _, text in drawn[0].marks] == ["1: 30", "2: 50", "3: 70"]
    assert video_page.evidence(result_of(video, evidence=np.zeros((0, 3), np.float32))) is None


def listening(path):
    """The same skimmer, had it chosen by sound alone: first by what it heard, which an eighth of a second says."""
    weights = np.zeros((3, 12), np.float32)
    weights[0, [9, 3, 0]] = 0.8, 0.08, 0.0008
    picks = enumerate(((9, 0.5), (3, 0.3), (5, 0.2)), start=1)
    moments = tuple(Moment("audio", float(TIMES[i]), w, look) for look, (i, w) in picks)
    costs = {"indexing": 0.5, "skimming": 0.5, "recognition": 0.75}
    return result_of(path, attention={"audio": weights}, moments=moments, gmacs=costs)


def test_what_was_heard_before_anything_was_seen(video):
    result = listening(video)
    found = video_page.prior_of(result, video_parts.axis(TIMES, SECONDS))
    heights = [1 - float(pair.split()[1]) for pair in found.outline[1:-1].split("L")[1:-1]]
    assert [round(h, 3) for h in heights] == [0, 0, 0, 0.667, 0, 0, 0, 0, 0, 1, 0, 0]
    assert found.outline.startswith("M0.5 1L0.5 1.000L1.5 ")
    assert found.chosen == (9.5, 3.5, 5.5)
    few = video_parts.prior(video_parts.axis(TIMES), result.attention["audio"][0], (), most=4)
    assert few.outline == "M1.5 1L1.5 1.000L4.5 0.333L7.5 1.000L10.5 0.000L10.5 1Z"


def test_moments_chosen_by_sound_show_both(video):
    result = listening(video)
    reel = video_page.read(Decoders(), video, [9.5, 3.5, 5.5])
    shown = video_page.moments(result, reel)
    assert [[(x.seconds, x.weight) for x in shown[m]] for m in ("audio", "image")] == [
        [(9.5, 0.5), (3.5, 0.3), (5.5, 0.2)]
    ] * 2
    assert number_of(np.asarray(picture(shown["image"][0].image).convert("RGB"))) in (142, 143)
    text = video_page.html_of(result, video)
    assert (
        text.index("spectrogram of the whole sound") < text.index("called for a look") < text.index("the video in 24")
    )
    assert "called for a look" not in video_page.html_of(result_of(video), video)


def test_what_was_decoded(video):
    text = re.sub(r"<[^>]*>", " ", video_page.html_of(result_of(video), video)).replace("&nbsp;", " ")
    assert re.search(r"Decoded of 0:12\s+picture\s+1.25 s\s+4.32 kB\s+sound\s+12.0 s\s+1.23 MB", text)


def read_out(page):
    """The words of a page."""
    return " ".join(
        re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).replace("&nbsp;", " ").split()
    )


def test_who_looked_and_when_and_for_how_long(video):
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    page = video_page.html_of(result_of(video), video)
    words = read_out(page)
    assert "Found by the run skim (0123456789abcdef), which knows 3 classes; " in words
    assert "it described one of 2 positions and looked until it was sure." in words
    made = datetime.datetime.fromisoformat(re.search(r'<time datetime="([^"]*)">', page)[1])
    assert before <= made <= datetime.datetime.now(datetime.UTC)
    assert re.search(r"Time: 2.75 seconds decode 0.500 features 1.25 skimming 0.250 compile 0.750", words)


def test_a_film_without_sound(video):
    """Two moments of the first look, one of the second, two of the third; none of them is a sound."""
    looks = ((8, 0.3, 1), (3, 0.1, 1), (2, 0.2, 2), (5, 0.2, 3), (9, 0.2, 3))
    silent = {
        "moments": tuple(Moment("image", float(TIMES[i]), w, look) for i, w, look in looks),
        "attention": {"image": np.full((3, 12), 1 / 12, np.float32)},
        "shares": np.array([[1, 0]] * 3, np.float32),
        "silence": "sound track is silent",
        "notes": ("sound track is silent", "this run knows little"),
    }
    result = result_of(video, **silent)
    (lane,) = video_page.lanes(result)
    assert (lane.modality, lane.picks) == ("image", [(8, 0), (3, 0), (2, 1), (5, 2), (9, 2)])
    page = video_page.html_of(result, video)
    words = read_out(page)
    assert "0:12, 12 clips, 3 looks, sound track is silent" in words
    assert "This run knows little." in words
    assert "Where it looked and listened" not in words
    assert 'class="moments audio"' not in page
    assert "attention over sound" not in words
    assert [float(at) for at in re.findall(r'data-at="([^"]*)"', page)] == [8.0, 3.0, 2.0, 5.0, 9.0]
    assert "1 0:08.5 30 %" in words
    assert "There are none." in read_out(video_page.html_of(result_of(video, moments=()), video))


def test_names_stay_text_and_nothing_is_fetched(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<script>") == 1
    assert "<img src=x" not in text
    rest = re.sub(r"(base64,|sha256-)[\w+/=]+|file:///", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", rest)
    links = re.findall(r'(?:src|href)="([^"]*)"', rest)
    assert {urllib.parse.unquote(x).rpartition("/")[2] for x in links if not x.startswith("data:")} == {EVIL}


def test_a_film_that_cannot_be_shown(tmp_path):
    result = result_of("x", attention={}, evidence=np.zeros((0, 3), np.float32), silence="no sound")
    for text in (video_page.html_of(result, None), video_page.html_of(result, tmp_path / "gone.mp4")):
        assert "Without pictures and sounds: " in text
        assert "<video" not in text
        assert "<button" not in text
    assert "gone.mp4" in text
    with_bytes = video_page.html_of(result_of("caf\udce9.mp4"), None)
    assert "caf?.mp4" in with_bytes


OWN = {"file", "data", "chrome", "chrome-untrusted"}  # the last two are the browser's own controls


def test_loads_in_a_browser(browser, page):
    chrome.look(browser, page)
    assert browser.title == EVIL
    assert browser.find_element("css selector", "h1").text == EVIL
    wait_for(browser, "return document.querySelector('video').readyState > 0")
    assert chrome.complaints(browser) == []
    assert chrome.requested(browser) <= OWN
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0


def test_a_small_film_is_not_blown_up(browser, page):
    chrome.look(browser, page)
    wait_for(browser, "return document.querySelector('video').readyState > 0")
    sizes = (
        "const v = document.querySelector('video'); return [v.clientWidth, v.clientHeight, v.videoWidth, v.videoHeight]"
    )
    width, height, *own = browser.execute_script(sizes)
    assert [width, height] == [3 * side for side in own]


def look_still(browser, page):
    """Opens a page whose player stays where it is put, however slow the machine; what was told to play says so."""
    chrome.look(browser, page)
    browser.execute_script("HTMLMediaElement.prototype.play = async function () { this.dataset.played = 'yes' }")


def moved_to(browser, low, high):
    """Waits until the player was put at a time between two and told to play."""
    wait_for(
        browser,
        f"""const v = document.querySelector('video');
        return v.dataset.played && !v.seeking && v.currentTime >= {low} && v.currentTime <= {high}""",
    )


def test_a_moment_moves_the_player(browser, page):
    look_still(browser, page)
    moments = browser.find_elements("css selector", "button.moment")
    assert [m.get_attribute("data-at") for m in moments] == ["8.0", "2.0", "5.0", "3.0", "3.0", "9.0"]
    moments[0].click()
    moved_to(browser, 8.0, 8.0)
    moments[1].click()
    moved_to(browser, 2.0, 2.0)
    line = "return document.querySelector('.now').getBoundingClientRect().left"
    band = browser.execute_script("return document.querySelector('.band').getBoundingClientRect().toJSON()")
    share = (browser.execute_script(line) - band["left"]) / band["width"]
    assert share == pytest.approx(2 / SECONDS, abs=0.01)


@pytest.mark.parametrize("sound", [True, False])
def test_a_film_whose_file_has_a_clock_of_its_own(browser, tmp_path, sound):
    """The picture begins at 2 s of the file, and so does the film, unless a sound began before."""
    how = {"codec": "libvpx", "audio_codec": "libopus", "sample_format": "flt", "rate": 48_000}
    path = write_video(tmp_path / "a.webm", times=2 + np.arange(60) / 10, seconds=8, audio=sound, **how)
    at = 3.05 if sound else 1.05
    result = result_of(path, moments=(Moment("image", at, 0.3),))
    (tmp_path / "page.html").write_text(video_page.html_of(result, path, folder=tmp_path), encoding="utf-8")
    look_still(browser, tmp_path / "page.html")
    (moment,) = browser.find_elements("css selector", "button.moment")
    moment.click()
    moved_to(browser, 3.05 - 0.5, 3.05)
    assert float(moment.get_attribute("data-at")) + (0 if sound else 2) == pytest.approx(
        browser.execute_script("return document.querySelector('video').currentTime"), abs=0.01
    )
    (shown,) = read_pictures(path, (at,), short_side=72)
    assert number_of(jpeg.decode_jpeg(shown)) == 10


def test_the_timeline_moves_the_player(browser, page):
    look_still(browser, page)
    heat = browser.find_element("css selector", "svg.heat")
    right = heat.size["width"] / 4
    ActionChains(browser).move_to_element_with_offset(heat, right, 0).click().perform()
    moved_to(browser, 0.74 * SECONDS, 0.76 * SECONDS)


def test_the_keyboard_is_enough(browser, page):
    look_still(browser, page)
    focused = "return document.activeElement.dataset.at || ''"
    for _ in range(30):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.execute_script(focused) == "5.0":
            break
    assert browser.execute_script(focused) == "5.0"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(outline) == "solid"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    moved_to(browser, 5.0, 5.0)


def test_a_player_that_has_not_yet_chosen_its_file_is_not_given_up(browser, page, tmp_path):
    small = tmp_path / "page.html"  # without pictures it is read so fast that the player has only begun to look
    small.write_text(re.sub(r'data:image/[^"]*', "", page.read_text(encoding="utf-8")), encoding="utf-8")
    for _ in range(8):
        chrome.look(browser, small)
        wait_for(browser, "return document.querySelector('video').readyState > 0")
        assert not browser.execute_script("return document.querySelector('.silent, button.moment:disabled')")


def test_a_file_that_went_away(browser, page, tmp_path):
    alone = tmp_path / "page.html"
    alone.write_text(re.sub(r'src="[.][.]/[^"]*"', 'src="gone.mp4"', page.read_text(encoding="utf-8")))
    chrome.look(browser, alone)
    wait_for(browser, "return document.querySelector('.unplayable').checkVisibility()")
    assert not browser.execute_script("return document.querySelector('video').checkVisibility()")
    assert browser.execute_script("return [...document.querySelectorAll('button.moment')].every(b => b.disabled)")


def test_the_video_beside_the_page(browser, page, video, tmp_path):
    alone = tmp_path / "page.html"
    alone.write_text(re.sub(r'src="[.][.]/[^"]*"', 'src="gone.mp4"', page.read_text(encoding="utf-8")))
    (tmp_path / video.name).write_bytes(video.read_bytes())
    chrome.look(browser, alone)
    wait_for(browser, "return document.querySelector('video').readyState > 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(browser, page, scheme):
    chrome.look(browser, page, screen=chrome.PHONE, scheme=scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    ink, ground = (
        sum(map(int, re.findall(r"\d+", browser.execute_script(f"return getComputedStyle(document.body).{name}"))[:3]))
        for name in ("color", "backgroundColor")
    )
    assert (ink > 600 and ground < 150) if scheme == "dark" else (ink < 150 and ground > 600)


def at_once(path, **changes):
    """What a run might find that chooses all its looks at once, by sound."""
    shares = np.zeros(12, np.float32)
    shares[[9, 3, 5]] = 0.5, 0.3, 0.2
    moments = tuple(
        Moment("both", float(TIMES[i]), w, t + 1) for t, (i, w) in enumerate(((9, 0.2), (3, 0.7), (5, 0.1)))
    )
    costs = {"indexing": 0.5, "skimming": 0.5, "recognition": 0.75}
    own = {"attention": {}, "moments": moments, "gmacs": costs, "choice": Choice("audio", TIMES, shares)}
    return result_of(path, **own | changes)


def test_what_was_chosen_at_once(video):
    result = at_once(video)
    found = video_page.prior_of(result, video_parts.axis(TIMES, SECONDS))
    heights = [1 - float(pair.split()[1]) for pair in found.outline[1:-1].split("L")[1:-1]]
    assert [round(h, 3) for h in heights] == [0, 0, 0, 0.6, 0, 0.4, 0, 0, 0, 1, 0, 0]
    assert found.chosen == (9.5, 3.5, 5.5)
    shown = video_page.moments(result, video_page.read(Decoders(), video, [9.5, 3.5, 5.5]))
    assert [(x.number, x.seconds, x.weight) for x in shown["both"]] == [(1, 3.5, 0.7), (2, 9.5, 0.2), (3, 5.5, 0.1)]
    assert number_of(np.asarray(picture(shown["both"][0].image).convert("RGB"))) in (52, 53)
    page = video_page.html_of(result, video)
    for words in (
        "what it heard: how much each position called for a look",
        "What counted most comes first",
        "it chose all its moments at once and read them until it was sure",
    ):
        assert words in page
    silent = at_once(video, silence="no sound", choice=Choice("image", TIMES[::4], np.array([0.2, 0.5, 0.3])))
    assert video_page.prior_of(silent, video_parts.axis(TIMES, SECONDS)).outline.startswith(
        "M0.5 1L0.5 0.600L4.5 0.000L8.5 "
    )
    assert "what it saw of every few positions" in video_page.html_of(silent, None)
