// The decoder: against the reference, and token by token with the cache against all at once without.
#include "t5gemma2/decoder.hpp"

#include "allowed_difference.hpp"
#include "fixture.hpp"

namespace test_decoder {

using namespace t5gemma2;

namespace {

using Ids = std::vector<TokenId>;

/// The fixture's decoder, both layers with this window.
Decoder with_window(Index window) {
  Decoder w = fixture_model().decoder;
  for (Layer& layer : w.layers) layer.self_attn.window = window;
  return w;
}

Ids some_ids(std::size_t count) {
  std::mt19937 random(7);
  Ids ids{2};
  while (ids.size() < count) ids.push_back(static_cast<TokenId>(random() % 64));
  return ids;
}

/// decoder_step in blocks of these sizes over and over.
Matrix in_steps(const Decoder& w, const Ids& ids, const Matrix& H, const std::vector<std::size_t>& blocks) {
  DecoderState state = start_decoder(w, H);
  Matrix x(std::ssize(ids), H.cols());
  std::span<const TokenId> left(ids);
  for (std::size_t i = 0; !left.empty(); ++i) {
    const auto now = left.first(std::min(blocks[i % blocks.size()], left.size()));
    x.middleRows(std::ssize(ids) - std::ssize(left), std::ssize(now)) = decoder_step(w, state, now);
    left = left.subspan(now.size());
    CHECK(state.position == std::ssize(ids) - std::ssize(left));
  }
  return x;
}

/// Logits of every token of the fixture's reference run, by the cache, one token at a time.
Matrix cached_logits(const std::string& fixture) {
  const Model& model = fixture_model(fixture);
  const Ids ids = reference_ids("inputs.decoder_input_ids", fixture);
  DecoderState state =
      start_decoder(model.decoder, encode(model, reference_ids("inputs.input_ids", fixture)));
  Matrix logits(std::ssize(ids), model.config.decoder.vocab_size);
  for (std::size_t i = 0; i < ids.size(); ++i)
    logits.row(static_cast<Index>(i)) = decode(model.decoder, state, std::span(ids).subspan(i, 1));
  return logits;
}

}  // namespace

TEST_CASE("decoder: one layer makes the reference's output") {
  const Matrix H = reference_tensor(encoder_path + "norm");
  for (const Index i : {0, 1}) {
    const Layer& layer = fixture_layer(decoder_path, i);
    const Matrix x =
        transformer_layer(layer, reference_layer_input(decoder_path, i), {}, [&](const Matrix& X) {
          return merged_attention(layer.self_attn, X, H,
                                  ropes_at(fixture_model().config.decoder, 0, 7).of(layer.type));
        });
    CHECK(difference(x, reference_tensor(layer_path(decoder_path, i))) <= tight);
  }
}

TEST_CASE("decoder: the whole decoder and its logits are the reference's") {
  const Decoder& w = fixture_model().decoder;
  const Matrix H = reference_tensor(encoder_path + "norm");
  CHECK(difference(decoder(w, reference_ids("inputs.decoder_input_ids"), H),
                   reference_tensor(decoder_path + "norm")) <=
        allowed_difference(decoder_path + "norm", "basic"));
  CHECK(difference(logits_of(w, reference_tensor(decoder_path + "norm")), reference_tensor("logits")) <=
        tight);
}

TEST_CASE(
    "decoder: cached, token by token, its logits are the reference's: softcapped, untied, unequal sides, n = "
    "0") {
  CHECK(fixture_model("untied").config.decoder.final_logit_softcapping == 4.0f);
  CHECK(fixture_model("untied").decoder.lm_head.data !=
        fixture_model("untied").encoder.embed_tokens.weight.data);
  for (const std::string fixture : {"basic", "untied", "unequal", "no_encoder", "old_keys", "shards"}) {
    CAPTURE(fixture);
    CHECK(difference(cached_logits(fixture), reference_tensor("logits", fixture)) <=
          allowed_difference("logits", fixture));
  }
}

TEST_CASE("decoder: logits are softcapped where the configuration says so, and named before and after") {
  Decoder w = fixture_model().decoder;
  w.config.final_logit_softcapping = 0.5f;
  Recorder recorder;
  const Trace trace = recorder.trace();
  const Matrix x = reference_tensor(decoder_path + "norm"), logits = logits_of(w, x, Tap(trace));
  CHECK(recorder.names == std::vector<std::string>{"lm_head", "logits"});
  CHECK(difference(recorder.tensors["lm_head"], reference_tensor("lm_head")) <= tight);
  CHECK(same_bits(logits, softcap(recorder.tensors["lm_head"], 0.5f)));
  CHECK(logits.cwiseAbs().maxCoeff() <= 0.5f);
}

TEST_CASE("decoder: the head may be another matrix than the embedding") {
  const Matrix other = random_matrix(64, 24, 1), x = random_matrix(3, 24, 2);
  const StoredMatrix stored(other);
  Decoder w = fixture_model().decoder;
  w.lm_head = stored.weight();
  CHECK(difference(logits_of(w, x), x * other.transpose()) <= tight);
}

TEST_CASE(
    "decoder: cached steps equal all at once, for every window, mixed blocks, with and without encoder "
    "rows") {
  const Ids ids = some_ids(40);
  for (const Index window : {Index{1}, Index{2}, Index{5}, Index{6}, no_window})
    for (const Index n : {0, 11})
      for (const std::vector<std::size_t>& blocks :
           std::vector<std::vector<std::size_t>>{{1}, {2}, {7}, {40}, {1, 2, 7}, {13, 1, 1}}) {
        const Decoder w = with_window(window);
        const Matrix H = random_matrix(n, 24, 3) * 2;
        CAPTURE(window);
        CAPTURE(n);
        CAPTURE(blocks[0]);
        CHECK(difference(in_steps(w, ids, H, blocks), decoder(w, ids, H)) <= 1e-5);
      }
}

TEST_CASE("decoder: decode gives the last token's logits, for prompts longer than a block too") {
  const Decoder& w = fixture_model().decoder;
  const Matrix H = reference_tensor(encoder_path + "norm");
  for (const std::size_t size : {1u, 2u, 255u, 256u, 257u, 258u, 511u, 512u, 513u, 600u}) {
    const Ids ids = some_ids(size);
    DecoderState state = start_decoder(w, H);
    const Matrix all = logits_of(w, decoder(w, ids, H));
    CAPTURE(size);
    CHECK(difference(decode(w, state, ids).transpose(), all.bottomRows(1)) <= 1e-5);
    CHECK(state.position == std::ssize(ids));
    if (size > 1) CHECK(difference(all.topRows(1), all.bottomRows(1)) > 1e-3);
  }
}

TEST_CASE("decoder: a state may be copied and continued in two ways") {
  const Decoder& w = fixture_model().decoder;
  const Matrix H = reference_tensor(encoder_path + "norm");
  DecoderState one = start_decoder(w, H);
  decode(w, one, some_ids(9));
  DecoderState two = one;
  const Ids five{5}, nine{9};
  const Vector after_five = decode(w, one, five), after_nine = decode(w, two, nine);
  CHECK(difference(after_five, after_nine) > 1e-3);
  CHECK(one.position == 10);
  Ids ids = some_ids(9);
  ids.push_back(9);
  CHECK(difference(after_nine.transpose(), logits_of(w, decoder(w, ids, H)).bottomRows(1)) <= 1e-5);
}

TEST_CASE("decoder: states decode together what each decodes alone, and share H's keys") {
  for (const char* name : {"basic", "long_odd", "unequal", "untied"}) {
    const Model& model = fixture_model(name);
    const Decoder& w = model.decoder;
    const DecoderState start = start_decoder(w, encode(model, reference_ids("inputs.input_ids", name)));
    std::vector<DecoderState> states(3, start);
    CHECK(states[0].encoder_kv == states[2].encoder_kv);
    const Ids prefixes[]{{2, 5, 7}, {2, 9, 11}, {3, 3, 3}};
    for (std::size_t i = 0; i < 3; ++i) decode(w, states[i], prefixes[i]);
    std::vector<DecoderState> alone = states;
    for (int step = 0; step < 12; ++step) {  // the window fills
      const Ids ids{static_cast<TokenId>(step), static_cast<TokenId>(20 - step), 6};
      const Matrix together = decode_together(w, states, ids);
      for (std::size_t i = 0; i < 3; ++i) {
        CAPTURE(name);
        CAPTURE(step);
        const Vector expected = decode(w, alone[i], std::span(ids).subspan(i, 1));
        CHECK(difference(together.row(static_cast<Index>(i)), expected.transpose()) <= 1e-5);
        CHECK(states[i].position == alone[i].position);
      }
    }
  }
}

TEST_CASE("decoder: a token has its own position: the same token twice gives other logits") {
  DecoderState state = start_decoder(fixture_model().decoder, reference_tensor(encoder_path + "norm"));
  const Ids same{5};
  decode(fixture_model().decoder, state, same);
  const Vector second = decode(fixture_model().decoder, state, same);
  CHECK(state.position == 2);
  CHECK(difference(decode(fixture_model().decoder, state, same), second) > 1e-4);
}

TEST_CASE("decoder: the last norm has the decoder's eps") {
  Decoder w = fixture_model().decoder;
  const Ids ids = reference_ids("inputs.decoder_input_ids");
  const Matrix H = reference_tensor(encoder_path + "norm"),
               expected = rms_norm(reference_tensor(layer_path(decoder_path, 1)), w.norm, 3);
  w.config.rms_norm_eps = 3;
  CHECK(difference(decoder(w, ids, H), expected) <= tight);
  CHECK(difference(in_steps(w, ids, H, {2}), expected) <= 2 * tight);
}

TEST_CASE("decoder: each layer rotates by the RoPE of its own type, cached too") {
  Decoder w = fixture_model().decoder;
  const Ids ids = some_ids(20);
  const Matrix H = reference_tensor(encoder_path + "norm"), before = decoder(w, ids, H);
  w.layers[0].type = LayerType::full_attention;  // its window stays
  CHECK(difference(decoder(w, ids, H), before) > 1e-3);
  CHECK(difference(in_steps(w, ids, H, {3}), decoder(w, ids, H)) <= 1e-5);
}

TEST_CASE("decoder: the end-of-image token has its own vector, cached too") {
  Decoder w = fixture_model().decoder;
  const Ids ids{2, 62, 5};
  const Matrix H = reference_tensor(encoder_path + "norm"), before = decoder(w, ids, H);
  w.embed_tokens.eoi_embedding *= -1;
  CHECK(difference(decoder(w, ids, H), before) > 1e-3);
  CHECK(difference(in_steps(w, ids, H, {1}), decoder(w, ids, H)) <= 1e-5);
}

TEST_CASE("decoder: encoder-side keys and values are made once, one pair for each layer") {
  const Decoder& w = fixture_model().decoder;
  const Matrix H = reference_tensor(encoder_path + "norm");
  const DecoderState state = start_decoder(w, H);
  REQUIRE(state.encoder_kv->size() == 2);
  for (const Index i : {0, 1})
    CHECK(difference((*state.encoder_kv)[static_cast<std::size_t>(i)].K,
                     reference_heads(layer_path(decoder_path, i) + ".self_attn.k_norm[1]")) <= tight);
  CHECK(state.position == 0);
}

TEST_CASE("decoder: a NaN in H makes all logits NaN, with and without the cache") {
  const Decoder& w = fixture_model().decoder;
  for (const Index row : {0, 10}) {
    const Matrix H = with_nan(reference_tensor(encoder_path + "norm"), row, 5);
    const Ids ids = some_ids(9);
    CHECK(logits_of(w, decoder(w, ids, H)).array().isNaN().all());
    DecoderState state = start_decoder(w, H);
    CHECK(decode(w, state, ids).array().isNaN().all());
  }
}

TEST_CASE("decoder: ids outside the vocabulary and an H of another width are refused") {
  const Decoder& w = fixture_model().decoder;
  DecoderState state = start_decoder(w, Matrix(0, 24));
  CHECK_THROWS_AS(decode(w, state, Ids{64}), Error);
  CHECK_THROWS_AS(decoder(w, Ids{-1}, Matrix(0, 24)), Error);
  CHECK_THROWS_AS(start_decoder(w, Matrix(2, 23)), std::invalid_argument);
  CHECK_THROWS_AS(decoder(w, Ids{2}, Matrix(2, 23)), std::invalid_argument);
}

TEST_CASE(
    "decoder: progress is told before the first layer and after each, and may stop the work by throwing") {
  const Decoder& w = fixture_model().decoder;
  std::vector<Index> told;
  decoder(w, Ids{2, 5}, random_matrix(4, 24, 1), {}, [&](Index finished, Index layers) {
    CHECK(layers == 2);
    told.push_back(finished);
  });
  CHECK(told == std::vector<Index>{0, 1, 2});
  const Progress stop = [](Index finished, Index) {
    if (finished == 1) throw Error("stopped");
  };
  CHECK_THROWS_AS(forward(fixture_model(), Ids{2, 5}, random_matrix(4, 24, 1), stop), Error);
}

TEST_CASE("decoder: many rows of H are read in chunks, and these change no bit") {
  const Matrix H = random_matrix(2 * chunk_rows + 3, 24, 1);
  const DecoderState state = start_decoder(fixture_model().decoder, H);
  for (const Index i : {0, 1}) {
    const auto [K, V] = encoder_keys_values(fixture_layer(decoder_path, i).self_attn, H);
    CHECK(same_bits((*state.encoder_kv)[static_cast<std::size_t>(i)].K, K));
    CHECK(same_bits((*state.encoder_kv)[static_cast<std::size_t>(i)].V, V));
  }
}

TEST_CASE("decoder: progress counts tokens of H, then of a prompt, and may stop the work by throwing") {
  const Decoder& w = fixture_model().decoder;
  const Matrix H = random_matrix(3000, 24, 1);
  std::vector<Index> told;
  Index expected = 3000;
  const Progress tell = [&](Index finished, Index all) {
    CHECK(all == expected);
    told.push_back(finished);
  };
  DecoderState state = start_decoder(w, H, tell);
  CHECK(told == std::vector<Index>{0, 500, 1000, 1500, 2000, 2500, 3000});
  told.clear();
  expected = 600;
  decode(w, state, some_ids(600), tell);
  REQUIRE(told.size() == 7);  // three blocks, two layers
  CHECK(told.front() == 0);
  CHECK(told.back() == 600);
  CHECK(std::is_sorted(told.begin(), told.end()));
  told.clear();
  decode(w, state, Ids{5}, tell);
  start_decoder(w, Matrix(0, 24), tell);
  CHECK(told.empty());
  const Progress stop = [](Index finished, Index) {
    if (finished > 0) throw Error("stopped");
  };
  CHECK_THROWS_AS(start_decoder(w, H, stop), Error);
  CHECK_THROWS_AS(decode(w, state, Ids{5, 6}, stop), Error);
}

TEST_CASE("decoder: the more keys, the shorter the blocks of a prompt") {
  Decoder w = fixture_model().decoder;
  const DecoderState state = start_decoder(w, random_matrix(1000, 24, 1));
  const auto longest = [&](Index query_width) {
    w.layers[1].self_attn.q_proj.rows = query_width;
    return blocks_of(w, state, 600).front().count;
  };
  CHECK(longest(16) == 256);
  const Index some = longest(100000), fewer = longest(1000000);
  CHECK(some > fewer);
  CHECK(fewer > 1);
  CHECK(some < 256);
  CHECK(longest(1000000000) == 1);
}

TEST_CASE("decoder: the same numbers for any number of threads") {
  const Matrix H = random_matrix(100, 24, 1);
  CHECK(same_for_any_threads([&] { return in_steps(fixture_model().decoder, some_ids(90), H, {70, 1}); }));
}

TEST_CASE("decoder: a field that is not set is refused by name, cached too") {
  const auto refused = [&](const auto& forget, const char* why) {
    Decoder w = fixture_model().decoder;
    forget(w);
    CHECK_THROWS_WITH_AS(decoder(w, Ids{2}, Matrix(0, 24)), why, std::invalid_argument);
    CHECK_THROWS_WITH_AS(start_decoder(w, Matrix(0, 24)), why, std::invalid_argument);
  };
  refused([](Decoder& w) { w.layers.clear(); },
          "decoder layers: expected as many as num_hidden_layers, found 0");
  refused([](Decoder& w) { w.norm = {}; }, "decoder norm: expected [24], found [0]");
  refused([](Decoder& w) { w.lm_head = {}; }, "lm_head: expected [64, 24], found [0, 0]");
  refused([](Decoder& w) { w.config.rms_norm_eps = unset; },
          "decoder rms_norm_eps: expected 0 or more, found nan");
}

TEST_CASE("decoder: a state of another decoder, or of none, and no ids are refused") {
  const Decoder& w = fixture_model().decoder;
  const char* const why = "DecoderState: expected one from start_decoder, found another";
  DecoderState none, shorter = start_decoder(w, Matrix(0, 24)), state = shorter;
  shorter.past.pop_back();
  CHECK_THROWS_WITH_AS(decode(w, none, Ids{2}), why, std::invalid_argument);
  CHECK_THROWS_WITH_AS(decode(w, shorter, Ids{2}), why, std::invalid_argument);
  std::vector<DecoderState> states{state, none};
  CHECK_THROWS_WITH_AS(decode_together(w, states, Ids{2, 2}), why, std::invalid_argument);
  CHECK_THROWS_WITH_AS(decode(w, state, Ids{}), "decode ids: expected one or more, found none",
                       std::invalid_argument);
}

TEST_CASE("decoder: states of several lengths, or with caches of another length, are refused") {
  const Decoder& w = fixture_model().decoder;
  std::vector<DecoderState> states(2, start_decoder(w, Matrix(0, 24)));
  decode(w, states[1], Ids{2, 5});
  CHECK_THROWS_WITH_AS(decode_together(w, states, Ids{2, 2}),
                       "decode_together states: expected texts of one length, found several",
                       std::invalid_argument);
  states[0].position = 7;
  CHECK_THROWS_WITH_AS(decode(w, states[0], Ids{2}),
                       "DecoderState position: expected as many tokens as in its caches, found 7",
                       std::invalid_argument);
}

}  // namespace test_decoder
