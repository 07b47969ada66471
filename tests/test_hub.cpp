// A model by folder or by hub id: which cache is searched, and what is said when there is nothing.
#include <doctest/doctest.h>
#include <stdlib.h>

#include <array>
#include <map>
#include <optional>

#include "scratch.hpp"
#include "t5gemma2/checkpoint/hub.hpp"

namespace test_hub {

using namespace t5gemma2;

namespace {

/// Clears the variables that lead to the cache and puts them back at the end of the test.
class CleanEnvironment {
 public:
  CleanEnvironment() {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (const char* value = ::getenv(names[i])) before_[i] = value;
      ::unsetenv(names[i]);
    }
  }
  CleanEnvironment(const CleanEnvironment&) = delete;
  CleanEnvironment& operator=(const CleanEnvironment&) = delete;
  ~CleanEnvironment() {
    for (std::size_t i = 0; i < names.size(); ++i) {
      ::unsetenv(names[i]);
      if (before_[i]) ::setenv(names[i], before_[i]->c_str(), 1);
    }
  }

 private:
  static constexpr std::array names{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME",
                                    "HOME"};
  std::array<std::optional<std::string>, names.size()> before_;
};

void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

}  // namespace

TEST_CASE("hub: the cache folder, variable by variable") {
  const CleanEnvironment clean;
  set("HOME", "/home/x");
  CHECK(hub_cache() == "/home/x/.cache/huggingface/hub");
  set("XDG_CACHE_HOME", "/xdg");
  CHECK(hub_cache() == "/xdg/huggingface/hub");
  set("HF_HOME", "~/hf");
  CHECK(hub_cache() == "/home/x/hf/hub");
  set("HUGGINGFACE_HUB_CACHE", "/old");
  CHECK(hub_cache() == "/old");
  set("HF_HUB_CACHE", "/new");
  CHECK(hub_cache() == "/new");
  set("HF_HUB_CACHE", "");
  CHECK(hub_cache() == "/old");
}

TEST_CASE("hub: variables in the cache folder, as Python's expandvars and expanduser read them") {
  const CleanEnvironment clean;
  set("HOME", "/h");
  ::unsetenv("T5GEMMA2_NOT_SET");
  const std::map<std::string, std::string> read_as{{"$HOME/x", "/h/x"},
                                                   {"${HOME}/x", "/h/x"},
                                                   {"~", "/h"},
                                                   {"~/x", "/h/x"},
                                                   {"x~", "x~"},
                                                   {"$HOME/~", "/h/~"},
                                                   {"$HOME$HOME", "/h/h"},
                                                   {"$T5GEMMA2_NOT_SET/x", "$T5GEMMA2_NOT_SET/x"},
                                                   {"${T5GEMMA2_NOT_SET}", "${T5GEMMA2_NOT_SET}"},
                                                   {"a$HOMEb", "a$HOMEb"},
                                                   {"${HOME", "${HOME"},
                                                   {"${HO ME}$HOME", "${HO ME}/h"},
                                                   {"$", "$"},
                                                   {"$$HOME", "$/h"},
                                                   {"${}$1", "${}$1"}};
  for (const auto& example : read_as) {
    const std::string &written = example.first, &read = example.second;
    CAPTURE(written);
    set("HF_HUB_CACHE", written);
    CHECK(hub_cache() == read);
    set("HF_HUB_CACHE", "");
    set("HUGGINGFACE_HUB_CACHE", written);
    CHECK(hub_cache() == read);
    set("HUGGINGFACE_HUB_CACHE", "");
    set("HF_HOME", written);
    CHECK(hub_cache() == read + "/hub");
    set("HF_HOME", "");
    set("XDG_CACHE_HOME", written);
    CHECK(hub_cache() == read + "/huggingface/hub");
    set("XDG_CACHE_HOME", "");
  }
}

TEST_CASE("hub: a folder is itself, an id is its main snapshot") {
  const CleanEnvironment clean;
  const ScratchFolder folder;
  set("HF_HUB_CACHE", folder.path());
  CHECK(find_model(folder.path()) == folder.path());

  const auto config = folder.write("models--google--t5gemma-2-270m-270m/snapshots/abc123/config.json", "{}");
  folder.write("models--google--t5gemma-2-270m-270m/refs/main", "abc123\n");
  CHECK(find_model("google/t5gemma-2-270m-270m") == config.parent_path());
}

TEST_CASE("hub: pocket lies beside the programs") {
  const std::filesystem::path folder = find_model("pocket");
  CHECK(folder == pocket_model());
  CHECK(folder.parent_path().parent_path().filename() == "share");
  CHECK(std::filesystem::exists(folder / "model.safetensors"));
  CHECK(std::filesystem::exists(folder / "README.md"));
}

TEST_CASE("hub: what is not there") {
  const CleanEnvironment clean;
  const ScratchFolder folder;
  set("HF_HUB_CACHE", folder.path());
  const auto find = [](const std::string& model) { return error_of([&] { find_model(model); }); };

  const std::string message = find("google/nothing");
  contains(message, "google/nothing: expected a model folder or a hub id");
  contains(message, (folder.path() / "models--google--nothing").string());
  contains(message, "hf download google/nothing");
  for (const std::string neither : {"", "nowhere", "/no/where", "../x", "a/b/c", "a/..", "a b/c", "./a"}) {
    contains(find(neither), readable(neither) + ": expected a model folder or a hub id");
  }
  contains(find("nowhere"), "found neither; pocket is the small one that comes with the programs");
  contains(find(folder.write("file", "")),
           "expected a model folder, found a file; a model is the folder with ");

  contains(error_of([] { find_model(std::string(500, 'x') + "/y"); }),
           ": expected a model folder or a hub id");

  std::filesystem::create_symlink("gone", folder.path() / "link");
  contains(find(folder.path() / "link"),
           "expected a model folder, found a link that leads nowhere: gone is missing");
}

TEST_CASE("hub: a repository in the cache whose refs/main is missing or leads nowhere") {
  const CleanEnvironment clean;
  const ScratchFolder folder;
  set("HF_HUB_CACHE", folder.path());
  const std::string repo = "models--a--b", main = (folder.path() / repo / "refs/main").string();
  const auto find = [] { return error_of([] { find_model("a/b"); }); };
  const std::string expected = "a/b: expected a snapshot named by " + main + ", found ";
  folder.write(repo + "/refs/main", "gone");
  CHECK(find() == expected + "gone, which is not there; to download it: hf download a/b");

  const auto snapshot = folder.write(repo + "/snapshots/abc/config.json", "{}").parent_path();
  const std::string other = "; a snapshot that is there can be given by its folder, " + snapshot.string() +
                            "; to download it: hf download a/b";
  CHECK(find() == expected + "gone, which is not there" + other);
  folder.write(repo + "/refs/main", "../../" + repo);
  CHECK(find() == expected + "../../" + repo + ", which is not there" + other);
  for (const std::string up : {".", ".."}) {
    folder.write(repo + "/refs/main", up);
    CHECK(find() == expected + up + ", which is not there" + other);
  }
  std::filesystem::remove(main);
  CHECK(find() == expected + "no such file" + other);
}

}  // namespace test_hub
