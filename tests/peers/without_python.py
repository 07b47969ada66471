"""The C++ inside a Python package loads a model in a program without Python, which is compiled here.

No headers come with the packages, so the functions that are called are declared by hand."""
import subprocess
from pathlib import Path

from abilities import scratch

CTRANSLATE2 = r"""
#include <cstdio>
#include <memory>
#include <string>
namespace ctranslate2 {
enum class Device { CPU };
enum class ComputeType { DEFAULT };
namespace models {
struct Model {
  static std::shared_ptr<const Model> load(const std::string&, Device, int, ComputeType, bool, bool);
};
}
}
int main(int, char** words) {
  using namespace ctranslate2;
  if (models::Model::load(words[1], Device::CPU, 0, ComputeType::DEFAULT, false, false)) std::puts("loaded");
}
"""

LLAMA = r"""
#include <cstdio>
struct Params { char bytes[1024]; };  // more than llama.cpp's own, and passed as they are
extern "C" {
Params llama_model_default_params();
void* llama_model_load_from_file(const char*, Params);
}
int main(int, char** words) {
  if (llama_model_load_from_file(words[1], llama_model_default_params())) std::puts("loaded");
}
"""


def python_symbols(library: Path) -> list[str]:
    """What a library expects of Python."""
    lines = subprocess.run(["nm", "-D", "-u", library], capture_output=True, text=True, check=True).stdout.splitlines()
    names = {line.split()[-1].partition("@")[0] for line in lines}
    return sorted(name for name in names if name.lstrip("_").startswith("Py"))


def loads(program: str, library: Path, model: Path | str) -> bool:
    """Whether the program loads the model; what the library expects of Python is there in name, and empty."""
    folder = scratch() / f"program-{library.stem}"
    folder.mkdir()
    (folder / "empty.c").write_text("".join(f"void* {name}[64];\n" for name in python_symbols(library)))
    (folder / "program.cpp").write_text(program)
    files = ["program.cpp", "-x", "c", "empty.c", "-x", "none", library, "-o", "program"]
    flags = [f"-Wl,-rpath,{library.parent}", "-Wl,--unresolved-symbols=ignore-in-shared-libs", "-rdynamic"]
    subprocess.run(["g++", "-w", *files, *flags], cwd=folder, check=True, capture_output=True)
    linked = subprocess.run(["ldd", folder / "program"], capture_output=True, text=True, check=True).stdout
    assert library.name in linked and "libpython" not in linked
    done = subprocess.run([folder / "program", model], capture_output=True, text=True, env={}, timeout=60)
    return done.stdout == "loaded\n"
