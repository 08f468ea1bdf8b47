//! Whatever is passed in, a code comes out, the code that it should be, and a sentence. Nothing crashes, nothing is written.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::expect_used, clippy::unwrap_used)]
#[path = "../shared/mod.rs"]
mod shared;

/// Runs misuses one after the other; each is a new error with a sentence of its own.
macro_rules! misuses {
    ($($what:literal => $code:ident, $call:expr;)*) => {{
        let mut count = 0; // cargo test -- --nocapture shows it
        $(
            // SAFETY: that wrong arguments are no harm is what is tested; the pointers are valid where they are not null.
            #[allow(unused_unsafe)]
            let code = unsafe { $call };
            assert_eq!(code, $code, "{}: {}", $what, last_error());
            assert!(!last_error().is_empty(), "{}: no sentence", $what);
            count += 1;
        )*
        println!("{count} misuses");
    }};
}

mod models;
mod raw;
mod sessions;
