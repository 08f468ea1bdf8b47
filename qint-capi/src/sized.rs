//! Structs that start with their own size, so that a caller and the library may know different versions of them.
//!
//! A caller's struct ends anywhere after the fields of the first version. Fields that only the library knows count as zeros;
//! fields that only the caller knows are neither read nor written, and `struct_size` stays what the caller has set.
#[cfg(feature = "std")]
use crate::border::span;
use crate::{
    border::{Caller, Failure, Outcome, check},
    status::QINT_ERROR_STRUCT_SIZE,
};
use core::{mem::MaybeUninit, ptr};

/// A struct of the header that starts with `struct_size`, a u32.
///
/// # Safety
/// It is `repr(C)`, its first field is that u32, and any bits are a value of it.
pub(crate) unsafe trait Versioned: Copy {
    /// Bytes of its first version, which every caller has. A field that is added later stays outside.
    const MIN_SIZE: usize;
}

impl Caller {
    /// A copy of a struct.
    pub(crate) fn sized<T: Versioned>(&self, pointer: *const T, what: &str) -> Outcome<T> {
        let known = self.struct_size(pointer, what)?.min(size_of::<T>());
        let mut value = MaybeUninit::<T>::zeroed();
        // SAFETY: the caller's struct has at least that many bytes, as its size says, and so has `value`, which is new.
        unsafe { ptr::copy_nonoverlapping(pointer.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), known) };
        // SAFETY: any bits are a value of it, zeros too.
        Ok(unsafe { value.assume_init() })
    }

    /// Fills in a struct whose size the caller has set.
    pub(crate) fn write_sized<T: Versioned>(&self, pointer: *mut T, value: T, what: &str) -> Outcome {
        let size = self.struct_size(pointer, what)?;
        // SAFETY: not null, and its size says that so many bytes are there.
        unsafe { write(pointer, size, value) };
        Ok(())
    }

    /// The size that a struct states. Refuses one that is not there or smaller than any version.
    fn struct_size<T: Versioned>(&self, pointer: *const T, what: &str) -> Outcome<usize> {
        check(pointer, 1, what)?;
        // SAFETY: not null and aligned, just checked. Every such struct starts with a u32, which the caller has to give.
        let size = unsafe { pointer.cast::<u32>().read() } as usize;
        if size < T::MIN_SIZE {
            return Err(wrong_size(format_args!("{what}.struct_size is {size}, at least {} is needed", T::MIN_SIZE)));
        }
        check(pointer.cast::<u8>(), size, what)?;
        Ok(size)
    }
}

/// Writes all fields but the size, as far as the caller has them.
///
/// # Safety
/// `pointer` points to `size` bytes, at least 4.
unsafe fn write<T: Versioned>(pointer: *mut T, size: usize, value: T) {
    const FIRST: usize = size_of::<u32>();
    let known = size.min(size_of::<T>());
    let (from, to) = ((&raw const value).cast::<u8>(), pointer.cast::<u8>());
    // SAFETY: both have `known` bytes, and `value` is a copy of its own.
    unsafe { ptr::copy_nonoverlapping(from.wrapping_add(FIRST), to.wrapping_add(FIRST), known - FIRST) };
}

fn wrong_size(text: core::fmt::Arguments<'_>) -> Failure {
    Failure::new(QINT_ERROR_STRUCT_SIZE, text)
}

/// The caller's array of structs that are filled in. They are as far apart as the caller's version is large.
#[cfg(feature = "std")]
pub(crate) struct Entries<'c, T> {
    first: *mut T,
    stride: usize,
    count: usize,
    _caller: &'c Caller,
}

#[cfg(feature = "std")]
impl<'c, T: Versioned> Entries<'c, T> {
    /// `count` entries, at least one, all of the same size.
    pub(crate) fn new(caller: &'c Caller, first: *mut T, count: usize, what: &str) -> Outcome<Entries<'c, T>> {
        let stride = caller.struct_size(first, what)?;
        if !stride.is_multiple_of(align_of::<T>()) {
            let text = format_args!("{what}.struct_size is {stride}, no multiple of {}", align_of::<T>());
            return Err(wrong_size(text));
        }
        check(first.cast::<u8>(), stride.saturating_mul(count), what)?;
        for index in 1..count {
            let size = caller.struct_size(first.wrapping_byte_add(index * stride), what)?;
            if size != stride {
                let text = format_args!("{what}[{index}].struct_size is {size}, that of the first entry is {stride}");
                return Err(wrong_size(text));
            }
        }
        Ok(Entries { first, stride, count, _caller: caller })
    }

    /// The memory that they lie in.
    pub(crate) fn span(&self) -> core::ops::Range<usize> {
        span(self.first.cast::<u8>(), self.stride * self.count)
    }

    /// Fills them in, one after the other.
    pub(crate) fn write(&self, values: impl Iterator<Item = T>) {
        for (index, value) in (0..self.count).zip(values) {
            // SAFETY: `new` has found an entry of `stride` bytes there, and the caller keeps it there during the call.
            unsafe { write(self.first.wrapping_byte_add(index * self.stride), self.stride, value) };
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use crate::border::answer;

    /// A struct whose second version has `added`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Second {
        struct_size: u32,
        first: u32,
        added: u64,
    }

    // SAFETY: repr(C), numbers only, struct_size comes first.
    unsafe impl Versioned for Second {
        const MIN_SIZE: usize = core::mem::offset_of!(Second, added);
    }

    fn with_caller(work: impl FnOnce(&Caller) -> Outcome) {
        // SAFETY: the pointers below point to what the sizes say.
        assert_eq!(unsafe { answer(work) }, 0);
    }

    #[test]
    fn callers_of_the_first_version_are_served() {
        let mut old = Second { struct_size: 8, first: 5, added: 77 };
        with_caller(|caller| {
            assert_eq!(caller.sized(&old, "old")?, Second { struct_size: 8, first: 5, added: 0 });
            caller.write_sized(&mut old, Second { struct_size: 0, first: 6, added: 7 }, "old")
        });
        assert_eq!(old, Second { struct_size: 8, first: 6, added: 77 }, "nothing behind its end is touched");
        with_caller(|caller| {
            let failure = caller.sized(&Second { struct_size: 7, ..old }, "old").unwrap_err();
            assert_eq!(failure.code, QINT_ERROR_STRUCT_SIZE);
            Ok(())
        });
    }

    #[test]
    fn arrays_of_the_first_version_are_walked_by_their_own_size() {
        let mut old = [8u64 + (5 << 32), 8 + (6 << 32)].map(u64::to_le);
        with_caller(|caller| {
            let entries = Entries::<Second>::new(caller, old.as_mut_ptr().cast(), 2, "old")?;
            assert_eq!(entries.span().len(), 16);
            entries.write([7, 9].into_iter().map(|first| Second { struct_size: 0, first, added: 1 }));
            Ok(())
        });
        assert_eq!(old.map(u64::from_le), [8 + (7 << 32), 8 + (9 << 32)]);
    }
}
