"""The programs in daily use: images that change, waiting for input, input that cannot be read.

Needs weights_tool with its [test] extra and the built programs: T5GEMMA2_PROGRAMS is their folder (build/bin).
Run: pytest tests/look/test_programs.py
"""
import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from page import PROGRAMS, make_image, make_model, program

SEEDS = (0, 4)  # of images that the model below describes differently


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("programs") / "model")


def one_line_error(done, code: int, message: str) -> None:
    assert done.returncode == code and done.stderr.count("\n") == 1 and message in done.stderr, done.stderr


def noise(file, seed: int) -> str:
    """Writes an image of random colours, as PPM."""
    file.write_bytes(b"P6 40 30 255\n" + np.random.default_rng(seed).bytes(40 * 30 * 3))
    return str(file)


def answers(model, requests: list[dict]) -> list[dict]:
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([PROGRAMS / "t5gemma2-generate", "-m", model, "-q", "--jsonl", "-n", "9"], input=lines,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_images_in_several_requests(model, tmp_path):
    one, other = (noise(tmp_path / f"{seed}.ppm", seed) for seed in SEEDS)
    requests = [{"prompt": "<start_of_image> The", "images": images} for images in ([one], [other], [one])]
    requests.append({"prompt": "<start_of_image><start_of_image>", "images": [one, other]})
    together = answers(model, requests)
    assert together == [answers(model, [request])[0] for request in requests]
    assert together[0] == together[2] != together[1]


def test_an_image_that_changes_is_seen_anew(model, tmp_path):
    image = tmp_path / "frame.ppm"
    request = {"prompt": "<start_of_image> The", "images": [str(image)]}
    with subprocess.Popen([PROGRAMS / "t5gemma2-generate", "-m", model, "-q", "--jsonl", "-n", "9"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        found = []
        for seed in SEEDS:
            noise(image, seed)
            running.stdin.write(json.dumps(request) + "\n")
            running.stdin.flush()
            found.append(json.loads(running.stdout.readline()))
        running.stdin.close()
    assert found[0] != found[1] == answers(model, [request])[0]


@pytest.mark.parametrize("arguments", [("-f",), ("--jsonl", "-f")])
@pytest.mark.parametrize("has_writer", [False, True])
def test_interrupt_while_waiting_for_a_pipe(model, tmp_path, arguments, has_writer):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR) if has_writer else None
    with subprocess.Popen([PROGRAMS / "t5gemma2-generate", "-m", model, *arguments, pipe], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as running:
        time.sleep(1.5)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=20) == 130
    if writer is not None:
        os.close(writer)


@pytest.mark.parametrize("name,arguments", [("generate", ("-f", "-")), ("generate", ("--jsonl",)), ("tokenize", ())])
def test_unreadable_stdin_is_no_empty_prompt(model, tmp_path, name, arguments):
    folder = os.open(tmp_path, os.O_RDONLY)
    done = subprocess.run([PROGRAMS / f"t5gemma2-{name}", "-m", model, *arguments], stdin=folder, capture_output=True,
                          text=True)
    os.close(folder)
    one_line_error(done, 1, "standard input: cannot be read")


WITHOUT_A_MODEL = {
    "generate": ("-p", "date: the 5th of march 2024"),
    "look": ("-p", "in words: 12", "-o", "page.html"),
    "trace": ("-p", "sort: ox cat", "-o", "trace.safetensors"),
    "inspect": (),
    "tokenize": (),
}


@pytest.mark.parametrize("name, arguments", WITHOUT_A_MODEL.items())
def test_without_a_model_it_is_pocket(tmp_path, name, arguments):
    """A note on stderr says so, unless -q; -m pocket is the same model, from any folder."""
    (tmp_path / "pocket").mkdir()  # a folder of something else
    named = ("pocket",) if name in ("inspect", "trace") else ("-m", "pocket")
    done, quiet, asked = (
        subprocess.run([PROGRAMS / f"t5gemma2-{name}", *more, *arguments], input="sort: ox cat", cwd=tmp_path,
                       capture_output=True, text=True) for more in ((), ("-q",), ("-q", *named)))
    assert done.returncode == quiet.returncode == asked.returncode == 0 and quiet.stderr == asked.stderr == ""
    assert done.stderr.startswith("note: no model was named, so this is pocket, a small T5Gemma 2 that knows ")
    assert done.stdout == quiet.stdout == asked.stdout
    if name == "generate":
        assert done.stdout == "2024-03-05"
    if name == "look":
        assert '"pocket"' in (tmp_path / "page.html").read_text()


def test_a_model_folder_called_pocket(model, tmp_path):
    """A folder with a model is taken as that model, whatever its name."""
    shutil.copytree(model, tmp_path / "pocket")
    done = subprocess.run([PROGRAMS / "t5gemma2-inspect", "pocket"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == program("inspect", model).stdout != program("inspect", "-q").stdout


def test_pocket_is_not_there(tmp_path):
    (tmp_path / "bin").mkdir()
    alone = shutil.copy(PROGRAMS / "t5gemma2-generate", tmp_path / "bin")
    for more in ((), ("-m", "pocket")):
        done = subprocess.run([alone, "-p", "x", *more], capture_output=True, text=True)
        one_line_error(done, 1, "pocket: expected the small model that comes with the programs, found none in "
                                f"{tmp_path}/share/t5gemma2/pocket")
    one_line_error(program("generate", "-m", "", "-p", "x"), 1, '"": expected a model folder or a hub id')


def test_messages_are_one_plain_line():
    one_line_error(program("preprocess", "new\nline\x1b[31m.ppm", "--image-size", 8, "-o", "x.png"), 1,
                   r"new\x0aline\x1b[31m.ppm: expected an image")
    one_line_error(program("preprocess", "", "--image-size", 8, "-o", "x.png"), 1, '"": expected an image')
    one_line_error(program("preprocess", "x", "--image-size", "8.5", "-o", "x.png"), 2, "expected a whole number")


@pytest.mark.parametrize("name", ["generate", "trace", "look"])
@pytest.mark.parametrize("prompt,message", [
    ("<start_of_image>" * 2, "<start_of_image>: expected one for each of 1 images, found 2; give an image for each"),
    ("<start_of_image> <unused5>", "image tokens: expected 16 for the images given, found 17"),
])
def test_prompts_that_do_not_fit_the_images(model, tmp_path, name, prompt, message):
    image = make_image(tmp_path / "a.ppm", 30, 20)
    model_flag = () if name == "trace" else ("-m",)
    out = ("-o", tmp_path / "out") if name != "generate" else ()
    one_line_error(program(name, *model_flag, model, "--image", image, "-p", prompt, *out), 1, message)


def test_a_full_disk_leaves_the_old_page(model, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("as before")
    done = subprocess.run(["bash", "-c", 'ulimit -f 4; trap "" XFSZ; exec "$@"', "bash", PROGRAMS / "t5gemma2-look", "-m",
                           model, "-p", "The dog", "-n", "2", "-o", page], capture_output=True, text=True)
    one_line_error(done, 1, "page.html: cannot be written: File too large")
    assert page.read_text() == "as before" and [file.name for file in tmp_path.iterdir()] == ["page.html"]
