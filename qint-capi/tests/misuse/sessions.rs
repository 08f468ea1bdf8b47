//! Sessions, generation, batches.
use crate::shared::{self, Fixture, generate_options, generated, last_error, session_options};
use qint_capi::*;
use std::ptr::{null, null_mut};

const TEXT: &[u8] = b"To be";

/// A session that was freed.
fn freed(model: u64) -> u64 {
    let handle = shared::session(model, 1, 8);
    assert_eq!(qint_session_free(handle), QINT_OK);
    handle
}

/// Options for two tokens.
fn usual() -> qint_generate_options {
    qint_generate_options { max_tokens: 2, ..generate_options() }
}

fn generate(session: u64, options: &qint_generate_options) -> i32 {
    unsafe { qint_generate(session, TEXT.as_ptr().cast(), TEXT.len(), options, None, null_mut(), null_mut()) }
}

#[test]
fn making_sessions() {
    let fixture = Fixture::new();
    let Fixture { model, session, .. } = fixture;
    let options = session_options();
    let mut out = 7u64;
    let mut both = [options; 2];
    let place = both.as_mut_ptr().cast::<u64>();
    let named = qint_session_options { backend: place.cast(), backend_length: 8, ..options };
    misuses! {
        "a session of nothing" => QINT_ERROR_HANDLE, qint_session_new(0, &options, &mut out);
        "a session of a session" => QINT_ERROR_HANDLE, qint_session_new(session, &options, &mut out);
        "a session without a place" => QINT_ERROR_NULL, qint_session_new(model, &options, null_mut());
        "options without size" => QINT_ERROR_STRUCT_SIZE, qint_session_new(model, &qint_session_options { struct_size: 0, ..options }, &mut out);
        "too many threads" => QINT_ERROR_ARGUMENT, qint_session_new(model, &qint_session_options { threads: u32::MAX, ..options }, &mut out);
        "too large a session" => QINT_ERROR_RESOURCES, qint_session_new(model, &qint_session_options { capacity: u32::MAX, ..options }, &mut out);
        "an unknown kind of cache" => QINT_ERROR_ARGUMENT, qint_session_new(model, &qint_session_options { kv: 3, ..options }, &mut out);
        "an unknown backend" => QINT_ERROR_ARGUMENT, qint_session_new(model, &qint_session_options { backend: c"abacus".as_ptr(), backend_length: 6, ..options }, &mut out);
        "a backend that is not UTF-8" => QINT_ERROR_UTF8, qint_session_new(model, &qint_session_options { backend: c"\xff".as_ptr(), backend_length: 1, ..options }, &mut out);
        "the handle in the options" => QINT_ERROR_ARGUMENT, qint_session_new(model, both.as_ptr(), place.wrapping_add(1));
        "the handle in the backend's name" => QINT_ERROR_ARGUMENT, qint_session_new(model, &named, place);
    };
    assert_eq!(out, 0, "no handle after an error");
    assert_eq!((both[0].threads, both[0].capacity), (1, 64), "nothing is written where buffers overlap");
}

#[test]
fn using_sessions() {
    let fixture = Fixture::new();
    let Fixture { model, session, .. } = fixture;
    let (freed, token) = (freed(model), [1u32; 300]);
    let (mut logits, mut info) = ([0.0f32; 8], shared::session_info());
    let mut block = [7usize; 2];
    misuses! {
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
        "the length of a text in the text" => QINT_ERROR_ARGUMENT, qint_session_text(session, block.as_mut_ptr().cast(), 16, block.as_mut_ptr());
    };
    assert_eq!(unsafe { qint_session_describe(session, &mut info) }, QINT_OK);
    assert_eq!((info.length, block), (0, [7; 2]), "the session has taken no harm");
}

#[test]
fn generating() {
    let fixture = Fixture::new();
    let Fixture { model, session, .. } = fixture;
    let (freed, usual, text) = (freed(model), usual(), TEXT.as_ptr().cast());
    let missing = qint_text { data: null(), length: 5 };
    let empty = qint_text { data: null(), length: 0 };
    misuses! {
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
        "a result without size" => QINT_ERROR_STRUCT_SIZE, qint_generate(session, text, 5, &usual, None, null_mut(), &mut qint_generated { struct_size: 0, ..generated() });
        "the defaults into null" => QINT_ERROR_NULL, qint_generate_defaults(null_mut());
        "the defaults into a smaller struct" => QINT_ERROR_STRUCT_SIZE, qint_generate_defaults(&mut qint_generate_options { struct_size: 32, ..usual });
        "a result of an odd size" => QINT_ERROR_STRUCT_SIZE, qint_generate(session, text, 5, &usual, None, null_mut(), &mut qint_generated { struct_size: 41, ..generated() });
    };
    // The session has taken no harm.
    assert_eq!(generate(session, &usual), QINT_OK);
    let code = unsafe { qint_session_logits(session, [0.0f32; 8].as_mut_ptr(), 8) };
    assert_eq!(code, QINT_ERROR_STATE, "logits after generation");
}

#[test]
fn results_that_overlap() {
    let fixture = Fixture::new();
    let (session, text) = (fixture.session, TEXT.as_ptr().cast());
    let mut result = generated();
    let place = &raw mut result;
    let letters = place.cast::<std::ffi::c_char>().wrapping_add(4);
    let inside = qint_text { data: letters, length: 2 };
    let apart = qint_text { data: text, length: 5 };
    let stopping = qint_generate_options { stop: &inside, stop_count: 1, ..usual() };
    let mut texts = [generated(); 2];
    let prompts = texts.as_mut_ptr();
    unsafe { prompts.cast::<qint_text>().wrapping_byte_add(16).write(apart) };
    let of_stops = prompts.cast_const().cast::<qint_text>().wrapping_byte_add(16);
    let stops = qint_generate_options { stop: of_stops, stop_count: 1, ..usual() };
    let mut handles = [generated(); 2];
    let sessions = handles.as_mut_ptr();
    unsafe { sessions.cast::<u64>().wrapping_add(1).write(session) };
    let mut options = [usual(); 2];
    let in_options = options.as_mut_ptr().cast::<qint_generated>();
    misuses! {
        "the result in the prompt" => QINT_ERROR_ARGUMENT, qint_generate(session, letters, 2, &usual(), None, null_mut(), place);
        "the result in a stop text" => QINT_ERROR_ARGUMENT, qint_generate(session, text, 5, &stopping, None, null_mut(), place);
        "the result in the stop texts" => QINT_ERROR_ARGUMENT, qint_generate(session, text, 5, &stops, None, null_mut(), prompts);
        "the result in the options" => QINT_ERROR_ARGUMENT, qint_generate(session, text, 5, in_options.cast_const().cast(), None, null_mut(), in_options);
        "the results in the sessions" => QINT_ERROR_ARGUMENT, qint_generate_batch(sessions.cast_const().cast::<u64>().wrapping_add(1), &apart, 1, &usual(), None, null_mut(), sessions);
        "the results in the prompts" => QINT_ERROR_ARGUMENT, qint_generate_batch(&session, of_stops, 1, &usual(), None, null_mut(), prompts);
        "the results in a prompt" => QINT_ERROR_ARGUMENT, qint_generate_batch(&session, &inside, 1, &usual(), None, null_mut(), place);
    };
    assert_eq!((result.reason, result.tokens), (9, 0), "nothing is written where buffers overlap");
}

#[test]
fn batches() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let Fixture { model, session, .. } = fixture;
    let (freed, usual, second) = (freed(model), usual(), shared::session(model, 1, 64));
    let prompt = qint_text { data: TEXT.as_ptr().cast(), length: 5 };
    let mut results = [generated(), qint_generated { struct_size: 48, ..generated() }];
    let results = results.as_mut_ptr();
    misuses! {
        "a batch of nothing" => QINT_ERROR_ARGUMENT, qint_generate_batch(null(), null(), 0, &usual, None, null_mut(), null_mut());
        "a batch at null" => QINT_ERROR_NULL, qint_generate_batch(null(), &prompt, 1, &usual, None, null_mut(), null_mut());
        "a batch without prompts" => QINT_ERROR_NULL, qint_generate_batch(&session, null(), 1, &usual, None, null_mut(), null_mut());
        "a batch of impossible length" => QINT_ERROR_LENGTH, qint_generate_batch(&session, &prompt, usize::MAX, &usual, None, null_mut(), null_mut());
        "one session twice" => QINT_ERROR_BUSY, qint_generate_batch([session; 2].as_ptr(), [prompt; 2].as_ptr(), 2, &usual, None, null_mut(), null_mut());
        "sessions of two models" => QINT_ERROR_ARGUMENT, qint_generate_batch([session, other.session].as_ptr(), [prompt; 2].as_ptr(), 2, &usual, None, null_mut(), null_mut());
        "a freed session in a batch" => QINT_ERROR_HANDLE, qint_generate_batch([session, freed].as_ptr(), [prompt; 2].as_ptr(), 2, &usual, None, null_mut(), null_mut());
        "results of two sizes" => QINT_ERROR_STRUCT_SIZE, qint_generate_batch([session, second].as_ptr(), [prompt; 2].as_ptr(), 2, &usual, None, null_mut(), results);
    };
    assert_eq!(qint_session_free(second), QINT_OK);
}
