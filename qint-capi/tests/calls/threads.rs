//! Models and sessions that several threads use and free.
use crate::{
    PROMPT, logits,
    shared::{self, Fixture, generate_options, last_error, open, session},
    tokens,
};
use qint_capi::*;
use std::{
    ffi::{c_char, c_void},
    ptr::{null, null_mut},
    sync::{
        Barrier, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

/// How many times the usual run of a test.
fn scale() -> u64 {
    if std::env::var_os("QINT_LONG_TESTS").is_some() { 10 } else { 1 }
}

fn generate(session: u64, on_text: qint_on_text, user: *mut c_void) -> i32 {
    let options = qint_generate_options { max_tokens: 12, seed: 5, ..generate_options() };
    unsafe { qint_generate(session, PROMPT.as_ptr().cast(), PROMPT.len(), &options, on_text, user, null_mut()) }
}

/// Eight threads on one model, each with a thousand calls, ten thousand with QINT_LONG_TESTS: sessions of their own, the model's
/// tokenizer and embeddings shared.
#[test]
fn threads_share_a_model() {
    let fixture = Fixture::new();
    let model = fixture.model;
    let ids = tokens(model, PROMPT);
    let mut info = shared::model_info();
    assert_eq!(unsafe { qint_model_describe(model, &mut info) }, QINT_OK);
    let (vocabulary, hidden) = (info.vocabulary as usize, info.hidden as usize);
    let expected = logits(fixture.session, &ids, vocabulary);
    let calls = 1_000 * scale();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let own = session(model, 1, 64);
                let mut row = vec![0.0f32; hidden];
                for call in 0..calls {
                    match call % 4 {
                        0 => assert_eq!(tokens(model, PROMPT), ids),
                        1 => assert_eq!(unsafe { qint_embedding(model, 3, row.as_mut_ptr(), hidden) }, QINT_OK),
                        2 if call % 64 == 2 => {
                            assert_eq!(logits(own, &ids, vocabulary), expected);
                            assert_eq!(qint_session_truncate(own, 0), QINT_OK);
                        }
                        2 => assert_eq!(unsafe { qint_session_feed(own, null(), 0) }, QINT_ERROR_ARGUMENT),
                        _ => assert_eq!(qint_session_free(8 * call + 5), QINT_ERROR_HANDLE),
                    }
                }
                assert_eq!(qint_session_free(own), QINT_OK);
            });
        }
    });
}

unsafe extern "C" fn interfere(user: *mut c_void, _: usize, _: *const c_char, _: usize) -> i32 {
    let codes = unsafe { &mut *user.cast::<(u64, Vec<i32>)>() };
    codes.1.push(qint_session_truncate(codes.0, 0));
    if codes.1.len() == 1 {
        codes.1.push(qint_session_free(codes.0));
    }
    0
}

#[test]
fn a_session_that_is_in_use_is_busy_and_may_be_freed() {
    let fixture = Fixture::new();
    let used = session(fixture.model, 2, 64);
    let mut codes = (used, Vec::<i32>::new());
    let user = (&raw mut codes).cast::<c_void>();
    assert_eq!(generate(used, Some(interfere), user), QINT_OK);
    assert_eq!(codes.1[..2], [QINT_ERROR_BUSY, QINT_OK]);
    assert!(codes.1[2..].iter().all(|&code| code == QINT_ERROR_HANDLE));
    assert_eq!(qint_session_free(used), QINT_ERROR_HANDLE);
}

/// A text, and where its first piece waits for another thread, twice.
struct Held {
    text: Mutex<Vec<u8>>,
    gate: Barrier,
}

unsafe extern "C" fn hold(user: *mut c_void, _: usize, text: *const c_char, length: usize) -> i32 {
    let held = unsafe { &*user.cast::<Held>() };
    let mut seen = held.text.lock().unwrap();
    if seen.is_empty() {
        held.gate.wait();
        held.gate.wait();
    }
    seen.extend_from_slice(unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) });
    0
}

#[test]
fn a_call_goes_on_while_another_thread_frees_what_it_uses() {
    let fixture = Fixture::new();
    assert_eq!(generate(fixture.session, None, null_mut()), QINT_OK);
    let expected = crate::text(fixture.session);

    let model = open(&fixture.path);
    let used = session(model, 2, 64);
    let held = Held { text: Mutex::default(), gate: Barrier::new(2) };
    thread::scope(|scope| {
        let writer = scope.spawn(|| generate(used, Some(hold), (&raw const held).cast_mut().cast()));
        held.gate.wait();
        let mut number = [0.0f32; 1];
        assert_eq!(qint_session_truncate(used, 0), QINT_ERROR_BUSY);
        assert_eq!(unsafe { qint_session_feed(used, &1, 1) }, QINT_ERROR_BUSY);
        assert_eq!(unsafe { qint_session_logits(used, number.as_mut_ptr(), 1) }, QINT_ERROR_BUSY);
        assert_eq!(unsafe { qint_session_describe(used, &mut shared::session_info()) }, QINT_ERROR_BUSY);
        assert_eq!(unsafe { qint_session_text(used, null_mut(), 0, null_mut()) }, QINT_ERROR_BUSY);
        assert_eq!(generate(used, None, null_mut()), QINT_ERROR_BUSY);
        assert_eq!((qint_model_free(model), qint_model_free(model)), (QINT_OK, QINT_ERROR_HANDLE));
        assert_eq!((qint_session_free(used), qint_session_free(used)), (QINT_OK, QINT_ERROR_HANDLE));
        assert_eq!(qint_session_truncate(used, 0), QINT_ERROR_HANDLE);
        held.gate.wait();
        assert_eq!(writer.join().unwrap(), QINT_OK);
    });
    assert_eq!(String::from_utf8(held.text.into_inner().unwrap()).unwrap(), expected);
}

/// Twenty sessions, two hundred with QINT_LONG_TESTS, that threads write in, truncate and free as it comes.
#[test]
fn threads_free_what_others_use() {
    let fixture = Fixture::new();
    for _ in 0..20 * scale() {
        let model = open(&fixture.path);
        let used = session(model, 1, 64);
        let (freed, start) = (AtomicU32::new(0), Barrier::new(5));
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                let code = generate(used, None, null_mut());
                assert!([QINT_OK, QINT_ERROR_BUSY, QINT_ERROR_HANDLE].contains(&code), "{code}: {}", last_error());
            });
            scope.spawn(|| {
                start.wait();
                loop {
                    match qint_session_truncate(used, 0) {
                        QINT_OK | QINT_ERROR_BUSY => thread::yield_now(),
                        code => break assert_eq!(code, QINT_ERROR_HANDLE),
                    }
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    thread::yield_now();
                    freed.fetch_add(u32::from(qint_session_free(used) == QINT_OK), Ordering::Relaxed);
                });
            }
            start.wait();
            assert_eq!(qint_model_free(model), QINT_OK);
        });
        assert_eq!(freed.into_inner(), 1, "only one thread frees it");
    }
}

#[test]
fn sessions_go_on_after_their_model_is_freed() {
    let fixture = Fixture::new();
    let ids = tokens(fixture.model, PROMPT);
    let model = open(&fixture.path);
    let own = session(model, 1, 64);
    let mut info = shared::model_info();
    assert_eq!(unsafe { qint_model_describe(model, &mut info) }, QINT_OK);
    assert_eq!(qint_model_free(model), QINT_OK);
    assert_eq!(unsafe { qint_model_describe(model, &mut info) }, QINT_ERROR_HANDLE);
    assert_eq!(unsafe { qint_session_new(model, null(), &mut 0) }, QINT_ERROR_HANDLE);
    let vocabulary = info.vocabulary as usize;
    assert_eq!(logits(own, &ids, vocabulary), logits(fixture.session, &ids, vocabulary));
    assert_eq!(qint_session_truncate(own, 0), QINT_OK);
    assert_eq!(generate(own, None, null_mut()), QINT_OK);
    assert_eq!(qint_session_free(own), QINT_OK);
}
