//! Texts and ids whose length the caller does not know: written if they fit, and told how many they are.
use crate::{
    border::{Caller, Failure, Outcome, Plain, Span, expect_apart, span},
    status::QINT_ERROR_LENGTH,
};
use core::ffi::c_char;

/// Where a C function writes items, and how many they are.
pub(crate) struct Destination<T> {
    pub(crate) what: &'static str,
    pub(crate) to: *mut T,
    pub(crate) capacity: usize,
    /// May be null.
    pub(crate) count: *mut usize,
}

impl Destination<u8> {
    /// For a text and its bytes.
    pub(crate) fn text(to: *mut c_char, capacity: usize, length: *mut usize) -> Destination<u8> {
        Destination { what: "text", to: to.cast(), capacity, count: length }
    }

    /// Writes a text, a zero after it if there is room, and its length.
    pub(crate) fn write_text(&self, caller: &Caller, text: &str, input: Span<'_>) -> Outcome {
        self.write(caller, text.as_bytes(), Some(0), input)
    }
}

impl<T: Plain> Destination<T> {
    /// Writes items, `end` after them if there is room, and how many items they are, if they fit or not. What is written may
    /// not overlap itself or `input`; past its end `capacity` is a number only.
    pub(crate) fn write(&self, caller: &Caller, items: &[T], end: Option<T>, input: Span<'_>) -> Outcome {
        let fits = items.len() <= self.capacity;
        let written = if fits { self.capacity.min(items.len() + usize::from(end.is_some())) } else { 0 };
        let counts = usize::from(!self.count.is_null());
        expect_apart(&[(self.what, span(self.to, written)), ("the count", span(self.count, counts)), input], 2)?;
        let to = caller.output(self.to, written, self.what)?;
        if counts > 0 {
            caller.store(self.count, items.len(), "the count")?;
        }
        if !fits {
            let text =
                format_args!("{} has room for {} elements, {} are needed", self.what, self.capacity, items.len());
            return Err(Failure::new(QINT_ERROR_LENGTH, text));
        }
        let (to, after) = to.split_at_mut(items.len());
        to.copy_from_slice(items);
        if let (Some(end), [after]) = (end, after) {
            *after = end;
        }
        Ok(())
    }
}
