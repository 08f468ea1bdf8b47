//! A source and a recipe become a container, streamed: one wave of panels is quantized by all threads while the one before
//! is written and what was read is hashed. The source is read once.
//!
//! The output appears complete or not at all. The bytes depend on the source and the recipe only, not on the number of
//! threads or the CPU.
use crate::{
    Error, Result,
    container::{ASSETS, Manifest, MatrixInfo, SourceInfo, Writer, hex, unknown_hash},
    quantize::{self, Assignment, Recipe, Scratch},
    source::Source,
};
use qint_core::{
    backend::Backend,
    layout::{Layout, PANEL_ROWS},
};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::{
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Bytes of panels that are quantized between two writes.
const WAVE_BYTES: usize = 4 << 20;
/// Bytes that are hashed between two looks at the cancel flag.
const HASHED_AT_ONCE: usize = 1 << 20;

/// What does not change the weights.
#[derive(Clone, Debug, Default)]
pub struct Options<'a> {
    /// Replace an existing output.
    pub force: bool,
    /// Threads; `None` takes one per core.
    pub threads: Option<usize>,
    /// The source's name, for people; goes into the manifest.
    pub description: &'a str,
    /// Set it to stop: the conversion ends with [`Error::Interrupted`] and leaves nothing.
    pub cancel: Option<&'a AtomicBool>,
}

/// How far a conversion is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The tensor being written.
    pub tensor: &'a str,
    /// Weights written.
    pub done: u64,
    /// Weights there are.
    pub total: u64,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Tensors of the model.
    pub tensors: usize,
    /// Weights of the model, norms included.
    pub weights: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bits per weight of the whole file.
    pub bits_per_weight: f64,
    /// Bits per weight of the linear layers, without embedding and head.
    pub bits_per_weight_linear: f64,
}

/// Quantizes `source` by `recipe` into the container `output`.
///
/// Memory: about 12 MiB and sixteen rows in f32 per thread, beside the pages of the source that the system keeps mapped.
///
/// # Errors
/// [`Error::OutputExists`] without `force`; [`Error::Argument`] from [`Recipe::assign`]; [`Error::Malformed`] for NaN or
/// infinity in a tensor; [`Error::Interrupted`]; [`Error::Io`], for example when the disk is full. Then `output` is as it
/// was before.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use qint_core::codec::Codec;
/// use qint_std::{convert::{convert, Options}, quantize::{Recipe, Scheme}, source};
/// # let directory = tempfile::tempdir()?;
/// # let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/llama2");
/// # let output = directory.path().join("model.qint.safetensors");
/// let source = source::open(model.as_ref())?;
/// let recipe = Recipe::new(Scheme::of(Codec::Q4));
/// let summary = convert(&*source, &recipe, &output, &Options::default(), &|progress| {
///     eprintln!("{} {}/{}", progress.tensor, progress.done, progress.total);
/// })?;
/// assert!(summary.bits_per_weight_linear < 8.0);
/// # Ok(())
/// # }
/// ```
pub fn convert(
    source: &dyn Source,
    recipe: &Recipe,
    output: &Path,
    options: &Options<'_>,
    progress: &dyn Fn(Progress<'_>),
) -> Result<Summary> {
    let assignments = recipe.assign(source.config())?;
    let manifest = manifest(source, recipe, &assignments, options)?;
    let assets = ASSETS.iter().filter_map(|name| Some((*name, source.asset(name)?))).collect();
    let mut threads = rayon::ThreadPoolBuilder::new();
    if let Some(count) = options.threads {
        threads = threads.num_threads(count);
    }
    let threads = threads.build().map_err(|error| Error::io(output)(std::io::Error::other(error)))?;
    let weights = |rows: usize, cols: usize| rows as u64 * cols as u64;
    let total = source.tensors().iter().map(|tensor| weights(tensor.expected.rows, tensor.expected.cols)).sum();
    let writer = Writer::create(output, options.force, manifest, assets)?;
    let bytes = writer.bytes();
    let source_hash = Some(Sha256::new());
    let mut job = Job { source, options, progress, threads, writer, source_hash, done: 0, total };
    let mut assignments = assignments.iter();
    for (index, tensor) in source.tensors().iter().enumerate() {
        if tensor.expected.role.is_norm() {
            job.norm(index)?;
        } else if let Some(assignment) = assignments.next() {
            job.matrix(index, assignment)?;
        }
    }
    let manifest = job.finish()?;
    Ok(Summary {
        tensors: source.tensors().len(),
        weights: total,
        bytes,
        bits_per_weight: manifest.bits_per_weight(bytes),
        bits_per_weight_linear: manifest.bits_per_weight_linear(),
    })
}

fn manifest(
    source: &dyn Source,
    recipe: &Recipe,
    assignments: &[Assignment],
    options: &Options<'_>,
) -> Result<Manifest> {
    let mut stored: Vec<_> = source.tensors().iter().map(|tensor| tensor.stored).collect();
    stored.sort_unstable();
    stored.dedup();
    let matrices = assignments.iter().map(|assignment| {
        let Assignment { name, rows, cols, scheme, activation, .. } = assignment;
        let layout = Layout::new(*rows, *cols, scheme.codec, scheme.group).map_err(Error::core(name))?;
        Ok(MatrixInfo { name: name.clone(), layout, activation: *activation })
    });
    Ok(Manifest {
        producer: concat!("qint ", env!("CARGO_PKG_VERSION")).into(),
        config: source.config().clone(),
        source: SourceInfo {
            description: options.description.into(),
            stored: stored.join(","),
            sha256: unknown_hash(),
        },
        recipe: recipe.clone(),
        matrices: matrices.collect::<Result<_>>()?,
        hashes: Vec::new(),
        accuracy: None,
    })
}

/// A conversion under way.
struct Job<'a> {
    source: &'a dyn Source,
    options: &'a Options<'a>,
    progress: &'a dyn Fn(Progress<'_>),
    threads: rayon::ThreadPool,
    writer: Writer<'a>,
    /// Over the source's bytes so far; `None` if they don't lie in memory.
    source_hash: Option<Sha256>,
    done: u64,
    total: u64,
}

impl Job<'_> {
    fn norm(&mut self, index: usize) -> Result<()> {
        check_cancel(self.options)?;
        let expected = &self.source.tensors()[index].expected;
        let mut gains = vec![0.0; expected.cols];
        self.source.read_rows(index, 0..1, &mut gains)?;
        hash_rows(&mut self.source_hash, self.source.stored(index), 0..1, 1, self.options)?;
        self.writer.append(&expected.name, &little_endian(&gains))?;
        self.advance(&expected.name, 1, expected.cols);
        Ok(())
    }

    fn matrix(&mut self, index: usize, assignment: &Assignment) -> Result<()> {
        let Assignment { name, rows, cols, scheme, .. } = assignment;
        let layout = Layout::new(*rows, *cols, scheme.codec, scheme.group).map_err(Error::core(name))?;
        let (panels_name, row_scales_name) = (format!("{name}.panels"), format!("{name}.row_scales"));
        let stored = self.source.stored(index);
        let wave = Wave { source: self.source, options: self.options, index, assignment, layout };
        let panels_per_wave = (WAVE_BYTES / layout.panel_bytes()).max(self.threads.current_num_threads());
        let mut row_scales = vec![0.0; layout.padded_rows()];
        let mut ready: Vec<u8> = Vec::new();
        let (mut next, mut scales_left) = (Vec::new(), row_scales.as_mut_slice());
        let mut first = 0;
        while first < layout.panels() || !ready.is_empty() {
            let count = panels_per_wave.min(layout.panels() - first);
            next.resize(count * layout.panel_bytes(), 0);
            let (scales, rest) = scales_left.split_at_mut(count * PANEL_ROWS);
            scales_left = rest;
            let mut quantized = Ok(());
            let (quantized_, next_) = (&mut quantized, &mut next);
            let written = self.threads.in_place_scope(|scope| {
                scope.spawn(|_| *quantized_ = wave.quantize(first, next_, scales));
                hash_rows(&mut self.source_hash, stored, first..first + count, layout.panels(), self.options)?;
                self.writer.append(&panels_name, &ready)
            });
            quantized.and(written)?;
            self.advance(name, ready.len() / layout.panel_bytes() * PANEL_ROWS, *cols);
            std::mem::swap(&mut ready, &mut next);
            next.clear();
            first += count;
        }
        self.writer.append(&row_scales_name, &little_endian(&row_scales))
    }

    fn finish(mut self) -> Result<Manifest> {
        let hash = match self.source_hash {
            Some(hash) => hex(&hash.finalize()),
            None => self.source.hash()?,
        };
        self.writer.set_source_hash(hash);
        self.writer.finish()
    }

    fn advance(&mut self, tensor: &str, rows: usize, cols: usize) {
        // Padding rows of the last panel are no weights.
        self.done = (self.done + rows as u64 * cols as u64).min(self.total);
        (self.progress)(Progress { tensor, done: self.done, total: self.total });
    }
}

/// What all panels of one matrix have in common.
struct Wave<'a> {
    source: &'a dyn Source,
    options: &'a Options<'a>,
    index: usize,
    assignment: &'a Assignment,
    layout: Layout,
}

impl Wave<'_> {
    /// Quantizes the panels from `first` on into `panels` and `row_scales`, on all threads.
    fn quantize(&self, first: usize, panels: &mut [u8], row_scales: &mut [f32]) -> Result<()> {
        let jobs = panels.par_chunks_exact_mut(self.layout.panel_bytes());
        let scales = row_scales.as_chunks_mut::<PANEL_ROWS>().0;
        jobs.zip(scales.par_iter_mut()).enumerate().try_for_each_init(
            Buffers::default,
            |buffers, (i, (panel, scales))| {
                check_cancel(self.options)?;
                self.panel(first + i, buffers, panel, scales)
            },
        )
    }

    fn panel(
        &self,
        number: usize,
        buffers: &mut Buffers,
        panel: &mut [u8],
        row_scales: &mut [f32; PANEL_ROWS],
    ) -> Result<()> {
        let Assignment { name, rows, cols, activation, .. } = self.assignment;
        let (start, padded) = (number * PANEL_ROWS, self.layout.padded_cols());
        let rows = start..rows.min(&(start + PANEL_ROWS)).to_owned();
        let count = rows.len();
        buffers.read.resize(count * cols, 0.0);
        self.source.read_rows(self.index, rows, &mut buffers.read)?;
        buffers.rows.clear();
        buffers.rows.resize(count * padded, 0.0);
        for (row, read) in buffers.rows.chunks_exact_mut(padded).zip(buffers.read.chunks_exact(*cols)) {
            row[..*cols].copy_from_slice(read);
        }
        let Buffers { rows, scratch, .. } = buffers;
        quantize::panel(Backend::detect(), &self.layout, activation.transform, rows, scratch, panel, row_scales)
            .map_err(Error::core(name))
    }
}

#[derive(Default)]
struct Buffers {
    read: Vec<f32>,
    rows: Vec<f32>,
    scratch: Scratch,
}

/// Adds the share `part` of `parts` of a tensor's stored bytes to the source's hash.
fn hash_rows(
    hash: &mut Option<Sha256>,
    stored: Option<&[u8]>,
    part: Range<usize>,
    parts: usize,
    options: &Options<'_>,
) -> Result<()> {
    let Some((sum, stored)) = hash.as_mut().zip(stored) else {
        *hash = None;
        return Ok(());
    };
    let place = |part: usize| (stored.len() as u128 * part as u128 / parts as u128) as usize;
    for bytes in stored[place(part.start)..place(part.end)].chunks(HASHED_AT_ONCE) {
        check_cancel(options)?;
        sum.update(bytes);
    }
    Ok(())
}

fn check_cancel(options: &Options<'_>) -> Result<()> {
    match options.cancel {
        Some(cancel) if cancel.load(Ordering::Relaxed) => Err(Error::Interrupted),
        _ => Ok(()),
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
