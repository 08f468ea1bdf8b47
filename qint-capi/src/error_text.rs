//! The sentence about the last error of a thread, in memory that needs no destructor: a library that is unloaded leaves nothing
//! behind.
use crate::{
    border::{Caller, Outcome, answer},
    write::Destination,
};
use core::{cell::RefCell, ffi::c_char, fmt};

const ROOM: usize = 1024;

struct Text {
    bytes: [u8; ROOM],
    length: usize,
}

thread_local! {
    static TEXT: RefCell<Text> = const { RefCell::new(Text { bytes: [0; ROOM], length: 0 }) };
}

impl fmt::Write for Text {
    /// Cuts what has no room, between two characters.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(ROOM - self.length);
        self.bytes[self.length..self.length + end].copy_from_slice(&text.as_bytes()[..end]);
        self.length += end;
        if end == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Keeps a sentence.
pub(crate) fn set(text: fmt::Arguments<'_>) {
    // A text is only read while nothing fails: the cell is never borrowed here.
    TEXT.with(|cell| {
        if let Ok(mut kept) = cell.try_borrow_mut() {
            kept.length = 0;
            let _ = fmt::Write::write_fmt(&mut *kept, text); // only ever fails by being cut
        }
    });
}

/// Writes the sentence about the last error of this thread, at most 1024 bytes; empty before the first. `length`, which may be
/// null, receives its bytes. QINT_ERROR_LENGTH if they do not fit `capacity`; that replaces no sentence.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_last_error(text: *mut c_char, capacity: usize, length: *mut usize) -> i32 {
    let work = |caller: &Caller| -> Outcome {
        let copy = TEXT.with(|cell| {
            let kept = cell.borrow();
            (kept.bytes, kept.length)
        });
        let kept = str::from_utf8(&copy.0[..copy.1]).unwrap_or_default();
        let outcome = Destination::text(text, capacity, length).write_text(caller, kept, ("", 0..0));
        set(format_args!("{kept}"));
        outcome
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}
