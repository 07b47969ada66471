"""t5gemma2-look's page in headless Chromium: renders, no errors, keys, light, dark, narrow.

Needs what test_look.py needs, selenium, and chromium with chromedriver (Debian: chromium-driver).
Run: pytest tests/look/test_look_browser.py; LOOK_SCREENSHOTS=FOLDER keeps pictures of what it saw.
"""
import os
import shutil
from pathlib import Path

import pytest
from page import look, make_image, make_model
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    model, image = make_model(folder / "model"), make_image(folder / "wide.ppm", 120, 70)
    words = ["-n", 0, "--decoder-prompt", "Once upon a time </script> & <b>in</b> a small village by the sea."]
    return {"image": look(model, folder / "image.html", "--image", image, "-p", "A <start_of_image> fox", *words),
            "text": look(model, folder / "text.html", "-p", "The quick\n\nbrown fox", "-n", 12),
            "decoder": look(model, folder / "decoder.html", *words),
            "folder": folder}


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    for flag in [*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    errors = driver.get_log("browser")
    driver.quit()
    assert errors == []


def open_page(browser, pages, name, fragment="", width=1200, height=900, dark=False):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get((pages["folder"] / f"{name}.html").as_uri() + fragment)


def find(browser, css):
    return browser.find_element(By.CSS_SELECTOR, css)


def shown(browser):
    """What is selected: word, layer, head."""
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
    assert find(browser, "#pictures").is_displayed() == (name == "image")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    light = browser.execute_script("return getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] > 128")
    assert light != dark


def test_numbers_reach_the_screen(browser, pages):
    page = pages["image"]
    open_page(browser, pages, "image", "#word=2&layer=2&head=3")
    weights, shares = page.weights[1, 1, 2], page.sums[1, 1, 2]
    for piece, token in zip(page.data["prompt"], browser.find_elements(By.CSS_SELECTOR, ".token"), strict=True):
        share = float(token.get_attribute("title").split(" %")[0]) / 100
        assert share == pytest.approx(weights[piece["first"]:piece["first"] + piece["size"]].sum(), abs=6e-4)
    shown_shares = [float(entry.text.split(" %")[0].split()[-1]) / 100
                    for entry in browser.find_elements(By.CSS_SELECTOR, "#share .key span")]
    assert shown_shares == pytest.approx([shares[2], shares[0], shares[1]], abs=6e-4)


def test_grid_lies_over_the_picture(browser, pages):
    page = pages["image"]
    open_page(browser, pages, "image", "#word=1")
    picture, canvas = find(browser, ".picture img"), find(browser, ".picture canvas")
    assert picture.rect == canvas.rect and picture.rect["width"] > 300
    assert picture.rect["width"] / picture.rect["height"] == pytest.approx(56 / 32, rel=0.01)
    # the square of the image token that got most is the hottest; its place is told under the pointer
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
    assert browser.current_url.endswith(f"#word={shown_words}&layer=0&head=2")
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
    press(browser, Keys.ARROW_RIGHT)  # the focus goes along
    assert "word 4 of" in find(browser, "#position").text
    assert browser.switch_to.active_element.get_attribute("aria-label") == words[3].get_attribute("aria-label")
    Select(find(browser, "#layer")).select_by_index(2)
    assert shown(browser)[1:] == (1, -1)
    browser.find_elements(By.CSS_SELECTOR, "#map button")[0].click()
    assert shown(browser)[1:] == (0, 0)
    find(browser, "#reset").click()
    assert shown(browser)[1:] == (-1, -1)
    find(browser, "#heat").click()
    assert not find(browser, ".picture canvas").is_displayed()
