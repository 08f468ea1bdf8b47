//! Writing: the header with placeholders for the hashes, the tensors in the planned order, then the header once more.
//!
//! The file appears under its name only when everything is written and synced ([`crate::atomic_file`]).
use super::{
    ASSET_PREFIX,
    accuracy::RESERVED,
    header::{Header, Tensor, hex},
    manifest::{HASH_CHARACTERS, Manifest, TensorHash},
    plan,
};
use crate::{Error, Result, atomic_file::AtomicFile};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    io::{BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

/// A container being written: every tensor of the plan, in its order.
pub(crate) struct Writer<'a> {
    file: BufWriter<AtomicFile>,
    manifest: Manifest,
    assets: Vec<(&'a str, Cow<'a, [u8]>)>,
    header: Header,
    /// The tensor being written, its bytes so far and their hash.
    current: usize,
    written: usize,
    hash: Sha256,
}

impl<'a> Writer<'a> {
    /// Starts the file. The hashes in `manifest` are replaced.
    ///
    /// # Errors
    /// As [`AtomicFile::create`]; [`Error::Malformed`] if the matrices are not those of the configuration.
    pub(crate) fn create(
        path: &Path,
        replace: bool,
        mut manifest: Manifest,
        assets: Vec<(&'a str, Cow<'a, [u8]>)>,
    ) -> Result<Writer<'a>> {
        let lengths: Vec<_> = assets.iter().map(|(name, bytes)| (*name, bytes.len())).collect();
        let tensors = plan::tensors(&manifest, &lengths)?;
        manifest.hashes = tensors.iter().filter(|tensor| !tensor.is_pad()).map(placeholder).collect();
        let mut header = Header { manifest: manifest.to_json()?, tensors, data_start: 0 };
        let bytes = header.to_bytes(RESERVED)?;
        header.data_start = bytes.len();
        let mut file = BufWriter::with_capacity(1 << 20, AtomicFile::create(path, replace)?);
        file.write_all(&bytes).map_err(Error::io(path))?;
        Ok(Writer { file, manifest, assets, header, current: 0, written: 0, hash: Sha256::new() })
    }

    /// Bytes that the finished file will have.
    pub(crate) fn bytes(&self) -> u64 {
        (self.header.data_start + self.header.tensors.last().map_or(0, |tensor| tensor.range.end)) as u64
    }

    /// Replaces the source's hash, which was unknown at the start; it must be as long as before.
    pub(crate) fn set_source_hash(&mut self, sha256: String) {
        self.manifest.source.sha256 = sha256;
    }

    /// Appends to tensor `name`, which must be the one in turn.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Core`] if the tensor is not in turn or would get too many bytes.
    pub(crate) fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.skip_pads()?;
        let room = match self.header.tensors.get(self.current) {
            Some(tensor) if tensor.name == name => tensor.range.len() - self.written,
            _ => 0,
        };
        if bytes.len() > room {
            let source = qint_core::Error::Length { what: "the tensor in turn", given: bytes.len(), needed: room };
            return Err(Error::Core { context: name.into(), source });
        }
        self.hash.update(bytes);
        self.write(bytes)
    }

    /// Writes the assets and the final header, and gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Core`] if tensors are missing; [`Error::OutputExists`].
    pub(crate) fn finish(mut self) -> Result<Manifest> {
        for (name, bytes) in std::mem::take(&mut self.assets) {
            self.append(&format!("{ASSET_PREFIX}{name}"), &bytes)?;
        }
        if let Some(tensor) = self.header.tensors.get(self.current) {
            let (given, needed) = (self.written, tensor.range.len());
            let source = qint_core::Error::Length { what: "the tensor", given, needed };
            return Err(Error::Core { context: tensor.name.clone(), source });
        }
        self.header.manifest = self.manifest.to_json()?;
        let bytes = self.header.to_bytes(0)?;
        let path = self.file.get_ref().target().to_owned();
        let mut file = self.file.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(Error::io(&path))?;
        file.write_all(&bytes).map_err(Error::io(&path))?;
        file.commit()?;
        Ok(self.manifest)
    }

    fn skip_pads(&mut self) -> Result<()> {
        while let Some(tensor) = self.header.tensors.get(self.current).filter(|tensor| tensor.is_pad()) {
            let zeros = vec![0; tensor.range.len()];
            self.write(&zeros)?;
        }
        Ok(())
    }

    /// Writes to the current tensor; goes on to the next when it is complete.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io(self.file.get_ref().target())(error))?;
        self.written += bytes.len();
        let Some(tensor) = self.header.tensors.get(self.current) else { return Ok(()) };
        if self.written == tensor.range.len() {
            let hash = hex(&std::mem::take(&mut self.hash).finalize());
            if let Some(entry) = self.manifest.hashes.iter_mut().find(|entry| entry.name == tensor.name) {
                entry.sha256 = hash;
            }
            self.current += 1;
            self.written = 0;
        }
        Ok(())
    }
}

fn placeholder(tensor: &Tensor) -> TensorHash {
    TensorHash { name: tensor.name.clone(), sha256: unknown_hash() }
}

/// Stands where a SHA-256 will be.
pub(crate) fn unknown_hash() -> String {
    "0".repeat(HASH_CHARACTERS)
}
