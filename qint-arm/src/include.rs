//! Files in flash.

/// The bytes of a file, as [`include_bytes!`], but at a multiple of 64: packed panels, or an array of row scales, that stay
/// where the linker puts them.
///
/// ```
/// static PANELS: &[u8] = qint_arm::include_qint!("../Cargo.toml");
/// assert!(PANELS.as_ptr().addr().is_multiple_of(64));
/// ```
#[macro_export]
macro_rules! include_qint {
    ($path:expr $(,)?) => {{
        #[repr(C, align(64))]
        struct Aligned<T: ?Sized>(T);
        static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!($path));
        &FILE.0
    }};
}
