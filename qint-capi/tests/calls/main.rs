//! What the ABI gives is what the Rust crates give, to the last bit, from one thread or many.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::expect_used, clippy::unwrap_used)]
#[path = "../shared/mod.rs"]
mod shared;

mod errors;
mod products;
mod threads;
mod versions;

use qint_capi::*;
use qint_core::llama::KvKind;
use qint_std::{
    engine::{Engine, EngineOptions, Session},
    mapping::Loading,
    model::Model,
};
use shared::{Fixture, generate_options, generated, last_error, session};
use std::{
    ffi::{c_char, c_void},
    ptr::null_mut,
};

const PROMPT: &str = "Shall I compare thee";

fn tokens(model: u64, text: &str) -> Vec<u32> {
    let (mut ids, mut count) = (vec![0; 64], 0);
    let code = unsafe {
        qint_tokenize(model, text.as_ptr().cast(), text.len(), QINT_SPECIAL, ids.as_mut_ptr(), ids.len(), &mut count)
    };
    assert_eq!(code, QINT_OK, "{}", last_error());
    ids.truncate(count);
    ids
}

fn logits(session: u64, ids: &[u32], vocabulary: usize) -> Vec<u32> {
    assert_eq!(unsafe { qint_session_feed(session, ids.as_ptr(), ids.len()) }, QINT_OK, "{}", last_error());
    let mut logits = vec![0.0f32; vocabulary];
    assert_eq!(unsafe { qint_session_logits(session, logits.as_mut_ptr(), vocabulary) }, QINT_OK);
    logits.iter().map(|logit| logit.to_bits()).collect()
}

fn text(session: u64) -> String {
    let (mut text, mut length) = (vec![0u8; 4096], 0);
    let code = unsafe { qint_session_text(session, text.as_mut_ptr().cast(), text.len(), &mut length) };
    assert_eq!((code, text[length]), (QINT_OK, 0));
    text.truncate(length);
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn logits_and_embeddings_are_those_of_the_rust_crates() {
    let fixture = Fixture::new();
    let model = Model::open(fixture.path.as_ref(), Loading::Map).unwrap();
    let config = model.config().architecture;
    let ids = tokens(fixture.model, PROMPT);
    let mut engine = Engine::with_options(EngineOptions { threads: Some(2), ..Default::default() }).unwrap();
    let mut own = Session::new(&config, KvKind::F16, 64).unwrap();
    let expected = engine.prompt(model.weights(), &mut own, &ids).unwrap();
    let expected: Vec<u32> = expected.iter().map(|logit| logit.to_bits()).collect();
    assert_eq!(logits(fixture.session, &ids, config.vocabulary), expected);

    // The same from memory, for every backend.
    let mut copy = 0;
    let code = unsafe { qint_model_from_memory(fixture.bytes.as_ptr(), fixture.bytes.len(), &mut copy) };
    assert_eq!(code, QINT_OK, "{}", last_error());
    for backend in qint_core::backend::Backend::available() {
        let name = backend.name();
        let options = qint_session_options {
            backend: name.as_ptr().cast::<c_char>(),
            backend_length: name.len(),
            ..shared::session_options()
        };
        let mut other = 0;
        assert_eq!(unsafe { qint_session_new(copy, &options, &mut other) }, QINT_OK);
        assert_eq!(logits(other, &ids, config.vocabulary), expected, "{name}");
        assert_eq!(qint_session_free(other), QINT_OK);
    }
    let (mut row, mut expected) = (vec![0.0f32; config.hidden], vec![1.0f32; config.hidden]);
    assert_eq!(unsafe { qint_embedding(copy, 5, row.as_mut_ptr(), row.len()) }, QINT_OK);
    model.embedding(5, &mut expected).unwrap();
    assert_eq!(row, expected);
    assert!(row.iter().any(|&x| x != 0.0));
    assert_eq!(qint_model_free(copy), QINT_OK);
}

unsafe extern "C" fn collect(user: *mut c_void, prompt: usize, text: *const c_char, length: usize) -> i32 {
    let texts = unsafe { &mut *user.cast::<[Vec<u8>; 3]>() };
    texts[prompt].extend_from_slice(unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) });
    i32::from(prompt == 2)
}

#[test]
fn a_batch_gives_what_its_prompts_give_alone_and_a_callback_ends_its_own() {
    let fixture = Fixture::new();
    let options = qint_generate_options { max_tokens: 12, seed: 5, ..generate_options() };
    let prompts = [PROMPT, "To be, or", "O Romeo"];
    let sessions = [0; 3].map(|_| session(fixture.model, 1, 64));
    let alone = prompts.map(|prompt| {
        let (data, length, options) = (prompt.as_ptr().cast(), prompt.len(), &options);
        let code = unsafe { qint_generate(sessions[0], data, length, options, None, null_mut(), null_mut()) };
        assert_eq!(code, QINT_OK, "{}", last_error());
        assert_eq!(qint_session_truncate(sessions[0], 0), QINT_OK);
        text(sessions[0])
    });
    let mut seen: [Vec<u8>; 3] = Default::default();
    let mut results = [generated(); 3];
    let prompts = prompts.map(|prompt| qint_text { data: prompt.as_ptr().cast(), length: prompt.len() });
    let (user, on_text): (_, qint_on_text) = ((&raw mut seen).cast::<c_void>(), Some(collect));
    let code = unsafe {
        qint_generate_batch(sessions.as_ptr(), prompts.as_ptr(), 3, &options, on_text, user, results.as_mut_ptr())
    };
    assert_eq!(code, QINT_OK, "{}", last_error());
    for i in 0..2 {
        assert_eq!(text(sessions[i]), alone[i]);
        assert_eq!(seen[i], alone[i].as_bytes());
        assert_eq!((results[i].reason, results[i].tokens), (QINT_END_LENGTH, 12));
    }
    assert_eq!(results[2].reason, QINT_END_CALLBACK);
    assert!(alone[2].starts_with(&text(sessions[2])) && results[2].tokens < 12);
    for session in sessions {
        assert_eq!(qint_session_free(session), QINT_OK);
    }
}

#[test]
fn texts_are_cut_nowhere_and_lengths_are_told() {
    let fixture = Fixture::new();
    let ids = tokens(fixture.model, PROMPT);
    let mut length = 0;
    let mut text = [7u8; 64];
    let decode = |text: *mut u8, capacity, length: &mut usize| unsafe {
        qint_detokenize(fixture.model, ids.as_ptr(), ids.len(), text.cast(), capacity, length)
    };
    assert_eq!(decode(null_mut(), 0, &mut length), QINT_ERROR_LENGTH);
    assert_eq!(length, PROMPT.len());
    assert_eq!(decode(text.as_mut_ptr(), length, &mut length), QINT_OK);
    assert_eq!((&text[..length], text[length]), (PROMPT.as_bytes(), 7), "no room for a zero");
    assert_eq!(decode(text.as_mut_ptr(), 64, &mut length), QINT_OK);
    assert_eq!(text[length], 0);
    assert_eq!((decode(text.as_mut_ptr(), usize::MAX, &mut length), text[length]), (QINT_OK, 0), "only a number");
    let version = unsafe { std::ffi::CStr::from_ptr(qint_version()) };
    assert_eq!(version.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
    let names = (-1..17).map(|code| unsafe { std::ffi::CStr::from_ptr(qint_status_text(code)) }.to_owned());
    assert_eq!(names.collect::<std::collections::HashSet<_>>().len(), 17, "every code has its own text");
}
