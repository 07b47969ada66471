// safetensors: what is written is read back where it lies; everything wrong is named with file and field.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <random>

#include "scratch.hpp"
#include "t5gemma2/checkpoint/safetensors.hpp"
#include "t5gemma2/checkpoint/safetensors_writer.hpp"

namespace test_safetensors {

using namespace t5gemma2;

namespace {

std::string length_of(std::uint64_t size) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(size >> (8 * i) & 0xff);
  return bytes;
}

/// A safetensors file with this header and `data` bytes of zeros behind it.
std::string file_with(const std::string& header, std::size_t data) {
  return length_of(header.size()) + header + std::string(data, '\0');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

/// The complaint about a file with this content; it must name the file.
std::string complaint(const std::string& content) {
  const ScratchFolder folder;
  const auto file = folder.write("w.safetensors", content);
  const std::string message = error_of([&] { SafetensorsFile::open(file); });
  CHECK(message.starts_with(file.string() + ": "));
  return message;
}

template <class Number>
std::span<const std::byte> bytes_in(const std::vector<Number>& numbers) {
  return std::as_bytes(std::span(numbers));
}

/// A shard with one F32 tensor [1] of this name.
std::string shard_with(const std::string& name) {
  return file_with("{" + entry(name, "F32", "[1]", "[0,4]") + "}", 4);
}

std::string index_of(const std::string& name, const std::string& shard) {
  return "{\"metadata\":{},\"weight_map\":{\"" + name + "\":\"" + shard + "\"}}";
}

/// The complaint about a checkpoint folder with this index and a good shard "a.safetensors" that holds
/// tensor "a".
std::string index_complaint(const std::string& index) {
  const ScratchFolder folder;
  folder.write("model.safetensors.index.json", index);
  folder.write("a.safetensors", shard_with("a"));
  return error_of([&] { Checkpoint::open(folder.path()); });
}

}  // namespace

TEST_CASE("safetensors: what is written is read back, aligned, with its metadata") {
  const ScratchFolder folder;
  const auto file = folder.path() / "x.safetensors";
  const std::vector<float> floats{1.5f, -2, 3e-30f, 4};
  const std::vector<std::int64_t> ids{2, -1, 1 << 20};
  const std::vector<std::uint8_t> odd{7, 8, 9};
  const std::vector<std::uint16_t> halves{0x3c00, 0xc000}, brains{0x3f80, 0xc000};
  const std::vector<std::byte> none;
  const std::array<NamedTensor, 6> tensors{{{"bytes", Dtype::u8, {3}, bytes_in(odd)},
                                            {"halves", Dtype::f16, {2}, bytes_in(halves)},
                                            {"brains", Dtype::bf16, {1, 2}, bytes_in(brains)},
                                            {"floats", Dtype::f32, {2, 2}, bytes_in(floats)},
                                            {"ids", Dtype::i64, {1, 3}, bytes_in(ids)},
                                            {"none", Dtype::f32, {0, 640}, none}}};
  write_safetensors(file, tensors, {{"format", "pt"}});

  const auto opened = SafetensorsFile::open(file);
  CHECK(opened.metadata().at("format") == "pt");
  CHECK(opened.tensors().size() == tensors.size());
  for (const NamedTensor& tensor : tensors) {
    const StoredTensor& stored = opened.tensors().at(tensor.name);
    CHECK(stored.dtype == tensor.dtype);
    CHECK(stored.shape == tensor.shape);
    CHECK(as_text({stored.data, stored.bytes}) == as_text(tensor.bytes));
    CHECK(reinterpret_cast<std::uintptr_t>(stored.data) % (bits_of(stored.dtype) / 8) == 0);
  }
  CHECK(to_vector(opened.tensors().at("floats")) == Eigen::Map<const Vector>(floats.data(), 4));
  CHECK(to_vector(opened.tensors().at("halves"), 2, "test") == Vector{{1, -2}});
  CHECK(to_vector(opened.tensors().at("brains")) == Vector{{1, -2}});
  CHECK(to_integers(opened.tensors().at("ids")) == std::vector<Index>{2, -1, 1 << 20});
  CHECK(to_vector(opened.tensors().at("none")).size() == 0);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) ==
        1);  // no temporary file is left
}

TEST_CASE("safetensors: any set of tensors comes back as it was (random)") {
  const ScratchFolder folder;
  std::mt19937 random(7);
  const auto up_to = [&](std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most)(random);
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<std::vector<std::byte>> contents(up_to(8));
    std::vector<NamedTensor> tensors;
    for (auto& content : contents) {
      const Dtype dtype = dtypes[up_to(dtypes.size() - 1)].dtype;
      std::vector<Index> shape(up_to(3));
      for (Index& extent : shape) extent = static_cast<Index>(up_to(5));
      if (!bytes_of(dtype, shape)) shape.push_back(8);
      content.resize(*bytes_of(dtype, shape));
      for (std::byte& byte : content) byte = static_cast<std::byte>(up_to(255));
      tensors.push_back({"tensor \"ä\" " + std::to_string(tensors.size()), dtype, shape, content});
    }
    write_safetensors(folder.path() / "x", tensors);
    const auto opened = SafetensorsFile::open(folder.path() / "x");
    REQUIRE(opened.tensors().size() == tensors.size());
    for (const NamedTensor& tensor : tensors) {
      const StoredTensor& stored = opened.tensors().at(tensor.name);
      REQUIRE(text_of(stored.dtype, stored.shape) == text_of(tensor.dtype, tensor.shape));
      REQUIRE(as_text({stored.data, stored.bytes}) == as_text(tensor.bytes));
    }
  }
}

TEST_CASE("safetensors: data lies in the file, and only what is not aligned there is copied") {
  const ScratchFolder folder;
  std::string content = "{" + entry("odd", "U8", "[3]", "[0,3]") + "," + entry("x", "F32", "[1]", "[3,7]") +
                        "," + entry("scalar", "BF16", "[]", "[7,9]") + "}";
  content.append((8 - content.size() % 8) % 8, ' ');
  content = file_with(content, 0) + "abc" + std::string("\0\0\x80\x3f", 4) + std::string("\x00\xc0", 2);
  auto opened = SafetensorsFile::open(folder.write("x.safetensors", content));
  const SafetensorsFile moved = std::move(opened);  // data stays where it is
  CHECK(to_vector(moved.tensors().at("x"), 1, "test")[0] == 1.0f);
  CHECK(moved.tensors().at("scalar").shape.empty());
  CHECK(to_vector(moved.tensors().at("scalar"))[0] == -2.0f);
  CHECK(reinterpret_cast<std::uintptr_t>(moved.tensors().at("x").data) % 4 == 0);
}

TEST_CASE("safetensors: a header of odd length is legal") {
  const ScratchFolder folder;
  std::string header = "{" + entry("x", "F32", "[2]", "[0,8]") + "}";
  if (header.size() % 2 == 0) header += ' ';
  const auto opened = SafetensorsFile::open(folder.write("x", file_with(header, 8)));
  CHECK(to_vector(opened.tensors().at("x")) == Vector::Zero(2));
  CHECK(reinterpret_cast<std::uintptr_t>(opened.tensors().at("x").data) % 4 == 0);
  CHECK(SafetensorsFile::open(folder.write("none", file_with("{}", 0))).tensors().empty());
}

TEST_CASE("safetensors: a header of any length, with white space around it, is no web page") {
  const ScratchFolder folder;
  const std::string header = "{" + entry("x", "F32", "[1]", "[0,4]") + "}";
  for (const std::size_t length :
       {0x3cu, 0x13cu, 0x3c09u, 0x3c0au, 0x3c0du, 0x3c20u, 0x3c3cu, 0x3c0d0au, 0x13c20u}) {
    CAPTURE(length);
    const std::string padding(length - header.size(), ' ');
    for (const std::string& padded : {header + padding, padding + header}) {
      const std::string content = file_with(padded, 4);
      CHECK(SafetensorsFile::open(folder.write("x", content)).tensors().contains("x"));
      contains(complaint(content.substr(0, length)), ": the file is cut off");
    }
  }
  CHECK(SafetensorsFile::open(folder.write("x", file_with("\t\r\n " + header, 4))).tensors().contains("x"));
}

TEST_CASE("safetensors: no metadata, in each way to say so") {
  const ScratchFolder folder;
  for (const std::string none : {"", "\"__metadata__\":null,", "\"__metadata__\":{},"}) {
    const std::string header = "{" + none + entry("x", "F32", "[1]", "[0,4]") + "}";
    const auto opened = SafetensorsFile::open(folder.write("x", file_with(header, 4)));
    CHECK(opened.metadata().empty());
    CHECK(opened.tensors().size() == 1);
  }
}

TEST_CASE("safetensors: every number format of the specification has its size") {
  const ScratchFolder folder;
  for (const DtypeInfo& dtype : dtypes) {
    const std::string name(dtype.name), bytes = std::to_string(dtype.bits);
    const std::string header = "{" + entry("x", name, "[8]", "[0," + bytes + "]") + "}";
    const auto opened = SafetensorsFile::open(folder.write(name, file_with(header, dtype.bits)));
    CHECK(opened.tensors().at("x").dtype == dtype.dtype);
  }
}

TEST_CASE("safetensors: not a safetensors file") {
  const ScratchFolder folder;
  const auto open = [&](const std::string& name) {
    return error_of([&] { SafetensorsFile::open(folder.path() / name); });
  };
  contains(open("missing"), "missing: expected a safetensors file, found nothing");
  contains(open(std::string(300, 'x')), "expected a safetensors file, found File name too long");
  contains(open(""), "expected a safetensors file, found a folder");
  folder.write("empty", "");
  contains(open("empty"), "empty: expected a safetensors file, found an empty file");
  contains(error_of([] { SafetensorsFile::open("/dev/zero"); }), "something else than a file");
  contains(complaint("abc"), "only 3 bytes");
  contains(complaint("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
           "git-LFS pointer");
  contains(complaint("\n<!DOCTYPE html><html></html>"), "HTML");
  contains(complaint("\xEF\xBB\xBF<!DOCTYPE html><html></html>"), "HTML");
  contains(complaint("Entry not found"), "header length: expected at most 100 MB");
}

TEST_CASE("safetensors: header length beyond the file or the limit, truncated file") {
  contains(complaint(length_of(100) + "{}"), "header length: expected at most 2 bytes");
  contains(complaint(length_of(100'000'001) + "{}"),
           "header length: expected at most 100 MB, found 100000001");
  contains(complaint(length_of(~std::uint64_t{0}) + "{}"), "header length: expected at most 100 MB");
  contains(complaint(length_of(0)), "header: expected a JSON object");
  const std::string whole = shard_with("a");
  contains(complaint(whole.substr(0, whole.size() - 1)),
           "a.data_offsets[1]: expected at most 3, the end of the file, found 4: past the end, or the file "
           "is cut off");
}

TEST_CASE("safetensors: header that is not JSON, deep or mistyped") {
  contains(complaint(file_with("{nope}", 0)), "byte 3: expected JSON, found \"{no\"");
  contains(complaint(file_with("{\"a\":", 0)), "byte 6: expected JSON, found the end of the text");
  contains(complaint(file_with("[]", 0)), "header: expected a JSON object");
  contains(complaint(file_with("{} {}", 0)), "expected JSON");
  contains(complaint(file_with("{\"a\":" + std::string(1'000'000, '['), 0)),
           "nesting: expected at most 64 levels");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  contains(complaint(file_with(deep, 0)), "nesting");
  contains(complaint(file_with("{\"\xff\":1}", 0)), "expected JSON");  // not UTF-8
  contains(complaint(file_with("{\"a\":1}", 0)), "a: expected an object, found 1");
  contains(complaint(file_with("{\"a\":null}", 0)), "a.dtype: expected a text, found nothing");
  contains(complaint(file_with("{\"__metadata__\":{\"a\":1}}", 0)),
           "__metadata__.a: expected a text, found 1");
  contains(complaint(file_with("{\"__metadata__\":{\"a\":null}}", 0)),
           "__metadata__.a: expected a text, found null");
  for (const std::string odd : {"[]", "\"\"", "1", "true"})
    contains(complaint(file_with("{\"__metadata__\":" + odd + "}", 0)), "__metadata__: expected an object");
  const auto with = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return complaint(file_with(
        "{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}", 4));
  };
  contains(with("1", "[1]", "[0,4]"), "a.dtype: expected a text, found 1");
  contains(with("\"F31\"", "[1]", "[0,4]"), "a.dtype: expected a number format of safetensors");
  contains(with("\"F31\"", "[1]", "[0,4]"), "found \"F31\"");
  contains(with("\"F32\"", "1", "[0,4]"), "a.shape: expected a list, found 1");
  contains(with("\"F32\"", "[-1]", "[0,4]"), "a.shape[0]: expected a whole number");
  contains(with("\"F32\"", "[1, 1.0]", "[0,4]"), "a.shape[1]: expected a whole number");
  contains(with("\"F32\"", "[true]", "[0,4]"), "a.shape[0]: expected a whole number");
  contains(with("\"F32\"", "[18446744073709551615]", "[0,4]"), "a.shape[0]: expected a whole number");
  contains(with("\"F32\"", "[1]", "[0]"), "a.data_offsets: expected two offsets, found a list of 1");
  contains(with("\"F32\"", "[1]", "{}"), "a.data_offsets: expected a list, found an object");
  contains(with("\"F32\"", "[1]", "[0,\"4\"]"), "a.data_offsets[1]: expected a whole number");
  contains(with("\"F32\"", "[1]", "[0,4.0]"), "a.data_offsets[1]: expected a whole number");
}

TEST_CASE("safetensors: sizes that do not fit, checked without overflow") {
  const auto with = [](const std::string& dtype, const std::string& shape) {
    return complaint(file_with("{" + entry("a", dtype, shape, "[0,4]") + "}", 4));
  };
  contains(with("F32", "[2]"), "a.data_offsets: expected 8 bytes for F32 [2], found 4");
  contains(with("BF16", "[1]"), "a.data_offsets: expected 2 bytes for BF16 [1], found 4");
  contains(with("F32", "[4611686018427387905]"), "a.shape: expected a size in whole bytes");  // 2^62 + 1
  contains(with("F32", "[4294967296, 4294967296]"), "a.shape: expected a size in whole bytes");
  contains(with("U8", "[9223372036854775807, 2, 2]"), "a.shape: expected a size in whole bytes");
  contains(with("F4", "[7]"), "a.shape: expected a size in whole bytes");
  contains(with("F32", "[0]"), "expected 0 bytes for F32 [0], found 4");
}

TEST_CASE("safetensors: offsets overlap, leave holes, run backwards or past the end, and bytes left over") {
  const auto with = [](const std::string& a, const std::string& b, std::size_t data) {
    return complaint(
        file_with("{" + entry("a", "U8", "[4]", a) + "," + entry("b", "U8", "[4]", b) + "}", data));
  };
  contains(with("[0,4]", "[3,7]", 7), "b.data_offsets: expected to begin at 4");
  contains(with("[0,4]", "[3,7]", 7), "found 3: an overlap");
  contains(with("[0,4]", "[0,4]", 4), "found 0: an overlap");
  contains(with("[0,4]", "[5,9]", 9),
           "b.data_offsets: expected to begin at 4, where the tensor before ends, found 5: a hole");
  contains(with("[1,5]", "[5,9]", 9), "a.data_offsets: expected to begin at 0");
  contains(with("[4,0]", "[4,8]", 8), "a.data_offsets[1]: expected a whole number from 4 to 8, found 0");
  contains(with("[0,4]", "[4,8]", 7), "b.data_offsets[1]: expected at most 7, the end of the file, found 8");
  contains(with("[0,4]", "[-4,0]", 8), "b.data_offsets[0]: expected a whole number from 0 to 8, found -4");
  contains(with("[0,4]", "[4,8]", 9), "data: expected 8 bytes, the end of the last tensor, found 9");
  contains(complaint(file_with("{}", 1)), "data: expected 0 bytes");
}

TEST_CASE("safetensors: a name or a field twice") {
  const std::string twice = entry("a", "U8", "[0]", "[0,0]");
  contains(complaint(file_with("{" + twice + "," + twice + "}", 0)), "a: expected one value");
  contains(complaint(file_with("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\"}}", 0)),
           "dtype: expected one value");
}

TEST_CASE("safetensors: names from the file cannot break the message") {
  const std::string name = "line\\nbreak \\u001b[31m " + std::string(5000, 'x');
  const std::string message = complaint(file_with("{\"" + name + "\":{\"dtype\":\"" + name + "\"}}", 0));
  contains(message, "\"line\\nbreak \\u001b[31m x");
}

TEST_CASE("tensor of another shape or dtype: the message names tensor, config field and both shapes") {
  const ScratchFolder folder;
  const auto file = folder.write("w", file_with("{" + entry("norm", "F32", "[3]", "[0,12]") + "," +
                                                    entry("ids", "I64", "[1]", "[12,20]") + "}",
                                                20));
  const auto opened = SafetensorsFile::open(file);
  const StoredTensor &norm = opened.tensors().at("norm"), &ids = opened.tensors().at("ids");
  contains(error_of([&] { to_vector(norm, 4, "decoder.hidden_size"); }),
           "w: norm: expected F32 [4] (decoder.hidden_size), found F32 [3]");
  contains(error_of([&] { as_weight(norm, 3, 1, "decoder.hidden_size"); }), "expected F32 [3, 1]");
  contains(error_of([&] { to_vector(ids); }), "w: ids: expected F32, F16 or BF16 numbers, found I64 [1]");
  contains(error_of([&] { to_integers(norm); }), "w: norm: expected I64 or I32 numbers, found F32 [3]");
}

TEST_CASE("tensor that nobody has set, or with other bytes than its shape asks for: the caller's mistake") {
  const std::vector<float> numbers{1, 2, 3, 4, 5, 6};
  const StoredTensor good{"x", Dtype::f32, {2, 3}, bytes_in(numbers).data(), 24, "file"};
  CHECK(to_vector(good).size() == 6);
  StoredTensor no_data = good, no_bytes = good, ids = good;
  no_data.data = nullptr;
  no_bytes.bytes = 0;
  ids.dtype = Dtype::i32;
  CHECK(to_integers(ids).size() == 6);
  ids.data = nullptr;
  const char *none = "tensor x: expected the address of its numbers, found none",
             *short_of = "tensor x: expected the bytes of F32 [2, 3], found 0";
  CHECK_THROWS_WITH_AS(as_weight(no_data, 2, 3, "test"), none, std::invalid_argument);
  CHECK_THROWS_WITH_AS(to_vector(no_data), none, std::invalid_argument);
  CHECK_THROWS_WITH_AS(to_integers(ids), none, std::invalid_argument);
  CHECK_THROWS_WITH_AS(as_weight(no_bytes, 2, 3, "test"), short_of, std::invalid_argument);
  CHECK_THROWS_WITH_AS(to_vector(no_bytes), short_of, std::invalid_argument);
  CHECK_THROWS_AS(to_vector(StoredTensor{}), std::invalid_argument);
}

TEST_CASE("tensor: exactly F32, F16 and BF16 have a storage type, of as many bytes") {
  std::vector<std::string_view> names;
  for (const DtypeInfo& dtype : dtypes)
    if (dtype.storage_type) {
      names.push_back(dtype.name);
      CHECK(row_bytes(*dtype.storage_type, 1) * 8 == static_cast<Index>(dtype.bits));
    }
  CHECK(names == std::vector<std::string_view>{"F16", "BF16", "F32"});
}

TEST_CASE("checkpoint: one file goes before an index, and shards are found through links") {
  const ScratchFolder folder, blobs;
  folder.write("model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}");
  const auto blob = blobs.write("blob", shard_with("a"));
  std::filesystem::create_symlink(blob, folder.path() / "1.safetensors");
  folder.write("2.safetensors", shard_with("b"));
  Checkpoint sharded = Checkpoint::open(folder.path());
  const Checkpoint moved = std::move(sharded);
  CHECK(moved.tensors().size() == 2);
  CHECK(to_vector(moved.tensors().at("b"), 1, "test")[0] == 0);
  CHECK(moved.folder() == folder.path());

  folder.write("model.safetensors", shard_with("single"));
  CHECK(Checkpoint::open(folder.path()).tensors().contains("single"));
}

TEST_CASE("checkpoint: shards as transformers writes them") {
  const Checkpoint checkpoint = Checkpoint::open(std::filesystem::path(T5GEMMA2_TEST_DATA) / "shards");
  const StoredTensor& q_proj = checkpoint.tensors().at("model.decoder.layers.0.self_attn.q_proj.weight");
  CHECK(as_weight(q_proj, q_proj.shape[0], 24, "decoder.hidden_size").data == q_proj.data);
  const StoredTensor& norm = checkpoint.tensors().at("model.decoder.norm.weight");
  CHECK(to_vector(norm, 24, "decoder.hidden_size").allFinite());
}

TEST_CASE("checkpoint: no folder, no weights") {
  const ScratchFolder folder;
  contains(error_of([&] { Checkpoint::open(folder.path() / "x"); }),
           "x: expected a folder with model.safetensors");
  contains(error_of([&] { Checkpoint::open(folder.path()); }),
           "model.safetensors.index.json, found neither file");
  contains(error_of([&] { Checkpoint::open(folder.write("f", "x")); }), "found a file");
}

TEST_CASE("checkpoint: links that lead nowhere are named, not passed over") {
  const ScratchFolder folder;
  const auto link = [&](const std::string& name) {
    std::filesystem::create_symlink("../../blobs/" + name, folder.path() / name);
  };
  const auto open = [&] { return error_of([&] { Checkpoint::open(folder.path()); }); };
  folder.write("model.safetensors.index.json", index_of("a", "a.safetensors"));
  link("a.safetensors");
  contains(open(),
           "/a.safetensors: expected a safetensors file, found a link that leads nowhere: "
           "../../blobs/a.safetensors is missing");
  std::filesystem::remove(folder.path() / "model.safetensors.index.json");
  link("model.safetensors.index.json");
  contains(open(),
           "index.json: expected an index of shards, found a link that leads nowhere: ../../blobs/model");
  link("model.safetensors");
  contains(open(), "/model.safetensors: expected a safetensors file, found a link that leads nowhere: ");
}

TEST_CASE("checkpoint: what lies in a folder instead of the weights") {
  const auto found = [](const std::vector<std::string>& files) {
    const ScratchFolder folder;
    folder.write("config.json", "{}");
    for (const std::string& file : files) folder.write(file, "x");
    const std::string message = error_of([&] { Checkpoint::open(folder.path()); });
    const std::string start =
        folder.path().string() +
        ": expected a folder with model.safetensors or model.safetensors.index.json, found ";
    CHECK(message.starts_with(start));
    return message.substr(std::min(message.size(), start.size()));
  };
  CHECK(found({"tokenizer.json"}) == "neither file");
  contains(found({"adapter_config.json", "adapter_model.safetensors", "trainer_state.json"}),
           "adapter_config.json, a LoRA adapter: its base model goes there, ");
  contains(found({"adapter_model.safetensors"}), "a LoRA adapter");
  for (const std::string weights : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
    contains(found({weights, "training_args.bin", "optimizer.pt", "onnx/model.onnx"}),
             weights + ": save it as safetensors: T5Gemma2ForConditionalGeneration.from_pretrained(FOLDER)");
  for (const std::string weights : {"consolidated.safetensors", "model-00001-of-00002.safetensors"})
    CHECK(found({weights, "model.pt"}) ==
          weights + ", which has to be model.safetensors or be listed in model.safetensors.index.json");
  for (const std::string weights : {"model-Q8_0.gguf", "encoder.onnx", "a.pth", "last.ckpt"})
    CHECK(found({weights}) == weights + ", another format: the safetensors that transformers saves are read");
  contains(found({"onnx/model.onnx"}), "onnx, another format");
  CHECK(found({"optimizer.pt", "training_args.bin", "trainer_state.json", "global_step500/x.pt"}) ==
        "trainer_state.json of a Trainer without its model: trainer.save_model(FOLDER) saves that");
  const std::string inside = found({"checkpoint-500/config.json", "checkpoint-1000/config.json", "runs/x"});
  contains(inside, "such a folder in it: ");
  CHECK(inside.ends_with("/checkpoint-1000"));
}

TEST_CASE("checkpoint: a download that is not finished") {
  const ScratchFolder cache;
  const auto snapshot = cache.write("snapshots/abc/config.json", "{}").parent_path();
  const auto open = [&] { return error_of([&] { Checkpoint::open(snapshot); }); };
  cache.write("blobs/0123.4567.incomplete", "");
  contains(open(), "found an unfinished download: run hf download again");
  cache.write("snapshots/abc/model.safetensors.index.json", index_of("a", "1.safetensors"));
  contains(open(), "abc/1.safetensors: expected a safetensors file, found an unfinished download");
  cache.write("snapshots/abc/1.safetensors", shard_with("a"));
  CHECK(open() == "");

  const ScratchFolder local;
  local.write(".cache/huggingface/download/x.incomplete", "");
  contains(error_of([&] { Checkpoint::open(local.path()); }), "found an unfinished download");
}

TEST_CASE("checkpoint: index with a missing shard, outside the folder, of another content") {
  contains(index_complaint(index_of("a", "b.safetensors")),
           "b.safetensors: expected a safetensors file, found nothing");
  for (const std::string outside : {"../a.safetensors", "/etc/passwd", "x/../../a.safetensors", ".."}) {
    contains(index_complaint(index_of("a", outside)),
             "weight_map.a: expected a file in this folder, found \"" + outside);
  }
  contains(index_complaint(index_of("a", "")), "weight_map.a: expected a file in this folder, found \"\"");
  contains(index_complaint(index_of("a", "a.safetensors\\u0000b")),
           "weight_map.a: expected a file in this folder");
  contains(index_complaint(index_of("b", "a.safetensors")), "a.safetensors: b: expected the tensor, as ");
  contains(index_complaint("{\"weight_map\":{\"a\":1}}"), "weight_map.a: expected a text, found 1");
  contains(index_complaint("{\"weight_map\":{}}"), "weight_map: expected a shard for each tensor");
  contains(index_complaint("{}"), "index.json: weight_map: expected an object, found nothing");
  contains(index_complaint("[]"), "index.json: expected an object");
  contains(index_complaint("version https://git-lfs.github.com/spec/v1\n"), "git-LFS pointer");
  contains(index_complaint("nope"), "index.json: byte 2: expected JSON, found \"no\"");
  CHECK(index_complaint(index_of("a", "a.safetensors")) == "");
}

TEST_CASE("checkpoint: two shards with the same tensor") {
  const ScratchFolder folder;
  folder.write("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"1\",\"b\":\"2\"}}");
  folder.write("1", shard_with("a"));
  folder.write(
      "2",
      file_with("{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("b", "F32", "[1]", "[4,8]") + "}", 8));
  const std::string message = error_of([&] { Checkpoint::open(folder.path()); });
  contains(message, "2: a: expected each tensor in one shard");
  contains(message, folder.path().string() + "/1");
}

TEST_CASE("write_safetensors: a folder that is missing, a path that is a folder, a full disk") {
  const ScratchFolder folder;
  const std::vector<float> numbers(100'000);
  const std::array<NamedTensor, 1> tensors{{{"a", Dtype::f32, {100'000}, bytes_in(numbers)}}};
  const auto write = [&](const std::filesystem::path& path) {
    return error_of([&] { write_safetensors(path, tensors); });
  };
  contains(write(folder.path() / "no" / "x"), "x: cannot be written: No such file or directory");
  std::filesystem::create_directories(folder.path() / "folder" / "with");
  contains(write(folder.path() / "folder"), "folder: cannot be written: ");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);

  const auto old = folder.write("old", "as before");
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const rlimit small{1000, limit.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string message = write(old);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, handler);
  contains(message, "old: cannot be written: File too large");
  CHECK(read_text(old, "text") == "as before");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);
}

TEST_CASE("write_safetensors: a wrong size or a name twice is the caller's mistake") {
  const ScratchFolder folder;
  const std::vector<float> numbers(2);
  const NamedTensor good{"a", Dtype::f32, {2}, bytes_in(numbers)},
      wrong{"b", Dtype::f32, {3}, bytes_in(numbers)};
  const std::array<NamedTensor, 2> twice{{good, good}}, sizes{{good, wrong}};
  CHECK_THROWS_WITH_AS(write_safetensors(folder.path() / "x", twice),
                       "write_safetensors a: expected each name once, found it twice", std::invalid_argument);
  CHECK_THROWS_WITH_AS(write_safetensors(folder.path() / "x", sizes),
                       "write_safetensors b: expected the bytes of F32 [3], found 8", std::invalid_argument);
}

}  // namespace test_safetensors
