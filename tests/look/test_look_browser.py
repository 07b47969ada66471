"""t5gemma2-look's page in headless Chromium: drawing without errors, keys, colours, folding, SVG, light, dark and narrow pages.

Needs what test_look.py needs, selenium, and chromium with chromedriver (Debian: chromium-driver).
Run: pytest tests/look/test_look_browser.py; LOOK_SCREENSHOTS=FOLDER keeps screenshots.
"""
import io
import os
import re
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from page import BASIC, look, make_image, make_model, with_long_prompt, with_weights
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    model, image = make_model(folder / "model"), make_image(folder / "wide.ppm", 120, 70)
    words = ["-n", 0, "--decoder-prompt", "Once upon a time </script> & <b>in</b> a small village by the sea."]
    return {"image": look(model, folder / "image.html", "--image", image, "-p", "A <start_of_image> fox", *words),
            "text": look(model, folder / "text.html", "-p", "The quick\n\nbrown fox", "-n", 12),
            "long": look(model, folder / "long.html", "-p", "The quick brown fox. " * 60, *words),
            "long_decoder": look(model, folder / "long_decoder.html", "-n", 40, "--decoder-prompt", "story one " * 120),
            "decoder": look(model, folder / "decoder.html", *words),
            "folder": folder}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    yield from chromium(tmp_path_factory.mktemp("profile"), "browser")


@pytest.fixture
def browser(driver):
    yield driver
    assert driver.get_log("browser") == []


def resize(browser, width, height, mobile=False):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})


def open_page(browser, pages, name, fragment="", width=1200, height=900, dark=False):
    resize(browser, width, height, mobile=width < 600)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get("about:blank")  # a change of the fragment alone would not load the page again
    browser.get((pages["folder"] / f"{name}.html").as_uri() + fragment)


def find(browser, css):
    return browser.find_element(By.CSS_SELECTOR, css)


def shown(browser):
    """The selected word, layer and head."""
    word = browser.execute_script("return [...document.querySelectorAll('.word')].findIndex("
                                  "word => word.classList.contains('selected'))")
    return word, *(int(find(browser, f"#{name}").get_property("value")) for name in ("layer", "head"))


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


@pytest.mark.parametrize("name", ["image", "text", "decoder"])
@pytest.mark.parametrize(("look_name", "width", "dark"), [("light", 1200, False), ("dark", 1200, True),
                                                          ("narrow", 360, False)])
def test_renders(browser, pages, name, look_name, width, dark):
    open_page(browser, pages, name, "#word=3", width=width, dark=dark)
    if folder := os.environ.get("LOOK_SCREENSHOTS"):
        browser.save_screenshot(Path(folder) / f"{name}-{look_name}.png")
    page = pages[name]
    assert len(browser.find_elements(By.CSS_SELECTOR, "button.word")) == page.data["shown"]
    assert len(browser.find_elements(By.CSS_SELECTOR, ".token")) == len(page.data["prompt"])
    assert shown(browser) == (page.data["first"] + min(2, page.data["shown"] - 1), -1, -1)
    assert find(browser, "#prompt-card").is_displayed() == (name != "decoder")
    assert find(browser, "#images").is_displayed() == (name == "image")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    light = browser.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128")
    assert light != dark


def test_numbers_reach_the_screen(browser, pages):
    page = pages["image"]
    open_page(browser, pages, "image", "#word=2&layer=1&head=2")
    weights, shares = page.weights[1, 1, 2], page.sums[1, 1, 2]
    for piece, token in zip(page.data["prompt"], browser.find_elements(By.CSS_SELECTOR, ".token"), strict=True):
        share = float(token.get_attribute("title").split(" %")[0]) / 100
        assert share == pytest.approx(weights[piece["first"]:piece["first"] + piece["size"]].sum(), abs=6e-4)
    shown_shares = [float(entry.text.split(" %")[0].split()[-1]) / 100
                    for entry in browser.find_elements(By.CSS_SELECTOR, "#share .key span")]
    assert shown_shares == pytest.approx([shares[2], shares[0], shares[1]], abs=6e-4)


def test_grid_lies_over_the_image(browser, pages):
    page = pages["image"]
    open_page(browser, pages, "image", "#word=1")
    image, canvas = find(browser, ".image-frame img"), find(browser, ".image-frame canvas")
    assert image.rect == canvas.rect and image.rect["width"] > 300
    assert image.rect["width"] / image.rect["height"] == pytest.approx(56 / 32, rel=0.01)
    # the square of the image token with the largest weight is the hottest; the pointer shows its position
    first = next(piece["first"] for piece in page.data["prompt"] if piece["kind"] == "image")
    cells = page.weights[0].mean((0, 1))[first:first + 16]
    row, column = divmod(int(cells.argmax()), 4)
    red = browser.execute_script("return [...arguments[0].getContext('2d').getImageData(0, 0, 4, 4).data]", canvas)[::4]
    assert red[int(cells.argmax())] == max(red) > min(red)
    width, height = canvas.rect["width"], canvas.rect["height"]
    ActionChains(browser).move_to_element_with_offset(
        canvas, int((column + .5) * width / 4 - width / 2), int((row + .5) * height / 4 - height / 2)).perform()
    assert find(browser, "figcaption").text.endswith(f"row {row + 1}, column {column + 1}: {100 * cells.max():.1f} %")


def test_keys(browser, pages):
    first, shown_words = pages["image"].data["first"], pages["image"].data["shown"]
    open_page(browser, pages, "image")
    assert shown(browser) == (first, -1, -1)
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert shown(browser) == (first + 2, -1, -1)
    press(browser, Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    assert shown(browser) == (first + 1, 0, -1)
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN).key_up(Keys.SHIFT).perform()
    assert shown(browser) == (first + 1, 0, 1)
    press(browser, Keys.ARROW_UP, Keys.END, Keys.ARROW_RIGHT)
    assert shown(browser) == (first + shown_words - 1, -1, 1)
    assert browser.current_url.endswith(f"#word={shown_words}&layer=all&head=1")
    press(browser, Keys.ESCAPE, Keys.HOME, Keys.ARROW_LEFT)
    assert shown(browser) == (first, -1, -1)


def test_pointer_and_controls(browser, pages):
    first = pages["image"].data["first"]
    open_page(browser, pages, "image")
    words = browser.find_elements(By.CSS_SELECTOR, "button.word")
    ActionChains(browser).move_to_element(words[3]).perform()
    assert shown(browser)[0] == first + 3 and "word 1 of" in find(browser, "#position").text
    ActionChains(browser).move_to_element(find(browser, "h1")).perform()
    assert shown(browser)[0] == first
    words[2].click()
    press(browser, Keys.ARROW_RIGHT)  # the focus follows
    assert "word 4 of" in find(browser, "#position").text
    assert browser.switch_to.active_element.get_attribute("aria-label") == words[3].get_attribute("aria-label")
    Select(find(browser, "#layer")).select_by_index(2)
    assert shown(browser)[1:] == (1, -1)
    browser.find_elements(By.CSS_SELECTOR, "#map button")[0].click()
    assert shown(browser)[1:] == (0, 0)
    find(browser, "#reset").click()
    assert shown(browser)[1:] == (-1, -1)
    browser.execute_script("scrollTo(0, 0)")
    find(browser, "#plain").click()
    assert not find(browser, ".image-frame canvas").is_displayed()


def test_layers_and_heads_count_from_0(browser, pages):
    open_page(browser, pages, "image", "#word=2&layer=0&head=3")
    assert shown(browser)[1:] == (0, 3)
    assert "layer 0, head 3" in find(browser, "#share h2").text
    for name, count in (("layer", 2), ("head", 4)):
        texts = [option.text.split(",")[0] for option in Select(find(browser, f"#{name}")).options]
        assert texts == ["all", *map(str, range(count))]
    cells = browser.find_elements(By.CSS_SELECTOR, "#map button")
    assert cells[0].get_attribute("title").startswith("layer 0 ") and "head 0:" in cells[0].get_attribute("title")
    assert [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#map span")] == [*"0123", "", *"01"]
    find(browser, "#reset").click()
    assert browser.current_url.endswith("#word=2&layer=all&head=all")


@pytest.mark.parametrize(("fragment", "expected"), [
    ("#layer=all&head=all", (-1, -1)), ("#layer=1", (1, -1)), ("#layer=99&head=2", (1, 2)),
    ("#layer=-3&head=x", (-1, -1)), ("#word=0&layer=", (-1, -1))])
def test_addresses(browser, pages, fragment, expected):
    open_page(browser, pages, "image", fragment)
    assert shown(browser) == (pages["image"].data["first"], *expected)


@pytest.fixture(scope="module")
def crafted(pages):
    """A page with a sink of 96.7 %; 1 % on a word, a token and a square, 0.1 % on others, nothing elsewhere."""
    page = pages["image"]
    image = next(piece["first"] for piece in page.data["prompt"] if piece["kind"] == "image")
    token, words = page.data["prompt"][-1]["first"], len(page.part_of) - len(page.data["words"])
    weights = np.zeros(len(page.part_of))
    weights[[image + 5, token, words + 1]] = 0.01
    weights[[image + 6, token - 1, words + 2]] = 0.001
    weights[words] = 1 - weights.sum()
    other = weights.copy()  # the second word has another largest and another smallest weight
    other[words], other[image + 6:image + 16] = 0.3, 0
    other[image] = 1 - other.sum()
    every = np.broadcast_to(weights, page.weights.shape).copy()
    every[1] = other
    return with_weights(page, pages["folder"] / "crafted.html", every)


def heats(browser, css):
    return browser.execute_script("return [...document.querySelectorAll(arguments[0])].map("
                                  "made => Number(made.style.getPropertyValue('--heat')))", css)


def squares(browser):
    """The colours of the squares, [16, 4]: red, green, blue, opacity."""
    pixels = browser.execute_script("return [...document.querySelector('.image-frame canvas').getContext('2d')"
                                    ".getImageData(0, 0, 4, 4).data]")
    return np.array(pixels).reshape(16, 4)


def heat(share):
    return np.clip(1 + np.log10(np.maximum(share, 1e-9)) / 4, 0, 1)


def test_colours_are_absolute(browser, pages, crafted):
    """The same share has the same strength for a word, a token and a square, whatever the largest share is."""
    for number in (1, 2):
        open_page(browser, pages, "crafted", f"#word={number}")
        words, tokens = heats(browser, ".word"), heats(browser, ".token")
        assert words[:4] == pytest.approx(heat([[0.967, 0.3][number - 1], 0.01, 0.001, 0]), abs=0.01)
        assert tokens[-1] == pytest.approx(0.5, abs=0.005)
        assert squares(browser)[5] == pytest.approx([130, 26, 96, 127.5], abs=2)  # the middle of the scale
        assert squares(browser)[10] == pytest.approx([10, 12, 38, 0.62 * 255], abs=2)  # nothing
    legend = find(browser, "#legend")
    assert find(browser, ".axis").text.split("\n") == ["0.01", "0.1", "1", "10", "100 %"]
    assert [row for row in legend.text.split("\n") if row.isalpha()] == ["words", "prompt", "squares"]
    for name, variable in (("own", "--own"), ("prompt", "--prompt")):
        opacity = browser.execute_script("return [...document.querySelectorAll(`.colours .${arguments[0]}`)].map("
                                         "one => Number(getComputedStyle(one).backgroundColor.match(/[\\d.]+/g)[3] ?? 1))", name)
        assert opacity == pytest.approx(np.linspace(0, 0.7, len(opacity)), abs=0.01) and len(opacity) > 20, variable


def test_switch_makes_colours_relative(browser, pages, crafted):
    open_page(browser, pages, "crafted", "#word=1")
    find(browser, "#relative").click()
    assert browser.current_url.endswith("#word=1&layer=all&head=all&relative=on")
    browser.refresh()
    assert find(browser, "#relative").is_selected()
    words = heats(browser, ".word")
    assert words[:4] == pytest.approx([1, 1, 0.1, 0], abs=0.01)
    assert squares(browser)[5] == pytest.approx([255, 205, 70, 0.55 * 255], abs=2)
    assert len(re.findall(r"100 = 1\.00? %", find(browser, "#legend").text)) == 3
    find(browser, "#relative").click()
    assert browser.current_url.endswith("#word=1&layer=all&head=all")
    assert heats(browser, ".word")[1] == pytest.approx(0.5, abs=0.005)


def test_switches_are_part_of_the_address(browser, pages):
    open_page(browser, pages, "long", "#relative=on&ids=on&whole=on")
    assert find(browser, "#relative").is_selected() and find(browser, "#ids").is_selected()
    assert browser.find_elements(By.CSS_SELECTOR, ".gap") == []
    open_page(browser, pages, "image", "#plain=on")
    assert find(browser, "#plain").is_selected() and not find(browser, ".image-frame canvas").is_displayed()


def test_a_sink_is_named(browser, pages, crafted):
    open_page(browser, pages, "crafted", "#word=1")
    assert find(browser, "#sinks").text == "Attention sink: decoder's <bos> 96.7 %"
    sinks = browser.find_elements(By.CSS_SELECTOR, ".sink")
    assert [sink.text.split("\n")[0] for sink in sinks] == ["<bos>"]
    assert "attention sink" in find(browser, "#reading").text


def test_no_sink(browser, pages):
    """The largest shares are those of an ordinary word and an ordinary token."""
    page = pages["image"]
    words = len(page.part_of) - len(page.data["words"])
    weights = np.zeros(len(page.part_of))
    weights[[0, page.data["prompt"][-1]["first"], words, words + 1]] = 0.01, 0.3, 0.09, 0.6
    pages["no_sink"] = with_weights(page, pages["folder"] / "no_sink.html", weights)
    open_page(browser, pages, "no_sink", "#word=1")
    assert find(browser, "#sinks").text == "No attention sink here: decoder's <bos> 9.0 %, prompt's <bos> 1.0 %"
    assert browser.find_elements(By.CSS_SELECTOR, ".sink") == []


def test_without_a_tokenizer_nothing_is_special(browser, pages):
    pages["ids"] = look(BASIC, pages["folder"] / "ids.html", "--input-ids", "2,5,7", "-n", 3)
    open_page(browser, pages, "ids")
    assert [token.text for token in browser.find_elements(By.CSS_SELECTOR, ".token")] == ["2", "5", "7"]
    assert find(browser, "#sinks").text == ""


def test_marks_are_explained(browser, pages):
    open_page(browser, pages, "text")
    text = find(browser, "#reading").text
    assert "Line under a word: the shares of that word's own softmax (own past, prompt)" in text and "Italics: given" in text
    open_page(browser, pages, "decoder")  # all words are given, so none is in italics
    assert "Italics" not in find(browser, "#reading").text and "(own past)" in find(browser, "#reading").text


@pytest.mark.parametrize("name", ["image", "text"])
def test_probabilities_and_ids(browser, pages, name):
    page = pages[name]
    for number in (1, page.data["shown"]):
        open_page(browser, pages, name, f"#word={number}")
        tokens = page.data["predictions"][number - 1]
        tables = browser.find_elements(By.CSS_SELECTOR, "#predictions table")
        assert len(tables) == len(tokens)
        for table, token in zip(tables, tokens, strict=True):
            rows = table.find_elements(By.CSS_SELECTOR, "tr")
            expected = token["best"] + [token] * (token["rank"] > 5)
            assert [int(row.find_element(By.CSS_SELECTOR, ".id").text) for row in rows] == [one["id"] for one in expected]
            for row, one in zip(rows, expected, strict=True):
                told = row.find_elements(By.CSS_SELECTOR, "td")[2].text
                assert told == "<0.01 %" or float(told.rstrip(" %")) / 100 == pytest.approx(one["probability"], abs=6e-4)
            [written] = table.find_elements(By.CSS_SELECTOR, ".written")
            assert written.find_element(By.CSS_SELECTOR, "td").text == str(token["rank"])
            assert int(written.find_element(By.CSS_SELECTOR, ".id").text) == token["id"]


def test_switch_shows_ids(browser, pages):
    open_page(browser, pages, "text")
    assert not any(made.is_displayed() for made in browser.find_elements(By.CSS_SELECTOR, ".word .id, .token .id"))
    find(browser, "#ids").click()
    for css, pieces in ((".word .id", pages["text"].data["words"]), (".token .id", pages["text"].data["prompt"])):
        assert [made.text for made in browser.find_elements(By.CSS_SELECTOR, css)] == [" ".join(map(str, piece["ids"])) for piece in pieces]


def test_long_prompt_is_folded(browser, pages):
    """Its ends are shown, and pieces inside with large weights; a gap shows the count and the share of the hidden ones."""
    page = pages["long"]
    size, words = len(page.data["prompt"]), len(page.part_of) - len(page.data["words"])
    weights = np.full(len(page.part_of), 0.2 * (2 / 255) ** 2)  # 0.00123 %
    weights[150] = 0.2
    weights[words] = 1 - weights.sum() + weights[words]
    every = np.broadcast_to(weights, page.weights.shape).copy()
    every[2, ..., [150, 100]] = every[2, ..., [100, 150]]
    pages["folded"] = with_weights(page, pages["folder"] / "folded.html", every)

    def visible():
        return browser.execute_script("return tokens.flatMap((token, i) => token.isConnected ? [i] : [])")

    def hidden():
        return sum(int(gap.text.split()[1]) for gap in browser.find_elements(By.CSS_SELECTOR, ".gap"))

    open_page(browser, pages, "folded", "#word=1")
    assert {*range(40), *range(146, 155), *range(size - 40, size)} == set(visible())
    assert hidden() == size - len(visible()) > 100
    gap = find(browser, ".gap").text
    assert gap == "⋯ 106 tokens, 0.13 % ⋯"
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)  # the third word has its weights elsewhere
    assert 100 in visible() and 150 not in visible()
    find(browser, "#whole").click()
    assert visible() == list(range(size)) and hidden() == 0 and "whole=on" in browser.current_url
    find(browser, "#whole").click()
    assert hidden() > 0 and "whole" not in browser.current_url
    find(browser, ".gap").click()
    assert hidden() == 0
    open_page(browser, pages, "text")
    assert not find(browser, "#whole").is_displayed() and hidden() == 0


def test_as_long_a_prompt_as_models_take(browser, pages):
    """More tokens than a call can have arguments, all of them shown."""
    tokens = 140000
    with_long_prompt(pages["text"], pages["folder"] / "longest.html", tokens)
    open_page(browser, pages, "longest", "#relative=on")
    assert find(browser, "#legend").text.count("100 = ") == 2 and len(browser.find_elements(By.CSS_SELECTOR, ".gap")) == 2
    find(browser, "#whole").click()
    assert browser.execute_script("return document.querySelectorAll('#prompt .token').length") == tokens


def test_svg_of_more_boxes_than_a_call_takes_arguments(browser, pages):
    """Plain boxes: the texts of such a prompt would take minutes."""
    boxes = 140000
    open_page(browser, pages, "text")
    drawn = browser.execute_script("""
        const box = '<div style="height: 1px; background: red"></div>';
        $('about').innerHTML = box.repeat(arguments[0]);
        return svgOfPage().split('"rgb(255,0,0)"').length - 1;""", boxes)
    assert drawn == boxes


def test_long_decoder_prompt_is_folded(browser, pages):
    page = pages["long_decoder"]
    open_page(browser, pages, "long_decoder")
    gaps = browser.find_elements(By.CSS_SELECTOR, "#words .gap")
    given = len(browser.find_elements(By.CSS_SELECTOR, "#given .word"))
    assert given + sum(int(gap.text.split()[1]) for gap in gaps) == page.data["first"] and gaps
    words = browser.find_elements(By.CSS_SELECTOR, "button.word")
    assert len(words) == page.data["shown"]


def test_nothing_moves_under_the_pointer(browser, pages):
    """Although the word under the pointer has its weights at another place inside the fold than the chosen one."""
    page = pages["long_decoder"]
    every = np.full(page.weights.shape, 1e-5)
    every[0, ..., 100] = every[1, ..., 60] = every[1, ..., 130] = 0.3
    pages["pointer"] = with_weights(page, pages["folder"] / "pointer.html", every / every.sum(-1, keepdims=True))
    open_page(browser, pages, "pointer", "#word=1", width=700)
    words = browser.find_elements(By.CSS_SELECTOR, "button.word")
    places = [word.rect for word in words]
    ActionChains(browser).move_to_element(words[1]).perform()
    assert "selected" in words[1].get_attribute("class") and [word.rect for word in words] == places
    assert not browser.execute_script("return words[60].isConnected") and browser.execute_script("return words[100].isConnected")
    words[1].click()
    assert browser.execute_script("return words[60].isConnected")


def test_runners_up_show_their_spaces(browser, pages):
    open_page(browser, pages, "text")
    told = browser.execute_script("return [exact(' hen'), exact('hen'), exact('  '), exact(' a\\n')]")
    assert told == ["␣hen", "hen", "␣␣", "␣a↵"]


SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def saved(browser, tmp_path):
    """Presses the button and reads the file that it saves."""
    browser.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})

    def save():
        find(browser, "#save").click()
        for _ in range(100):
            if files := list(tmp_path.glob("*.svg")):
                return files[0], ElementTree.parse(files[0]).getroot()
            time.sleep(0.1)
        raise AssertionError("nothing was saved")

    return save


def screenshot_of(browser):
    return np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB"), float)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (360, False)])
def test_svg_alone_looks_like_the_page(browser, pages, crafted, saved, width, dark):
    open_page(browser, pages, "crafted", "#word=2&layer=1&head=0&ids=on", width=width, height=2400, dark=dark)
    file, svg = saved()
    assert file.name == "look-word-2-layer-1-head-0-ids-on.svg"
    browser.execute_script("document.body.classList.add('saving')")
    page = screenshot_of(browser)
    resize(browser, width, 2400)
    browser.get(file.as_uri())
    if folder := os.environ.get("LOOK_SCREENSHOTS"):
        browser.save_screenshot(Path(folder) / f"svg-{width}-{'dark' if dark else 'light'}.png")
    difference = np.abs(screenshot_of(browser) - page)[:int(float(svg.get("height"))), :int(float(svg.get("width")))]
    assert difference.mean() < 2.5 and (difference.max(-1) > 60).mean() < 0.02


def test_svg_holds_what_is_shown(browser, pages, crafted, saved):
    open_page(browser, pages, "crafted", "#word=1")
    file, svg = saved()
    text = file.read_text(encoding="utf-8")
    assert "http" not in text.replace(SVG.strip("{}"), "") and "url(" not in text
    [image] = svg.iter(f"{SVG}image")
    assert image.get("href") == crafted.data["images"][0]["source"]
    cells = [rect for group in svg.iter(f"{SVG}g") for rect in group.iter(f"{SVG}rect")]
    drawn = [[*map(int, re.findall(r"\d+", cell.get("fill"))), 255 * float(cell.get("fill-opacity"))] for cell in cells]
    np.testing.assert_allclose(drawn, squares(browser), atol=0.5)
    texts = [made.text for made in svg.iter(f"{SVG}text")]
    for word in crafted.words():
        assert word.strip() in texts
    for told in ("Attention sink: decoder's <bos> 96.7 %", "0.01", "100 %", "squares", "image 1: wide.ppm — 1.1 %"):
        assert told in texts
    fills = [float(rect.get("fill-opacity")) for rect in svg.iter(f"{SVG}rect") if rect.get("fill") == "rgb(124,92,210)"]
    assert any(abs(fill - 0.35) < 0.005 for fill in fills) and any(abs(fill - 0.698) < 0.005 for fill in fills)
