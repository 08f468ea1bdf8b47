//! The closed choice of backends, made once when a model is loaded.
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512Vnni, AvxVnni, AvxVnniEvex};
use crate::isa::{Isa, Portable, features::has};
use crate::{activation::Activations, matrix::QMatrix, team::RowsMut};

/// A way to execute kernels that this CPU can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Plain Rust.
    Portable(Portable),
    /// Plain Rust, but for quantized products, which another crate knows how to do on this core.
    Products(Products),
    /// AVX-512 F, BW, VL and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    /// AVX-VNNI: AVX2 and the 256-bit `vpdpbusd`.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(AvxVnni),
    /// The same by the encoding of AVX-512-VNNI, on CPUs that have only that one.
    #[cfg(target_arch = "x86_64")]
    AvxVnniEvex(AvxVnniEvex),
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// Quantized products of another crate, with the same bits.
#[derive(Clone, Copy, Debug)]
pub struct Products {
    /// What [`Backend::name`] says.
    pub name: &'static str,
    /// Writes the product of all activations with the rows of the output, whose shapes agree; or returns false and leaves
    /// the work to the portable kernels.
    pub multiply: fn(&QMatrix<'_>, &Activations<'_>, &mut RowsMut<'_>) -> bool,
}

impl PartialEq for Products {
    fn eq(&self, other: &Products) -> bool {
        self.name == other.name
    }
}

impl Eq for Products {}

/// A backend that this CPU may or may not have.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Known {
    /// Its [`name`](Backend::name).
    pub name: &'static str,
    /// The features that it needs, in Rust's names of target features.
    pub features: &'static [&'static str],
    /// The backend, if this CPU has all of them.
    pub backend: Option<Backend>,
}

impl Known {
    const fn new(name: &'static str, features: &'static [&'static str], backend: Option<Backend>) -> Known {
        Known { name, features, backend }
    }

    /// Those of its features that this CPU (without the `std` feature: the program) lacks.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.features.iter().copied().filter(|name| !has(name))
    }
}

/// Something to run on whichever token the backend holds: a generic closure.
pub trait Operation {
    /// What it returns.
    type Output;
    /// The work; `#[inline(always)]`, called inside [`Isa::run`].
    fn run<I: Isa>(self, isa: I) -> Self::Output;
}

impl Backend {
    /// The fastest backend of this CPU.
    pub fn detect() -> Backend {
        Backend::available().next().unwrap_or(Backend::Portable(Portable))
    }

    /// All backends that this CPU can run, fastest first; ends with portable.
    ///
    /// ```
    /// use qint_core::backend::Backend;
    /// assert!(Backend::available().any(|backend| backend.name() == "portable"));
    /// ```
    pub fn available() -> impl Iterator<Item = Backend> {
        Backend::known().filter_map(|known| known.backend)
    }

    /// All backends that there are for this kind of CPU, fastest first, whether this one can run them or not.
    pub fn known() -> impl Iterator<Item = Known> {
        #[cfg(target_arch = "x86_64")]
        let fast = {
            let (vex, evex) = (AvxVnni::detect(), AvxVnniEvex::detect());
            let avx_vnni = match (vex, evex) {
                (None, Some(evex)) => Known::new("avx-vnni", AvxVnniEvex::FEATURES, Some(Backend::AvxVnniEvex(evex))),
                (vex, _) => Known::new("avx-vnni", AvxVnni::FEATURES, vex.map(Backend::AvxVnni)),
            };
            [
                Known::new("avx512-vnni", Avx512Vnni::FEATURES, Avx512Vnni::detect().map(Backend::Avx512Vnni)),
                avx_vnni,
                Known::new("avx2", Avx2::FEATURES, Avx2::detect().map(Backend::Avx2)),
            ]
        };
        #[cfg(not(target_arch = "x86_64"))]
        let fast: [Known; 0] = [];
        fast.into_iter().chain([Known::new("portable", &[], Some(Backend::Portable(Portable)))])
    }

    /// The backend of that [`name`](Backend::name), if this CPU can run it.
    pub fn from_name(name: &str) -> Option<Backend> {
        Backend::available().find(|backend| backend.name() == name)
    }

    /// Its name: `portable`, `avx2`, `avx-vnni` or `avx512-vnni`, or that of its [`Products`].
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Portable(_) => "portable",
            Backend::Products(products) => products.name,
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512Vnni(_) => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Backend::AvxVnni(_) | Backend::AvxVnniEvex(_) => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2(_) => "avx2",
        }
    }

    /// Runs `operation` on the token. The one place where backends are told apart.
    #[inline]
    pub fn run<O: Operation>(self, operation: O) -> O::Output {
        match self {
            Backend::Portable(isa) => run_on(isa, operation),
            Backend::Products(_) => run_on(Portable, operation),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512Vnni(isa) => run_on(isa, operation),
            #[cfg(target_arch = "x86_64")]
            Backend::AvxVnni(isa) => run_on(isa, operation),
            #[cfg(target_arch = "x86_64")]
            Backend::AvxVnniEvex(isa) => run_on(isa, operation),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2(isa) => run_on(isa, operation),
        }
    }
}

#[inline(always)]
fn run_on<I: Isa, O: Operation>(isa: I, operation: O) -> O::Output {
    isa.run(
        #[inline(always)]
        || operation.run(isa),
    )
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_backend_is_known_once_and_says_what_it_lacks() {
        let known: Vec<Known> = Backend::known().collect();
        for (i, one) in known.iter().enumerate() {
            assert!(known[..i].iter().all(|other| other.name != one.name), "{} twice", one.name);
            assert_eq!(one.backend.is_none(), one.missing().next().is_some(), "{}", one.name);
            assert!(one.backend.is_none_or(|backend| backend.name() == one.name), "{}", one.name);
            assert_eq!(Backend::from_name(one.name), one.backend);
        }
        assert_eq!(known.last().map(|last| last.name), Some("portable"));
    }
}
