//! The C ABI of qint. `include/qint.h` is generated from this crate; docs/c-abi.md explains it.
//!
//! | file | holds |
//! |---|---|
//! | `status` | the codes that functions return |
//! | `border` | what stands between C and Rust: panics caught, pointers checked, errors turned into codes |
//! | `sized` | structs that start with their own size |
//! | `write` | texts and ids of a length that the caller asks for |
//! | `raw` | products and dequantization on the caller's buffers; all that there is without `std` |
//! | `quantize` | f32 rows into panels |
//! | `error_text` | the sentence about the last error of a thread |
//! | `handles` | numbers that stand for models and sessions |
//! | `model` | models, tokenizers, embeddings |
//! | `session` | sequences: tokens in, logits out |
//! | `generate`, `generate_options` | prompts into text, one or several at once |
//!
//! The invariant: whatever numbers and pointers a caller who keeps the header's promises passes in, a function returns a code.
//! Rust code only ever sees checked slices; a panic that happens nevertheless is a code too.
#![cfg_attr(not(feature = "std"), no_std)]
#![allow(unsafe_code, non_camel_case_types)]
// What the caller promises is the same for all functions: the header says it once (cbindgen.toml).
#![allow(clippy::missing_safety_doc)]

mod border;
#[cfg(feature = "std")]
mod error_text;
#[cfg(feature = "std")]
mod generate;
#[cfg(feature = "std")]
mod generate_options;
#[cfg(feature = "std")]
mod handles;
#[cfg(feature = "std")]
mod model;
#[cfg(feature = "std")]
mod quantize;
mod raw;
#[cfg(feature = "std")]
mod session;
mod sized;
mod status;
#[cfg(feature = "std")]
mod write;

pub use raw::*;
pub use status::*;
#[cfg(feature = "std")]
pub use {error_text::*, generate::*, generate_options::*, model::*, quantize::*, session::*};

use core::ffi::c_char;

/// Of the functions, structs and codes of this header. It grows when something is added; a change that breaks callers also
/// changes the library's file name.
pub const QINT_ABI: u32 = 1;

/// QINT_ABI of the library that is running: at least that of the header that the caller was compiled with.
#[unsafe(no_mangle)]
pub extern "C" fn qint_abi() -> u32 {
    QINT_ABI
}

/// The library's version, for example "0.1.0", terminated by a zero. Never null.
#[unsafe(no_mangle)]
pub extern "C" fn qint_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// A microcontroller has nobody to tell. Checked arguments leave no way here.
#[cfg(all(not(feature = "std"), target_os = "none"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
