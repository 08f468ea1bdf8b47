//! The closed choice of backends, made once when a model is loaded.
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512Vnni};
use crate::isa::{Isa, Portable};

/// A way to execute kernels that this CPU can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// Plain Rust.
    Portable(Portable),
    /// AVX-512 F, BW, VL and VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    /// AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
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
        #[cfg(target_arch = "x86_64")]
        let fast = [Avx512Vnni::detect().map(Backend::Avx512Vnni), Avx2::detect().map(Backend::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let fast: [Option<Backend>; 0] = [];
        fast.into_iter().flatten().chain([Backend::Portable(Portable)])
    }

    /// The backend of that [`name`](Backend::name), if this CPU can run it.
    pub fn from_name(name: &str) -> Option<Backend> {
        Backend::available().find(|backend| backend.name() == name)
    }

    /// Its name: `portable`, `avx2` or `avx512-vnni`.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512Vnni(_) => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2(_) => "avx2",
        }
    }

    /// Runs `operation` on the token. The one place where backends are told apart.
    #[inline]
    pub fn run<O: Operation>(self, operation: O) -> O::Output {
        match self {
            Backend::Portable(isa) => run_on(isa, operation),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512Vnni(isa) => run_on(isa, operation),
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
