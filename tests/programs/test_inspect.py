"""inspect where there are no weights: a config.json, under any name, and a folder with nothing else.

Run: pytest tests/programs
"""
import json
import re
import shutil

import pytest
from running import ROOT, output, refused, run

PRESETS = ROOT / "weights_tool/t5gemma2_weights_tool/presets"
POCKET = ROOT / "examples/pocket"


def row(table: str, name: str) -> str:
    """The last word of the row that begins with `name`."""
    return re.search(rf"^  {re.escape(name)}.* (\S+)$", table, re.M)[1]


@pytest.mark.parametrize("name, parameters", [("270m-270m", 786029296), ("1b-1b", 2115977456), ("4b-4b", 7508928880)])
def test_the_published_sizes(name, parameters):
    table = output("inspect", PRESETS / f"{name}.json")
    assert row(table, "all") == str(parameters)
    assert row(table, "weights, if stored as BF16") == f"{2 * parameters / 1e6:.1f}"
    assert max(map(len, table.splitlines())) <= 50


def test_sizes_alone_give_the_table_of_the_checkpoint(tmp_path):
    shutil.copy(POCKET / "config.json", tmp_path)
    shutil.copy(POCKET / "config.json", tmp_path / "any name.json")
    table = output("inspect", POCKET).replace("weights as stored (mapped)        ", "weights, if stored as BF16        ")
    assert "if stored as BF16" in table
    for model in (tmp_path, tmp_path / "any name.json", POCKET / "config.json"):
        assert output("inspect", model) == output("inspect", "-m", model) == table
        assert re.fullmatch(r"note: .*\.json: read without weights: parameters and bytes are computed from its sizes\n",
                            run("inspect", model).stderr)


@pytest.mark.parametrize("dtypes, shown, size", [
    ({"dtype": "float32"}, "F32", 4), ({"torch_dtype": "float16"}, "F16", 2), ({"dtype": None}, "BF16", 2),
    ({"dtype": "bfloat16", "torch_dtype": "float32"}, "BF16", 2)])
def test_types_of_numbers(dtypes, shown, size, tmp_path):
    file = changed(tmp_path, lambda config: (config.pop("dtype"), config.update(dtypes)))
    table = output("inspect", file)
    assert row(table, f"weights, if stored as {shown}") == f"{size * 786029296 / 1e6:.1f}"
    assert ("no dtype, so bfloat16 is taken" in run("inspect", file).stderr) == (dtypes == {"dtype": None})


def test_what_is_untied_saves_no_embedding(tmp_path):
    table = output("inspect", changed(tmp_path, lambda config: config.update(tie_word_embeddings=False)))
    assert "decoder's own embedding or head" in table and "one embedding" not in table
    assert "one embedding" in output("inspect", PRESETS / "270m-270m.json")


def changed(folder, change):
    """The 270M preset with a change, as a file in a folder."""
    config = json.loads((PRESETS / "270m-270m.json").read_text())
    change(config)
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return file


@pytest.mark.parametrize("change, message", [
    (lambda config: config.update(model_type="gemma3"), 'model_type: expected "t5gemma2", found "gemma3"'),
    (lambda config: config.update(dtype="int8"), 'dtype: expected bfloat16, float16 or float32, found "int8"'),
    (lambda config: config["decoder"].pop("head_dim"),
     "decoder.head_dim: expected a whole number from 2 to 16384, found nothing"),
])
def test_a_wrong_field_is_named(change, message, tmp_path):
    file = changed(tmp_path, change)
    for model in (file, tmp_path):
        refused(run("inspect", model), 1, f"{file}: {message}")


def test_other_files_and_folders(tmp_path):
    (tmp_path / "folder.json").mkdir()
    refused(run("inspect", tmp_path / "folder.json"), 1, "folder.json/config.json: expected the model's config.json")
    refused(run("inspect", "no/such.json"), 1, "no/such.json: expected the model's config.json, found nothing")
    (tmp_path / "bad.json").write_text('{"model_type": }')
    refused(run("inspect", tmp_path / "bad.json"), 1, "bad.json: byte 16: expected JSON")
    (tmp_path / "list.json").write_text("[1]")
    refused(run("inspect", tmp_path / "list.json"), 1, "list.json: expected an object, found a list of 1")
    shutil.copytree(POCKET, tmp_path / "folder.json", dirs_exist_ok=True)
    assert output("inspect", tmp_path / "folder.json") == output("inspect", "pocket")


def test_weights_that_are_there_have_to_be_whole(tmp_path):
    """A folder with weights that cannot be read, or not all of them, is not taken for one without."""
    file = changed(tmp_path, lambda config: None)
    (tmp_path / "pytorch_model.bin").touch()
    refused(run("inspect", tmp_path), 1, "found pytorch_model.bin: save it as safetensors")
    (tmp_path / "pytorch_model.bin").unlink()
    shutil.copy(POCKET / "model.safetensors", tmp_path)
    refused(run("inspect", tmp_path), 1, "model.safetensors")
    assert output("inspect", file)  # named itself, the file is all that is read


def test_a_config_runs_nothing(tmp_path):
    refused(run("generate", "-m", PRESETS / "270m-270m.json", "x"), 1, "expected a model folder, found a file")
