"""precision: what is measured of logits, which ids the programs get, and what is said when something is wrong.
(tests/against_transformers runs it with the programs themselves.)"""
import json
import sys

import numpy as np
import pytest

from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.precision import PRECISIONS, Cost, cost_of_rows

VOCAB = 11
TRACE = f"""
import numpy as np
from safetensors.numpy import save_file
flags = dict(zip(sys.argv[2::2], sys.argv[3::2]))
with open(sys.argv[0] + ".log", "a") as log:
    log.write(json.dumps(flags) + "\\n")
ids = [int(id) for id in flags["--decoder-input-ids"].split(",")]
logits = np.random.default_rng(ids).normal(size=(1, len(ids), {VOCAB})).astype(np.float32)
if flags["--dtype"] == "int8":
    logits[:, 0] = -logits[:, 0]
save_file({{"logits": logits}}, flags["-o"])
"""
TOKENIZE = "print(json.dumps([2, *(ord(letter) - ord('a') for letter in json.loads(sys.stdin.read()))]))\n"


@pytest.fixture
def programs(tmp_path):
    """Programs in the engine's place: letters are ids, logits are random, and int8 turns those of the first row round."""
    for name, body in ("trace", TRACE), ("tokenize", TOKENIZE):
        file = tmp_path / f"t5gemma2-{name}"
        file.write_text(f"#!{sys.executable}\nimport json, sys\n{body}")
        file.chmod(0o755)
    (tmp_path / "text").write_text("dhgacbaek")
    return tmp_path


def run(programs, *more) -> int:
    return main([str(word) for word in ["precision", "model", "--programs", programs, "--text", programs / "text", *more]])


def traced(programs) -> list[tuple[str, str, str | None]]:
    """The type and the ids that each trace was given."""
    lines = map(json.loads, (programs / "t5gemma2-trace.log").read_text().splitlines())
    return [(flags["--dtype"], flags["--decoder-input-ids"], flags.get("--input-ids")) for flags in lines]


def test_the_decoder_alone_reads_whole_pieces(programs, capsys):
    assert run(programs, "--decoder-only", "--piece", "5", "--json", programs / "out.json") == 0
    assert traced(programs) == [(dtype, ids, None) for ids in ("2,3,7,6,0", "2,1,0,4") for dtype in PRECISIONS]
    result = json.loads((programs / "out.json").read_text())
    assert result["decoder_only"] and result["piece"] == 5
    exact, bfloat16, int8 = result["rows"]
    assert exact["tokens"] == 9 and exact["kl"] == exact["largest"] == 0 and exact["same"] == 1
    assert bfloat16 == {**exact, "dtype": "bfloat16"}
    logits = [np.random.default_rng(ids).normal(size=(len(ids), VOCAB)) for ids in ([2, 3, 7, 6, 0], [2, 1, 0, 4])]
    p, q = (np.exp(sign * np.array([rows[0] for rows in logits])) for sign in (1, -1))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    assert np.isclose(int8["kl"], (p * np.log(p / q)).sum() / 9, rtol=1e-5) and np.isclose(int8["same"], 7 / 9)
    assert np.isclose(int8["largest"], np.abs(np.log(p / q)).max(), rtol=1e-5)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(PRECISIONS)


def test_the_encoder_reads_the_first_half(programs):
    assert run(programs) == 0
    assert traced(programs) == [(dtype, "2,2,1,0,4", "2,3,7,6,0") for dtype in PRECISIONS]


def test_cost_of_rows():
    """Two tokens of one half each, against 1/4 and 3/4."""
    cost = cost_of_rows(np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]]) + 3, np.array([1]))
    assert np.isclose(cost.kl, 0.5 * np.log(2) + 0.5 * np.log(2 / 3)) and cost.same == 0
    assert np.isclose(cost.largest, np.log(2)) and np.isclose((cost + cost).means()["perplexity"], 4 / 3)
    assert (cost + Cost(1, 0, 1, 9, 0)).means() == {"tokens": 2, "kl": cost.kl / 2, "same": 0.5, "largest": 9,
                                                   "perplexity": np.exp(cost.surprise / 2)}


@pytest.mark.parametrize("text, message", [
    (b"", "text: text: expected a token or more, found none"),
    (b"\xff", "text: text: expected UTF-8, found other bytes"),
    (b"a", "t5gemma2-trace: model: expected a folder"),
])
def test_bad_input(programs, capsys, text, message):
    (programs / "text").write_bytes(text)
    (programs / "t5gemma2-trace").write_text(f"#!{sys.executable}\nimport sys\nsys.exit('model: expected a folder')\n")
    assert run(programs) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_programs_that_are_not_there(tmp_path, capsys):
    (tmp_path / "text").write_text("a")
    assert run(tmp_path) == 1
    assert "t5gemma2-tokenize: cannot run: No such file or directory; --programs names the folder" in capsys.readouterr().err
