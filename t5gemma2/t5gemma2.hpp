// T5Gemma 2 (arXiv 2512.14856), the whole engine in reading order. To use it:
//
//   #include <t5gemma2/t5gemma2.hpp>
//   const auto folder = t5gemma2::find_model("google/t5gemma-2-270m-270m");
//   const auto model = t5gemma2::load_model(folder);
//   const auto tokenizer = t5gemma2::Tokenizer::load(folder);
//   const auto ids = tokenizer.encode("The capital of France is");
//   std::cout << t5gemma2::generate(model, tokenizer, t5gemma2::encode(model, ids), ids).text;
#pragma once
#include "analysis/cold_weights.hpp"              // what is still on the disk
#include "analysis/compare.hpp"                   // against a reference
#include "analysis/memory.hpp"                    // what a run needs
#include "analysis/parameters.hpp"                // what it is made of
#include "attention.hpp"                          // equation 4
#include "checkpoint/config_json.hpp"             // config.json
#include "checkpoint/generation_config.hpp"       // how the checkpoint wants it
#include "checkpoint/generation_config_json.hpp"  // generation_config.json
#include "checkpoint/hub.hpp"                     // where models lie
#include "checkpoint/safetensors.hpp"             // stored tensors
#include "checkpoint/safetensors_writer.hpp"      // tensors to a file
#include "config.hpp"                             // sizes
#include "decoder.hpp"                            // the decoder
#include "embedding.hpp"                          // tied embedding
#include "encoder.hpp"                            // the encoder
#include "feed_forward.hpp"                       // GeGLU
#include "generate.hpp"                           // text
#include "generation/beam_search.hpp"             // several texts side by side
#include "generation/fill.hpp"                    // gaps in a text
#include "generation/logits_processors.hpp"       // what may come next
#include "generation/shown_text.hpp"              // what a person sees of the tokens
#include "image/image.hpp"                        // a picture to pixels
#include "image_prompt.hpp"                       // images and text together
#include "io/atomic_file.hpp"                     // files written whole or not at all
#include "io/npy_writer.hpp"                      // an array to a file
#include "kv_cache.hpp"                           // what decoding keeps
#include "layer.hpp"                              // a transformer layer
#include "linear.hpp"                             // y = x W^T
#include "mask.hpp"                               // who sees whom
#include "merged_attention.hpp"                   // equations 1-5
#include "model.hpp"                              // load, encode, forward
#include "rms_norm.hpp"                           // RMSNorm, QK-norm
#include "rope.hpp"                               // positions
#include "sampling.hpp"                           // the next token
#include "tensor.hpp"                             // shapes
#include "tokenizer/tokenizer.hpp"                // text <-> ids
#include "tokenizer/tokenizer_config.hpp"         // what is said beside it
#include "trace.hpp"                              // names of intermediate tensors
#include "version.hpp"                            // which release
#include "vision/image_tokens.hpp"                // patches to image tokens
#include "vision/siglip.hpp"                      // the vision encoder
#include "vision/vision.hpp"                      // images to features
#include "weights.hpp"                            // names -> structs
