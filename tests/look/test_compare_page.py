"""The page of t5gemma2-compare --html in headless Chromium: its tree, the choice of a tensor, the heat map, light, dark and narrow.

Needs selenium, and chromium with chromedriver (Debian: chromium-driver).
Run: pytest tests/look/test_compare_page.py; COMPARE_SCREENSHOTS=FOLDER keeps screenshots.
"""
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from page import program
from safetensors.numpy import load_file, save_file
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

LAYER = "model.encoder.text_model.layers.1"
EMBEDDING = "model.encoder.text_model.embed_tokens"
PLANTED, FACTOR = f"{LAYER}.mlp.up_proj", f"{LAYER}.self_attn.q_proj"
NAN, RESHAPED, REMOVED = "model.decoder.norm", "model.decoder.embed_tokens", f"{LAYER}.mlp.act_fn"
SECOND_CALL = "model.decoder.layers.0.self_attn.k_proj[1]"
HOSTILE = '</script><!--<img src=x onerror="window.stolen = 1">.<b>{{style}}'
SIZES = [("light", 1600, False), ("dark", 1600, True), ("narrow", 360, False), ("narrow-dark", 360, True)]


def plant(tensors: dict[str, np.ndarray]) -> None:
    for name in tensors:
        if name.startswith("model."):
            tensors[name] *= 1 + 2e-7  # rounding
    tensors[FACTOR] *= 2
    tensors[PLANTED][0, 4, 400:] += 0.5
    tensors[SECOND_CALL] *= 1.001
    tensors[NAN][0, 0, 3] = np.nan
    tensors[RESHAPED] = tensors[RESHAPED][:, :, :5].copy()
    del tensors[REMOVED]
    tensors[HOSTILE] = np.ones((1, 2, 3), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages: equal, planted; ids, of a file whose first step is wrong and all others follow."""
    folder = tmp_path_factory.mktemp("compare")
    made = {}
    for name, words in (("equal", "ox cat"), ("ids", "ox dog")):
        file = folder / f"{name}.safetensors"
        assert program("trace", "-q", "-p", f"sort: {words}", "-o", file, "pocket").returncode == 0
        made[name] = load_file(file)
    planted = {name: tensor.copy() for name, tensor in made["equal"].items()}
    plant(planted)
    save_file(planted, folder / "planted.safetensors")
    save_file(made["ids"] | {"inputs.input_ids": made["equal"]["inputs.input_ids"]}, folder / "ids.safetensors")
    for name, code in (("equal", 0), ("planted", 1), ("ids", 1)):
        done = program("compare", "-q", "pocket", folder / f"{name}.safetensors", "--html", folder / f"{name}.html")
        assert (done.returncode, done.stderr) == (code, ""), done
        (folder / f"{name}.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    yield from chromium(tmp_path_factory.mktemp("profile"), "browser", "performance")


@pytest.fixture
def browser(driver):
    driver.get_log("performance")
    yield driver
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    # The browser's own first page may still be loading; what it asks for is not ours.
    asked = {request["request"]["url"] for request in sent if not request["documentURL"].startswith("chrome:")}
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "about"}


def open_page(browser, folder, name="planted", width=1200, dark=False):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get((folder / f"{name}.html").as_uri())


def find(browser, css):
    return browser.find_element(By.CSS_SELECTOR, css)


def text(browser, css):
    return find(browser, css).text


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def row(browser, name):
    """The row of a tensor; the modules around it are opened."""
    return browser.execute_script("""
        const node = leaves.find(leaf => leaf.tensor.name === arguments[0]);
        for (let above = node.parent; above; above = above.parent) above.open = true;
        drawTree();
        return node.row;""", name)


def measures(browser):
    return dict(browser.execute_script("return [...document.querySelectorAll('dt')].map("
                                       "dt => [dt.textContent, dt.nextSibling.textContent])"))


@pytest.mark.parametrize(("look", "width", "dark"), SIZES)
@pytest.mark.parametrize("name", ["planted", "equal", "ids"])
def test_renders(browser, folder, name, look, width, dark):
    open_page(browser, folder, name, width, dark)
    if kept := os.environ.get("COMPARE_SCREENSHOTS"):
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                {"width": width, "height": 1900, "deviceScaleFactor": 1, "mobile": width < 600})
        browser.save_screenshot(Path(kept) / f"{name}-{look}.png")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    light = browser.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128")
    assert light != dark
    report = " ".join((folder / f"{name}.txt").read_text().split())
    assert report.startswith(text(browser, "h1"))
    for guess in browser.find_elements(By.CSS_SELECTOR, ".guess"):
        assert " ".join(guess.text.split()) in report


@pytest.mark.parametrize(("look", "width", "dark"), SIZES)
def test_texts_can_be_read(browser, folder, look, width, dark):
    """WCAG's contrast of 4.5 between each text and what is behind it."""
    open_page(browser, folder, width=width, dark=dark)
    browser.execute_script("for (const node of nodes) node.open = true; drawTree();")
    low = browser.execute_script(r"""
        const parse = colour => colour.match(/[\d.]+/g).map(Number);
        const light = colour => parse(colour).slice(0, 3).map(x => x / 255)
          .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
          .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0.05);
        const behind = made => {
          const colour = getComputedStyle(made).backgroundColor;
          return parse(colour)[3] === 0 && made.parentElement ? behind(made.parentElement) : colour;
        };
        const low = [];
        for (const made of document.querySelectorAll('body *')) {
          if (![...made.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim())) continue;
          if (!made.checkVisibility()) continue;
          const both = [light(getComputedStyle(made).color), light(behind(made))];
          const contrast = Math.max(...both) / Math.min(...both);
          if (contrast < 4.5) low.push([made.className || made.id || made.tagName, made.textContent, contrast]);
        }
        return low;""")
    assert low == []


def test_tree_opens_to_the_first_that_is_wrong_by_itself(browser, folder):
    open_page(browser, folder)
    page = json.loads(re.search(r'id="data">(.*?)</script>', (folder / "planted.html").read_text(), re.DOTALL)[1])
    first = next(tensor["name"] for tensor in page["tensors"] if tensor.get("wrong_by_itself"))
    assert text(browser, "#name") == first == FACTOR
    shown = find(browser, ".row[aria-selected=true]")
    assert shown.is_displayed() and "q_proj!" in shown.text
    assert "wrong by itself" in text(browser, "#judgement")
    assert not browser.execute_script("return leaves.find(leaf => leaf.tensor.name === arguments[0]).row.checkVisibility()", NAN)


def test_rows(browser, folder):
    """In forward order, with the number or the verdict in words; a module has the largest error in it."""
    open_page(browser, folder)
    names = browser.execute_script("return leaves.map(leaf => leaf.tensor.name)")
    assert names.index(FACTOR) < names.index(PLANTED) < names.index(SECOND_CALL) < names.index(NAN)
    assert row(browser, SECOND_CALL).text.split("\n")[0].startswith("k_proj[1]")
    assert row(browser, NAN).text.endswith("NAN") and row(browser, RESHAPED).text.endswith("SHAPE")
    assert row(browser, HOSTILE).text.endswith("MISSING")
    told = browser.execute_script("return nodes.filter(node => !node.tensor).map(node => [errorOf(node.worst),"
                                  "Math.max(...node.children.map(child => errorOf(child.worst) ?? -1))])")
    assert all((error if error is not None else -1) == largest or largest is None for error, largest in told) and told
    output = row(browser, f"{LAYER}.self_attn")
    assert output.text.startswith("output")


def test_colours_follow_the_error(browser, folder):
    """From pale to strong on a light page, from dark to bright on a dark one."""
    for dark in (False, True):
        open_page(browser, folder, dark=dark)
        colours = browser.execute_script("""
            return [FACTOR, SECOND_CALL, SMALL].map(name => {
              const {error, tensor} = leaves.find(leaf => leaf.tensor.name === name);
              return [tensor.relative, ...getComputedStyle(error).backgroundColor.match(/\\d+/g).map(Number)];
            });""".replace("FACTOR", json.dumps(FACTOR)).replace("SECOND_CALL", json.dumps(SECOND_CALL))
            .replace("SMALL", json.dumps(f"{LAYER}.mlp.gate_proj")))
        errors, light = [colour[0] for colour in colours], [sum(colour[1:]) for colour in colours]
        assert errors == sorted(errors, reverse=True) and errors[0] > 100 * errors[1] > 1e4 * errors[2]
        assert light == sorted(light, reverse=dark)


def test_a_row_is_chosen_by_pointer_and_by_keys(browser, folder):
    open_page(browser, folder)
    row(browser, PLANTED).click()
    assert text(browser, "#name") == PLANTED
    assert find(browser, ".row[aria-selected=true]") == row(browser, PLANTED) == browser.switch_to.active_element
    press(browser, Keys.ARROW_DOWN)
    assert text(browser, "#name") == f"{LAYER}.mlp.down_proj"
    press(browser, Keys.ARROW_UP, Keys.ARROW_UP)
    assert text(browser, "#name") == f"{LAYER}.mlp.gate_proj"  # act_fn is not in the file
    press(browser, Keys.ARROW_LEFT, Keys.ARROW_LEFT)  # to the module mlp, which closes
    assert not row_is_shown(browser, PLANTED) and text(browser, "#name") == f"{LAYER}.mlp.gate_proj"
    press(browser, Keys.ENTER)
    assert row_is_shown(browser, PLANTED)
    press(browser, Keys.ARROW_RIGHT, Keys.END)
    assert browser.switch_to.active_element.get_attribute("aria-level") == "1"
    find(browser, "#worst").click()
    assert text(browser, "#name") == NAN and row_is_shown(browser, NAN)
    find(browser, "#first").click()
    assert text(browser, "#name") == FACTOR


def row_is_shown(browser, name):
    return browser.execute_script("return leaves.find(leaf => leaf.tensor.name === arguments[0]).row.checkVisibility()", name)


def test_measures(browser, folder):
    open_page(browser, folder)
    row(browser, PLANTED).click()
    told = measures(browser)
    assert told["max |diff|"] == "5.0e-01" and told["tolerance"] == "1.0e-04"
    assert told["wrong rows"] == "1 of 5, first token 4"
    assert re.match(r"token 4, feature 4\d\d: ours [-\d.e]+, yours [-\d.e]+$", told["worst"])
    assert told["SNR"].endswith(" dB") and told["units in the last place"].startswith("median ")
    row(browser, NAN).click()
    assert measures(browser)["relative"] == "not finite" and measures(browser)["worst"].endswith("yours not finite")
    row(browser, RESHAPED).click()
    assert list(measures(browser)) == ["shape"] and "ours is [1, 1, 128]" in text(browser, "#judgement")
    assert not find(browser, "#differences").is_displayed() and not find(browser, "#places").is_displayed()


def test_histogram(browser, folder):
    open_page(browser, folder)
    row(browser, PLANTED).click()
    counts = browser.execute_script("return chosen.tensor.histogram")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#histogram .bar")) == 40
    line = find(browser, "#histogram .tolerance").get_attribute("style")
    assert float(re.search(r"left: ([\d.]+)%", line)[1]) == pytest.approx(60, abs=0.01)  # 1e-4 of 1e-10 to 1
    bar = max(bar for bar, count in enumerate(counts) if count)
    browser.execute_script("moveCursor(histogram, 0, arguments[0] - 1); histogram.box.focus()", bar)
    press(browser, Keys.ARROW_RIGHT)
    assert f": {counts[bar]} number" in text(browser, "#histogram-told")


def test_heat_map_shows_the_planted_place(browser, folder):
    """Row 4 of 5, columns 400 to 511 of 512, in cells of 6 columns."""
    open_page(browser, folder)
    row(browser, PLANTED).click()
    reds = browser.execute_script("""
        const canvas = document.querySelector('#heat-map canvas');
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return [canvas.height, canvas.width, [...pixels].filter((_, i) => i % 4 === 2)];""")
    blue = np.array(reds[2]).reshape(reds[:2])
    assert blue.shape == (5, 86)
    strong = np.zeros(blue.shape, bool)
    strong[4, 66:] = True
    assert blue[strong].max() < 110 < blue[~strong].min()  # the colours of large differences have less blue
    canvas = find(browser, "#heat-map canvas")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    assert text(browser, "#heat-map-told").startswith("token 4, feature ")
    width, height = canvas.rect["width"], canvas.rect["height"]
    ActionChains(browser).move_to_element_with_offset(canvas, int(69.5 / 86 * width - width / 2), int(height * 0.4)).perform()
    assert re.match(r"token 4, feature 414 to 419: largest difference \d", text(browser, "#heat-map-told"))
    ActionChains(browser).click().send_keys(Keys.ARROW_UP, Keys.ARROW_LEFT).perform()
    assert text(browser, "#heat-map-told").startswith("token 3, feature 408 to 413: largest difference ")
    assert (text(browser, "#row-axis"), text(browser, "#column-axis")) == ("token", "feature")


def test_hostile_names_are_inert(browser, folder):
    open_page(browser, folder)
    assert browser.execute_script("return [window.stolen, document.querySelectorAll('img, script').length]") == [None, 2]
    row(browser, HOSTILE).click()
    assert text(browser, "#name") == HOSTILE


def test_equal_files_have_a_page(browser, folder):
    open_page(browser, folder, "equal")
    assert text(browser, "h1").startswith("PASSED: ") and not find(browser, "#first").is_displayed()
    assert browser.find_elements(By.CSS_SELECTOR, ".guess") == []


def test_what_follows_is_marked(browser, folder):
    open_page(browser, folder, "ids")
    assert text(browser, "#name") == EMBEDDING
    marks = browser.execute_script("return leaves.filter(leaf => leaf.tensor.verdict !== 'ok').map(leaf => leaf.mark)")
    assert marks[0] == "!" and set(marks[1:]) == {"~"} and len(marks) > 100
    row(browser, FACTOR).click()
    assert "follows from what comes before" in text(browser, "#judgement")
    assert row(browser, FACTOR).find_element(By.CSS_SELECTOR, ".mark").get_attribute("title") == "follows from what comes before"


def test_guesses(browser, folder):
    open_page(browser, folder)
    [guess] = browser.find_elements(By.CSS_SELECTOR, ".guess")
    assert guess.text.startswith("GUESS: all numbers are multiplied by 2\n")
    row(browser, NAN).click()
    guess.find_element(By.CSS_SELECTOR, "a").click()
    assert text(browser, "#name") == FACTOR


def test_lists(browser, folder):
    open_page(browser, folder)
    lists = find(browser, "#lists details")
    assert re.match(r"\d+ of ours not in your file", lists.text)
    lists.find_element(By.CSS_SELECTOR, "summary").click()
    assert REMOVED in lists.text.split("\n")
