// Flags and commands of llama.cpp, ollama and transformers, and their meaning here.
#pragma once
#include <map>
#include <string>

namespace cli::habits {

/// Other names of our parameters, as flags and as keys of a JSON line.
inline const std::map<std::string, std::string> parameters = {
    {"--temperature", "--temp"},
    {"--num-predict", "--n-predict"},
    {"--max-new-tokens", "--n-predict"},
    {"--max-tokens", "--n-predict"},
    {"--repetition-penalty", "--repeat-penalty"},
    {"--typical-p", "--typical"},
    {"--stop-strings", "--stop"},
};

/// Other names of our flags.
inline const std::map<std::string, std::string> twins = {
    {"--predict", "--n-predict"},
    {"--length", "--n-predict"},
    {"--stop-sequence", "--stop"},
    {"-r", "--stop"},
    {"--reverse-prompt", "--stop"},
    {"-hf", "--model"},
    {"-hfr", "--model"},
    {"--hf-repo", "--model"},
    {"--model-id", "--model"},
    {"--model-path", "--model"},
    {"--model-name-or-path", "--model"},
    {"--torch-dtype", "--dtype"},
    {"--images", "--image"},
    {"--img", "--image"},
};

/// Why a flag of another program changes nothing here, and its value: none, one, or (`word`) perhaps one of
/// on, off, auto, True and False.
struct WithoutEffect {
  enum { none, one, word } values;
  const char* why;
};

constexpr const char *grows = "memory grows as needed", *cpu = "all runs on the CPU",
                     *stored = "weights are used as they are stored, unless --dtype is given",
                     *no_chat = "there is no chat", *timings = "timings come at the end anyway",
                     *always = "it is so anyway";

inline const std::map<std::string, WithoutEffect> without_effect = {
    {"-c", {WithoutEffect::one, grows}},
    {"--ctx-size", {WithoutEffect::one, grows}},
    {"--num-ctx", {WithoutEffect::one, grows}},
    {"-b", {WithoutEffect::one, grows}},
    {"--batch-size", {WithoutEffect::one, grows}},
    {"-ub", {WithoutEffect::one, grows}},
    {"--ubatch-size", {WithoutEffect::one, grows}},
    {"--keepalive", {WithoutEffect::one, "the model goes with the program"}},
    {"-np", {WithoutEffect::one, "one request runs at a time"}},
    {"-tb", {WithoutEffect::one, "threads are those of -t"}},
    {"--threads-batch", {WithoutEffect::one, "threads are those of -t"}},
    {"-ngl", {WithoutEffect::one, cpu}},
    {"--gpu-layers", {WithoutEffect::one, cpu}},
    {"--n-gpu-layers", {WithoutEffect::one, cpu}},
    {"-dev", {WithoutEffect::one, cpu}},
    {"--device", {WithoutEffect::one, cpu}},
    {"--device-map", {WithoutEffect::one, cpu}},
    {"-fa", {WithoutEffect::word, cpu}},
    {"--flash-attn", {WithoutEffect::word, cpu}},
    {"--attn-implementation", {WithoutEffect::one, cpu}},
    {"--use-cpu", {WithoutEffect::word, cpu}},
    {"--mlock", {WithoutEffect::none, stored}},
    {"--no-mmap", {WithoutEffect::none, stored}},
    {"--hf-file", {WithoutEffect::one, "a model is a whole folder"}},
    {"-ctk", {WithoutEffect::one, "keys and values are float32"}},
    {"-ctv", {WithoutEffect::one, "keys and values are float32"}},
    {"--cache-type-k", {WithoutEffect::one, "keys and values are float32"}},
    {"--cache-type-v", {WithoutEffect::one, "keys and values are float32"}},
    {"--fp16", {WithoutEffect::word, stored}},
    {"--bf16", {WithoutEffect::word, stored}},
    {"--trust-remote-code", {WithoutEffect::word, "no code of a model is run"}},
    {"--mmproj", {WithoutEffect::one, "the vision encoder is in the model's folder"}},
    {"-no-cnv", {WithoutEffect::none, no_chat}},
    {"--no-conversation", {WithoutEffect::none, no_chat}},
    {"-st", {WithoutEffect::none, no_chat}},
    {"--single-turn", {WithoutEffect::none, no_chat}},
    {"--jinja", {WithoutEffect::none, no_chat}},
    {"--chat-template", {WithoutEffect::one, no_chat}},
    {"--no-jinja", {WithoutEffect::none, no_chat}},
    {"-v", {WithoutEffect::none, timings}},
    {"--verbose", {WithoutEffect::none, timings}},
    {"--perf", {WithoutEffect::none, timings}},
    {"--use-cache", {WithoutEffect::word, always}},
    {"--skip-special-tokens", {WithoutEffect::word, always}},
    {"--no-display-prompt", {WithoutEffect::none, always}},
    {"--no-warmup", {WithoutEffect::none, always}},
    {"--simple-io", {WithoutEffect::none, always}},
    {"--nowordwrap", {WithoutEffect::none, always}},
    {"--ids", {WithoutEffect::none, always}},
    {"--stdin", {WithoutEffect::none, always}},
    {"--log-disable", {WithoutEffect::none, "notes are silenced by -q"}},
    {"--no-perf", {WithoutEffect::none, "timings are left out by -q"}},
    {"--color", {WithoutEffect::word, "text has no colours"}},
    {"-co", {WithoutEffect::word, "text has no colours"}},
};

constexpr const char
    *chat = "these models continue and fill texts, they do not chat; -i reads prompts line by line",
    *system_prompt = "these models know no system prompt; write it into the prompt",
    *repeats = "not known here; --repeat-penalty makes repetition less likely",
    *samplers = "not known here; --temp, --top-k, --top-p, --min-p and --typical are",
    *grammar = "no format can be forced on the text; --jsonl gives the whole answer as JSON";

/// Flags of other programs that are not supported, and what to use instead.
inline const std::map<std::string, std::string> instead = {
    {"-cnv", chat},
    {"--conversation", chat},
    {"-sys", system_prompt},
    {"--system", system_prompt},
    {"--system-prompt", system_prompt},
    {"-e", "a prompt is taken as it is typed; $'...\\n...' makes newlines in bash"},
    {"--escape", "a prompt is taken as it is typed; $'...\\n...' makes newlines in bash"},
    {"--max-length", "-n N limits the new tokens, without the decoder prompt"},
    {"--min-new-tokens", "not known here; --ignore-eos continues after the end"},
    {"--no-repeat-ngram-size", repeats},
    {"--presence-penalty", repeats},
    {"--frequency-penalty", repeats},
    {"--dry-multiplier", repeats},
    {"--mirostat", samplers},
    {"--top-n-sigma", samplers},
    {"--xtc-probability", samplers},
    {"--dynatemp-range", samplers},
    {"--samplers", samplers},
    {"--format", grammar},
    {"--grammar", grammar},
    {"--grammar-file", grammar},
    {"--json-schema", grammar},
    {"-j", grammar},
    {"--lora-scaled", "--lora FOLDER=SCALE"},
    {"-mu", "hf download fetches a model; then -m NAME"},
    {"--model-url", "hf download fetches a model; then -m NAME"},
    {"-o", "text is printed; > FILE after the command keeps it"},
    {"--output", "text is printed; > FILE after the command keeps it"},
    {"--min-length", "not known here; --ignore-eos continues after the end"},
    {"-md", "there are no draft models; the model itself is -m"},
    {"--model-draft", "there are no draft models; the model itself is -m"},
    {"--load-in-4bit", "--dtype int8 rounds weights to 8 bits; there are none of 4"},
    {"--load-in-8bit", "--dtype int8"},
};

/// Programs and commands of others, and ours in their place.
inline const std::map<std::string, std::string> other_programs = {
    {"run", "t5gemma2 generate -m MODEL PROMPT writes text"},
    {"cli", "t5gemma2 generate -m MODEL PROMPT writes text"},
    {"chat", "these models do not chat; t5gemma2 generate -m MODEL PROMPT continues a text"},
    {"serve", "there is no server; t5gemma2 generate --jsonl answers line by line"},
    {"server", "there is no server; t5gemma2 generate --jsonl answers line by line"},
    {"show", "t5gemma2 inspect MODEL shows a model"},
    {"list", "hf cache ls lists the models that -m knows by name"},
    {"ls", "hf cache ls lists the models that -m knows by name"},
    {"pull", "hf download NAME fetches a model; then t5gemma2 generate -m NAME"},
    {"download", "hf download NAME fetches a model; then t5gemma2 generate -m NAME"},
    {"detokenize", "t5gemma2 tokenize --decode"},
    {"decode", "t5gemma2 tokenize --decode"},
};

}  // namespace cli::habits
