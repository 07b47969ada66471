"""t5gemma2-generate --jsonl: a request on each line, an answer for each."""
import json
import signal
import subprocess
import sys

import pytest
from running import PROGRAMS, SHAPES, answers, output, refused, run

DATE = {"prompt": "date: march 5, 2024"}
TEXT = "2024-03-05"
BAD = [  # a line, its error, and whether its id can be read
    ('{"id": 7, "prompt": ', "byte 21: expected JSON", False),
    ('[{"id": 7}]', "expected an object, found a list of 1", False),
    ('{"id": 7, "id": 8, "prompt": "x"}', "id: expected one value, found the key twice", False),
    ('{"id": 7}', "prompt: expected a text, found nothing", True),
    ('{"id": 7, "prompt": 5}', "prompt: expected a text, found 5", True),
    ('{"id": 7, "prompt": "x", "images": "cat.jpg"}', 'images: expected a list, found "cat.jpg"', True),
    ('{"id": 7, "prompt": "x", "images": ["/no/cat.jpg"]}', "/no/cat.jpg: expected an image", True),
    ('{"id": 7, "prompt": "x", "temp": "hot"}', "temp: expected a number from 0.0 to 1000000.0", True),
    ('{"id": 7, "prompt": "x", "top_p": 2}', "top_p: expected a number from 0.0 to 1.0, found 2", True),
    ('{"id": 7, "prompt": "x", "n_predict": 2.5}', "n_predict: expected a whole number from -1", True),
    ('{"id": 7, "prompt": "x", "ignore_eos": 1}', "ignore_eos: expected true or false, found 1", True),
    ('{"id": 7, "prompt": "x", "early_stopping": "soon"}', "early_stopping: expected one of true, false, never", True),
    ('{"id": 7, "prompt": "x", "early_stopping": 1}', "early_stopping: expected one of true, false, never", True),
    ('{"id": 7, "prompt": "x", "stop": ["a", 1]}', "stop[1]: expected a text, found 1", True),
    ('{"id": 7, "prompt": "x", "temp": 1, "temperature": 2}', "expected one name for --temp, found temp, too", True),
    ('{"id": 7, "prompt": "x", "num_return_sequences": 2}', "num_return_sequences: expected 1, or beams", True),
    ('{"id": 7, "input_ids": [2, 99999]}', "token id: expected 0 to 1234, found 99999", True),
    ('{"id": 7, "input_ids": [2, -1]}', "input_ids[1]: expected a token id from 0 to", True),
    ('{"id": 7, "input_ids": "2,5"}', 'input_ids: expected a list, found "2,5"', True),
    ('{"id": 7, "decoder_input_ids": [99999]}', "token id: expected 0 to 1234, found 99999", True),
    ('{"id": 7, "decoder_input_ids": []}', "expected at least one id, found none", True),
    ('{"id": 7, "input_ids": [2], "prompt": "x"}', "input_ids: expected ids or prompt, not both", True),
    ('{"id": 7, "input_ids": [2], "raw_prompt": true}', "input_ids: expected ids or raw_prompt, not both", True),
    ('{"id": 7, "decoder_input_ids": [2], "decoder_prompt": ""}', "ids or decoder_prompt, not both", True),
    ('{"id": 7, "prompt": "x", "fill": true}', "prompt: gaps: expected ___ where words are missing, found none", True),
    ('{"id": 7, "prompt": "a ___", "first_sentinel": 3}', "first_sentinel: expected fill, too", True),
]


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_unknown_keys_come_first_in_their_order():
    line = {"zeta": [1, {"b": None, "a": 0.1}], **DATE, "id": "ü\n", "answer": TEXT}
    [text] = output("generate", "--jsonl", text=json.dumps(line)).splitlines()
    assert list(json.loads(text)) == ["zeta", "id", "answer", "text", "finish_reason", "ids"]
    answer = json.loads(text)
    assert answer["text"] == TEXT and all(answer[key] == line[key] for key in ("zeta", "id", "answer"))


def test_keys_of_the_answer_are_dropped_with_one_note():
    line = {**DATE, "id": 1, "text": "a", "ids": [1], "finish_reason": 1, "error": "", "sequences": 1, "filled": 1,
            "gaps": 1}
    done = run("generate", "--jsonl", "-m", "pocket", text=2 * (json.dumps(line) + "\n"))
    plain = answers(lines=[DATE])[0]
    assert done.returncode == 0 and lines(done.stdout) == 2 * [{"id": 1, **plain}]
    notes = [text for text in done.stderr.splitlines() if text.startswith("note: ")]
    assert notes == ["note: not copied from the lines, as answers have keys of these names: error, filled, finish_reason, "
                     "gaps, ids, sequences, text"]
    assert run("generate", "--jsonl", "-q", text=json.dumps(line)).stderr == ""


def test_items_fit_as_they_are(tmp_path):
    """The output of weights_tool items --jsonl is answered, and its answers can be compared with ours."""
    command = [sys.executable, "-m", "t5gemma2_weights_tool", "items", "question", "-n", "4", "--jsonl", "--images",
               tmp_path]
    items = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done = run("generate", "--jsonl", "-m", "pocket", text=items)
    assert done.returncode == 0 and "note" not in done.stderr
    for item, answer in zip(lines(items), lines(done.stdout), strict=True):
        assert list(answer)[:4] == ["task", "kind", "answer", "content"] and answer["text"] == item["answer"]


@pytest.mark.parametrize("line, message, read", BAD)
def test_a_bad_line_is_answered_in_its_place(line, message, read):
    done = run("generate", "-q", "--jsonl", text=f"{json.dumps(DATE)}\n{line}\n\n{json.dumps(DATE)}\n")
    before, bad, behind = lines(done.stdout)
    assert done.returncode == 1 and before["text"] == behind["text"] == TEXT
    assert list(bad) == (["id", "error"] if read else ["error"]) and bad.get("id", 7) == 7
    assert bad["error"].startswith("stdin line 2: ") and message in bad["error"], bad
    assert done.stderr == ('t5gemma2-generate: error: 1 of 3 lines failed: "error" in place of the answer says why\n')


def test_a_text_too_long_for_memory():
    words = "x " * 1_000_000  # 1024 beams of them need more than any machine has
    lines = [{"prompt": words, "decoder_prompt": words, "num_beams": 1024}, {**DATE, "id": 2}]
    long, short = answers("--num-beams", 2, lines=lines, code=1)
    assert list(long) == ["error"] and "memory: " in long["error"] and "input tokens: expected" in long["error"]
    assert short["id"] == 2 and short["text"] == TEXT


def test_error_lines_name_the_file(tmp_path):
    (tmp_path / "requests.jsonl").write_text('{"prompt": 1}\n')
    done = run("generate", "-q", "--jsonl", "-f", tmp_path / "requests.jsonl")
    assert json.loads(done.stdout)["error"].startswith(f"{tmp_path}/requests.jsonl line 1: prompt: expected a text")
    missing = run("generate", "-q", "--jsonl", "-f", tmp_path / "none.jsonl")
    refused(missing, 1, "none.jsonl: expected a file to read")


FLAGS = {
    "n_predict": 3, "temp": 2, "top_k": 9, "top_p": 0.9, "min_p": 0.01, "typical": 0.9, "repeat_penalty": 1.5,
    "repeat_last_n": 2, "num_return_sequences": 2, "stop": "0", "ignore_eos": True,
}
BEAMS = {"num_beams": 3, "num_return_sequences": 2, "length_penalty": -1, "early_stopping": "never"}


def as_flags(keys: dict) -> list:
    words = []
    for key, value in keys.items():
        words += ["--" + key.replace("_", "-")] + ([] if value is True else [value])
    return words


@pytest.mark.parametrize("keys", [
    *({"seed": 3, "temp": 3, "n_predict": 8, key: value} for key, value in FLAGS.items()), {**FLAGS, "seed": 5}, BEAMS])
def test_keys_are_what_flags_are(keys):
    assert answers(lines=[DATE | keys]) == answers(*as_flags(keys), lines=[DATE])


def test_every_key_counts():
    """Each key changes the text, so that the test above compares more than equal texts."""
    base = {"seed": 3, "temp": 3, "n_predict": 8}
    [plain, *made] = answers(lines=[DATE | base, *(DATE | base | {key: value} for key, value in FLAGS.items())])
    same = [key for key, answer in zip(FLAGS, made) if answer == plain and base.get(key) != FLAGS[key]]
    assert set(same) <= {"ignore_eos", "repeat_last_n"}, same  # these matter only with an eos or a penalty


def test_a_line_goes_before_the_flags():
    first, second = answers("-n", 1, "--stop", "0", "--ignore-eos", lines=[
        DATE | {"n_predict": 99, "stop": [], "ignore_eos": False}, DATE])
    assert (first["text"], first["finish_reason"]) == (TEXT, "eos")
    assert len(second["ids"]) == 2


@pytest.mark.parametrize("other, ours, value", [
    ("temperature", "temp", 3), ("max_new_tokens", "n_predict", 4), ("max_tokens", "n_predict", 4),
    ("num_predict", "n_predict", 4), ("repetition_penalty", "repeat_penalty", 3), ("typical_p", "typical", 0.1),
    ("stop_strings", "stop", ["-", "zz"])])
def test_other_names(other, ours, value):
    base = DATE | {"seed": 1, "top_k": 20}
    base.pop(ours, None)
    named, twin, without = answers("--temp", 5, lines=[base | {ours: value}, base | {other: value}, base])
    assert named == twin != without


@pytest.mark.parametrize("key", ["length", "predict", "top-k", "model", "image"])
def test_what_is_a_flag_only_to_a_hand_is_copied(key):
    with_key, without = answers(lines=[DATE | {key: 1}, DATE])
    assert with_key == {key: 1} | without


def test_nothing_is_as_if_it_were_not_there():
    nothing = dict.fromkeys(["decoder_prompt", "images", "input_ids", "decoder_input_ids", "raw_prompt", "temp", "stop"])
    assert answers(lines=[DATE | nothing]) == answers(lines=[DATE])


@pytest.mark.parametrize("value, word", [(True, "true"), (False, "false"), ("never", "never")])
def test_early_stopping(value, word):
    beams = DATE | {"num_beams": 4, "n_predict": 12}
    assert answers(lines=[beams | {"early_stopping": value}]) == answers("--early-stopping", word, lines=[beams])


def test_stop_is_a_text_or_a_list():
    one, several = answers(lines=[DATE | {"stop": "-"}, DATE | {"stop": ["5", "24"]}])
    assert (one["text"], one["finish_reason"]) == ("2024", "stop") and several["text"] == "20"


def test_seeds():
    """A random seed, where none is given, is in the answer and gives the same text again; a copied key does not replace it."""
    first, other = answers("--temp", 3, lines=[DATE, DATE])
    assert first["seed"] != other["seed"]
    again, random = answers("--temp", 3, lines=[DATE | {"seed": first["seed"]}, DATE | {"seed": -1}])
    assert again == first and random["seed"] not in (-1, first["seed"])
    assert "seed" not in answers(lines=[DATE | {"seed": 5}])[0]


def test_raw_prompt_and_ids():
    ids = [int(word) for word in output("tokenize", "-m", "pocket", text=DATE["prompt"]).split()]
    raw = {"prompt": "<start_of_image>", "raw_prompt": True}
    by_ids, by_text, raw_line = answers(lines=[{"input_ids": ids}, DATE, raw])
    assert by_ids == by_text
    assert [raw_line] == answers("--raw-prompt", lines=[{"prompt": raw["prompt"]}])
    [expanded] = answers("--raw-prompt", lines=[raw | {"raw_prompt": False}], code=1)
    assert "<start_of_image>: expected one for each of 0 images, found 1" in expanded["error"]
    continued, text = answers(lines=[DATE | {"decoder_input_ids": by_text["ids"][:4]}, DATE])
    assert continued["ids"] == text["ids"]


def test_images_without_a_placeholder_stand_in_front():
    with_one = {"prompt": "<start_of_image>how many shapes are there?", "images": [str(SHAPES)]}
    one, none = answers(lines=[with_one, with_one | {"prompt": "how many shapes are there?"}])
    assert one == none and one["text"] == "3"


def test_answers_come_line_by_line():
    with subprocess.Popen([PROGRAMS / "t5gemma2-generate", "-q", "--jsonl"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        for number, line in enumerate([DATE, {"prompt": 1}, DATE]):
            running.stdin.write(json.dumps(line | {"id": number}) + "\n")
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["id"] == number
        running.stdin.close()
        assert running.wait(timeout=60) == 1


def test_interrupt_keeps_what_was_made():
    """The answers so far are complete, the current one is partial, later ones are missing, and no failed line is counted."""
    command = [PROGRAMS / "t5gemma2-generate", "-q", "--jsonl", "--ignore-eos", "-n", "-1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as running:
        texts = ({"prompt": 5, "id": 0}, DATE | {"n_predict": 2, "id": 1}, DATE | {"id": 2}, DATE | {"id": 3})
        running.stdin.writelines(json.dumps(line) + "\n" for line in texts)
        running.stdin.flush()
        assert [json.loads(running.stdout.readline())["id"] for _ in range(2)] == [0, 1]
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=2)
        running.send_signal(signal.SIGINT)
        last = json.loads(running.stdout.readline())
        assert (last["id"], last["finish_reason"]) == (2, "interrupted") and len(last["ids"]) > 2
        assert running.stdout.read() == "" and running.wait(timeout=60) == 130 and running.stderr.read() == ""


def test_when_nobody_reads_on(tmp_path):
    """| head -1: the closed pipe ends the program silently, as any other."""
    (tmp_path / "requests.jsonl").write_text(50 * (json.dumps(DATE) + "\n"))
    command = f"{PROGRAMS}/t5gemma2-generate -q --jsonl -f {tmp_path}/requests.jsonl | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    first, status = done.stdout.splitlines()
    assert json.loads(first)["text"] == TEXT and status == "141" and done.stderr == ""


def test_a_key_that_is_near_to_one_of_ours():
    done = run("generate", "-m", "pocket", "--jsonl", text=json.dumps(DATE | {"image": "x", "temprature": 1, "id": 7}))
    assert json.loads(done.stdout).items() >= {"image": "x", "temprature": 1, "id": 7}.items()
    notes = [line for line in done.stderr.splitlines() if line.startswith("note:")]
    assert notes == ["note: copied from the lines, not obeyed: image; did you mean images?",
                     "note: copied from the lines, not obeyed: temprature; did you mean temperature?"]
