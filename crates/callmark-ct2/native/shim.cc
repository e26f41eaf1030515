// A C face for CTranslate2's Whisper, whose functions are looked up in the shared library of its Python wheel.
//
// The library is opened when the program runs, so nothing of CTranslate2 is compiled here. What crosses the border is
// declared below as CTranslate2 4.8.5 declares it (include/ctranslate2/models/whisper.h, layers/transformer.h and
// storage_view.h, MIT, the OpenNMT authors) and called under the Itanium C++ ABI, in which a member function takes its
// object first. The library opened is the one whose digest is pinned, so the declarations and sizes fit it. Its objects
// are never looked into: its own constructors and destructors make and end them.
//
// Besides the whole searches of WhisperReplica the decoder is driven step by step, so that what it attends to is known
// from the same pass that writes the text, a text is ended when the caller has seen enough of it, and packs of several
// lengths are written side by side.

#include <dlfcn.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr int CPU = 0;           // ctranslate2::Device::CPU
constexpr int LOG_OFF = -3;      // ctranslate2::LogLevel::Off
constexpr int KEPT_BLOCK_BYTES = 32 << 20;  // the largest limit that glibc knows
constexpr int KEPT_FREE_BYTES = 64 << 20;
constexpr int FLOAT32 = 0;                   // ctranslate2::DataType::FLOAT32
constexpr size_t VIEW_BYTES = 72;            // sizeof(ctranslate2::StorageView)
constexpr size_t DECODER_BYTES = 1024;       // TransformerDecoder takes 784

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
  bool return_no_speech_prob = false;  // `step` tells it
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

struct Replica {  // ctranslate2::models::ModelReplica: the destructor is its first virtual function
  virtual ~Replica() = default;
};

using Shape = std::vector<long>;
using Tokens = std::vector<size_t>;
using Heads = std::vector<std::pair<long, long>>;
struct TransformerDecoder;
struct DecoderState;

struct Functions {
  void (*set_log_level)(int);
  void (*set_num_threads)(size_t);
  std::shared_ptr<const Model> (*load)(const std::string&, int device, int index, int type, bool, bool);
  int (*compute_type)(const std::string&);
  std::unique_ptr<Replica> (*replica)(const Model&);
  View (*encode)(Replica*, View*, bool to_cpu);
  std::vector<Generated> (*generate)(Replica*, View*, const std::vector<Tokens>&, const Options&);
  void (*decoder)(TransformerDecoder*, const Model&, const std::string& scope);
  void (*decoder_drop)(TransformerDecoder*);
  void (*decoder_heads)(TransformerDecoder*, const Heads&);
  DecoderState (*decoder_state)(const TransformerDecoder*, bool iterative);
  void (*decoder_step)(TransformerDecoder*, long step, const View& ids, DecoderState&, View* logits, View* attention);
  void (*view)(View*, int type, int device);
  void (*view_over)(View*, Shape*, float*, int device);
  void (*view_over_ids)(View*, Shape*, int32_t*, int device);
  void (*view_move)(View*, View*);
  void (*view_drop)(View*);
  View& (*view_resize)(View*, long dimension, long size);
  float* (*view_floats)(View*);
  const float* (*view_data)(const View*);
  long (*view_stride)(const View*, long);
};

// One library a process: it is never closed, since its threads and thread-local state outlive every use.
Functions library;

struct View {  // ctranslate2::StorageView
  alignas(8) unsigned char bytes[VIEW_BYTES];

  // For a result.
  View() { library.view(this, FLOAT32, CPU); }
  // Over memory of the caller's; nothing is copied.
  View(Shape shape, const float* data) { library.view_over(this, &shape, const_cast<float*>(data), CPU); }
  View(Shape shape, const int32_t* ids) { library.view_over_ids(this, &shape, const_cast<int32_t*>(ids), CPU); }
  View(View&& other) noexcept { library.view_move(this, &other); }
  View(const View&) = delete;
  ~View() { library.view_drop(this); }

  const float* floats() const { return library.view_data(this); }
  size_t stride(long dimension) const { return static_cast<size_t>(library.view_stride(this, dimension)); }
};

// ctranslate2::layers::DecoderState: keys and values of what was heard and written, by name.
struct DecoderState {
  std::unordered_map<std::string, View> views;
};

// Keys or values of several texts: what StorageView calls rows x heads x positions x width. The memory stays for the texts
// that come after. It is the system's own, not the heap's, where tens of such blocks that grow would leave holes.
struct Room {
  float* floats = nullptr;
  size_t capacity = 0;  // in bytes
  size_t heads = 0, positions = 0, width = 0;

  Room() = default;
  Room(const Room&) = delete;
  ~Room() { drop(); }

  // Makes room for `rows`, each as one view has it but with so many positions; what was there is gone.
  void make(const View& like, size_t rows, size_t positions_each) {
    width = like.stride(2);
    heads = like.stride(0) / like.stride(1);
    positions = positions_each;
    const size_t needed = rows * size() * sizeof(float);
    if (needed <= capacity) return;
    drop();
    void* memory = mmap(nullptr, needed, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    floats = static_cast<float*>(memory);
    capacity = needed;
  }

  size_t size() const { return heads * positions * width; }

  // Copies the one row of `view`, which has no more positions. What follows them is not attended to, yet multiplied by 0.
  void put(size_t row, const View& view) {
    const size_t own = view.stride(1), whole = positions * width;
    for (size_t head = 0; head < heads; ++head) {
      float* place = floats + row * size() + head * whole;
      std::memcpy(place, view.floats() + head * own, own * sizeof(float));
      std::memset(place + own, 0, (whole - own) * sizeof(float));
    }
  }

  View view(size_t rows) const {
    return View(Shape{static_cast<long>(rows), static_cast<long>(heads), static_cast<long>(positions),
                      static_cast<long>(width)},
                floats);
  }

 private:
  void drop() {
    if (floats != nullptr) munmap(floats, capacity);
    floats = nullptr;
    capacity = 0;
  }
};

// A decoder of its own for each replica, on the shared weights.
struct Decoder {
  alignas(64) unsigned char bytes[DECODER_BYTES];
  std::unordered_map<std::string, Room> rooms;

  Decoder(const Model& model, const Heads& heads) {
    library.decoder(self(), model, "decoder");
    try {
      library.decoder_heads(self(), heads);
    } catch (...) {
      library.decoder_drop(self());
      throw;
    }
  }
  Decoder(const Decoder&) = delete;
  ~Decoder() { library.decoder_drop(self()); }

  TransformerDecoder* self() { return reinterpret_cast<TransformerDecoder*>(bytes); }
};

// Texts being written side by side, one a row.
struct Writing {
  Decoder& decoder;
  size_t rows_at_most, positions;
  DecoderState state;
  std::vector<int32_t> lengths;  // positions that each row has of its own
  long step = 0;
};

// The state of all rows, once they are all there.
DecoderState& state_of(Writing& writing) {
  auto& views = writing.state.views;
  if (views.empty()) {
    const size_t rows = writing.lengths.size();
    for (const auto& [name, room] : writing.decoder.rooms) views.emplace(name, room.view(rows));
    views.emplace("memory_lengths", View(Shape{static_cast<long>(rows)}, writing.lengths.data()));
  }
  return writing.state;
}

using Take = void (*)(void* taker, int what, const float*, size_t);

// Shows `each` tokens to each of `rows` texts and hands on what comes of it.
void show(Decoder& decoder, DecoderState& state, long step, size_t rows, size_t each, const int32_t* ids, bool logits,
          void* taker, Take take) {
  Shape shape{static_cast<long>(rows)};
  if (each > 1) shape.push_back(static_cast<long>(each));
  const View tokens(shape, ids);
  View following, attention;
  library.decoder_step(decoder.self(), step, tokens, state, logits ? &following : nullptr, &attention);
  if (logits) take(taker, 0, following.floats(), rows * following.stride(0));
  take(taker, 1, attention.floats(), rows * attention.stride(0));
}

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
              "_ZN11ctranslate26layers18TransformerDecoderC1ERKNS_6models5ModelERKNSt7__cxx1112basic_"
              "stringIcSt11char_traitsIcESaIcEEE",
              f.decoder, m) &&
         find(h, "_ZN11ctranslate26layers18TransformerDecoderD1Ev", f.decoder_drop, m) &&
         find(h, "_ZN11ctranslate26layers18TransformerDecoder19set_alignment_headsERKSt6vectorISt4pairIllESaIS4_EE",
              f.decoder_heads, m) &&
         find(h, "_ZNK11ctranslate26layers18TransformerDecoder13initial_stateB5cxx11Eb", f.decoder_state, m) &&
         find(h,
              "_ZN11ctranslate26layers18TransformerDecoderclElRKNS_11StorageViewERSt13unordered_"
              "mapINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES2_St4hashISB_ESt8equal_toISB_ESaISt4pairIKSB_S2_"
              "EEEPS2_SM_",
              f.decoder_step, m) &&
         find(h, "_ZN11ctranslate211StorageViewC1ENS_8DataTypeENS_6DeviceE", f.view, m) &&
         find(h, "_ZN11ctranslate211StorageViewC1IiEESt6vectorIlSaIlEEPT_NS_6DeviceE", f.view_over_ids, m) &&
         find(h, "_ZN11ctranslate211StorageViewC1EOS0_", f.view_move, m) &&
         find(h, "_ZN11ctranslate211StorageView6resizeEll", f.view_resize, m) &&
         find(h, "_ZN11ctranslate211StorageView4dataIfEEPT_v", f.view_floats, m) &&
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

// What the encoder made of a pack, owned by the caller: `positions` x `width` floats.
struct callmark_ct2_sound {
  const float* encoded;
  size_t positions, width;
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
    take(taker, library.view_data(&encoded), encoded.stride(0));
  });
}

// Searches the likeliest text of `sound` among `beam_size` hypotheses; `tokens` has room for
// `max_tokens`.
int callmark_ct2_search(void* replica, size_t threads, callmark_ct2_sound sound, const size_t* prompt,
                        size_t prompt_tokens, size_t beam_size, size_t max_tokens, uint32_t* tokens, size_t* count,
                        char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    library.set_num_threads(threads);
    View memory(shape_of(1, sound.positions, sound.width), sound.encoded);
    Options options;
    options.beam_size = beam_size;
    // Half of it is for the answer, unless the prompt leaves less.
    options.max_length = max_tokens + (prompt_tokens > max_tokens ? prompt_tokens : max_tokens);
    const std::vector<Tokens> prompts{Tokens(prompt, prompt + prompt_tokens)};
    const auto results = library.generate(static_cast<Replica*>(replica), &memory, prompts, options);
    const Tokens& ids = results.at(0).sequences_ids.at(0);
    *count = ids.size() < max_tokens ? ids.size() : max_tokens;
    for (size_t i = 0; i < *count; ++i) tokens[i] = static_cast<uint32_t>(ids[i]);
  });
}

// A decoder on the weights of `model`; `heads` are `count` pairs of layer and head whose attention follows the sound.
int callmark_ct2_decoder(const void* model, const long* heads, size_t count, void** decoder, char* error,
                         size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    const auto& shared = *static_cast<const std::shared_ptr<const Model>*>(model);
    Heads pairs;
    for (size_t i = 0; i < count; ++i) pairs.emplace_back(heads[2 * i], heads[2 * i + 1]);
    *decoder = new Decoder(*shared, pairs);
  });
}

void callmark_ct2_drop_decoder(void* decoder) { delete static_cast<Decoder*>(decoder); }

// Begins to write at most `rows` texts of sounds of at most `positions`.
int callmark_ct2_begin(void* decoder, size_t rows, size_t positions, void** writing, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    auto begun = std::make_unique<Writing>(Writing{*static_cast<Decoder*>(decoder), rows, positions, {}, {}});
    begun->lengths.reserve(rows);
    *writing = begun.release();
  });
}

void callmark_ct2_end(void* writing) { delete static_cast<Writing*>(writing); }

// Adds a row: the text of `sound`, begun with `count` tokens, equally many for every row. `take` is given what may follow
// them (`count` x vocabulary; nothing where `logits` is 0), then what they attended to (heads x `count` x the sound's own
// positions). One row after the other, so that what is computed on the way is small; all are added before the first step.
int callmark_ct2_enter(void* writing, size_t threads, callmark_ct2_sound sound, const int32_t* ids, size_t count,
                       int logits, void* taker, Take take, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    library.set_num_threads(threads);
    auto& own = *static_cast<Writing*>(writing);
    DecoderState alone = library.decoder_state(own.decoder.self(), true);
    alone.views.emplace("memory", View(shape_of(1, sound.positions, sound.width), sound.encoded));
    show(own.decoder, alone, 0, 1, count, ids, logits != 0, taker, take);
    const size_t row = own.lengths.size();
    for (const auto& [name, view] : alone.views) {
      Room& room = own.decoder.rooms[name];
      const bool written = name.rfind("self_", 0) == 0;
      if (row == 0) room.make(view, own.rows_at_most, written ? count : own.positions);
      room.put(row, view);
    }
    own.lengths.push_back(static_cast<int32_t>(sound.positions));
    own.step = static_cast<long>(count);
  });
}

// Shows the next `each` tokens to every row: `ids` has rows x `each`. `take` is given what may follow them (rows x `each` x
// vocabulary; nothing where `logits` is 0), then what they attended to (rows x heads x `each` x positions).
int callmark_ct2_step(void* writing, size_t threads, const int32_t* ids, size_t each, int logits, void* taker,
                      Take take, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    library.set_num_threads(threads);
    auto& own = *static_cast<Writing*>(writing);
    const size_t rows = own.lengths.size();
    show(own.decoder, state_of(own), own.step, rows, each, ids, logits != 0, taker, take);
    own.step += static_cast<long>(each);
  });
}

// Ends the text in `row`; the last row takes its place.
int callmark_ct2_leave(void* writing, size_t row, char* error, size_t error_bytes) {
  return guarded(error, error_bytes, [&] {
    auto& own = *static_cast<Writing*>(writing);
    auto& views = state_of(own).views;
    const size_t last = own.lengths.size() - 1;
    own.lengths[row] = own.lengths[last];
    own.lengths.pop_back();
    for (auto& [name, view] : views) {
      if (name != "memory_lengths" && row != last) {
        const size_t size = view.stride(0);
        float* data = library.view_floats(&view);
        std::memcpy(data + row * size, data + last * size, size * sizeof(float));
      }
      library.view_resize(&view, 0, static_cast<long>(last));
    }
  });
}

}  // extern "C"
