"""Flags as people type them: other names, spellings, values that look like flags, positions of the prompt and the model,
images, seeds; and the messages about unknown flags.

Run: pytest tests/programs
"""
import json
import os
import re
import subprocess

import pytest
from running import PROGRAMS, ROOT, SHAPES, answers, output, refused, run

DATE = "date: the 5th of march 2024"
ANSWER = "2024-03-05"
TABLES = (ROOT / "examples/programs/habits_tables.hpp").read_text()
HELP = {name: run(name, "--help").stdout for name in ("generate", "look", "inspect", "tokenize", "trace", "compare", "bench")}


def table(name: str) -> dict[str, str]:
    """A table of habits_tables.hpp: the key of each line, and the rest."""
    body = re.search(rf"> {name} = {{\n(.*?)\n}};", TABLES, re.S)[1]
    return dict(re.findall(r'{"([^"]+)", (.*?)},?$', body, re.M))


# ---- names ----

VALUES = {"--temp": "0", "--n-predict": "3", "--repeat-penalty": "1.5", "--typical": "1", "--stop": "-03", "--model": "pocket",
          "--dtype": "int8",
          "--image": str(SHAPES)}


TWINS = table("parameters") | table("twins")


@pytest.mark.parametrize("name, ours", TWINS.items(), ids=TWINS)
def test_other_names(name, ours):
    ours = ours.strip('"')
    assert f" {ours}" in HELP["generate"] or f", {ours}" in HELP["generate"]
    prompt, value = ("describe" if ours == "--image" else DATE), VALUES[ours]
    expected = output("generate", "-p", prompt, ours, value)
    for written in ([name, value], [f"{name}={value}"], [name.replace("-", "_").replace("__", "--", 1), value]):
        if written[0].startswith("_"):
            continue  # a short name
        assert output("generate", "-p", prompt, *written) == expected, written
    if ours in ("--n-predict", "--stop"):
        assert expected != ANSWER


@pytest.mark.parametrize("name, what", table("without_effect").items(), ids=table("without_effect"))
def test_flags_without_effect(name, what):
    value = {"none": [], "one": ["7"], "word": ["on"]}[re.search(r"WithoutEffect::(\w+)", what)[1]]
    spellings = [[name, *value], *([[f"{name}=7"], [name.replace("-", "_").replace("__", "--", 1), *value]] if value else [])]
    for written in spellings:
        if written[0].startswith("_"):
            continue
        done = run("generate", "-p", DATE, "-m", "pocket", *written)
        assert done.returncode == 0 and done.stdout == ANSWER, done
        assert re.match(rf"note: {name}: without effect here: \w.*\n", done.stderr), done.stderr
    assert output("generate", "-p", DATE, *spellings[0]) == ANSWER  # -q: no word
    assert "WithoutEffect::one" in what or output("generate", name, DATE) == ANSWER


def test_one_note_for_all():
    done = run("generate", "-m", "pocket", "-ngl", "99", "-c", "4096", "--color", "-t", "1", "-b", "8", DATE)
    assert done.stdout == ANSWER
    assert re.findall("^note: .*", done.stderr, re.M) == [
        "note: -ngl, -c, --color, -b: without effect here: all runs on the CPU, memory grows as needed, text has no colours"]


@pytest.mark.parametrize("name, advice", table("instead").items(), ids=table("instead"))
def test_flags_that_cannot_be_had(name, advice):
    done = run("generate", "-p", DATE, name, "7")
    refused(done, 2, f"t5gemma2-generate: error: {name}: ")
    for flag in re.findall(r"(?<=\s)--?[a-z][\w-]*", done.stderr.replace("'...", " ").partition(f"{name}: ")[2]):
        assert flag in ("-i", "--help") or re.search(rf"^  (-\w, )?{flag}\b", HELP["generate"], re.M), flag
    assert len(done.stderr) < 180


@pytest.mark.parametrize("flag, value", [("--top_k", "40"), ("--top_p", "0.9"), ("--min_p", "0.1"), ("--n_predict", "3"),
                                         ("--num_beams", "2"), ("--decoder_prompt", "2024"), ("--repeat_last_n", "4")])
def test_underscores(flag, value):
    ours = flag.replace("_", "-").replace("--", "--", 1)
    expected = output("generate", "-p", DATE, "-s", "1", ours, value)
    assert output("generate", "-p", DATE, "-s", "1", flag, value) == expected
    assert output("generate", "-p", DATE, "-s", "1", f"{flag}={value}") == expected


@pytest.mark.parametrize("flag, nearest", [("--temprature", "--temp"), ("--tmp", "--temp"), ("--prompts", "--prompt"),
                                           ("--tpo-k", "--top-k"), ("--stpo", "--stop"), ("--modle", "--model"),
                                           ("--max-new-token", "--max-new-tokens"), ("--temperatur=0.5", "--temperature")])
def test_the_nearest_flag_is_named(flag, nearest):
    done = run("generate", "-p", DATE, flag, "1")
    if flag == "--temprature":
        nearest = "--temperature"
    refused(done, 2, f"{flag.partition('=')[0]}: no such flag; did you mean {nearest}? (--help lists the flags)")


@pytest.mark.parametrize("name", HELP)
def test_nothing_near_is_not_guessed(name):
    for flag in ("--nonsense-of-mine", "-z", "-Z"):
        refused(run(name, flag), 2, f"{flag}: no such flag (--help lists the flags)")


# ---- spelling ----

def test_short_flags_in_one_word():
    expected = output("generate", "-p", DATE, "-n", "3")
    assert output("generate", f"-p{DATE}", "-n3") == output("generate", f"-qp{DATE}", "-n", "3") == expected != ANSWER
    assert run("generate", "-qn3", "-p", DATE).stdout == expected
    assert output("generate", f"--prompt={DATE}", "--n-predict=3") == expected


@pytest.mark.parametrize("text", ["--temp", "-n", "-1", "--", "--no-such-flag", "-ngl", "a=b", "--x=y"])
def test_values_that_look_like_flags(text):
    """The word after -p is its value, whatever it looks like."""
    expected = answers(lines=[{"prompt": text}])[0]["text"]
    assert output("generate", "-p", text) == output("generate", f"--prompt={text}") == expected
    assert output("generate", "--", text) == expected
    assert answers("--stop", text, lines=[{"prompt": DATE}])[0]["text"] in ANSWER


def test_behind_two_dashes_nothing_is_a_flag():
    expected = answers(lines=[{"prompt": "--temperature"}])[0]["text"]
    assert output("generate", "--", "--temperature") == expected
    refused(run("generate", "--", DATE, "-n"), 2, "-n: one word too many")


@pytest.mark.parametrize("words", [["-5"], ["-0.5"], ["--minus five"], ["-a b"]])
def test_a_text_that_begins_with_a_dash(words):
    refused(run("generate", *words), 2, "no such flag; a text that begins with - goes after --")


@pytest.mark.parametrize("words, message", [
    (["-p", DATE, "--echo=yes"], "--echo: expected no value, found yes"),
    (["-p", DATE, "--do-sample=7"], "--do-sample: expected no value, found 7"),
    (["-p", DATE, "-q", "True"], "-p TEXT and PROMPT: one of them, not both"),
    (["-p", DATE, "-n", "three"], "--n-predict: expected a whole number from -1 to 1000000000, found three"),
    (["-p", DATE, "-n", "-2"], "--n-predict: expected a whole number from -1 to 1000000000, found -2"),
    (["-p", DATE, "-n", "1e3"], "expected a whole number"),
    (["-p", DATE, "--temp", "0,5"], "--temp: expected a number from 0 to"),
    (["-p", DATE, "--temp", "nan"], "--temp: expected a number from 0 to"),
    (["-p", DATE, "--top-p", "95"], "--top-p: expected a number from 0 to 1, found 95"),
    (["-p", DATE, "-n"], "-n: expected a value, found none"),
    (["-p", DATE, "-qn"], "-qn: expected a value, found none"),
    (["-p", DATE, "--temperature"], "--temp: expected a value, found none"),
    (["-p", DATE, "--early-stopping", "yes"], "--early-stopping: expected one of true, false, never, found yes"),
    (["-p", DATE, "in", "words"], "-p TEXT and PROMPT: one of them, not both"),
    (["in", "words"], "one word too many; a text of several words goes in quotes"),
    (["pocket", DATE], "one word too many; a text of several words goes in quotes, a model after -m"),
    (["-p", DATE, DATE], "-p TEXT and PROMPT: one of them, not both"),
    (["-p", DATE, "--input-ids", "2"], "-p TEXT and --input-ids IDS: one of them, not both"),
    (["-p", DATE, "-f", "x"], "a prompt and -f: one of them, not both"),
])
def test_wrong_usage(words, message):
    refused(run("generate", *words), 2, message)


def test_of_a_flag_given_twice_the_last_counts():
    assert output("generate", "-n", "1", "-p", "in words: 12", "--n-predict", "99", "--prompt", DATE) == "2024-03-05"


def test_a_full_disk():
    for words in (["t5gemma2", "--help"], ["t5gemma2", "--version"], ["t5gemma2-inspect", "--help"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAMS / words[0], *words[1:]], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and done.stderr.endswith("error: standard output: cannot be written to\n")


@pytest.mark.parametrize("words", [("-m", "pocket"), ("examples/pocket",), ()])
def test_compare_without_a_reference(words):
    refused(run("compare", *words, cwd=ROOT), 2, "expected REFERENCE, a safetensors file, found none")


@pytest.mark.parametrize("name, words, message", [
    ("look", ["-p", "x"], "expected -o FILE.html, found none"),
    ("trace", ["-p", "x"], "expected -o FILE.safetensors, found none"),
    ("preprocess", [str(SHAPES)], "expected -o FILE, found none"),
    ("preprocess", ["-o", "x.png"], "expected IMAGE, found none"),
    ("compare", ["-m", "pocket", "pocket", "x"], "MODEL or -m: one of them, not both"),
    ("inspect", ["-m", "pocket", "pocket"], "-m MODEL and MODEL: one of them, not both"),
    ("trace", ["pocket", "-m", "pocket", "-p", "x", "-o", "y"], "-m MODEL and MODEL: one of them, not both"),
])
def test_what_is_missing_is_named(name, words, message):
    refused(run(name, *words), 2, f"{message} (--help lists the flags)")


def test_python_words():
    """True and False as in command lines of transformers."""
    expected = output("generate", "-p", DATE, "--do-sample", "--seed", "3")
    for words in (["--do_sample", "True"], ["--do_sample=True"]):
        assert output("generate", "-p", DATE, "--seed", "3", *words) == expected
    drawn = answers("--do-sample", "--seed", "3", lines=[{"prompt": DATE}])[0]
    assert drawn["seed"] == 3 and drawn["text"] == expected
    beams = output("generate", "-p", DATE, "--num-beams", "2", "--early-stopping", "true")
    assert output("generate", "-p", DATE, "--num_beams", "2", "--early_stopping", "True") == beams
    assert output("generate", "True") == answers(lines=[{"prompt": "True"}])[0]["text"]


# ---- where the prompt comes from ----

def test_the_prompt(tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text(DATE + "\n")
    for words, text in (((DATE,), ""), (("-p", DATE), ""), (("-f", file), ""), (("-f", "-"), DATE), ((), DATE),
                        ((), DATE + "\n"), (("-f", "-"), DATE + "\n"), (("-m", "pocket", DATE), ""),
                        ((DATE, "-m", "pocket"), ""), (("-p", DATE), "what is piped in is not read")):
        assert output("generate", *words, text=text) == ANSWER, (words, text)


def test_a_piped_prompt_loses_one_newline():
    for text in ("\n", " \n", "two\n\n", "\nbefore", "a\r\n"):
        expected = answers(lines=[{"prompt": text.removesuffix("\n")}])[0]["text"] if text != "\n" else None
        if expected is None:
            refused(run("generate", text=text), 2, "standard input: expected a prompt, found nothing; -p TEXT gives one")
        else:
            assert output("generate", text=text) == expected


def test_nothing_on_standard_input():
    refused(run("generate"), 2, "standard input: expected a prompt, found nothing; -p TEXT gives one")
    with open("/dev/null") as nothing:
        done = subprocess.run([PROGRAMS / "t5gemma2-generate"], stdin=nothing, capture_output=True, text=True)
    refused(done, 2, "standard input: expected a prompt, found nothing")
    for words in (["-p", ""], [""]):  # an empty prompt is a prompt
        assert output("generate", *words) == answers(lines=[{"prompt": ""}])[0]["text"]


def test_a_dash_is_standard_input():
    assert output("generate", "-", text=DATE) == output("generate", "-f", "-", text=DATE) == ANSWER


@pytest.mark.parametrize("name", ["look", "trace"])
def test_no_input_at_all(name, tmp_path):
    refused(run(name, "-o", tmp_path / "x"), 2, "expected a prompt (-p TEXT), --image or --decoder-prompt, found none")


def test_an_empty_file_is_no_prompt(tmp_path):
    (tmp_path / "empty").touch()
    refused(run("generate", "-f", tmp_path / "empty"), 2, "empty: expected a prompt, found nothing")


def test_each_image_has_its_own_flag():
    for program, more in (("generate", ()), ("look", ("-o", "x.html"))):
        refused(run(program, *more, "--image", SHAPES, SHAPES), 2,
                "shapes.png: expected a prompt, found a file; each image has its own --image")


def test_a_gap_without_fill_is_noted():
    noted = "note: ___ is a gap with --fill only\n"
    assert noted in run("generate", "-n", "1", "-p", "a ___ b").stderr
    assert noted not in run("generate", "-n", "1", "--fill", "-p", "a ___ b").stderr


@pytest.mark.parametrize("words, same", [
    (["-temp", "0"], ["--temp", "0"]), (["-top_k", "5", "-s", "1"], ["--top-k", "5", "-s", "1"]),
    (["--do_sample", "true", "-s", "1"], ["--do-sample", "-s", "1"]), (["--do_sample=1", "-s", "1"], ["--do-sample", "-s", "1"]),
    (["--do_sample", "False"], []), (["--early_stopping", "1", "--num_beams", "2"], ["--early-stopping", "true", "--num-beams", "2"])])
def test_one_dash_and_truth(words, same):
    prompt = ["-p", "in words: 7291", "-n", "3"]
    assert output("generate", *words, *prompt) == output("generate", *same, *prompt)


def test_a_slash_behind_the_model():
    assert output("generate", "-m", "pocket/", "-p", DATE) == output("generate", "-m", "examples/pocket/", "-p", DATE, cwd=ROOT)
    refused(run("generate", "-m", "google/none/", "-p", DATE), 1, "google/none: expected a model folder or a hub id")


def test_standard_input_is_left_alone_where_something_else_is_the_prompt():
    """A program in a loop of a script leaves the loop's standard input alone."""
    loop = 'while read -r line; do t5gemma2-generate -q "$@"; echo "|$line"; done'
    for words, expected in ((["-p", DATE], ANSWER), (["--decoder-prompt", "2024-03", "--echo", "-n", "1"], None),
                            (["--image", str(SHAPES), "-n", "2"], None), (["--input-ids", "2,5", "-n", "2"], None)):
        done = subprocess.run(["bash", "-c", loop, "bash", *words], input="one\ntwo\n", capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"})
        assert [line.rpartition("|")[2] for line in done.stdout.splitlines()] == ["one", "two"], done
        assert expected is None or done.stdout.startswith(f"{expected}|one\n{expected}|two")


def test_texts_for_tokenize():
    ids = output("tokenize", "-p", DATE)
    assert ids == output("tokenize", DATE) == output("tokenize", text=DATE) == output("tokenize", f"--prompt={DATE}")
    assert ids != output("tokenize", text=DATE + "\n")
    assert output("tokenize", "--decode", "-p", ids) == output("tokenize", "--decode", text=ids) == DATE
    refused(run("tokenize", "--jsonl", "-p", DATE), 2, "-p TEXT and --jsonl: one of them, not both")
    refused(run("tokenize", "-q", "--decode", "2 x"), 1, "ids: byte 2: expected a token id")


# ---- the model ----

@pytest.mark.parametrize("model", ["pocket", ROOT / "tests/data/untied"])
def test_the_table_of_inspect_is_narrow(model):
    assert max(map(len, output("inspect", model).splitlines())) <= 50


BASIC = ROOT / "tests/data/basic"


def test_the_model_is_named_alike(tmp_path):
    assert output("inspect", BASIC) == output("inspect", "-m", BASIC) == output("inspect", f"--model={BASIC}")
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for words, file in zip((["pocket"], ["-m", "pocket"], ["--model", "pocket"]), files, strict=True):
        output("trace", *words, "--input-ids", "2,5,7", "--decoder-input-ids", "2,3", "-o", file)
    assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()


def test_models_of_compare(tmp_path):
    reference = BASIC / "reference.safetensors"
    table = output("compare", BASIC, reference)
    assert table == output("compare", "-m", BASIC, reference) == output("compare", reference, "--model", BASIC)
    ours = tmp_path / "ours.safetensors"
    output("trace", "-p", "sort: ox cat", "-o", ours)
    assert output("compare", ours) == output("compare", "pocket", ours)  # pocket is the default
    assert "note: no model was named, so this is pocket" in run("compare", ours).stderr
    other = run("compare", "-q", "pocket", reference)
    assert other.returncode == 1


# ---- images ----

PLACED = "note: the prompt has no <start_of_image>, so the images come first\n"


def test_images_without_a_place_stand_in_front(tmp_path):
    question = "what colour is the square?"
    assert output("generate", "--image", SHAPES, "-p", question) == "purple"
    assert output("generate", "--image", SHAPES, f"<start_of_image>{question}") == "purple"
    lines = [{"prompt": prompt, "images": [str(SHAPES)]} for prompt in (question, f"<start_of_image>{question}")]
    first, second = answers(lines=lines)
    assert first["text"] == second["text"] == "purple"
    for name, out in (("generate", ()), ("look", ("-o", tmp_path / "x")), ("trace", ("-o", tmp_path / "x"))):
        words = ("-m", "pocket", "--image", SHAPES, *out)
        assert run(name, *words, "-p", question).stderr.count(PLACED) == 1
        for prompt in (f"{question}<start_of_image>", ""):
            assert PLACED not in run(name, *words, "-p", prompt).stderr
        assert PLACED not in run(name, "-q", *words, "-p", question).stderr
    jsonl = run("generate", "-m", "pocket", "--jsonl", text=json.dumps(lines[0]) + "\n" + json.dumps(lines[1]) + "\n")
    assert jsonl.stderr.count(PLACED) == 1


@pytest.mark.parametrize("name", ["look", "trace"])
def test_a_page_and_a_trace_of_an_image_in_front(name, tmp_path):
    files = []
    for i, prompt in enumerate(("describe", "<start_of_image>describe")):
        files.append(tmp_path / f"{i}")
        output(name, "--image", SHAPES, "-p", prompt, "-o", files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_two_images_and_one_place():
    for count, advice in ((1, "write one for each"), (3, "give an image for each")):
        refused(run("generate", "-q", "--image", SHAPES, "--image", SHAPES, "-p", "<start_of_image>" * count), 1,
                f"prompt: <start_of_image>: expected one for each of 2 images, found {count}; {advice}")


def test_a_raw_prompt_is_not_expanded(tmp_path):
    text = "a <start_of_image> b"
    refused(run("generate", "-q", "-p", text), 1, "expected one for each of 0 images, found 1; give an image for each")
    ids = output("tokenize", "-p", text).split()
    for words in (["--raw-prompt", "-p", text], ["--input-ids", ",".join(ids)]):
        output("trace", *words, "-o", tmp_path / "x")
        shape = re.search(rb'"inputs.input_ids":{[^}]*"shape":\[1,(\d+)\]', (tmp_path / "x").read_bytes())
        assert int(shape[1]) == len(ids)
    assert output("generate", "--raw-prompt", "-p", text) == output("generate", "--input-ids", " ".join(ids))


# ---- numbers ----

def test_to_the_end_of_the_text():
    assert output("generate", "-p", DATE, "-n", "-1") == ANSWER
    assert answers("-n", "-1", lines=[{"prompt": DATE}])[0]["finish_reason"] == "eos"
    assert answers("-n", "3", lines=[{"prompt": DATE}])[0]["finish_reason"] == "length"


def test_seeds():
    hot = ("-p", "x", "--temp", "5", "-n", "12")
    drawn = [run("generate", "-m", "pocket", *hot, *more) for more in ((), (), ("-s", "-1"), ("--seed=-1",))]
    seeds = [re.search(r"^note: sampled with --seed (\d+)$", done.stderr, re.M)[1] for done in drawn]
    assert len(set(seeds)) == 4 and len({done.stdout for done in drawn}) == 4
    for done, seed in zip(drawn, seeds, strict=True):
        again = run("generate", "-m", "pocket", *hot, "-s", seed)
        assert again.stdout == done.stdout and "--seed" not in again.stderr
    assert output("generate", *hot, "-s", "7") == output("generate", *hot, "-s", "7")
    assert "--seed" not in run("generate", "-m", "pocket", "-p", DATE).stderr  # no sampling, no seed
    lines = answers("--temp", "5", "-n", "12", lines=[{"prompt": "x"}] * 2)
    assert lines[0]["seed"] != lines[1]["seed"]
    again = answers("--temp", "5", "-n", "12", "-s", str(lines[0]["seed"]), lines=[{"prompt": "x"}])[0]
    assert again["ids"] == lines[0]["ids"]
    assert "seed" not in answers(lines=[{"prompt": DATE}])[0]


def test_the_penalty_sees_the_last_tokens_only():
    """With a penalty that forbids the tokens in the window none is repeated within the window; a window of 0 changes
    nothing."""
    prompt, forbid = "in words: 777777", ("--repeat-penalty", "1000000", "-n", "24", "--ignore-eos")
    def made(*words):
        return answers(*words, lines=[{"prompt": prompt}])[0]["ids"]
    plain = made("-n", "24", "--ignore-eos")
    assert made(*forbid, "--repeat-last-n", "0") == plain
    assert made(*forbid, "--repeat-last-n", "-1") == made(*forbid)
    for window in (1, 2, 4, 8):
        ids = made(*forbid, "--repeat-last-n", str(window))
        assert all(ids[i] not in ids[max(0, i - window):i] for i in range(1, len(ids))), (window, ids)
    whole = made(*forbid)
    assert len(set(whole)) == len(whole)
    assert len(set(made(*forbid, "--repeat-last-n", "2"))) < len(whole)


# ---- advice in messages ----

@pytest.mark.parametrize("name, words, code, message", [
    ("generate", ["-m", "nothing", "-p", "x"], 1,
     "nothing: expected a model folder or a hub id (google/t5gemma-2-270m-270m), found neither; pocket is the small one that "
     "comes with the programs"),
    ("generate", ["-m", str(ROOT / "README.md"), "-p", "x"], 1,
     "expected a model folder, found a file; a model is the folder with config.json and safetensors"),
    ("generate", ["-m", "google/nothing", "-p", "x"], 1, "hf auth login; hf download google/nothing"),
    ("generate", ["-m", str(BASIC), "-p", "x"], 1, "tokenizer.json"),
    ("generate", ["--image", "https://example.org/cat.jpg", "x"], 1, "addresses have to be downloaded first"),
    ("generate", ["--image", str(ROOT / "README.md"), "x"], 1, "expected an image"),
    ("generate", ["--input-ids", "2,9999", "-m", "pocket"], 1, "prompt: token id: expected 0 to 1234, found 9999"),
    ("look", ["-p", "x", "-o", "no/folder/x.html"], 1, "no/folder/x.html: expected a file that can be written, found no "
     "folder no/folder; make it first"),
    ("compare", ["pocket", str(ROOT / "examples/pocket/model.safetensors")], 1,
     "inputs.input_ids: expected I64 [1, n], as t5gemma2-trace and weights_tool record write it, or --input-ids, found neither"),
])
def test_the_next_step_is_named(name, words, code, message, tmp_path):
    done = run(name, "-q", *words, cwd=tmp_path, env={**os.environ, "HF_HUB_CACHE": str(tmp_path)})
    refused(done, code, message)


def changed_pocket(folder, change) -> None:
    config = json.loads((ROOT / "examples/pocket/config.json").read_text())
    change(config)
    for file in (ROOT / "examples/pocket").iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))


def test_images_for_a_model_without_eyes(tmp_path):
    changed_pocket(tmp_path, lambda config: config["encoder"].pop("vision_config"))
    refused(run("preprocess", "-m", tmp_path, SHAPES, "-o", tmp_path / "x.png"), 1, "--image-size N needs no model")
    refused(run("generate", "-m", tmp_path, "--image", SHAPES), 1, "has no vision encoder: it takes text only")


def test_a_long_prompt_is_said_to_be_one(tmp_path):
    """A note only: max_position_embeddings is no limit."""
    def shorten(config):
        for part in (config["encoder"]["text_config"], config["decoder"]):
            part["max_position_embeddings"] = 4

    changed_pocket(tmp_path, shorten)
    done = run("generate", "-m", tmp_path, "-p", DATE)
    assert done.returncode == 0 and re.search(
        r"^note: prompt of \d+ tokens is longer than max_position_embeddings 4: what comes may make no sense$", done.stderr, re.M)
