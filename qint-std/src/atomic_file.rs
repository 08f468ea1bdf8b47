//! A file that appears under its name complete or not at all.
//!
//! It is written to a temporary beside the target, synced, renamed, and the directory is synced. Dropped before
//! [`AtomicFile::commit`], it leaves nothing. A process that is killed leaves only the temporary; the next run to the same
//! target removes it. Writers hold a lock on their temporary, so only those of dead runs are taken away.
use crate::{Error, Result};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const SUFFIX: &str = ".qint-tmp";

/// A file being written. Implements [`Write`] and [`Seek`].
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    replace: bool,
    committed: bool,
}

impl AtomicFile {
    /// Starts writing what will become `target`; with `replace` an existing regular file is replaced at the end.
    ///
    /// # Errors
    /// [`Error::OutputExists`] without `replace`; [`Error::NotFound`] if the directory is missing or the target is not a
    /// regular file; [`Error::Io`].
    pub fn create(target: &Path, replace: bool) -> Result<AtomicFile> {
        // A link is followed: what it points to is replaced, not the link.
        let target = target.canonicalize().unwrap_or_else(|_| target.to_owned());
        check_target(&target, replace)?;
        let (directory, name) = split(&target)?;
        remove_strays(directory, &name);
        let (file, temporary) = create_temporary(directory, &name).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NotFound { path: directory.to_owned(), why: "no such directory" },
            _ => Error::Io { path: directory.to_owned(), source: error },
        })?;
        Ok(AtomicFile { file, temporary, target, replace, committed: false })
    }

    /// Where the file will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Syncs everything and gives the file its name.
    ///
    /// # Errors
    /// [`Error::OutputExists`] if the target appeared meanwhile and must not be replaced; [`Error::Io`]. Then nothing is
    /// left behind.
    pub fn commit(mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.target))?;
        check_target(&self.target, self.replace)?;
        fs::rename(&self.temporary, &self.target).map_err(Error::io(&self.target))?;
        self.committed = true;
        let (directory, _) = split(&self.target)?;
        sync_directory(directory).map_err(Error::io(directory))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

fn check_target(target: &Path, replace: bool) -> Result<()> {
    match target.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::Io { path: target.to_owned(), source: error }),
        Ok(metadata) if metadata.is_dir() => {
            Err(Error::NotFound { path: target.to_owned(), why: "this is a directory; name a file in it" })
        }
        Ok(metadata) if !metadata.is_file() => {
            Err(Error::NotFound { path: target.to_owned(), why: "this is a pipe or a device, not a regular file" })
        }
        Ok(_) if replace => Ok(()),
        Ok(_) => Err(Error::OutputExists { path: target.to_owned() }),
    }
}

/// The directory and the name of `target`.
fn split(target: &Path) -> Result<(&Path, String)> {
    let name = target
        .file_name()
        .ok_or_else(|| Error::NotFound { path: target.to_owned(), why: "this names no file" })?
        .to_string_lossy()
        .into_owned();
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((directory, name))
}

/// A new temporary, locked. Another run may take it for a stray in the moment before the lock: then one more is made.
fn create_temporary(directory: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let process = std::process::id();
    let mut attempt = 0;
    loop {
        let path = directory.join(format!(".{name}.{process}-{attempt}{SUFFIX}"));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => {
                // File systems without locks: the temporary is then unprotected, which only matters to a concurrent run.
                let _ = file.try_lock();
                if path.exists() {
                    return Ok((file, path));
                }
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 1000 => {}
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}

/// Removes temporaries for `name` whose writers are gone. What can't be removed stays.
fn remove_strays(directory: &Path, name: &str) {
    let prefix = format!(".{name}.");
    let Ok(entries) = directory.read_dir() else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let Some(middle) = file_name
            .to_str()
            .and_then(|file_name| file_name.strip_prefix(&prefix))
            .and_then(|rest| rest.strip_suffix(SUFFIX))
        else {
            continue;
        };
        let ours = !middle.is_empty() && middle.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if ours && is_file && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn appears_only_when_committed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        let mut file = AtomicFile::create(&target, false).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!target.exists());
        drop(file);
        assert!(names(dir.path()).is_empty());
        let mut file = AtomicFile::create(&target, false).unwrap();
        file.write_all(b"whole").unwrap();
        file.commit().unwrap();
        assert_eq!(names(dir.path()), ["model"]);
        assert_eq!(fs::read(&target).unwrap(), b"whole");
    }

    #[test]
    fn replaces_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        let late = AtomicFile::create(&target, false).unwrap();
        fs::write(&target, "old").unwrap();
        assert_eq!(AtomicFile::create(&target, false).unwrap_err().class(), Class::Usage);
        assert_eq!(late.commit().unwrap_err().class(), Class::Usage);
        let mut file = AtomicFile::create(&target, true).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["model"]);
    }

    #[test]
    fn strays_go_and_living_runs_stay() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        let stray = dir.path().join(".model.999999-0.qint-tmp");
        let other = dir.path().join(".model.bak.1-0.qint-tmp");
        fs::write(&stray, "x").unwrap();
        fs::write(&other, "x").unwrap();
        let living = AtomicFile::create(&target, false).unwrap();
        let second = AtomicFile::create(&target, false).unwrap();
        assert!(!stray.exists() && other.exists());
        assert!(living.temporary.exists() && second.temporary.exists());
    }

    #[test]
    fn bad_targets() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("absent/model"), dir.path().to_owned(), "/dev/null".into(), "..".into()] {
            assert_eq!(AtomicFile::create(&path, true).unwrap_err().class(), Class::NotFound, "{}", path.display());
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("model"), dir.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut file = AtomicFile::create(&link, true).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
