// T5Gemma 2 (arXiv 2512.14856), the whole engine in reading order. To use it:
//
//   #include <t5gemma2/t5gemma2.hpp>
//   const auto folder = t5gemma2::find_model("google/t5gemma-2-270m-270m");
//   const auto model = t5gemma2::load_model(folder);
//   const auto tokenizer = t5gemma2::Tokenizer::load(folder);
//   const auto ids = tokenizer.encode("The capital of France is");
//   std::cout << t5gemma2::generate(model, tokenizer, t5gemma2::encode(model, ids), ids).text;
#pragma once
#include "attention.hpp"               // equation 4
#include "beam_search.hpp"             // several texts side by side
#include "cold_weights.hpp"            // what is still on the disk
#include "compare.hpp"                 // against a reference
#include "config.hpp"                  // sizes
#include "config_json.hpp"             // config.json
#include "decoder.hpp"                 // the decoder
#include "embedding.hpp"               // tied embedding
#include "encoder.hpp"                 // the encoder
#include "feed_forward.hpp"            // GeGLU
#include "fill.hpp"                    // gaps in a text
#include "generate.hpp"                // text
#include "generation_config.hpp"       // how the checkpoint wants it
#include "generation_config_json.hpp"  // generation_config.json
#include "hub.hpp"                     // where models lie
#include "image.hpp"                   // a picture to pixels
#include "image_prompt.hpp"            // images and text together
#include "image_tokens.hpp"            // patches to image tokens
#include "kv_cache.hpp"                // what decoding keeps
#include "layer.hpp"                   // a transformer layer
#include "linear.hpp"                  // y = x W^T
#include "logits_processors.hpp"       // what may come next
#include "mask.hpp"                    // who sees whom
#include "memory.hpp"                  // what a run needs
#include "merged_attention.hpp"        // equations 1-5
#include "model.hpp"                   // load, encode, forward
#include "npy_writer.hpp"              // an array to a file
#include "parameters.hpp"              // what it is made of
#include "rms_norm.hpp"                // RMSNorm, QK-norm
#include "rope.hpp"                    // positions
#include "safetensors.hpp"             // stored tensors
#include "safetensors_writer.hpp"      // tensors to a file
#include "sampling.hpp"                // the next token
#include "shown_text.hpp"              // what a person sees of the tokens
#include "siglip.hpp"                  // the vision encoder
#include "tensor.hpp"                  // shapes
#include "tokenizer.hpp"               // text <-> ids
#include "tokenizer_config.hpp"        // what is said beside it
#include "trace.hpp"                   // names of intermediate tensors
#include "version.hpp"                 // which release
#include "vision.hpp"                  // images to features
#include "weights.hpp"                 // names -> structs
#include "whole_file.hpp"              // files written whole or not at all
