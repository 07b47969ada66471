// generation_config.json: what it sets, what it leaves open, and what is wrong with it.
#include "t5gemma2/checkpoint/generation_config_json.hpp"

#include "argument_error.hpp"
#include "fixture.hpp"
#include "scratch.hpp"
#include "t5gemma2/checkpoint/config_json.hpp"

namespace test_generation_config {

using namespace t5gemma2;

namespace {

GenerationConfig load_from(const std::filesystem::path& folder) {
  const ConfigFile config_json = open_config(folder);
  return load_generation_config(folder, config_json, read_config(config_json.root()));
}

GenerationConfig load(const std::string& text) {
  const ScratchFolder folder;
  std::filesystem::copy(data_folder("basic") / "config.json", folder.path() / "config.json");
  folder.write("generation_config.json", text);
  return load_from(folder.path());
}

std::string complaint(const std::string& text) {
  return error_of([&] { load(text); });
}

using Ids = std::vector<TokenId>;

}  // namespace

TEST_CASE("generation_config: without a field it has transformers' default") {
  const GenerationConfig config = load(R"({"bos_token_id": 2, "eos_token_id": null, "top_k": null})");
  CHECK(config.bos_token_id == 2);
  CHECK(!config.decoder_start_token_id);
  CHECK(config.eos_token_id.empty());
  CHECK(!config.max_length);
  CHECK(!config.max_new_tokens);
  CHECK(config.temperature == 1);
  CHECK(config.top_k == 50);
  CHECK(config.num_beams == 1);
  CHECK(config.early_stopping == EarlyStopping::no);
  CHECK(!config.do_sample);
  REQUIRE(config.notes.size() == 1);
  contains(config.notes[0], "eos_token_id: none");
}

TEST_CASE("generation_config: every field arrives at the member of its name") {
  const GenerationConfig c =
      load(R"({"decoder_start_token_id": 7, "bos_token_id": [2], "eos_token_id": [1, 106],
      "forced_bos_token_id": 8, "forced_eos_token_id": [1, 9], "max_length": 30, "max_new_tokens": 77,
      "min_length": 3, "min_new_tokens": 0, "stop_strings": ["a", "b"], "do_sample": true, "temperature": 0.5,
      "top_k": 64, "top_p": 0.95, "min_p": 0.25, "typical_p": 0.75, "num_beams": 4, "num_return_sequences": 2,
      "length_penalty": -0.5, "early_stopping": "never", "sequence_bias": [[[3, 4], -1.5], [[5], 2]],
      "repetition_penalty": 1.5, "encoder_repetition_penalty": 1.25, "no_repeat_ngram_size": 3,
      "encoder_no_repeat_ngram_size": 4, "bad_words_ids": [[5], [6, 7]], "suppress_tokens": [10],
      "begin_suppress_tokens": [11, 12], "exponential_decay_length_penalty": [5, 1.01],
      "renormalize_logits": true, "transformers_version": "5.23.0", "use_cache": true})");
  CHECK(c.decoder_start_token_id == 7);
  CHECK(c.bos_token_id == 2);
  CHECK(c.eos_token_id == Ids{1, 106});
  CHECK(c.forced_bos_token_id == 8);
  CHECK(c.forced_eos_token_id == Ids{1, 9});
  CHECK(c.max_length == 30);
  CHECK(c.max_new_tokens == 77);
  CHECK(c.min_length == 3);
  CHECK(c.min_new_tokens == 0);
  CHECK(c.stop_strings == std::vector<std::string>{"a", "b"});
  CHECK(c.do_sample);
  CHECK(c.temperature == 0.5);
  CHECK(c.top_k == 64);
  CHECK(c.top_p == 0.95);
  CHECK(c.min_p == 0.25);
  CHECK(c.typical_p == 0.75);
  CHECK(c.num_beams == 4);
  CHECK(c.num_return_sequences == 2);
  CHECK(c.length_penalty == -0.5);
  CHECK(c.early_stopping == EarlyStopping::never);
  REQUIRE(c.sequence_bias.size() == 2);
  CHECK(c.sequence_bias[0].ids == Ids{3, 4});
  CHECK(c.sequence_bias[0].bias == -1.5f);
  CHECK(c.sequence_bias[1].bias == 2);
  CHECK(c.repetition_penalty == 1.5);
  CHECK(c.encoder_repetition_penalty == 1.25);
  CHECK(c.no_repeat_ngram_size == 3);
  CHECK(c.encoder_no_repeat_ngram_size == 4);
  CHECK(c.bad_words_ids == std::vector<Ids>{{5}, {6, 7}});
  CHECK(c.suppress_tokens == Ids{10});
  CHECK(c.begin_suppress_tokens == Ids{11, 12});
  REQUIRE(c.exponential_decay_length_penalty);
  CHECK(c.exponential_decay_length_penalty->start == 5);
  CHECK(c.exponential_decay_length_penalty->factor == 1.01);
  CHECK(c.renormalize_logits);
  CHECK(c.notes.empty());
}

TEST_CASE("generation_config: one id or a list of them, one text or several, three kinds of early stopping") {
  CHECK(load(R"({"bos_token_id": 2, "eos_token_id": 1})").eos_token_id == Ids{1});
  CHECK(load(R"({"forced_eos_token_id": 1})").forced_eos_token_id == Ids{1});
  CHECK(load(R"({"stop_strings": "end"})").stop_strings == std::vector<std::string>{"end"});
  CHECK(load(R"({"early_stopping": true})").early_stopping == EarlyStopping::yes);
  CHECK(load(R"({"early_stopping": false})").early_stopping == EarlyStopping::no);
  CHECK(load(R"({"bad_words_ids": [[], [4]]})").bad_words_ids == std::vector<Ids>{{4}});
  const GenerationConfig twice = load(R"({"sequence_bias": [[[3], 1], [[4], 2], [[3], 5]]})");
  REQUIRE(twice.sequence_bias.size() == 2);  // of equal ids the last counts
  CHECK(twice.sequence_bias[0].bias == 5);
}

TEST_CASE("generation_config: a file that names no id to start from takes bos and eos from config.json") {
  CHECK(load("{}").bos_token_id == 2);
  CHECK(load("{}").eos_token_id == Ids{1});
  CHECK(load(R"({"eos_token_id": [5]})").eos_token_id == Ids{5});
  CHECK(load(R"({"decoder_start_token_id": 0})").eos_token_id.empty());  // and then it ends nowhere, as there
}

TEST_CASE("generation_config: without the file config.json says it all, the top level before the decoder") {
  const ScratchFolder folder;
  const std::string text = read_text(data_folder("basic") / "config.json", "a config");
  nlohmann::json config = nlohmann::json::parse(text);
  config["decoder"]["decoder_start_token_id"] = 9;
  config["decoder"]["max_length"] = 11;
  config["max_length"] = 12;
  config["no_repeat_ngram_size"] = 2;
  folder.write("config.json", config.dump());
  const GenerationConfig c = load_from(folder.path());
  CHECK(c.decoder_start_token_id == 9);
  CHECK(c.max_length == 12);
  CHECK(c.no_repeat_ngram_size == 2);
  CHECK(c.bos_token_id == 2);
  CHECK(c.eos_token_id == Ids{1});
  CHECK(c.source == (folder.path() / "config.json").string());
  CHECK(c.notes.empty());
  config.erase("bos_token_id");
  config["eos_token_id"] = nullptr;
  config["decoder"]["bos_token_id"] = 3;
  config["decoder"]["eos_token_id"] = {5, 6};
  folder.write("config.json", config.dump());
  CHECK(load_from(folder.path()).bos_token_id == 3);
  CHECK(load_from(folder.path()).eos_token_id == Ids{5, 6});
}

TEST_CASE("generation_config: the file that transformers writes is read") {
  const GenerationConfig config = load_from(data_folder("basic"));
  CHECK(config.eos_token_id == Ids{1});
  CHECK(config.notes.empty());
}

TEST_CASE(
    "generation_config: what is asked for and not done is named in one note, what asks for nothing is not") {
  const GenerationConfig c =
      load(R"({"bos_token_id": 2, "eos_token_id": 1, "max_time": 3, "guidance_scale": 1.5,
      "num_beam_groups": 1, "epsilon_cutoff": 0.0, "watermarking_config": null, "constraints": [], "generation_kwargs": {}, "token_healing": false,
      "cache_implementation": "hybrid", "pad_token_id": 0})");
  REQUIRE(c.notes.size() == 1);
  CHECK(c.notes[0].ends_with("generation_config.json: without effect here: guidance_scale, max_time"));
}

TEST_CASE(
    "generation_config: the limits count the decoder prompt, max_new_tokens and min_new_tokens go first") {
  const auto limits = [](const GenerationConfig& c) {
    const LengthLimits found = length_limits(c, 3);
    return std::pair(found.least, found.most);
  };
  CHECK(limits({}) == std::pair<Index, Index>{0, 131});
  CHECK(limits({.max_new_tokens = 5, .max_length = 10}) == std::pair<Index, Index>{0, 8});
  CHECK(limits({.max_length = 10, .min_length = 6}) == std::pair<Index, Index>{6, 10});
  CHECK(limits({.min_new_tokens = 2, .max_length = 4, .min_length = 6}) == std::pair<Index, Index>{5, 4});
  contains(error_of([] { length_limits({.max_length = 3}, 3); }), "max_length: expected more than");
}

TEST_CASE("generation_config: a wrong field is named") {
  for (const auto& [text, field] :
       {std::pair<std::string, std::string>{R"({"temperature": -1})", "temperature"},
        {R"({"temperature": "warm"})", "temperature"},
        {R"({"top_p": 1.5})", "top_p"},
        {R"({"min_p": -0.1})", "min_p"},
        {R"({"top_k": 1.5})", "top_k"},
        {R"({"top_k": -3})", "top_k"},
        {R"({"repetition_penalty": 0})", "repetition_penalty"},
        {R"({"max_new_tokens": 99999999999})", "max_new_tokens"},
        {R"({"eos_token_id": "end"})", "eos_token_id"},
        {R"({"eos_token_id": [1, -2]})", "eos_token_id"},
        {R"({"max_new_tokens": 0})", "max_new_tokens"},
        {R"({"max_length": 0})", "max_length"},
        {R"({"bos_token_id": [2, 3]})", "bos_token_id"},
        {R"({"decoder_start_token_id": "x"})", "decoder_start_token_id"},
        {R"({"bad_words_ids": [5]})", "bad_words_ids[0]"},
        {R"({"bad_words_ids": [["a"]]})", "bad_words_ids[0][0]"},
        {R"({"sequence_bias": {"a": 1}})", "sequence_bias"},
        {R"({"sequence_bias": [[[], 1]]})", "sequence_bias[0]"},
        {R"({"sequence_bias": [[[5]]]})", "sequence_bias[0]"},
        {R"({"sequence_bias": [[[5], "a"]]})", "sequence_bias[0][1]"},
        {R"({"early_stopping": "sometimes"})", "early_stopping"},
        {R"({"early_stopping": 1})", "early_stopping"},
        {R"({"num_beams": 0})", "num_beams"},
        {R"({"num_return_sequences": 0})", "num_return_sequences"},
        {R"({"exponential_decay_length_penalty": [1]})", "exponential_decay_length_penalty"},
        {R"({"typical_p": 0})", "typical_p"},
        {R"({"no_repeat_ngram_size": -1})", "no_repeat_ngram_size"},
        {R"({"stop_strings": [1]})", "stop_strings[0]"},
        {R"({"do_sample": 1})", "do_sample"}}) {
    const std::string message = complaint(text);
    contains(message, "generation_config.json: " + field);
    contains(message, "expected ");
  }
  const ScratchFolder folder;
  std::filesystem::copy(data_folder("basic") / "config.json", folder.path() / "config.json");
  std::filesystem::create_symlink("gone", folder.path() / "generation_config.json");
  contains(error_of([&] { load_from(folder.path()); }), "found a link that leads nowhere: gone");
  CHECK(complaint("{") != "");
  CHECK(complaint("[1]") != "");
}

TEST_CASE("generation_config: options that have no meaning are refused, each by its name") {
  const auto complaint = [](const GenerateOptions& options) {
    return argument_error([&] { check(options, 9); });
  };
  const double nan = std::nan("");
  CHECK(complaint({.config = {}}) == "");
  CHECK(complaint({.config = {.temperature = 0}}) == "");  // nothing is drawn
  contains(complaint({.config = {.temperature = 0}, .sample = true}),
           "temperature: expected a number above 0");
  contains(complaint({.config = {.temperature = nan}, .sample = true}), "temperature: expected");
  contains(complaint({.config = {.top_p = 1.5}}), "top_p: expected a number from 0 to 1, found 1.5");
  contains(complaint({.config = {.min_p = nan}}), "min_p: expected");
  contains(complaint({.config = {.typical_p = 0}}), "typical_p: expected");
  contains(complaint({.config = {.top_k = -1}}), "top_k: expected 0 or more, found -1");
  contains(complaint({.config = {.num_beams = 0}}), "num_beams: expected from 1 to most_texts, found 0");
  contains(complaint({.config = {.num_beams = 1025}}), "num_beams: expected");
  contains(complaint({.config = {.num_return_sequences = 0}}), "num_return_sequences: expected from 1");
  contains(complaint({.config = {.length_penalty = nan}}), "length_penalty: expected a finite number");
  contains(complaint({.config = {.max_new_tokens = -1}}), "max_new_tokens: expected 0 or more");
  contains(complaint({.config = {.min_new_tokens = -1}}), "min_new_tokens: expected 0 or more");
  contains(complaint({.config = {.min_length = -1}}), "min_length: expected 0 or more");
  contains(complaint({.config = {.repetition_penalty = 0}}), "repetition_penalty: expected a number above 0");
  contains(complaint({.config = {.encoder_repetition_penalty = -2}}), "encoder_repetition_penalty: expected");
  contains(complaint({.config = {.no_repeat_ngram_size = -1}}), "no_repeat_ngram_size: expected 0 or more");
  contains(complaint({.config = {.encoder_no_repeat_ngram_size = -1}}), "encoder_no_repeat_ngram_size: exp");
  contains(complaint({.config = {.sequence_bias = {{{}, 1}}}}), "sequence_bias ids: expected one or more");
  contains(complaint({.config = {.sequence_bias = {{{1}, HUGE_VALF}}}}), "sequence_bias: expected a finite");
  contains(complaint({.config = {.bad_words_ids = {{}}}}), "bad_words_ids: expected one or more in each");
  contains(complaint({.config = {.exponential_decay_length_penalty = LengthDecay{0, 0}}}),
           "exponential_decay_length_penalty factor: expected a number above 0");
  contains(complaint({.config = {.exponential_decay_length_penalty = LengthDecay{-1, 2}}}),
           "exponential_decay_length_penalty start: expected 0 or more");
  contains(complaint({.config = {}, .repeat_last_n = -1}), "repeat_last_n: expected 0 or more, found -1");
}

}  // namespace test_generation_config
