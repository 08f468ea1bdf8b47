//! What several of these tests need: sources, conversions, and numbers.
use qint_core::codec::Codec;
use qint_std::{
    convert::{Options, Summary, convert},
    quantize::{Recipe, Scheme},
    source,
};
use std::path::{Path, PathBuf};

pub(crate) use crate::shared::{golden, long_tests, peak_of, skip};

pub(crate) const GOLDENS: [&str; 6] = ["llama2", "tinyllama", "mistral", "gemma", "llama3", "sharded"];

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
