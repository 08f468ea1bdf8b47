//! Handles, models, tokenizers, embeddings.
use crate::shared::{self, Fixture, last_error};
use qint_capi::*;
use std::ptr::{null, null_mut};

/// A model that was freed.
fn freed(path: &str) -> u64 {
    let handle = shared::open(path);
    assert_eq!(qint_model_free(handle), QINT_OK);
    handle
}

#[test]
fn opening_and_loading() {
    let fixture = Fixture::new();
    let Fixture { ref path, ref bytes, .. } = fixture;
    let path_pointer = path.as_ptr().cast();
    let mut out = 7u64;
    let mut both = 8u64;
    let overlapped = &raw mut both;
    let cut = &bytes[..bytes.len() / 2];
    misuses! {
        "open without a path" => QINT_ERROR_NULL, qint_model_open(null(), 4, 0, &mut out);
        "open an empty path" => QINT_ERROR_NOT_FOUND, qint_model_open(null(), 0, 0, &mut out);
        "open without a place for the handle" => QINT_ERROR_NULL, qint_model_open(path_pointer, path.len(), 0, null_mut());
        "open a misaligned place" => QINT_ERROR_ALIGNMENT, qint_model_open(path_pointer, path.len(), 0, (&raw mut out).wrapping_byte_add(1));
        "open with unknown flags" => QINT_ERROR_ARGUMENT, qint_model_open(path_pointer, path.len(), 8, &mut out);
        "open a file that is not there" => QINT_ERROR_NOT_FOUND, qint_model_open(c"/no/such/file".as_ptr(), 13, 0, &mut out);
        "open a device" => QINT_ERROR_NOT_FOUND, qint_model_open(c"/dev/null".as_ptr(), 9, 0, &mut out);
        "open a path that is not UTF-8" => QINT_ERROR_UTF8, qint_model_open(c"\xff\xfe".as_ptr(), 2, 0, &mut out);
        "open a path of impossible length" => QINT_ERROR_LENGTH, qint_model_open(path_pointer, usize::MAX, 0, &mut out);
        "open a path with a zero in it" => QINT_ERROR_ARGUMENT, qint_model_open(b"a\0b".as_ptr().cast(), 3, 0, &mut out);
        "load nothing" => QINT_ERROR_MALFORMED, qint_model_from_memory(null(), 0, &mut out);
        "load from null" => QINT_ERROR_NULL, qint_model_from_memory(null(), 9, &mut out);
        "load half a container" => QINT_ERROR_MALFORMED, qint_model_from_memory(cut.as_ptr(), cut.len(), &mut out);
        "load something else" => QINT_ERROR_MALFORMED, qint_model_from_memory([1u8; 100].as_ptr(), 100, &mut out);
        "load without a place" => QINT_ERROR_NULL, qint_model_from_memory(bytes.as_ptr(), bytes.len(), null_mut());
        "open with the handle in the path" => QINT_ERROR_ARGUMENT, qint_model_open(overlapped.cast(), 8, 0, overlapped);
        "open with the handle in the path's last byte" => QINT_ERROR_ARGUMENT, qint_model_open(overlapped.wrapping_byte_sub(7).cast(), 8, 0, overlapped);
        "load with the handle in the bytes" => QINT_ERROR_ARGUMENT, qint_model_from_memory(overlapped.cast(), 8, overlapped);
    };
    assert_eq!(out, 0, "no handle after an error");
    assert_eq!(both, 8, "nothing is written where buffers overlap");
}

#[test]
fn handles() {
    let fixture = Fixture::new();
    let Fixture { model, session, ref path, .. } = fixture;
    let freed = freed(path);
    misuses! {
        "free twice" => QINT_ERROR_HANDLE, qint_model_free(freed);
        "free zero" => QINT_ERROR_HANDLE, qint_model_free(0);
        "free a random number" => QINT_ERROR_HANDLE, qint_model_free(0xdead_beef_dead_beef);
        "free a session as a model" => QINT_ERROR_HANDLE, qint_model_free(session);
        "free a model as a session" => QINT_ERROR_HANDLE, qint_session_free(model);
        "free session zero" => QINT_ERROR_HANDLE, qint_session_free(0);
    };
}

#[test]
fn descriptions_and_embeddings() {
    let fixture = Fixture::new();
    let Fixture { model, session, ref path, .. } = fixture;
    let (freed, mut info) = (freed(path), shared::model_info());
    assert_eq!(unsafe { qint_model_describe(model, &mut info) }, QINT_OK);
    let hidden = info.hidden as usize;
    let mut row = [0.0f32; 4096];
    misuses! {
        "describe after free" => QINT_ERROR_HANDLE, qint_model_describe(freed, &mut info);
        "describe into null" => QINT_ERROR_NULL, qint_model_describe(model, null_mut());
        "describe a session as a model" => QINT_ERROR_HANDLE, qint_model_describe(session, &mut info);
        "describe into a smaller struct" => QINT_ERROR_STRUCT_SIZE, qint_model_describe(model, &mut qint_model_info { struct_size: 8, ..info });
        "describe into a struct without size" => QINT_ERROR_STRUCT_SIZE, qint_model_describe(model, &mut qint_model_info { struct_size: 0, ..info });
        "embed a token that is not there" => QINT_ERROR_ARGUMENT, qint_embedding(model, u32::MAX, row.as_mut_ptr(), hidden);
        "embed into null" => QINT_ERROR_NULL, qint_embedding(model, 1, null_mut(), hidden);
        "embed into too little" => QINT_ERROR_LENGTH, qint_embedding(model, 1, row.as_mut_ptr(), hidden - 1);
        "embed into too much" => QINT_ERROR_LENGTH, qint_embedding(model, 1, row.as_mut_ptr(), hidden + 1);
        "embed after free" => QINT_ERROR_HANDLE, qint_embedding(freed, 1, row.as_mut_ptr(), hidden);
    };
    assert!(row.iter().all(|&x| x == 0.0), "nothing is written after an error");
}

#[test]
fn texts_and_tokens() {
    let fixture = Fixture::new();
    let Fixture { model, ref path, .. } = fixture;
    let freed = freed(path);
    let text = b"To be".as_ptr().cast();
    let (mut ids, mut count) = ([0u32; 64], 0usize);
    let mut block = [0u64; 8];
    let (inside, inside_ids) = (block.as_mut_ptr().cast::<usize>(), block.as_mut_ptr().cast::<u32>());
    let inside_text = block.as_mut_ptr().cast();
    let mut letters = [40u32; 3];
    let letters = letters.as_mut_ptr().cast_const();
    misuses! {
        "tokenize after free" => QINT_ERROR_HANDLE, qint_tokenize(freed, text, 5, 0, ids.as_mut_ptr(), 64, &mut count);
        "tokenize null" => QINT_ERROR_NULL, qint_tokenize(model, null(), 5, 0, ids.as_mut_ptr(), 64, &mut count);
        "tokenize what is not UTF-8" => QINT_ERROR_UTF8, qint_tokenize(model, c"\xc3\x28".as_ptr(), 2, 0, ids.as_mut_ptr(), 64, &mut count);
        "tokenize with unknown flags" => QINT_ERROR_ARGUMENT, qint_tokenize(model, text, 5, 4, ids.as_mut_ptr(), 64, &mut count);
        "tokenize without room" => QINT_ERROR_LENGTH, qint_tokenize(model, text, 5, 0, ids.as_mut_ptr(), 0, &mut count);
        "tokenize into null" => QINT_ERROR_NULL, qint_tokenize(model, text, 5, 0, null_mut(), 64, &mut count);
        "tokenize into a misaligned buffer" => QINT_ERROR_ALIGNMENT, qint_tokenize(model, text, 5, 0, ids.as_mut_ptr().wrapping_byte_add(2), 8, &mut count);
        "detokenize after free" => QINT_ERROR_HANDLE, qint_detokenize(freed, ids.as_ptr(), 1, null_mut(), 0, &mut count);
        "detokenize null" => QINT_ERROR_NULL, qint_detokenize(model, null(), 3, null_mut(), 0, &mut count);
        "tokenize with the count in the ids" => QINT_ERROR_ARGUMENT, qint_tokenize(model, text, 5, 0, inside_ids, 16, inside);
        "tokenize with the count in the text" => QINT_ERROR_ARGUMENT, qint_tokenize(model, inside_text, 5, 0, ids.as_mut_ptr(), 64, inside);
        "tokenize with the ids in the text" => QINT_ERROR_ARGUMENT, qint_tokenize(model, inside_text, 5, 0, inside_ids, 16, &mut count);
        "tokenize with a misaligned count" => QINT_ERROR_ALIGNMENT, qint_tokenize(model, text, 5, 0, ids.as_mut_ptr(), 64, inside.wrapping_byte_add(4));
        "detokenize with the length in the text" => QINT_ERROR_ARGUMENT, qint_detokenize(model, letters, 3, inside_text, 64, inside);
        "detokenize with the length in the ids" => QINT_ERROR_ARGUMENT, qint_detokenize(model, inside_ids, 3, null_mut(), 0, inside);
        "detokenize with the text in the ids" => QINT_ERROR_ARGUMENT, qint_detokenize(model, letters, 3, letters.cast_mut().cast(), 12, null_mut());
    };
    assert!(count > 0, "the length that was needed");
    assert_eq!(block, [0; 8], "nothing is written where buffers overlap");
}
