//! A file's bytes as one slice: mapped, or read into memory of huge pages.
//!
//! Both forms start aligned for every number that a container or checkpoint holds, so typed views ([`values`]) borrow
//! instead of copying. All formats here are little-endian; so must the machine be.
//!
//! A mapped file must not shrink while it is in use: the system answers an access behind its new end with SIGBUS. Where
//! that can happen (network file systems, files that others truncate), use [`Loading::Read`].
use crate::{Error, Result, pages::Pages};
use half::{bf16, f16};
use std::{
    fs::File,
    io::{self, Read},
    ops::Deref,
    path::Path,
};

#[cfg(target_endian = "big")]
compile_error!("qint-std reads its files in place and needs a little-endian machine");

/// How a file gets into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loading {
    /// Mapped: pages are read when they are touched and shared between processes.
    #[default]
    Map,
    /// Read completely into private memory.
    Read,
}

/// The bytes of a whole file.
#[derive(Debug)]
pub struct Mapping(Storage);

#[derive(Debug)]
enum Storage {
    Mapped(memmap2::Mmap),
    Read(Pages),
}

/// Numbers that any bytes are valid for.
pub trait Number: Copy + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Number for $number {}
        impl sealed::Sealed for $number {}
    )*};
}
numbers!(u8 i8 u16 f16 bf16 u32 i32 f32 u64 i64 f64);

impl Mapping {
    /// The bytes of the regular file at `path`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or if it is a directory, pipe or device; [`Error::Resources`] if there is no
    /// memory to read it into; [`Error::Io`].
    pub fn open(path: &Path, loading: Loading) -> Result<Mapping> {
        let file = open_regular(path)?;
        let storage = match loading {
            Loading::Map => {
                let mapped = map(&file).map_err(Error::io(path))?;
                #[cfg(target_os = "linux")]
                let _ = mapped.advise(memmap2::Advice::HugePage); // only some file systems have them
                Storage::Mapped(mapped)
            }
            Loading::Read => Storage::Read(read(file, path)?),
        };
        Ok(Mapping(storage))
    }

    /// A copy of `bytes`, which `what` names in an error.
    ///
    /// # Errors
    /// [`Error::Resources`] if there is no memory for it.
    pub fn copy(bytes: &[u8], what: &str) -> Result<Mapping> {
        let mut pages = Pages::new(bytes.len(), what)?;
        pages.copy_from_slice(bytes);
        Ok(Mapping(Storage::Read(pages)))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Storage::Mapped(bytes) => bytes,
            Storage::Read(bytes) => bytes,
        }
    }
}

/// Opens a regular file for reading. Never waits: a pipe is refused before it is opened.
///
/// # Errors
/// As [`Mapping::open`].
pub fn open_regular(path: &Path) -> Result<File> {
    let not_found = |why| Error::NotFound { path: path.to_owned(), why };
    let metadata = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_found("no such file")),
        other => other.map_err(Error::io(path))?,
    };
    if metadata.is_dir() {
        return Err(not_found("this is a directory, not a file"));
    }
    if !metadata.is_file() {
        return Err(not_found("this is a pipe or a device, not a regular file"));
    }
    File::open(path).map_err(Error::io(path))
}

/// `bytes` as numbers, or `None` if they start unaligned or hold a part of one.
#[allow(unsafe_code)]
pub fn values<T: Number>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: every bit pattern is a value of T (`Number` is sealed; its types are listed above).
    let (head, values, tail) = unsafe { bytes.align_to::<T>() };
    (head.is_empty() && tail.is_empty()).then_some(values)
}

#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the mapping is private and read-only. That nobody truncates or rewrites the file meanwhile can't be
    // enforced; the module's documentation asks for it.
    unsafe { memmap2::Mmap::map(file) }
}

fn read(mut file: File, path: &Path) -> Result<Pages> {
    let size = file.metadata().map_err(Error::io(path))?.len();
    let mut bytes = Pages::new(usize::try_from(size).unwrap_or(usize::MAX), &format!("reading {}", path.display()))?;
    file.read_exact(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn both_ways_give_the_same_aligned_bytes() {
        let dir = tempfile::tempdir().unwrap();
        for length in [0, 1, 63, 64, 65, 5000] {
            let path = dir.path().join("file");
            let content: Vec<u8> = (0..length).map(|i| i as u8).collect();
            std::fs::write(&path, &content).unwrap();
            for loading in [Loading::Map, Loading::Read] {
                let mapping = Mapping::open(&path, loading).unwrap();
                assert_eq!(&*mapping, content);
                assert!(mapping.as_ptr().addr().is_multiple_of(64) || mapping.is_empty());
            }
        }
    }

    #[test]
    fn only_regular_files() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("absent"), "/dev/null".into()] {
            let error = Mapping::open(&path, Loading::Map).unwrap_err();
            assert_eq!(error.class(), Class::NotFound, "{error}");
        }
    }

    #[test]
    fn views_need_alignment_and_whole_numbers() {
        let bytes = Pages::new(64, "test").unwrap();
        assert_eq!(values::<f32>(&bytes).unwrap().len(), 16);
        assert!(values::<f32>(&bytes[1..5]).is_none());
        assert!(values::<f32>(&bytes[..6]).is_none());
        assert_eq!(values::<bf16>(&bytes[2..6]).unwrap().len(), 2);
    }
}
