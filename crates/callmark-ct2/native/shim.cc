// A C face for CTranslate2's Whisper, whose functions are looked up in the shared library of its Python wheel.
//
// The library is opened when the program runs, so nothing of CTranslate2 is compiled here. What crosses the border is
// declared below as CTranslate2 4.8.5 declares it (include/ctranslate2/models/whisper.h and storage_view.h, MIT, the
// OpenNMT authors) and called under the Itanium C++ ABI, in which a member function takes its object first. The library
// opened is the one whose digest is pinned, so the declarations fit it. StorageView is never looked into: room larger
// than it needs is given to its own constructors.

#include <dlfcn.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int CPU = 0;           // ctranslate2::Device::CPU
constexpr int LOG_OFF = -3;      // ctranslate2::LogLevel::Off
constexpr int KEPT_BLOCK_BYTES = 32 << 20;  // the largest limit that glibc knows
constexpr int KEPT_FREE_BYTES = 64 << 20;
constexpr size_t VIEW_BYTES = 512;  // StorageView takes 80
constexpr long MEDIAN_FILTER_WIDTH = 7;  // of Whisper's own word times

struct Model;
struct View;

struct Options {  // ctranslate2::models::WhisperOptions
  size_t beam_size = 1;
  float patience = 1;
  float length_penalty = 1;
  float repetition_penalty = 1;
  size_t no_repeat_ngram_size = 0;
  size_t max_length = 448;
  size_t sampling_topk = 1;
  float sampling_temperature = 1;
  size_t num_hypotheses = 1;
  bool return_scores = false;
  bool return_logits_vocab = false;
  bool return_no_speech_prob = true;
  size_t max_initial_timestamp_index = 50;
  bool suppress_blank = true;
  std::vector<int> suppress_tokens = {-1};
};

struct Generated {  // ctranslate2::models::WhisperGenerationResult
  std::vector<std::vector<std::string>> sequences;
  std::vector<std::vector<size_t>> sequences_ids;
  std::vector<float> scores;
  std::vector<std::vector<char>> logits;  // stays empty: they are not asked for
  float no_speech_prob = 0;
};

struct Aligned {  // ctranslate2::models::WhisperAlignmentResult
  std::vector<std::pair<int64_t, int64_t>> alignments;
  std::vector<float> text_token_probs;
};

struct Replica {  // ctranslate2::models::ModelReplica: the destructor is its first virtual function
  virtual ~Replica() = default;
};

using Shape = std::vector<long>;
using Tokens = std::vector<size_t>;
using Languages = std::vector<std::vector<std::pair<std::string, float>>>;

struct Functions {
  void (*set_log_level)(int);
  void (*set_num_threads)(size_t);
  std::shared_ptr<const Model> (*load)(const std::string&, int device, int index, int type, bool, bool);
  int (*compute_type)(const std::string&);
  std::unique_ptr<Replica> (*replica)(const Model&);
  View (*encode)(Replica*, View*, bool to_cpu);
  std::vector<Generated> (*generate)(Replica*, View*, const std::vector<Tokens>&, const Options&);
  std::vector<Aligned> (*align)(Replica*, View*, const Tokens&, const std::vector<Tokens>&, Tokens*, long);
  Languages (*detect)(Replica*, View*);
  void (*view_over)(View*, Shape*, float*, int device);
  void (*view_drop)(View*);
  const float* (*view_data)(const View*);
  long (*view_stride)(const View*, long);
};

// One library a process: it is never closed, since its threads and thread-local state outlive every use.
Functions library;

struct alignas(64) View {  // ctranslate2::StorageView
  unsigned char bytes[VIEW_BYTES];

  // Over memory of the caller's; nothing is copied.
  View(Shape shape, const float* data) { library.view_over(this, &shape, const_cast<float*>(data), CPU); }
  View(const View&) = delete;
  ~View() { library.view_drop(this); }
};

template <typename Function>
bool find(void* handle, const char* name, Function& function, std::string& missing) {
  void* symbol = dlsym(handle, name);
  if (symbol == nullptr) missing = name;
  std::memcpy(&function, &symbol, sizeof symbol);
  return symbol != nullptr;
}

bool find_all(void* h, Functions& f, std::string& m) {
  return find(h, "_ZN11ctranslate213set_log_levelENS_8LogLevelE", f.set_log_level, m) &&
         find(h, "_ZN11ctranslate215set_num_threadsEm", f.set_num_threads, m) &&
         find(h,
              "_ZN11ctranslate26models5Model4loadERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEENS_6DeviceEiNS_"
              "11ComputeTypeEbb",
              f.load, m) &&
         find(h, "_ZN11ctranslate219str_to_compute_typeERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE",
              f.compute_type, m) &&
         find(h, "_ZN11ctranslate26models14WhisperReplica17create_from_modelERKNS0_5ModelE", f.replica, m) &&
         find(h, "_ZN11ctranslate26models14WhisperReplica6encodeENS_11StorageViewEb", f.encode, m) &&
         find(h,
              "_ZN11ctranslate26models14WhisperReplica8generateENS_11StorageViewERKSt6vectorIS3_"
              "ImSaImEESaIS5_EERKNS0_14WhisperOptionsE",
              f.generate, m) &&
         find(h,
              "_ZN11ctranslate26models14WhisperReplica5alignENS_11StorageViewERKSt6vectorImSaImEERKS3_IS5_SaIS5_EES5_l",
              f.align, m) &&
         find(h, "_ZN11ctranslate26models14WhisperReplica15detect_languageB5cxx11ENS_11StorageViewE", f.detect, m) &&
         find(h, "_ZN11ctranslate211StorageViewC1IfEESt6vectorIlSaIlEEPT_NS_6DeviceE", f.view_over, m) &&
         find(h, "_ZN11ctranslate211StorageViewD1Ev", f.view_drop, m) &&
         find(h, "_ZNK11ctranslate211StorageView4dataIfEEPKT_v", f.view_data, m) &&
         find(h, "_ZNK11ctranslate211StorageView6strideEl", f.view_stride, m);
}

// CTranslate2 takes a new block for every intermediate result, up to 32 MiB for the attention in a window of 20 s. Given
// back to the system each time, as the command has it otherwise, clearing their pages takes a quarter of all time.
void keep_blocks() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, KEPT_BLOCK_BYTES);
  mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES);
#endif
}

void say(char* error, size_t error_bytes, const std::string& text) {
  std::snprintf(error, error_bytes, "%s", text.c_str());
}

// Runs `body`, which yields 0; an exception becomes its text and -1.
template <typename Body>
int guarded(char* error, size_t error_bytes, Body body) {
  try {
    body();
    return 0;
  } catch (const std::exception& e) {
    say(error, error_bytes, e.what());
  } catch (...) {
    say(error, error_bytes, "an unknown exception");
  }
  return -1;
}

Shape shape_of(size_t a, size_t b, size_t c) {
  return {static_cast<long>(a), static_cast<long>(b), static_cast<long>(c)};
}

}  // namespace

extern "C" {

// What the encoder made of one or more packs, owned by the caller: `batch` x `positions` x `width` floats.
struct callmark_ct2_sound {
  const float* encoded;
  size_t batch, positions, width;
};

int callmark_ct2_open(const char* path, char* error, size_t error_bytes) {
  void* handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    say(error, error_bytes, dlerror());
    return -1;
  }
  Functions found{};
  std::string missing;
  if (!find_all(handle, found, missing)) {
    say(error, error_bytes, "it has no function " + missing);
    return -1;
  }
  library = found;
  library.set_log_level(LOG_OFF);
  keep_blocks();
  return 0;
}

int callmark_ct2_load(const char* folder, const char* type, void** model, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    auto loaded = library.load(folder, CPU, 0, library.compute_type(type), false, false);
    *model = new std::shared_ptr<const Model>(std::move(loaded));
  });
}

void callmark_ct2_unload(void* model) { delete static_cast<std::shared_ptr<const Model>*>(model); }

int callmark_ct2_replica(const void* model, void** replica, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    const auto& shared = *static_cast<const std::shared_ptr<const Model>*>(model);
    *replica = library.replica(*shared).release();
  });
}

void callmark_ct2_drop_replica(void* replica) { delete static_cast<Replica*>(replica); }

// Gives `mel` (1 x `mels` x `frames`) to the encoder and its output to `take`, with the number of floats.
int callmark_ct2_encode(void* replica, size_t threads, const float* mel, size_t mels, size_t frames, void* taker,
                        void (*take)(void*, const float*, size_t), char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    library.set_num_threads(threads);
    View features(shape_of(1, mels, frames), mel);
    View encoded = library.encode(static_cast<Replica*>(replica), &features, true);
    take(taker, library.view_data(&encoded), static_cast<size_t>(library.view_stride(&encoded, 0)));
  });
}

// Decodes; `prompts` holds `prompt_tokens` for each of the batch, `tokens` has room for `max_tokens` of each.
int callmark_ct2_generate(void* replica, size_t threads, callmark_ct2_sound sound, const size_t* prompts,
                          size_t prompt_tokens, size_t beam_size, size_t max_tokens, const int* suppressed,
                          size_t suppressed_count, uint32_t* tokens, size_t* counts, float* no_speech, char* error,
                          size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    library.set_num_threads(threads);
    View memory(shape_of(sound.batch, sound.positions, sound.width), sound.encoded);
    std::vector<Tokens> starts;
    for (size_t i = 0; i < sound.batch; ++i)
      starts.emplace_back(prompts + i * prompt_tokens, prompts + (i + 1) * prompt_tokens);
    Options options;
    options.beam_size = beam_size;
    // Half of it is for the answer, unless the prompt leaves less.
    options.max_length = max_tokens + (prompt_tokens > max_tokens ? prompt_tokens : max_tokens);
    options.suppress_tokens.insert(options.suppress_tokens.end(), suppressed, suppressed + suppressed_count);
    const auto results = library.generate(static_cast<Replica*>(replica), &memory, starts, options);
    for (size_t i = 0; i < sound.batch; ++i) {
      const Tokens& ids = results.at(i).sequences_ids.at(0);
      counts[i] = ids.size() < max_tokens ? ids.size() : max_tokens;
      for (size_t j = 0; j < counts[i]; ++j) tokens[i * max_tokens + j] = static_cast<uint32_t>(ids[j]);
      no_speech[i] = results[i].no_speech_prob;
    }
  });
}

// When each token starts, in positions of the encoder, and its probability. `text` and `probabilities` have `stride`
// entries for each of the batch; `starts` has `stride` + 1, the last of which in use is the end of the last token.
int callmark_ct2_align(void* replica, size_t threads, callmark_ct2_sound sound, const size_t* prompt,
                       size_t prompt_tokens, const uint32_t* text, const size_t* counts, size_t stride,
                       const size_t* frames, int32_t* starts, float* probabilities, char* error,
                       size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    library.set_num_threads(threads);
    View memory(shape_of(sound.batch, sound.positions, sound.width), sound.encoded);
    std::vector<Tokens> texts;
    for (size_t i = 0; i < sound.batch; ++i) texts.emplace_back(text + i * stride, text + i * stride + counts[i]);
    Tokens frame_counts(frames, frames + sound.batch);
    const auto results = library.align(static_cast<Replica*>(replica), &memory, Tokens(prompt, prompt + prompt_tokens),
                                       texts, &frame_counts, MEDIAN_FILTER_WIDTH);
    for (size_t i = 0; i < sound.batch; ++i) {
      int32_t* start = starts + i * (stride + 1);
      for (size_t j = 0; j <= stride; ++j) start[j] = -1;
      for (const auto& step : results.at(i).alignments) {
        const auto token = static_cast<size_t>(step.first);
        if (token <= stride && start[token] < 0) start[token] = static_cast<int32_t>(step.second);
      }
      const auto& found = results[i].text_token_probs;
      for (size_t j = 0; j < counts[i]; ++j) probabilities[i * stride + j] = j < found.size() ? found[j] : 0;
    }
  });
}

// Gives `take` each language token's text and probability for the one pack of `sound`.
int callmark_ct2_languages(void* replica, size_t threads, callmark_ct2_sound sound, void* taker,
                           void (*take)(void*, const char*, float), char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    library.set_num_threads(threads);
    View memory(shape_of(sound.batch, sound.positions, sound.width), sound.encoded);
    const auto found = library.detect(static_cast<Replica*>(replica), &memory);
    for (const auto& language : found.at(0)) take(taker, language.first.c_str(), language.second);
  });
}

}  // extern "C"
