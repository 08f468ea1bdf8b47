//! The directory of a ZIP archive → its entries as byte ranges.
//!
//! Only what numpy writes: stored or deflated entries, with 64-bit sizes where needed. (The zip crate, which writes our
//! exports, allocates hundreds of bytes for each claimed entry; here their number is capped first.)
//! Source: APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12 and 4.3.14 to 4.3.16.
use crate::{Error, Result, limits, limits::shown};
use std::ops::Range;

/// One file of the archive.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    /// Its bytes, perhaps deflated.
    pub(super) range: Range<usize>,
    pub(super) deflated: bool,
    /// Bytes when inflated.
    pub(super) size: u64,
}

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// Lists the archive in `bytes`.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>> {
    let archive = Archive(bytes);
    let end = archive.end()?;
    let (count, mut position) = archive.directory(end)?;
    if count > limits::TENSORS as u64 {
        return Err(malformed(format!("it claims {count} entries, at most {} are allowed", limits::TENSORS)));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, next) = archive.entry(position)?;
        entries.push(entry);
        position = next;
    }
    Ok(entries)
}

pub(super) fn malformed(why: impl std::fmt::Display) -> Error {
    Error::malformed(super::WEIGHTS, why)
}

#[derive(Clone, Copy)]
struct Archive<'a>(&'a [u8]);

impl<'a> Archive<'a> {
    fn bytes(self, at: usize, count: usize) -> Result<&'a [u8]> {
        let end = at.checked_add(count);
        end.and_then(|end| self.0.get(at..end))
            .ok_or_else(|| malformed(format!("{count} bytes at {at} are outside its {}", self.0.len())))
    }

    fn number(self, at: usize, size: usize) -> Result<u64> {
        let mut padded = [0; 8];
        padded[..size].copy_from_slice(self.bytes(at, size)?);
        Ok(u64::from_le_bytes(padded))
    }

    fn expect(self, at: usize, signature: u32, what: &str) -> Result<()> {
        if self.number(at, 4)? == u64::from(signature) {
            Ok(())
        } else {
            Err(malformed(format!("there is no {what} at {at}")))
        }
    }

    /// Where the end record is: the last one whose comment reaches to the end of the file.
    fn end(self) -> Result<usize> {
        let last = self.0.len().checked_sub(22).ok_or_else(|| malformed("it is too short for a ZIP archive"))?;
        let first = last.saturating_sub(usize::from(u16::MAX));
        let is_end = |&at: &usize| {
            self.number(at, 4).is_ok_and(|signature| signature == u64::from(END))
                && self.number(at + 20, 2).is_ok_and(|comment| comment == (last - at) as u64)
        };
        (first..=last).rev().find(is_end).ok_or_else(|| malformed("it has no ZIP directory at its end"))
    }

    /// Number of entries, and where the first one is described.
    fn directory(self, end: usize) -> Result<(u64, usize)> {
        let (count, start) = (self.number(end + 10, 2)?, self.number(end + 16, 4)?);
        if count != u64::from(u16::MAX) && start != u64::from(u32::MAX) {
            return Ok((count, start as usize));
        }
        let Some(locator) = end.checked_sub(20).filter(|&at| self.expect(at, LOCATOR_64, "").is_ok()) else {
            return Ok((count, start as usize));
        };
        let end = position(self.number(locator + 8, 8)?)?;
        self.expect(end, END_64, "64-bit end record")?;
        Ok((self.number(end + 32, 8)?, position(self.number(end + 48, 8)?)?))
    }

    /// The entry that is described at `at`, and where the next one is.
    fn entry(self, at: usize) -> Result<(Entry<'a>, usize)> {
        self.expect(at, CENTRAL, "directory entry")?;
        let length = |at| self.number(at, 2).map(|length| length as usize);
        let (name, extra, comment) = (length(at + 28)?, length(at + 30)?, length(at + 32)?);
        let text = self.bytes(at + 46, name)?;
        let extra_at = at + 46 + name;
        let name = match std::str::from_utf8(text) {
            Ok(name) if name.len() <= limits::NAME_BYTES => name,
            _ => return Err(malformed(format!("the name at {} is too long or not UTF-8", at + 46))),
        };
        let mut wide = Wide { rest: self.wide_numbers(extra_at, extra)? };
        let size = wide.number(self.number(at + 24, 4)?)?;
        let packed = wide.number(self.number(at + 20, 4)?)?;
        let local = position(wide.number(self.number(at + 42, 4)?)?)?;
        if self.number(at + 8, 2)? & 1 != 0 {
            return Err(Error::unsupported(format!("the encrypted entry {}", shown(name)), ""));
        }
        let deflated = match self.number(at + 10, 2)? {
            0 if packed == size => false,
            0 => return Err(malformed(format!("{} is stored, but has two sizes", shown(name)))),
            8 => true,
            method => {
                let what = format!("compression method {method} of {}", shown(name));
                return Err(Error::unsupported(what, "numpy.savez and numpy.savez_compressed write methods 0 and 8"));
            }
        };
        let range = self.data(local, packed)?;
        Ok((Entry { name, range, deflated, size }, extra_at + extra + comment))
    }

    /// Behind the local header at `local`.
    fn data(self, local: usize, packed: u64) -> Result<Range<usize>> {
        self.expect(local, LOCAL, "local header")?;
        let start = local + 30 + self.number(local + 26, 2)? as usize + self.number(local + 28, 2)? as usize;
        let length = position(packed)?;
        self.bytes(start, length)?;
        Ok(start..start + length)
    }

    /// The 64-bit numbers of an entry: the extra field with id 1.
    fn wide_numbers(self, at: usize, length: usize) -> Result<&'a [u8]> {
        let mut rest = self.bytes(at, length)?;
        while let Some(([a, b, c, d], after)) = rest.split_first_chunk::<4>() {
            let length = usize::from(u16::from_le_bytes([*c, *d]));
            let Some((field, after)) = after.split_at_checked(length) else { break };
            if [*a, *b] == [1, 0] {
                return Ok(field);
            }
            rest = after;
        }
        Ok(&[])
    }
}

/// The 64-bit numbers that have not been used yet.
struct Wide<'a> {
    rest: &'a [u8],
}

impl Wide<'_> {
    /// `narrow`, or the next 64-bit number if it says that it did not fit.
    fn number(&mut self, narrow: u64) -> Result<u64> {
        if narrow != u64::from(u32::MAX) {
            return Ok(narrow);
        }
        let (number, rest) =
            self.rest.split_first_chunk::<8>().ok_or_else(|| malformed("an entry lacks its 64-bit sizes"))?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }
}

fn position(number: u64) -> Result<usize> {
    // Half of the address space: sums with small numbers can't overflow.
    usize::try_from(number)
        .ok()
        .filter(|&number| number <= usize::MAX / 2)
        .ok_or_else(|| malformed(format!("the position {number} is outside the file")))
}
