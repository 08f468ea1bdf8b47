//! Callers of a later header have larger structs: what they have more is left alone, and arrays are walked by their size.
use crate::{
    PROMPT,
    shared::{self, Fixture, Raw, generate_options, generated, last_error, open, session, session_options},
    text,
};
use qint_capi::*;
use std::ptr::null_mut;

/// A struct of a later version.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Later<T> {
    known: T,
    added: [u64; 3],
}

const ADDED: [u64; 3] = [0xA5A5_A5A5_5A5A_5A5A; 3];

impl<T> Later<T> {
    fn new(known: T) -> Later<T> {
        let mut later = Later { known, added: ADDED };
        // SAFETY: all structs that this is made of start with their size.
        unsafe { (&raw mut later.known).cast::<u32>().write(size_of::<Later<T>>() as u32) };
        later
    }

    fn expect_kept(&self) {
        // SAFETY: as above.
        let size = unsafe { (&raw const self.known).cast::<u32>().read() };
        assert_eq!((size as usize, self.added), (size_of::<Later<T>>(), ADDED));
    }
}

#[test]
fn larger_structs_are_filled_in_as_far_as_they_are_known() {
    let fixture = Fixture::new();
    let (mut model, mut described) = (Later::new(shared::model_info()), shared::model_info());
    assert_eq!(unsafe { qint_model_describe(fixture.model, &raw mut model.known) }, QINT_OK);
    assert_eq!(unsafe { qint_model_describe(fixture.model, &mut described) }, QINT_OK);
    assert_eq!((model.known.hidden, model.known.bytes), (described.hidden, described.bytes));
    assert!(described.bytes > 0);
    model.expect_kept();

    let options = Later::new(session_options());
    let mut used = 0;
    assert_eq!(unsafe { qint_session_new(fixture.model, &raw const options.known, &mut used) }, QINT_OK);
    let mut info = Later::new(shared::session_info());
    assert_eq!(unsafe { qint_session_describe(used, &raw mut info.known) }, QINT_OK);
    assert_eq!((info.known.threads, info.known.capacity), (1, 64));
    info.expect_kept();
    assert_eq!(qint_session_free(used), QINT_OK);

    let raw = Raw::new(20, 70, QINT_Q4, 1);
    let (shape, mut sizes) = (Later::new(raw.shape), Later::new(shared::sizes()));
    assert_eq!(unsafe { qint_matrix_sizes(&raw const shape.known, 1, &raw mut sizes.known) }, QINT_OK);
    assert_eq!((sizes.known.panels, sizes.known.workspace), (raw.sizes.panels, raw.sizes.workspace));
    sizes.expect_kept();
    let matrix = Later::new(qint_matrix { shape: &raw const shape.known, ..raw.matrix() });
    let (mut row, mut expected) = ([0.0f32; 96], [1.0f32; 96]);
    assert_eq!(unsafe { qint_dequantize_row(&raw const matrix.known, 3, row.as_mut_ptr(), 96) }, QINT_OK);
    assert_eq!(unsafe { qint_dequantize_row(&raw.matrix(), 3, expected.as_mut_ptr(), 96) }, QINT_OK);
    assert_eq!(row, expected);
}

#[test]
fn batches_are_walked_by_the_size_of_their_results() {
    let fixture = Fixture::new();
    let model = open(&fixture.path);
    let sessions = [0; 3].map(|_| session(model, 1, 64));
    let prompts = [PROMPT, "To be, or", "O"].map(|text| qint_text { data: text.as_ptr().cast(), length: text.len() });
    let mut options = Later::new(generate_options());
    assert_eq!(unsafe { qint_generate_defaults(&raw mut options.known) }, QINT_OK);
    options.expect_kept();
    (options.known.max_tokens, options.known.seed) = (6, 5);

    let mut results = [generated(); 3];
    let mut later = [Later::new(generated()); 3];
    let first = later.as_mut_ptr().cast::<qint_generated>();
    let known = qint_generate_options { max_tokens: 6, seed: 5, ..generate_options() };
    let generate = |options, generated| {
        let code = unsafe {
            qint_generate_batch(sessions.as_ptr(), prompts.as_ptr(), 3, options, None, null_mut(), generated)
        };
        assert_eq!(code, QINT_OK, "{}", last_error());
        assert_eq!(sessions.map(|session| qint_session_truncate(session, 0)), [QINT_OK; 3]);
        sessions.map(text)
    };
    // Twice: what the first call leaves in the structs is good for the second.
    let expected = generate(&known, results.as_mut_ptr());
    assert_eq!(generate(&raw const options.known, first), expected);
    assert_eq!(generate(&raw const options.known, first), expected);
    for (later, result) in later.iter().zip(&results) {
        later.expect_kept();
        assert_eq!(result.struct_size as usize, size_of::<qint_generated>());
        let counts = |found: &qint_generated| (found.reason, found.prompt_tokens, found.tokens);
        assert_eq!(counts(&later.known), counts(result));
    }
    assert_ne!(results[0].prompt_tokens, results[2].prompt_tokens, "each has its own");
    assert_eq!((sessions.map(|session| qint_session_free(session)), qint_model_free(model)), ([QINT_OK; 3], QINT_OK));
}
