//! Figures that are measured on a finished file and then written into its header, in space that was kept for them.
use super::{header::Header, manifest::Manifest};
use crate::{Error, Result, mapping};
use serde_json::{Map, Value};
use std::{
    fs::OpenOptions,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

/// Bytes that a new header keeps free for them.
pub(super) const RESERVED: usize = 2048;

/// Puts `figures` into the manifest of the container at `path`, replacing earlier ones. The file keeps its length and its
/// data; only the header changes, in one write. (Should the machine fail in the middle of it, the header's hash tells.)
///
/// # Errors
/// [`Error::Resources`] if the figures don't fit into the space kept for them (about 2 KiB of JSON); as
/// [`super::Container::open`] for the header.
pub fn record_accuracy(path: &Path, figures: Map<String, Value>) -> Result<()> {
    drop(mapping::open_regular(path)?);
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(Error::io(path))?;
    let what = path.display().to_string();
    let mapped = mapping::Mapping::open(path, mapping::Loading::Map)?;
    let mut header = Header::parse(&mapped, &what)?;
    drop(mapped);
    let mut manifest = Manifest::from_json(&header.manifest)?;
    manifest.accuracy = Some(figures);
    header.manifest = manifest.to_json()?;
    // What is written must be readable: the number of values is bounded.
    Manifest::from_json(&header.manifest)?;
    let bytes = header.to_bytes(0)?;
    let mut old = vec![0; bytes.len()];
    file.read_exact(&mut old).map_err(Error::io(path))?;
    let Some(first) = old.iter().zip(&bytes).position(|(old, new)| old != new) else { return Ok(()) };
    file.seek(SeekFrom::Start(first as u64)).map_err(Error::io(path))?;
    file.write_all(&bytes[first..]).map_err(Error::io(path))?;
    file.sync_all().map_err(Error::io(path))
}
