#ifndef QINT_H
#define QINT_H

#include <stddef.h>
#include <stdint.h>

// The C ABI of qint. docs/c-abi.md explains it.
//
// Every function but qint_abi, qint_version and qint_status_text returns QINT_OK or one of the other codes below; none unwinds.
// A bug of the library that makes it panic is QINT_ERROR_UNEXPECTED, and Rust's panic hook writes a line about it to stderr;
// nothing else is printed. If there is no memory for a session's positions, the workspace or logits, that is
// QINT_ERROR_RESOURCES; if memory is so short that other, mostly small, requests fail, the process is aborted.
//
// Structs that start with struct_size: the caller sets it to sizeof, and it stays so. A library that knows more fields takes
// those that the caller has not as zeros; one that knows fewer leaves the others alone.
//
// What the caller promises, and what nobody can check:
//   - A pointer is null or points to as many elements as the length beside it says; they stay there during the call, and
//     nobody else writes them meanwhile. A null pointer is allowed where the length is 0, or where it says so.
//   - A callback returns: it neither throws nor jumps out.
// Handles are numbers, never reused: one that was freed or never given out is QINT_ERROR_HANDLE, not a crash.
// Texts are UTF-8, without a terminating zero; a text that is written is followed by a zero if there is room for it.
//
// Define QINT_FREESTANDING for a library that was built without std: only what needs no allocator is declared then.
#if !defined(QINT_FREESTANDING)
#define QINT_HOSTED 1
#endif


// Of the functions, structs and codes of this header. It grows when something is added; a change that breaks callers also
// changes the library's file name.
#define QINT_ABI 1

#if defined(QINT_HOSTED)
// The model wrote an end token.
#define QINT_END_TOKEN 0
#endif

#if defined(QINT_HOSTED)
// A stop text appeared; it is not part of the text.
#define QINT_END_STOP 1
#endif

#if defined(QINT_HOSTED)
// As many tokens as allowed.
#define QINT_END_LENGTH 2
#endif

#if defined(QINT_HOSTED)
// The session is full.
#define QINT_END_CONTEXT 3
#endif

#if defined(QINT_HOSTED)
// The callback asked for it.
#define QINT_END_CALLBACK 4
#endif

#if defined(QINT_HOSTED)
// Prompts do not get what belongs around a text, for example the start token.
#define QINT_PLAIN_PROMPT 1
#endif

#if defined(QINT_HOSTED)
// The model's end tokens do not end the text.
#define QINT_IGNORE_END 2
#endif

#if defined(QINT_HOSTED)
// The file is read into memory instead of being mapped. A mapped file must not shrink while it is in use.
#define QINT_READ 1
#endif

#if defined(QINT_HOSTED)
// Ids get what belongs around a text, for example the start token.
#define QINT_SPECIAL 1
#endif

// 8 bits.
#define QINT_Q8 0

// 4 bits, an asymmetric table of 16 levels.
#define QINT_Q4 1

// 4 bits, evenly spaced levels.
#define QINT_Q4_LINEAR 2

// 2 bits, an asymmetric table of 4 levels.
#define QINT_Q2 3

// 2 bits, evenly spaced levels.
#define QINT_Q2_LINEAR 4

// 1 bit.
#define QINT_Q1 5

// Activations are rounded as they are.
#define QINT_TRANSFORM_NONE 0

// Activations go through a Walsh-Hadamard transform first; so did the weights.
#define QINT_TRANSFORM_HADAMARD 1

#if defined(QINT_HOSTED)
// Keys and values are kept as f16.
#define QINT_KV_F16 0
#endif

#if defined(QINT_HOSTED)
// Keys and values are kept as i8 with one scale per position and head.
#define QINT_KV_I8 1
#endif

#if defined(QINT_HOSTED)
// Keys and values are kept as f32.
#define QINT_KV_F32 2
#endif

// It worked.
#define QINT_OK 0

// A bug of the library, or a broken system.
#define QINT_ERROR_UNEXPECTED 1

// A number, a combination of arguments, or buffers that overlap.
#define QINT_ERROR_ARGUMENT 2

// A null pointer where there must be something.
#define QINT_ERROR_NULL 3

// A handle that was freed, never given out, or stands for something else.
#define QINT_ERROR_HANDLE 4

// A buffer of the wrong length; where the needed length is asked for, it was written.
#define QINT_ERROR_LENGTH 5

// struct_size is smaller than any version of the struct, or cannot be that of an array's entries.
#define QINT_ERROR_STRUCT_SIZE 6

// A pointer that is not aligned for what it points to.
#define QINT_ERROR_ALIGNMENT 7

// A text that is not UTF-8.
#define QINT_ERROR_UTF8 8

// A file that does not exist or is no regular file.
#define QINT_ERROR_NOT_FOUND 9

// A file, matrix or activation that breaks the rules: NaN, for example.
#define QINT_ERROR_MALFORMED 10

// Well-formed, but not something that qint does.
#define QINT_ERROR_UNSUPPORTED 11

// Memory or disk is short.
#define QINT_ERROR_RESOURCES 12

// The session has no room for that many tokens.
#define QINT_ERROR_CONTEXT 13

// Another call on this session is under way, perhaps the one that called back.
#define QINT_ERROR_BUSY 14

// Not at this point: no logits yet, a model without tokenizer.
#define QINT_ERROR_STATE 15

#if defined(QINT_HOSTED)
// Bytes of UTF-8 and how many they are. Fixed for ever: it has no struct_size.
typedef struct qint_text {
  // The bytes; may be null if there are none.
  const char *data;
  // How many.
  size_t length;
} qint_text;
#endif

#if defined(QINT_HOSTED)
// How to write, and when to stop. qint_generate_defaults fills it in.
typedef struct qint_generate_options {
  // sizeof(qint_generate_options).
  uint32_t struct_size;
  // QINT_PLAIN_PROMPT and QINT_IGNORE_END, or 0.
  uint32_t flags;
  // The most tokens to write; 0 for as many as the session has room for.
  uint32_t max_tokens;
  // Tokens to choose from; 0 for all.
  uint32_t top_k;
  // 0 always takes the likeliest token.
  float temperature;
  // Probability that the tokens to choose from have together; 1 for all.
  float top_p;
  // Probability of a token to choose from, as part of the likeliest one's; 0 for all.
  float min_p;
  // Above 0; logits of recent tokens are divided by it. 1 changes nothing.
  float repeat_penalty;
  // How many tokens are recent.
  uint32_t repeat_last_n;
  // Must be 0.
  uint32_t reserved;
  // Where the random numbers begin.
  uint64_t seed;
  // Texts that end the generation.
  const struct qint_text *stop;
  // How many.
  size_t stop_count;
} qint_generate_options;
#endif

#if defined(QINT_HOSTED)
// Is given every piece of text once it is final: `user` as passed in, the number of the prompt (0 for a single one), and
// `length` bytes. Anything but 0 ends that text. It may call functions on other handles; on its own session they are
// QINT_ERROR_BUSY.
typedef int32_t (*qint_on_text)(void *user, size_t prompt, const char *text, size_t length);
#endif

#if defined(QINT_HOSTED)
// How a generation ended.
typedef struct qint_generated {
  // sizeof(qint_generated), set by the caller.
  uint32_t struct_size;
  // QINT_END_TOKEN and so on.
  uint32_t reason;
  // Tokens of the prompt.
  uint32_t prompt_tokens;
  // Tokens written.
  uint32_t tokens;
  // Nanoseconds for the prompt.
  uint64_t prompt_nanoseconds;
  // Nanoseconds from then on to the end.
  uint64_t decode_nanoseconds;
} qint_generated;
#endif

#if defined(QINT_HOSTED)
// What a model is like.
typedef struct qint_model_info {
  // sizeof(qint_model_info), set by the caller.
  uint32_t struct_size;
  // Logits of a position.
  uint32_t vocabulary;
  // Numbers of an embedding.
  uint32_t hidden;
  // Transformer layers.
  uint32_t layers;
  // Positions that the model was trained for.
  uint32_t context;
  // Pieces of its tokenizer; 0 without one.
  uint32_t tokenizer_vocabulary;
  // Bytes of its weights.
  uint64_t bytes;
} qint_model_info;
#endif

// Shape and form of a quantized matrix.
typedef struct qint_shape {
  // sizeof(qint_shape).
  uint32_t struct_size;
  // Outputs.
  uint32_t rows;
  // Inputs.
  uint32_t cols;
  // QINT_Q8 to QINT_Q1.
  uint32_t codec;
  // Columns that share a sub-scale: 32, 64 or 128.
  uint32_t group;
  // QINT_TRANSFORM_NONE or QINT_TRANSFORM_HADAMARD.
  uint32_t transform;
  // Columns of activations that share a scale: 256, 512 or 1024.
  uint32_t activation_block;
  // Must be 0.
  uint32_t reserved;
} qint_shape;

// How large the caller's buffers are.
typedef struct qint_sizes {
  // sizeof(qint_sizes), set by the caller.
  uint32_t struct_size;
  // Columns padded to a multiple of 32: floats of a row that is dequantized.
  uint32_t padded_cols;
  // Bytes of the panels.
  size_t panels;
  // Floats of the row scales.
  size_t row_scales;
  // Floats of the workspace of a product with that many tokens.
  size_t workspace;
} qint_sizes;

// A quantized matrix in the caller's memory.
typedef struct qint_matrix {
  // sizeof(qint_matrix).
  uint32_t struct_size;
  // Must be 0.
  uint32_t reserved;
  // Shape and form.
  const struct qint_shape *shape;
  // The panels, at a multiple of 4 bytes; of 64 is faster.
  const uint8_t *panels;
  // Bytes of the panels.
  size_t panels_length;
  // The row scales.
  const float *row_scales;
  // Floats of the row scales.
  size_t row_scales_length;
} qint_matrix;

#if defined(QINT_HOSTED)
// How a session is set up.
typedef struct qint_session_options {
  // sizeof(qint_session_options).
  uint32_t struct_size;
  // Threads; 0 for one on every physical core that the process may use.
  uint32_t threads;
  // Positions that the session has room for; 0 for the model's context, at most 4096.
  uint32_t capacity;
  // QINT_KV_F16, QINT_KV_I8 or QINT_KV_F32.
  uint32_t kv;
  // The backend's name ("avx2"); null for the fastest of this CPU.
  const char *backend;
  // Bytes of the name.
  size_t backend_length;
} qint_session_options;
#endif

#if defined(QINT_HOSTED)
// How far a session is.
typedef struct qint_session_info {
  // sizeof(qint_session_info), set by the caller.
  uint32_t struct_size;
  // Threads that it computes with.
  uint32_t threads;
  // Positions stored.
  uint32_t length;
  // Positions that it has room for.
  uint32_t capacity;
} qint_session_info;
#endif

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// QINT_ABI of the library that is running: at least that of the header that the caller was compiled with.
uint32_t qint_abi(void);

// The library's version, for example "0.1.0", terminated by a zero. Never null.
const char *qint_version(void);

#if defined(QINT_HOSTED)
// Writes the sentence about the last error of this thread, at most 1024 bytes; empty before the first. `length`, which may be
// null, receives its bytes. QINT_ERROR_LENGTH if they do not fit `capacity`; that replaces no sentence.
int32_t qint_last_error(char *text,
                        size_t capacity,
                        size_t *length);
#endif

#if defined(QINT_HOSTED)
// Appends a prompt to a session and writes on. `options`, `on_text` and `generated` may be null; qint_session_text gives the
// whole text afterwards. After an error the session is as before.
int32_t qint_generate(uint64_t session,
                      const char *prompt,
                      size_t prompt_length,
                      const struct qint_generate_options *options,
                      qint_on_text on_text,
                      void *user,
                      struct qint_generated *generated);
#endif

#if defined(QINT_HOSTED)
// As qint_generate for `count` prompts at once, each with a session of its own of the same model: what single calls give, to
// the last bit, but faster. `generated`, which may be null, has `count` entries, each with its struct_size set, to the same.
// After an error all sessions are as before.
int32_t qint_generate_batch(const uint64_t *sessions,
                            const struct qint_text *prompts,
                            size_t count,
                            const struct qint_generate_options *options,
                            qint_on_text on_text,
                            void *user,
                            struct qint_generated *generated);
#endif

#if defined(QINT_HOSTED)
// Fills in the usual options.
int32_t qint_generate_defaults(struct qint_generate_options *options);
#endif

#if defined(QINT_HOSTED)
// Opens a container, a GGUF file or a Hugging Face directory and gives out a handle. `path` has `path_length` bytes; `flags` is
// 0 or QINT_READ.
int32_t qint_model_open(const char *path,
                        size_t path_length,
                        uint32_t flags,
                        uint64_t *model);
#endif

#if defined(QINT_HOSTED)
// As qint_model_open, for the bytes of a container, which are copied.
int32_t qint_model_from_memory(const uint8_t *bytes, size_t length, uint64_t *model);
#endif

#if defined(QINT_HOSTED)
// Gives a model back. Its sessions go on; its memory is freed with the last of them.
int32_t qint_model_free(uint64_t model);
#endif

#if defined(QINT_HOSTED)
// What a model is like. `info->struct_size` is set by the caller.
int32_t qint_model_describe(uint64_t model, struct qint_model_info *info);
#endif

#if defined(QINT_HOSTED)
// The ids of a text. `flags` is 0 or QINT_SPECIAL. `count`, which may be null, receives how many there are, also when they do not
// fit `capacity` (QINT_ERROR_LENGTH; nothing is written then).
int32_t qint_tokenize(uint64_t model,
                      const char *text,
                      size_t text_length,
                      uint32_t flags,
                      uint32_t *ids,
                      size_t capacity,
                      size_t *count);
#endif

#if defined(QINT_HOSTED)
// The text of ids, special tokens left out; ids that do not exist give nothing. `length`, which may be null, receives its bytes,
// also when they do not fit `capacity` (QINT_ERROR_LENGTH; nothing is written then).
int32_t qint_detokenize(uint64_t model,
                        const uint32_t *ids,
                        size_t count,
                        char *text,
                        size_t capacity,
                        size_t *length);
#endif

#if defined(QINT_HOSTED)
// The embedding of a token, as the forward pass starts from it: `length` is the model's hidden size.
int32_t qint_embedding(uint64_t model, uint32_t token, float *embedding, size_t length);
#endif

#if defined(QINT_HOSTED)
// Quantizes a matrix: `weights` is `[rows][cols]`, `panels` and `row_scales` have the lengths that qint_matrix_sizes gives. What
// shape.transform says happens to the weights first. The same bytes on every CPU.
int32_t qint_quantize(const struct qint_shape *shape,
                      const float *weights,
                      size_t weights_length,
                      uint8_t *panels,
                      size_t panels_length,
                      float *row_scales,
                      size_t row_scales_length);
#endif

// The sizes of a matrix's buffers, and of the workspace of a product with `tokens` tokens, at least 1.
int32_t qint_matrix_sizes(const struct qint_shape *shape, size_t tokens, struct qint_sizes *sizes);

// y = W·x: `x` has the matrix's columns, `y` its rows. One thread; the same bits on every CPU. No buffer may overlap another.
int32_t qint_matvec(const struct qint_matrix *matrix,
                    const float *x,
                    size_t x_length,
                    float *y,
                    size_t y_length,
                    float *workspace,
                    size_t workspace_length);

// As qint_matvec for several tokens at once: `x` is `[tokens][cols]`, `y` is `[tokens][rows]`.
int32_t qint_matmul(const struct qint_matrix *matrix,
                    size_t tokens,
                    const float *x,
                    size_t x_length,
                    float *y,
                    size_t y_length,
                    float *workspace,
                    size_t workspace_length);

// A row of the matrix in f32, transformed back. `length` is padded_cols of qint_sizes; columns past the matrix's are zeros, or
// nearly so.
int32_t qint_dequantize_row(const struct qint_matrix *matrix,
                            size_t row,
                            float *weights,
                            size_t length);

#if defined(QINT_HOSTED)
// Makes an empty session of a model and gives out a handle. `options` may be null.
int32_t qint_session_new(uint64_t model, const struct qint_session_options *options, uint64_t *session);
#endif

#if defined(QINT_HOSTED)
// Gives a session back. A call that is using it goes on to its end.
int32_t qint_session_free(uint64_t session);
#endif

#if defined(QINT_HOSTED)
// How far a session is. `info->struct_size` is set by the caller.
int32_t qint_session_describe(uint64_t session, struct qint_session_info *info);
#endif

#if defined(QINT_HOSTED)
// Forgets all positions from `length` on; more than there are is an error.
int32_t qint_session_truncate(uint64_t session, size_t length);
#endif

#if defined(QINT_HOSTED)
// Appends tokens, at least one. After an error the session is as before.
int32_t qint_session_feed(uint64_t session, const uint32_t *tokens, size_t count);
#endif

#if defined(QINT_HOSTED)
// The logits of the position that was fed last: `length` is the model's vocabulary. QINT_ERROR_STATE if nothing was fed, or
// if the session was truncated or generated since.
int32_t qint_session_logits(uint64_t session,
                            float *logits,
                            size_t length);
#endif

#if defined(QINT_HOSTED)
// What was generated last in this session. `length`, which may be null, receives its bytes, also when they do not fit
// `capacity` (QINT_ERROR_LENGTH; nothing is written then).
int32_t qint_session_text(uint64_t session, char *text, size_t capacity, size_t *length);
#endif

// A few words about a code, terminated by a zero. Never null; other numbers are "unknown code".
const char *qint_status_text(int32_t code);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* QINT_H */
