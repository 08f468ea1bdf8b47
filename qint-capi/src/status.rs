//! The codes that functions return, and how Rust errors become them.
use crate::border::Failure;
use core::ffi::{CStr, c_char};

/// It worked.
pub const QINT_OK: i32 = 0;
/// A bug of the library, or a broken system.
pub const QINT_ERROR_UNEXPECTED: i32 = 1;
/// A number, a combination of arguments, or buffers that overlap.
pub const QINT_ERROR_ARGUMENT: i32 = 2;
/// A null pointer where there must be something.
pub const QINT_ERROR_NULL: i32 = 3;
/// A handle that was freed, never given out, or stands for something else.
pub const QINT_ERROR_HANDLE: i32 = 4;
/// A buffer of the wrong length; where the needed length is asked for, it was written.
pub const QINT_ERROR_LENGTH: i32 = 5;
/// struct_size is smaller than any version of the struct, or cannot be that of an array's entries.
pub const QINT_ERROR_STRUCT_SIZE: i32 = 6;
/// A pointer that is not aligned for what it points to.
pub const QINT_ERROR_ALIGNMENT: i32 = 7;
/// A text that is not UTF-8.
pub const QINT_ERROR_UTF8: i32 = 8;
/// A file that does not exist or is no regular file.
pub const QINT_ERROR_NOT_FOUND: i32 = 9;
/// A file, matrix or activation that breaks the rules: NaN, for example.
pub const QINT_ERROR_MALFORMED: i32 = 10;
/// Well-formed, but not something that qint does.
pub const QINT_ERROR_UNSUPPORTED: i32 = 11;
/// Memory or disk is short.
pub const QINT_ERROR_RESOURCES: i32 = 12;
/// The session has no room for that many tokens.
pub const QINT_ERROR_CONTEXT: i32 = 13;
/// Another call on this session is under way, perhaps the one that called back.
pub const QINT_ERROR_BUSY: i32 = 14;
/// Not at this point: no logits yet, a model without tokenizer.
pub const QINT_ERROR_STATE: i32 = 15;

/// A few words about a code, terminated by a zero. Never null; other numbers are "unknown code".
#[unsafe(no_mangle)]
pub extern "C" fn qint_status_text(code: i32) -> *const c_char {
    let text: &CStr = match code {
        QINT_OK => c"no error",
        QINT_ERROR_UNEXPECTED => c"unexpected failure",
        QINT_ERROR_ARGUMENT => c"argument out of range",
        QINT_ERROR_NULL => c"null pointer",
        QINT_ERROR_HANDLE => c"not a live handle",
        QINT_ERROR_LENGTH => c"buffer of the wrong length",
        QINT_ERROR_STRUCT_SIZE => c"struct_size is wrong",
        QINT_ERROR_ALIGNMENT => c"misaligned pointer",
        QINT_ERROR_UTF8 => c"text is not UTF-8",
        QINT_ERROR_NOT_FOUND => c"file not found",
        QINT_ERROR_MALFORMED => c"malformed input",
        QINT_ERROR_UNSUPPORTED => c"not supported",
        QINT_ERROR_RESOURCES => c"not enough memory or disk",
        QINT_ERROR_CONTEXT => c"session is full",
        QINT_ERROR_BUSY => c"session is busy",
        QINT_ERROR_STATE => c"not possible in this state",
        _ => c"unknown code",
    };
    text.as_ptr()
}

impl From<qint_core::Error> for Failure {
    fn from(error: qint_core::Error) -> Failure {
        use qint_core::Error;
        let code = match error {
            Error::Dimension { .. } | Error::Number { .. } | Error::Token { .. } => QINT_ERROR_ARGUMENT,
            Error::Length { .. } => QINT_ERROR_LENGTH,
            Error::Misaligned { .. } => QINT_ERROR_ALIGNMENT,
            Error::Mismatch { .. } | Error::RowScale { .. } | Error::NotFinite { .. } => QINT_ERROR_MALFORMED,
            Error::ContextFull { .. } => QINT_ERROR_CONTEXT,
            _ => QINT_ERROR_ARGUMENT,
        };
        Failure::new(code, format_args!("{error}"))
    }
}

#[cfg(feature = "std")]
impl From<qint_std::Error> for Failure {
    fn from(error: qint_std::Error) -> Failure {
        use qint_std::error::Class;
        if let qint_std::Error::Core { context, source } = &error {
            let Failure { code } = Failure::from(*source);
            return Failure::new(code, format_args!("{context}: {source}"));
        }
        let code = match error.class() {
            Class::Unexpected | Class::Interrupted => QINT_ERROR_UNEXPECTED,
            Class::Usage => QINT_ERROR_ARGUMENT,
            Class::NotFound => QINT_ERROR_NOT_FOUND,
            Class::Malformed => QINT_ERROR_MALFORMED,
            Class::Unsupported => QINT_ERROR_UNSUPPORTED,
            Class::Resources => QINT_ERROR_RESOURCES,
        };
        Failure::new(code, format_args!("{error}"))
    }
}
