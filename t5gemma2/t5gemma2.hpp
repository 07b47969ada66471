// T5Gemma 2 (arXiv 2512.14856): all headers of the engine in reading order. Each uses only headers above it,
// and the folders below the paper, which are listed last. A header's `Reference:` names the file and the
// symbol that computes the same in transformers 5.23. To use the engine:
//
//   #include <t5gemma2/t5gemma2.hpp>
//   const auto folder = t5gemma2::find_model("google/t5gemma-2-270m-270m");
//   const auto model = t5gemma2::load_model(folder);
//   const auto tokenizer = t5gemma2::Tokenizer::load(folder);
//   const auto ids = tokenizer.encode("The capital of France is");
//   std::cout << t5gemma2::generate(model, tokenizer, t5gemma2::encode(model, ids), ids).text;
#pragma once
// clang-format off

// ---- shared by all ----
#include "version.hpp"                            // which release
#include "error.hpp"                              // what is thrown
#include "tensor.hpp"                             // shapes
#include "config.hpp"                             // sizes
#include "progress.hpp"                           // how far a long computation has come
#include "trace.hpp"                              // names of intermediate tensors

// ---- the paper, section 2: what every layer is made of ----
#include "linear.hpp"                             // y = x W^T
#include "rms_norm.hpp"                           // RMSNorm, QK-norm
#include "rope.hpp"                               // positions
#include "feed_forward.hpp"                       // GeGLU
#include "mask.hpp"                               // which keys are visible
#include "attention.hpp"                          // equation 4
#include "embedding.hpp"                          // tied embedding
#include "projections.hpp"                        // queries, keys, values
#include "chunks.hpp"                             // many rows, some at a time
#include "layer.hpp"                              // a transformer layer

// ---- the encoder, and the decoder with its merged attention ----
#include "encoder.hpp"                            // X -> H
#include "kv_cache.hpp"                           // what decoding keeps
#include "merged_attention.hpp"                   // equations 1 to 5
#include "decoder.hpp"                            // H and tokens -> logits
#include "weights.hpp"                            // both, from a checkpoint

// ---- vision ----
#include "vision/layer_norm.hpp"                  // LayerNorm
#include "vision/siglip_layer.hpp"                // a layer of the vision encoder
#include "vision/siglip.hpp"                      // the vision encoder
#include "vision/image_features.hpp"              // patches to image features
#include "vision/vision.hpp"                      // pixels to image features
#include "vision/vision_weights.hpp"              // vision, from a checkpoint

// ---- the model, and text from it ----
#include "lora/adapter_config.hpp"                // scales of a fine-tune
#include "lora/adapter.hpp"                       // a fine-tune, as PEFT saves it
#include "model.hpp"                              // load, encode, forward
#include "lora/apply_adapter.hpp"                 // a fine-tune on its base
#include "hidden_states.hpp"                      // of several texts at once
#include "embed.hpp"                              // a vector for each text
#include "embedding/sentence_modules.hpp"         // modules of sentence-transformers
#include "embedding/sentence_transformers.hpp"    // as a folder of sentence-transformers wants it
#include "precision.hpp"                          // weights in fewer bits
#include "prompt.hpp"                             // images and a text to the encoder's input
#include "sampling.hpp"                           // the next token
#include "score.hpp"                              // how likely a text is
#include "generation/logits_processors.hpp"       // what may come next
#include "generation/shown_text.hpp"              // what a person sees of the tokens
#include "generation/finished_beams.hpp"          // the best texts of beam search
#include "generation/beam_search.hpp"             // several texts side by side
#include "generation/decoder_prompt.hpp"          // the decoder's first ids
#include "generate.hpp"                           // text
#include "generation/gaps.hpp"                    // a text with gaps
#include "generation/fill.hpp"                    // its gaps filled in

// ---- about a model ----
#include "analysis/parameters.hpp"                // what it is made of
#include "analysis/memory.hpp"                    // what a run needs
#include "analysis/cold_weights.hpp"              // what a run reads from the disk
#include "analysis/reference/statistics.hpp"      // mean, std, min and max of a tensor
#include "analysis/reference/reference_file.hpp"  // another implementation's inputs and tensors
#include "analysis/reference/debug_tree.hpp"      // those of transformers' debugger
#include "analysis/reference/transformer_lens.hpp"  // those of TransformerLens
#include "analysis/reference/open_reference.hpp"  // from any of these files
#include "analysis/reference/reference_inputs.hpp"  // what the engine is run on
#include "analysis/truth.hpp"                     // float64's tensors: how far from them
#include "analysis/tolerances.hpp"                // what they may differ by
#include "analysis/difference.hpp"                // how two tensors differ
#include "analysis/explain/variant.hpp"           // steps that others do otherwise
#include "analysis/explain/variant_layer.hpp"     // a layer of such steps
#include "analysis/explain/variant_pass.hpp"      // the model of such steps
#include "analysis/explain/file_tensors.hpp"      // a file's tensors in the layout of ours
#include "analysis/explain/guess.hpp"             // a change of steps
#include "analysis/explain/scopes.hpp"            // where it holds
#include "analysis/explain/recomputation.hpp"     // a file's tensors from those before them
#include "analysis/explain/relations.hpp"         // the same numbers otherwise
#include "analysis/explain/evidence.hpp"          // a tensor that is wrong
#include "analysis/explain/seen_mask.hpp"         // the mask that zeros show
#include "analysis/explain/guesses/embedding_guesses.hpp"  // guesses: embedding and prefix
#include "analysis/explain/guesses/norms_guesses.hpp"  // guesses: norms
#include "analysis/explain/guesses/products_guesses.hpp"  // guesses: matrices and casts
#include "analysis/explain/guesses/rope_guesses.hpp"  // guesses: positions
#include "analysis/explain/guesses/attention_guesses.hpp"  // guesses: scores and heads
#include "analysis/explain/guesses/masks_guesses.hpp"  // guesses: windows
#include "analysis/explain/guesses/feed_forward_guesses.hpp"  // guesses: GeGLU, residuals
#include "analysis/explain/guesses/logits_guesses.hpp"  // guesses: the end
#include "analysis/explain/guesses.hpp"           // all of them
#include "analysis/explain/reasons.hpp"           // what is found
#include "analysis/explain/explain.hpp"           // why tensors differ
#include "analysis/comparison.hpp"                // what is found of tensors
#include "analysis/comparer.hpp"                  // their tensors against ours
#include "analysis/forward_order.hpp"             // names in the order of a pass
#include "analysis/compare_files.hpp"             // two files without a model
#include "analysis/compare.hpp"                   // the engine against a reference file
#include "analysis/report/report_table.hpp"       // its numbers and its table
#include "analysis/report/report_text.hpp"        // what was found, for people
#include "analysis/report/report_json.hpp"        // and for programs
#include "analysis/report/report_page.hpp"        // a page for it
#include "analysis/report/report_script.hpp"      // the page's script
#include "analysis/report/report_script_plots.hpp"  // its histogram and heat map
#include "analysis/report/report_script_tree.hpp"  // its tree of modules
#include "analysis/report/report_html.hpp"        // and for a browser

// ---- the folders below the paper, for a second reading ----
#include "kernels/parallel.hpp"                   // threads
#include "kernels/allocation.hpp"                 // memory of intermediates
#include "kernels/functions.hpp"                  // softmax, cos and sin
#include "kernels/stored_numbers.hpp"             // float32, float16, bfloat16
#include "kernels/blocks.hpp"                     // 8-bit and 16-bit numbers in blocks
#include "kernels/isa.hpp"                        // the processor's instruction set
#include "kernels/simd.hpp"                       // the kernels in simd/, for each instruction set
#include "kernels/product.hpp"                    // x W^T, y + x V
#include "kernels/key_range.hpp"                  // a range of keys
#include "kernels/key_panels.hpp"                 // keys and values as the products want them
#include "kernels/attention_blocks.hpp"           // equation 4, block by block
#include "io/atomic_file.hpp"                     // files written whole or not at all
#include "io/mapped_file.hpp"                     // files read where they lie
#include "io/cold_pages.hpp"                      // what is still on the disk
#include "io/readable.hpp"                        // names out of files, in messages
#include "io/json_parser.hpp"                     // JSON, strictly
#include "io/json_fields.hpp"                     // JSON, field by field
#include "io/npy_writer.hpp"                      // an array to a file
#include "checkpoint/dtype.hpp"                   // number formats
#include "checkpoint/safetensors_header.hpp"      // what a file holds
#include "checkpoint/stored_tensor.hpp"           // a tensor where it lies
#include "checkpoint/folder_contents.hpp"         // what a folder holds
#include "checkpoint/safetensors.hpp"             // all tensors of a checkpoint
#include "checkpoint/tensor_names.hpp"            // one name for each tensor
#include "checkpoint/weight_reader.hpp"           // tensors by name
#include "checkpoint/safetensors_writer.hpp"      // tensors to a file
#include "checkpoint/hub.hpp"                     // where models lie
#include "checkpoint/text_config_json.hpp"        // config.json, one side
#include "checkpoint/config_json.hpp"             // config.json
#include "checkpoint/encoder_config_json.hpp"     // config.json of an encoder alone
#include "checkpoint/generation_config.hpp"       // how a checkpoint wants its text
#include "checkpoint/generation_fields.hpp"       // its kinds of values
#include "checkpoint/generation_config_json.hpp"  // generation_config.json
#include "tokenizer/utf8.hpp"                     // characters in bytes
#include "tokenizer/white_space.hpp"              // what counts as a space
#include "tokenizer/protobuf.hpp"                 // fields of a binary message
#include "tokenizer/vocabulary.hpp"               // pieces of text with ids
#include "tokenizer/sentencepiece_model.hpp"      // tokenizer.model
#include "tokenizer/added_tokens.hpp"             // tokens found before BPE
#include "tokenizer/merges.hpp"                   // merges to scores
#include "tokenizer/pipeline.hpp"                 // the steps around the model in tokenizer.json
#include "tokenizer/added_tokens_json.hpp"        // added tokens of tokenizer.json
#include "tokenizer/tokenizer_json_reader.hpp"    // tokenizer.json, parsed
#include "tokenizer/tokenizer_json.hpp"           // tokenizer.json
#include "tokenizer/cache.hpp"                    // a tokenizer read before
#include "tokenizer/vocabulary_file.hpp"          // a file -> vocabulary
#include "tokenizer/bpe.hpp"                      // text -> pieces, by merging
#include "tokenizer/piece_decoder.hpp"            // pieces -> text
#include "tokenizer/tokenizer.hpp"                // text <-> ids
#include "tokenizer/text_stream.hpp"              // ids -> text, id by id
#include "tokenizer/tokenizer_config.hpp"         // tokenizer_config.json
#include "image/pixels.hpp"                       // an image in memory
#include "image/pan_and_scan.hpp"                 // crops of wide and tall images
#include "image/resize.hpp"                       // any size to another, as PIL does it
#include "image/files/bytes.hpp"                  // numbers in a file's bytes
#include "image/files/format.hpp"                 // formats by their first bytes
#include "image/files/exif.hpp"                   // the camera's orientation
#include "image/files/bmp_header.hpp"             // BMP: sizes and masks
#include "image/files/bmp.hpp"                    // BMP: pixels
#include "image/files/jpeg.hpp"                   // JPEG, by libjpeg-turbo
#include "image/files/png.hpp"                    // PNG, checked for stb_image
#include "image/files/simple.hpp"                 // GIF, PNM and TGA
#include "image/image.hpp"                        // an image file to pixels
