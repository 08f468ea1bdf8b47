//! Whatever is passed in, a code comes out, the code that it should be, and a sentence. Nothing crashes, nothing is written.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::expect_used, clippy::unwrap_used)]
mod shared;

use qint_capi::*;
use shared::{Fixture, Raw, last_error};
use std::ptr::{null, null_mut};

/// Runs misuses one after the other; each is a new error with a sentence of its own.
macro_rules! misuses {
    ($($what:literal => $code:ident, $call:expr;)*) => {{
        let mut count = 0;
        $(
            // SAFETY: that wrong arguments are no harm is what is tested; the pointers are valid where they are not null.
            #[allow(unused_unsafe)]
            let code = unsafe { $call };
            assert_eq!(code, $code, "{}: {}", $what, last_error());
            assert!(!last_error().is_empty(), "{}: no sentence", $what);
            count += 1;
        )*
        count
    }};
}

#[test]
fn handles_and_models() {
    let fixture = Fixture::new();
    let Fixture { model, session, ref path, ref bytes, .. } = fixture;
    let (mut out, mut info) = (7u64, shared::model_info());
    let (mut ids, mut count, mut row) = ([0u32; 64], 0usize, [0.0f32; 4096]);
    let (path_pointer, text) = (path.as_ptr().cast(), b"To be".as_ptr().cast());
    let hidden = {
        assert_eq!(unsafe { qint_model_describe(model, &mut info) }, QINT_OK);
        info.hidden as usize
    };
    let freed = {
        let mut handle = 0;
        assert_eq!(unsafe { qint_model_open(path_pointer, path.len(), 0, &mut handle) }, QINT_OK);
        assert_eq!(qint_model_free(handle), QINT_OK);
        handle
    };
    let mut cut = bytes.clone();
    cut.truncate(bytes.len() / 2);
    let n = misuses! {
        "open without a path" => QINT_ERROR_NULL, qint_model_open(null(), 4, 0, &mut out);
        "open an empty path" => QINT_ERROR_NOT_FOUND, qint_model_open(null(), 0, 0, &mut out);
        "open without a place for the handle" => QINT_ERROR_NULL, qint_model_open(path_pointer, path.len(), 0, null_mut());
        "open a misaligned place" => QINT_ERROR_ALIGNMENT, qint_model_open(path_pointer, path.len(), 0, (&raw mut out).wrapping_byte_add(1));
        "open with unknown flags" => QINT_ERROR_ARGUMENT, qint_model_open(path_pointer, path.len(), 8, &mut out);
        "open a file that is not there" => QINT_ERROR_NOT_FOUND, qint_model_open(c"/no/such/file".as_ptr(), 13, 0, &mut out);
        "open a device" => QINT_ERROR_NOT_FOUND, qint_model_open(c"/dev/null".as_ptr(), 9, 0, &mut out);
        "open a path that is not UTF-8" => QINT_ERROR_UTF8, qint_model_open(c"\xff\xfe".as_ptr(), 2, 0, &mut out);
        "open a path of impossible length" => QINT_ERROR_LENGTH, qint_model_open(path_pointer, usize::MAX, 0, &mut out);
        "open a path with a zero in it" => QINT_ERROR_UNEXPECTED, qint_model_open(b"a\0b".as_ptr().cast(), 3, 0, &mut out);
        "load nothing" => QINT_ERROR_MALFORMED, qint_model_from_memory(null(), 0, &mut out);
        "load from null" => QINT_ERROR_NULL, qint_model_from_memory(null(), 9, &mut out);
        "load half a container" => QINT_ERROR_MALFORMED, qint_model_from_memory(cut.as_ptr(), cut.len(), &mut out);
        "load something else" => QINT_ERROR_MALFORMED, qint_model_from_memory([1u8; 100].as_ptr(), 100, &mut out);
        "load without a place" => QINT_ERROR_NULL, qint_model_from_memory(bytes.as_ptr(), bytes.len(), null_mut());
        "free twice" => QINT_ERROR_HANDLE, qint_model_free(freed);
        "free zero" => QINT_ERROR_HANDLE, qint_model_free(0);
        "free a random number" => QINT_ERROR_HANDLE, qint_model_free(0xdead_beef_dead_beef);
        "free a session as a model" => QINT_ERROR_HANDLE, qint_model_free(session);
        "free a model as a session" => QINT_ERROR_HANDLE, qint_session_free(model);
        "free session zero" => QINT_ERROR_HANDLE, qint_session_free(0);
        "describe after free" => QINT_ERROR_HANDLE, qint_model_describe(freed, &mut info);
        "describe into null" => QINT_ERROR_NULL, qint_model_describe(model, null_mut());
        "describe a session as a model" => QINT_ERROR_HANDLE, qint_model_describe(session, &mut info);
        "describe into a smaller struct" => QINT_ERROR_STRUCT_SIZE, qint_model_describe(model, &mut qint_model_info { struct_size: 8, ..info });
        "describe into a struct without size" => QINT_ERROR_STRUCT_SIZE, qint_model_describe(model, &mut qint_model_info { struct_size: 0, ..info });
        "tokenize after free" => QINT_ERROR_HANDLE, qint_tokenize(freed, text, 5, 0, ids.as_mut_ptr(), 64, &mut count);
        "tokenize null" => QINT_ERROR_NULL, qint_tokenize(model, null(), 5, 0, ids.as_mut_ptr(), 64, &mut count);
        "tokenize what is not UTF-8" => QINT_ERROR_UTF8, qint_tokenize(model, c"\xc3\x28".as_ptr(), 2, 0, ids.as_mut_ptr(), 64, &mut count);
        "tokenize with unknown flags" => QINT_ERROR_ARGUMENT, qint_tokenize(model, text, 5, 4, ids.as_mut_ptr(), 64, &mut count);
        "tokenize without room" => QINT_ERROR_LENGTH, qint_tokenize(model, text, 5, 0, ids.as_mut_ptr(), 0, &mut count);
        "tokenize into null" => QINT_ERROR_NULL, qint_tokenize(model, text, 5, 0, null_mut(), 64, &mut count);
        "tokenize into a misaligned buffer" => QINT_ERROR_ALIGNMENT, qint_tokenize(model, text, 5, 0, ids.as_mut_ptr().wrapping_byte_add(2), 8, &mut count);
        "detokenize after free" => QINT_ERROR_HANDLE, qint_detokenize(freed, ids.as_ptr(), 1, null_mut(), 0, &mut count);
        "detokenize null" => QINT_ERROR_NULL, qint_detokenize(model, null(), 3, null_mut(), 0, &mut count);
        "embed a token that is not there" => QINT_ERROR_ARGUMENT, qint_embedding(model, u32::MAX, row.as_mut_ptr(), hidden);
        "embed into null" => QINT_ERROR_NULL, qint_embedding(model, 1, null_mut(), hidden);
        "embed into too little" => QINT_ERROR_LENGTH, qint_embedding(model, 1, row.as_mut_ptr(), hidden - 1);
        "embed into too much" => QINT_ERROR_LENGTH, qint_embedding(model, 1, row.as_mut_ptr(), hidden + 1);
        "embed after free" => QINT_ERROR_HANDLE, qint_embedding(freed, 1, row.as_mut_ptr(), hidden);
        "the defaults into null" => QINT_ERROR_NULL, qint_generate_defaults(null_mut());
    };
    assert!(count > 0, "the length that was needed");
    assert_eq!(out, 0, "no handle after an error");
    println!("{n} misuses");
}

#[test]
fn sessions_and_generation() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let Fixture { model, session, .. } = fixture;
    let options = shared::session_options();
    let mut out = 7u64;
    let (text, token) = (b"To be".as_ptr().cast(), [1u32; 300]);
    let (mut logits, mut info) = ([0.0f32; 8], shared::session_info());
    let mut usual = shared::generate_options();
    usual.max_tokens = 2;
    let prompt = qint_text { data: text, length: 5 };
    let missing = qint_text { data: null(), length: 5 };
    let empty = qint_text { data: null(), length: 0 };
    let freed = {
        let mut handle = 0;
        assert_eq!(unsafe { qint_session_new(model, &options, &mut handle) }, QINT_OK);
        assert_eq!(qint_session_free(handle), QINT_OK);
        handle
    };
    let generate = |session, options: &qint_generate_options| {
        // SAFETY: the pointers are valid or null.
        unsafe { qint_generate(session, text, 5, options, None, null_mut(), null_mut()) }
    };
    let n = misuses! {
        "a session of nothing" => QINT_ERROR_HANDLE, qint_session_new(0, &options, &mut out);
        "a session of a session" => QINT_ERROR_HANDLE, qint_session_new(session, &options, &mut out);
        "a session without a place" => QINT_ERROR_NULL, qint_session_new(model, &options, null_mut());
        "options without size" => QINT_ERROR_STRUCT_SIZE, qint_session_new(model, &qint_session_options { struct_size: 0, ..options }, &mut out);
        "too many threads" => QINT_ERROR_ARGUMENT, qint_session_new(model, &qint_session_options { threads: u32::MAX, ..options }, &mut out);
        "too large a session" => QINT_ERROR_RESOURCES, qint_session_new(model, &qint_session_options { capacity: u32::MAX, ..options }, &mut out);
        "an unknown kind of cache" => QINT_ERROR_ARGUMENT, qint_session_new(model, &qint_session_options { kv: 3, ..options }, &mut out);
        "an unknown backend" => QINT_ERROR_ARGUMENT, qint_session_new(model, &qint_session_options { backend: c"abacus".as_ptr(), backend_length: 6, ..options }, &mut out);
        "a backend that is not UTF-8" => QINT_ERROR_UTF8, qint_session_new(model, &qint_session_options { backend: c"\xff".as_ptr(), backend_length: 1, ..options }, &mut out);
        "a session freed twice" => QINT_ERROR_HANDLE, qint_session_free(freed);
        "describe a freed session" => QINT_ERROR_HANDLE, qint_session_describe(freed, &mut info);
        "describe a session into null" => QINT_ERROR_NULL, qint_session_describe(session, null_mut());
        "describe a session into a smaller struct" => QINT_ERROR_STRUCT_SIZE, qint_session_describe(session, &mut qint_session_info { struct_size: 4, ..info });
        "truncate to more" => QINT_ERROR_ARGUMENT, qint_session_truncate(session, 1);
        "truncate a freed session" => QINT_ERROR_HANDLE, qint_session_truncate(freed, 0);
        "feed nothing" => QINT_ERROR_ARGUMENT, qint_session_feed(session, null(), 0);
        "feed null" => QINT_ERROR_NULL, qint_session_feed(session, null(), 3);
        "feed a token that is not there" => QINT_ERROR_ARGUMENT, qint_session_feed(session, &u32::MAX, 1);
        "feed more than there is room for" => QINT_ERROR_CONTEXT, qint_session_feed(session, token.as_ptr(), 300);
        "feed a misaligned pointer" => QINT_ERROR_ALIGNMENT, qint_session_feed(session, token.as_ptr().wrapping_byte_add(1), 2);
        "feed a freed session" => QINT_ERROR_HANDLE, qint_session_feed(freed, token.as_ptr(), 1);
        "logits before tokens" => QINT_ERROR_STATE, qint_session_logits(session, logits.as_mut_ptr(), 8);
        "logits of a freed session" => QINT_ERROR_HANDLE, qint_session_logits(freed, logits.as_mut_ptr(), 8);
        "text of a freed session" => QINT_ERROR_HANDLE, qint_session_text(freed, null_mut(), 0, null_mut());
        "generate on a model" => QINT_ERROR_HANDLE, generate(model, &usual);
        "generate on a freed session" => QINT_ERROR_HANDLE, generate(freed, &usual);
        "an empty prompt" => QINT_ERROR_ARGUMENT, qint_generate(session, null(), 0, &qint_generate_options { flags: QINT_PLAIN_PROMPT, ..usual }, None, null_mut(), null_mut());
        "a prompt that is null" => QINT_ERROR_NULL, qint_generate(session, null(), 5, &usual, None, null_mut(), null_mut());
        "a prompt that is not UTF-8" => QINT_ERROR_UTF8, qint_generate(session, c"\x80".as_ptr(), 1, &usual, None, null_mut(), null_mut());
        "options of generation without size" => QINT_ERROR_STRUCT_SIZE, generate(session, &qint_generate_options { struct_size: 0, ..usual });
        "unknown flags" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { flags: 64, ..usual });
        "reserved" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { reserved: 1, ..usual });
        "temperature NaN" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { temperature: f32::NAN, ..usual });
        "temperature below 0" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { temperature: -1.0, ..usual });
        "top_p above 1" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { top_p: 1.5, ..usual });
        "min_p NaN" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { min_p: f32::NAN, ..usual });
        "a penalty of 0" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { repeat_penalty: 0.0, ..usual });
        "stop texts at null" => QINT_ERROR_NULL, generate(session, &qint_generate_options { stop_count: 2, ..usual });
        "a stop text at null" => QINT_ERROR_NULL, generate(session, &qint_generate_options { stop: &missing, stop_count: 1, ..usual });
        "an empty stop text" => QINT_ERROR_ARGUMENT, generate(session, &qint_generate_options { stop: &empty, stop_count: 1, ..usual });
        "a result without size" => QINT_ERROR_STRUCT_SIZE, qint_generate(session, text, 5, &usual, None, null_mut(), &mut qint_generated { struct_size: 0, ..shared::generated() });
        "a batch of nothing" => QINT_ERROR_ARGUMENT, qint_generate_batch(null(), null(), 0, &usual, None, null_mut(), null_mut());
        "a batch at null" => QINT_ERROR_NULL, qint_generate_batch(null(), &prompt, 1, &usual, None, null_mut(), null_mut());
        "a batch without prompts" => QINT_ERROR_NULL, qint_generate_batch(&session, null(), 1, &usual, None, null_mut(), null_mut());
        "a batch of impossible length" => QINT_ERROR_LENGTH, qint_generate_batch(&session, &prompt, usize::MAX, &usual, None, null_mut(), null_mut());
        "one session twice" => QINT_ERROR_BUSY, qint_generate_batch([session; 2].as_ptr(), [prompt; 2].as_ptr(), 2, &usual, None, null_mut(), null_mut());
        "sessions of two models" => QINT_ERROR_ARGUMENT, qint_generate_batch([session, other.session].as_ptr(), [prompt; 2].as_ptr(), 2, &usual, None, null_mut(), null_mut());
        "a freed session in a batch" => QINT_ERROR_HANDLE, qint_generate_batch([session, freed].as_ptr(), [prompt; 2].as_ptr(), 2, &usual, None, null_mut(), null_mut());
    };
    // The session has taken no harm.
    assert_eq!(generate(session, &usual), QINT_OK);
    let code = unsafe { qint_session_logits(session, logits.as_mut_ptr(), 8) };
    assert_eq!(code, QINT_ERROR_STATE, "logits after generation");
    println!("{n} misuses");
}

#[test]
fn raw_buffers() {
    let raw = Raw::new(20, 70, QINT_Q4, 1);
    let Raw { shape, sizes, .. } = raw;
    let matrix = raw.matrix();
    let nan = [f32::NAN; 70];
    let (x, mut y, mut workspace) = ([1.0f32; 70], [7.0f32; 20], vec![0.0f32; sizes.workspace]);
    let (w, n) = (workspace.as_mut_ptr(), sizes.workspace);
    let y_pointer = y.as_mut_ptr();
    let mut sized = sizes;
    let mut broken = raw.row_scales.clone();
    broken[3] = f32::INFINITY;
    let mut panels = vec![0u8; sizes.panels + 4];
    let mut scales = vec![0.0f32; sizes.row_scales];
    let weights = [0.5f32; 20 * 70];
    let (p, s) = (panels.as_mut_ptr(), scales.as_mut_ptr());
    let matvec = |matrix: &qint_matrix| unsafe { qint_matvec(matrix, x.as_ptr(), 70, y_pointer, 20, w, n) };
    let with_shape = |shape: &qint_shape| matvec(&qint_matrix { shape, ..matrix });
    let n_misuses = misuses! {
        "no matrix" => QINT_ERROR_NULL, qint_matvec(null(), x.as_ptr(), 70, y_pointer, 20, w, n);
        "a matrix without size" => QINT_ERROR_STRUCT_SIZE, matvec(&qint_matrix { struct_size: 0, ..matrix });
        "a matrix with something reserved" => QINT_ERROR_ARGUMENT, matvec(&qint_matrix { reserved: 1, ..matrix });
        "no shape" => QINT_ERROR_NULL, matvec(&qint_matrix { shape: null(), ..matrix });
        "a shape without size" => QINT_ERROR_STRUCT_SIZE, with_shape(&qint_shape { struct_size: 3, ..shape });
        "an unknown codec" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { codec: 6, ..shape });
        "an unknown group" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { group: 48, ..shape });
        "an unknown transform" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { transform: 2, ..shape });
        "an unknown block" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { activation_block: 100, ..shape });
        "something reserved" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { reserved: 9, ..shape });
        "no rows" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { rows: 0, ..shape });
        "no columns" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { cols: 0, ..shape });
        "too many rows" => QINT_ERROR_ARGUMENT, with_shape(&qint_shape { rows: u32::MAX, ..shape });
        "a larger shape than buffers" => QINT_ERROR_LENGTH, with_shape(&qint_shape { cols: 700, ..shape });
        "no panels" => QINT_ERROR_NULL, matvec(&qint_matrix { panels: null(), ..matrix });
        "too few panels" => QINT_ERROR_LENGTH, matvec(&qint_matrix { panels_length: 64, ..matrix });
        "misaligned panels" => QINT_ERROR_ALIGNMENT, matvec(&qint_matrix { panels: p.wrapping_add(1), ..matrix });
        "no row scales" => QINT_ERROR_NULL, matvec(&qint_matrix { row_scales: null(), ..matrix });
        "too few row scales" => QINT_ERROR_LENGTH, matvec(&qint_matrix { row_scales_length: 20, ..matrix });
        "an infinite row scale" => QINT_ERROR_MALFORMED, matvec(&qint_matrix { row_scales: broken.as_ptr(), ..matrix });
        "no x" => QINT_ERROR_NULL, qint_matvec(&matrix, null(), 70, y_pointer, 20, w, n);
        "a short x" => QINT_ERROR_LENGTH, qint_matvec(&matrix, x.as_ptr(), 69, y_pointer, 20, w, n);
        "an x with NaN" => QINT_ERROR_MALFORMED, qint_matvec(&matrix, nan.as_ptr(), 70, y_pointer, 20, w, n);
        "a misaligned x" => QINT_ERROR_ALIGNMENT, qint_matvec(&matrix, x.as_ptr().wrapping_byte_add(3), 70, y_pointer, 20, w, n);
        "no y" => QINT_ERROR_NULL, qint_matvec(&matrix, x.as_ptr(), 70, null_mut(), 20, w, n);
        "a short y" => QINT_ERROR_LENGTH, qint_matvec(&matrix, x.as_ptr(), 70, y_pointer, 19, w, n);
        "no workspace" => QINT_ERROR_NULL, qint_matvec(&matrix, x.as_ptr(), 70, y_pointer, 20, null_mut(), n);
        "a small workspace" => QINT_ERROR_LENGTH, qint_matvec(&matrix, x.as_ptr(), 70, y_pointer, 20, w, n - 1);
        "y in the workspace" => QINT_ERROR_ARGUMENT, qint_matvec(&matrix, x.as_ptr(), 70, w, 20, w, n);
        "x in the workspace" => QINT_ERROR_ARGUMENT, qint_matvec(&matrix, w, 70, y_pointer, 20, w, n);
        "y in the row scales" => QINT_ERROR_ARGUMENT, qint_matvec(&matrix, x.as_ptr(), 70, matrix.row_scales.cast_mut(), 20, w, n);
        "no tokens" => QINT_ERROR_ARGUMENT, qint_matmul(&matrix, 0, x.as_ptr(), 0, y_pointer, 0, w, n);
        "too many tokens" => QINT_ERROR_ARGUMENT, qint_matmul(&matrix, usize::MAX, x.as_ptr(), 70, y_pointer, 20, w, n);
        "more tokens than x has" => QINT_ERROR_LENGTH, qint_matmul(&matrix, 2, x.as_ptr(), 70, y_pointer, 40, w, n);
        "sizes without a shape" => QINT_ERROR_NULL, qint_matrix_sizes(null(), 1, &mut sized);
        "sizes into null" => QINT_ERROR_NULL, qint_matrix_sizes(&shape, 1, null_mut());
        "sizes of no tokens" => QINT_ERROR_ARGUMENT, qint_matrix_sizes(&shape, 0, &mut sized);
        "sizes into a smaller struct" => QINT_ERROR_STRUCT_SIZE, qint_matrix_sizes(&shape, 1, &mut qint_sizes { struct_size: 8, ..sizes });
        "a row that is not there" => QINT_ERROR_ARGUMENT, qint_dequantize_row(&matrix, 20, w, sizes.padded_cols as usize);
        "a row into null" => QINT_ERROR_NULL, qint_dequantize_row(&matrix, 0, null_mut(), sizes.padded_cols as usize);
        "a row into too little" => QINT_ERROR_LENGTH, qint_dequantize_row(&matrix, 0, w, 70);
        "quantize null" => QINT_ERROR_NULL, qint_quantize(&shape, null(), weights.len(), p, sizes.panels, s, sizes.row_scales);
        "quantize too little" => QINT_ERROR_LENGTH, qint_quantize(&shape, weights.as_ptr(), 20, p, sizes.panels, s, sizes.row_scales);
        "quantize into too little" => QINT_ERROR_LENGTH, qint_quantize(&shape, weights.as_ptr(), weights.len(), p, 1, s, sizes.row_scales);
        "quantize NaN" => QINT_ERROR_MALFORMED, qint_quantize(&shape, [f32::NAN; 1400].as_ptr(), 1400, p, sizes.panels, s, sizes.row_scales);
        "quantize in place" => QINT_ERROR_ARGUMENT, qint_quantize(&shape, s, weights.len(), p, sizes.panels, s, sizes.row_scales);
        "the last error into null" => QINT_ERROR_NULL, qint_last_error(null_mut(), 100, null_mut());
    };
    assert!(y.iter().all(|&y| y == 7.0), "nothing is written after an error");
    assert_eq!(matvec(&matrix), QINT_OK);
    println!("{n_misuses} misuses");
}
