//! Deflated entries, read at any position: a few inflating streams are kept, so that reading a tensor from its first row to
//! its last inflates it once. Going back starts over.
use super::archive::malformed;
use crate::Result;
use flate2::{Decompress, FlushDecompress, Status};
use std::sync::{Mutex, PoisonError};

/// Streams that are kept; each takes 45 KB.
const STREAMS: usize = 32;

/// Streams that may go on where they stopped.
#[derive(Default)]
pub(super) struct Streams(Mutex<Vec<Stream>>);

struct Stream {
    entry: usize,
    state: Decompress,
    /// Bytes taken from the entry.
    taken: usize,
    /// Bytes given out.
    given: u64,
}

impl Streams {
    /// Fills `out` with the inflated bytes of `packed`, the entry number `entry`, from `position` on.
    pub(super) fn read(&self, entry: usize, packed: &[u8], position: u64, out: &mut [u8]) -> Result<()> {
        let mut stream = self.take(entry, position);
        stream.skip(packed, position)?;
        stream.fill(packed, out)?;
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() == STREAMS {
            streams.remove(0);
        }
        streams.push(stream);
        Ok(())
    }

    fn take(&self, entry: usize, position: u64) -> Stream {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nearest = streams.iter().enumerate().filter(|(_, s)| s.entry == entry && s.given <= position);
        match nearest.max_by_key(|(_, stream)| stream.given).map(|(at, _)| at) {
            Some(at) => streams.remove(at),
            None => Stream { entry, state: Decompress::new(false), taken: 0, given: 0 },
        }
    }
}

impl Stream {
    fn skip(&mut self, packed: &[u8], position: u64) -> Result<()> {
        if self.given == position {
            return Ok(());
        }
        let mut scratch = [0; 8192];
        while self.given < position {
            let count = (position - self.given).min(scratch.len() as u64) as usize;
            self.fill(packed, &mut scratch[..count])?;
        }
        Ok(())
    }

    fn fill(&mut self, packed: &[u8], out: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < out.len() {
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let rest = packed.get(self.taken..).unwrap_or_default();
            let status = self.state.decompress(rest, &mut out[filled..], FlushDecompress::None).map_err(malformed)?;
            let given = (self.state.total_out() - before_out) as usize;
            self.taken += (self.state.total_in() - before_in) as usize;
            self.given += given as u64;
            filled += given;
            if filled < out.len() && (given == 0 || status == Status::StreamEnd) {
                return Err(malformed(format!("a deflated array ends after {} bytes", self.given)));
            }
        }
        Ok(())
    }
}
