//! Memory whose lack is an error, not an abort.
use crate::{Error, Result};
use std::fs;
use zerocopy::FromZeros;

/// `len` zeros for `what`, in one allocation. They are pages from the system, which come to life when they are used: a long
/// context that stays short costs little.
pub(super) fn zeroed<T: FromZeros>(len: usize, what: &str) -> Result<Vec<T>> {
    T::new_vec_zeroed(len).map_err(|_| short(what, len, size_of::<T>()))
}

/// Makes `values` at least `len` long.
pub(super) fn grow<T: Clone>(values: &mut Vec<T>, len: usize, value: T, what: &str) -> Result<()> {
    let more = len.saturating_sub(values.len());
    values.try_reserve_exact(more).map_err(|_| short(what, len, size_of::<T>()))?;
    values.resize(values.len().max(len), value);
    Ok(())
}

fn short(what: &str, len: usize, size: usize) -> Error {
    let needed = (len as u64).saturating_mul(size as u64);
    Error::Resources { what: what.to_owned(), needed, available: available().unwrap_or(0) }
}

/// Bytes that the system could give, where it tells.
pub(crate) fn available() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok()?;
    let line = system.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn what_is_not_there_is_an_error() {
        let len = isize::MAX as usize / 4;
        let error = zeroed::<f32>(len, "KV cache").unwrap_err();
        assert!(matches!(error, Error::Resources { needed, .. } if needed == 4 * len as u64), "{error}");
        assert!(zeroed::<f16>(usize::MAX, "KV cache").is_err());
        assert!(grow(&mut vec![0i8], usize::MAX, 0, "workspace").is_err());
    }

    #[test]
    fn zeros_are_zeros() {
        assert_eq!(zeroed::<f16>(3, "").unwrap(), [f16::ZERO; 3]);
        assert_eq!(zeroed::<i8>(2, "").unwrap(), [0; 2]);
        let mut values = zeroed::<f32>(2, "").unwrap();
        grow(&mut values, 1, 1.0, "").unwrap();
        assert_eq!(values, [0.0; 2]);
        grow(&mut values, 3, 1.0, "").unwrap();
        assert_eq!(values, [0.0, 0.0, 1.0]);
    }
}
