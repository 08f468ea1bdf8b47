//! What several of these tests need: sources, conversions, and a count of the allocated bytes.
use qint_core::codec::Codec;
use qint_std::{
    convert::{Options, Summary, convert},
    quantize::{Recipe, Scheme},
    source,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::Write,
    path::{Path, PathBuf},
};

pub(crate) const GOLDENS: [&str; 6] = ["llama2", "tinyllama", "mistral", "gemma", "llama3", "sharded"];

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens").join(name)
}

pub(crate) fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bundled")
}

pub(crate) fn recipe(codec: Codec) -> Recipe {
    Recipe::new(Scheme::of(codec))
}

pub(crate) fn convert_to(output: &Path, model: &Path, recipe: &Recipe, options: &Options<'_>) -> Summary {
    let source = source::open(model).unwrap();
    convert(&*source, recipe, output, options, &|_| {}).unwrap()
}

/// The bytes of a small container.
pub(crate) fn small_container() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model.qint.safetensors");
    convert_to(&output, &golden("llama3"), &recipe(Codec::Q4), &Options::default());
    std::fs::read(output).unwrap()
}

pub(crate) fn long_tests() -> bool {
    std::env::var_os("QINT_LONG_TESTS").is_some_and(|value| value == "1")
}

/// Says that a test did not run, past the harness, which hides what passing tests print.
pub(crate) fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIP: {test}: {why}");
}

/// Numbers that look random and are the same in every run (splitmix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Runs `work` and returns its result and the largest number of bytes that this thread had allocated meanwhile.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap())
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The system's allocator, with a count for each thread.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    LIVE.set(LIVE.get() + change);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

// SAFETY: every call is passed on to the system's allocator unchanged; `realloc` is the default, made of these two.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `dealloc`; the block came from the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}
