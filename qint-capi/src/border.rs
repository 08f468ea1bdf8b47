//! Between C and Rust: a C function's arguments become checked slices and references, its result a code.
//!
//! A [`Caller`] stands for the promises that the header asks for; only [`answer`] makes one, and naming it needs `unsafe` once
//! for each function. What it hands out lives as long as the call.
use crate::status::{QINT_ERROR_ALIGNMENT, QINT_ERROR_ARGUMENT, QINT_ERROR_LENGTH, QINT_ERROR_NULL, QINT_OK};
#[cfg(feature = "std")]
use crate::status::{QINT_ERROR_UNEXPECTED, QINT_ERROR_UTF8};
use core::{fmt, ops::Range, slice};

/// Why a function fails. The sentence about it waits in `error_text` already.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: i32,
}

impl Failure {
    /// A failure and the sentence about it.
    pub(crate) fn new(code: i32, text: fmt::Arguments<'_>) -> Failure {
        #[cfg(feature = "std")]
        crate::error_text::set(text);
        #[cfg(not(feature = "std"))]
        let _ = text;
        Failure { code }
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// The caller's promises: pointers are null or point to what their lengths say, for the time of the call.
pub(crate) struct Caller(());

/// Does `work` and returns its code; a panic becomes one too.
///
/// # Safety
/// The caller of the C function keeps the header's promises about every pointer that `work` uses.
pub(crate) unsafe fn answer(work: impl FnOnce(&Caller) -> Outcome) -> i32 {
    answer_without_pointers(|| work(&Caller(())))
}

/// As [`answer`], for functions that take no pointers.
#[cfg(feature = "std")]
pub(crate) fn answer_without_pointers(work: impl FnOnce() -> Outcome) -> i32 {
    // What a panic leaves behind half done is behind a mutex, which is poisoned then.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(())) => QINT_OK,
        Ok(Err(failure)) => failure.code,
        Err(_) => Failure::new(QINT_ERROR_UNEXPECTED, format_args!("a bug: the library panicked")).code,
    }
}

/// As [`answer`], for functions that take no pointers. Nothing unwinds on a microcontroller.
#[cfg(not(feature = "std"))]
pub(crate) fn answer_without_pointers(work: impl FnOnce() -> Outcome) -> i32 {
    work().map_or_else(|failure| failure.code, |()| QINT_OK)
}

impl Caller {
    /// `length` elements that are read.
    pub(crate) fn input<'c, T: Plain>(&'c self, pointer: *const T, length: usize, what: &str) -> Outcome<&'c [T]> {
        if length == 0 {
            return Ok(&[]);
        }
        check(pointer, length, what)?;
        // SAFETY: not null, aligned and of a possible length, just checked; there for the call, as the caller promised.
        Ok(unsafe { slice::from_raw_parts(pointer, length) })
    }

    /// `length` elements that are written.
    #[allow(clippy::mut_from_ref)]
    pub(crate) fn output<'c, T: Plain>(&'c self, pointer: *mut T, length: usize, what: &str) -> Outcome<&'c mut [T]> {
        if length == 0 {
            return Ok(&mut []);
        }
        check(pointer, length, what)?;
        // SAFETY: as in `input`; nobody else uses them meanwhile, as the caller promised. Each C function turns every pointer
        // into one slice only, and refuses outputs that overlap something else.
        Ok(unsafe { slice::from_raw_parts_mut(pointer, length) })
    }

    /// Writes one value.
    #[cfg(feature = "std")]
    pub(crate) fn store<T: Plain>(&self, pointer: *mut T, value: T, what: &str) -> Outcome {
        check(pointer, 1, what)?;
        // SAFETY: not null and aligned, just checked; there for the call, as the caller promised.
        unsafe { pointer.write(value) };
        Ok(())
    }

    /// A text.
    #[cfg(feature = "std")]
    pub(crate) fn text<'c>(&'c self, pointer: *const core::ffi::c_char, length: usize, what: &str) -> Outcome<&'c str> {
        let bytes = self.input(pointer.cast::<u8>(), length, what)?;
        core::str::from_utf8(bytes)
            .map_err(|error| Failure::new(QINT_ERROR_UTF8, format_args!("{what} is not UTF-8: {error}")))
    }
}

/// Numbers and structs that any bits are a value of.
///
/// # Safety
/// Any bits are a value of the type.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($type:ty)*) => {$(
        // SAFETY: any bits are such a number.
        unsafe impl Plain for $type {}
    )*};
}
plain! { u8 i8 u32 i32 u64 f32 usize }

/// Refuses a pointer to `length` elements, at least one, that cannot be one.
pub(crate) fn check<T>(pointer: *const T, length: usize, what: &str) -> Outcome {
    if pointer.is_null() {
        return Err(Failure::new(QINT_ERROR_NULL, format_args!("{what} is null")));
    }
    if !pointer.is_aligned() {
        let text = format_args!("{what} must start at a multiple of {} bytes", align_of::<T>());
        return Err(Failure::new(QINT_ERROR_ALIGNMENT, text));
    }
    let limit = isize::MAX as usize / size_of::<T>().max(1);
    if length > limit || pointer.addr().checked_add(length * size_of::<T>()).is_none() {
        return Err(Failure::new(
            QINT_ERROR_LENGTH,
            format_args!("{what} has {length} elements, more than any memory"),
        ));
    }
    Ok(())
}

/// A buffer's name and the memory behind it.
pub(crate) type Span<'n> = (&'n str, Range<usize>);

/// Refuses an output, one of the first buffers, that shares memory with another. Takes addresses, before references to both
/// exist.
pub(crate) fn expect_apart(buffers: &[Span<'_>], outputs: usize) -> Outcome {
    for (i, (output, a)) in buffers.iter().enumerate().take(outputs) {
        for (other, b) in &buffers[i + 1..] {
            if a.start.max(b.start) >= a.end.min(b.end) {
                continue;
            }
            if b.end == usize::MAX {
                return Err(Failure::new(QINT_ERROR_LENGTH, format_args!("{other} is longer than any memory")));
            }
            return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("{output} and {other} overlap")));
        }
    }
    Ok(())
}

/// The memory that a pointer and a length mean, whether they are valid or not.
pub(crate) fn span<T>(pointer: *const T, length: usize) -> Range<usize> {
    let start = pointer.addr();
    start..start.saturating_add(length.saturating_mul(size_of::<T>()))
}
