//! Zeroed memory in huge pages, where the system has them.
//!
//! A core that reads memory in pages of 4 KiB spends a third of its time looking pages up; in pages of 2 MiB it reads as
//! fast as the memory delivers. What is read from end to end over and over (weights, the buffer of [`crate::roofline`])
//! therefore lives here. What is smaller than a huge page gets ordinary ones, and so does everything where the system refuses
//! huge ones; nothing else changes.
use crate::{Error, Result, engine::memory_available};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// Bytes of a huge page, and what [`Pages`] are aligned to.
pub const HUGE_PAGE: usize = 2 << 20;

/// `length` bytes of memory of this process alone, zero at first. They start at a multiple of [`HUGE_PAGE`].
pub struct Pages {
    map: memmap2::MmapMut,
    start: usize,
    length: usize,
}

impl Pages {
    /// Memory for `what`.
    ///
    /// # Errors
    /// [`Error::Resources`] if the system has less, as far as it tells.
    ///
    /// # Examples
    /// ```
    /// # fn main() -> qint_std::Result<()> {
    /// let mut pages = qint_std::pages::Pages::new(100, "an example")?;
    /// pages[99] = 1;
    /// assert_eq!((pages.len(), pages[0]), (100, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(length: usize, what: &str) -> Result<Pages> {
        let available = memory_available();
        let short = || Error::Resources {
            what: what.to_owned(),
            needed: length as u64,
            available: available.unwrap_or_default(),
        };
        if available.is_some_and(|available| length as u64 > available) {
            return Err(short());
        }
        let mapped = length.checked_next_multiple_of(HUGE_PAGE).and_then(|whole| whole.checked_add(HUGE_PAGE));
        let map = mapped.and_then(|mapped| memmap2::MmapMut::map_anon(mapped).ok()).ok_or_else(short)?;
        #[cfg(target_os = "linux")]
        if length >= HUGE_PAGE {
            let _ = map.advise(memmap2::Advice::HugePage); // ordinary pages do as well
        }
        let address = map.as_ptr().addr();
        Ok(Pages { start: address.next_multiple_of(HUGE_PAGE) - address, map, length })
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.start..][..self.length]
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..self.length]
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_aligned_zero_and_writable_to_the_end() {
        for length in [0, 1, 4096, HUGE_PAGE, HUGE_PAGE + 1] {
            let mut pages = Pages::new(length, "test").unwrap();
            assert_eq!(pages.len(), length);
            assert!(pages.as_ptr().addr().is_multiple_of(HUGE_PAGE));
            assert!(pages.iter().all(|&byte| byte == 0));
            pages.fill(7);
            assert!(pages.iter().all(|&byte| byte == 7));
        }
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        for length in [isize::MAX as usize, usize::MAX - HUGE_PAGE, usize::MAX] {
            assert!(
                matches!(Pages::new(length, "test"), Err(Error::Resources { needed, .. }) if needed == length as u64)
            );
        }
    }
}
