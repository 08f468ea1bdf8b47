//! After an error a session is as it was, also when part of the work had been done.
use crate::{
    PROMPT, logits,
    shared::{self, Fixture, generate_options, last_error, session},
    text, tokens,
};
use qint_capi::*;
use std::ptr::null_mut;

fn length(session: u64) -> u32 {
    let mut info = shared::session_info();
    assert_eq!(unsafe { qint_session_describe(session, &mut info) }, QINT_OK);
    info.length
}

#[test]
fn tokens_before_a_wrong_one_are_taken_back() {
    let fixture = Fixture::new();
    let (used, fresh) = (session(fixture.model, 1, 512), session(fixture.model, 1, 512));
    let ids = tokens(fixture.model, PROMPT);
    let mut info = shared::model_info();
    assert_eq!(unsafe { qint_model_describe(fixture.model, &mut info) }, QINT_OK);
    let vocabulary = info.vocabulary as usize;
    let before = logits(used, &ids, vocabulary);

    // 300 tokens go in by chunks of 256; the second chunk fails.
    let mut wrong = [7u32; 301];
    wrong[300] = u32::MAX;
    for _ in 0..2 {
        let code = unsafe { qint_session_feed(used, wrong.as_ptr(), wrong.len()) };
        assert_eq!(code, QINT_ERROR_ARGUMENT, "{}", last_error());
        assert_eq!(length(used) as usize, ids.len());
        let mut kept = vec![0.0f32; vocabulary];
        assert_eq!(unsafe { qint_session_logits(used, kept.as_mut_ptr(), vocabulary) }, QINT_OK);
        assert_eq!(kept.iter().map(|logit| logit.to_bits()).collect::<Vec<_>>(), before);
    }
    logits(fresh, &ids, vocabulary);
    assert_eq!(logits(used, &wrong[..300], vocabulary), logits(fresh, &wrong[..300], vocabulary));
    assert_eq!((qint_session_free(used), qint_session_free(fresh)), (QINT_OK, QINT_OK));
}

/// A model whose last norm makes numbers that are not finite: passes that give no logits succeed, the others fail.
fn broken(container: &[u8]) -> u64 {
    let mut bytes = container.to_vec();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json = std::str::from_utf8(&bytes[8..header]).unwrap();
    let entry = &json[json.find(r#""model.norm.weight":{"#).unwrap()..];
    let offsets = &entry[entry.find(r#""data_offsets":["#).unwrap() + 16..];
    let ends = offsets[..offsets.find(']').unwrap()].split(',').map(|end| header + end.parse::<usize>().unwrap());
    let ends: Vec<usize> = ends.collect();
    bytes[ends[0]..ends[1]].as_chunks_mut::<4>().0.fill(f32::MAX.to_le_bytes());
    let mut model = 0;
    let code = unsafe { qint_model_from_memory(bytes.as_ptr(), bytes.len(), &mut model) };
    assert_eq!(code, QINT_OK, "{}", last_error());
    model
}

#[test]
fn prompts_of_a_generation_that_fails_are_taken_back() {
    let fixture = Fixture::new();
    let model = broken(&fixture.bytes);
    let sessions = [0; 2].map(|_| session(model, 1, 512));
    let (mut long, mut count) = (String::new(), 0);
    while count <= 256 {
        long.push_str("To be, or not to be. ");
        unsafe { qint_tokenize(model, long.as_ptr().cast(), long.len(), 0, null_mut(), 0, &mut count) };
    }
    let options = qint_generate_options { max_tokens: 4, ..generate_options() };
    let generate = |session, prompt: &str| unsafe {
        qint_generate(session, prompt.as_ptr().cast(), prompt.len(), &options, None, null_mut(), null_mut())
    };
    assert_eq!(generate(sessions[0], &long), QINT_ERROR_MALFORMED, "{}", last_error());
    assert_eq!((length(sessions[0]), text(sessions[0])), (0, String::new()));

    let prompts = [&long, PROMPT].map(|prompt: &str| qint_text { data: prompt.as_ptr().cast(), length: prompt.len() });
    let code =
        unsafe { qint_generate_batch(sessions.as_ptr(), prompts.as_ptr(), 2, &options, None, null_mut(), null_mut()) };
    assert_eq!((code, sessions.map(length)), (QINT_ERROR_MALFORMED, [0; 2]));
    assert_eq!((sessions.map(|session| qint_session_free(session)), qint_model_free(model)), ([QINT_OK; 2], QINT_OK));
}
