//! The closed choice of backends, made once when a model is loaded.
use crate::isa::{Isa, Portable};

/// A way to execute kernels that this CPU can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Plain Rust.
    Portable(Portable),
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
        Backend::Portable(Portable)
    }

    /// All backends that this CPU can run, fastest first; ends with portable.
    pub fn available() -> impl Iterator<Item = Backend> {
        [Backend::Portable(Portable)].into_iter()
    }

    /// The backend of that [`name`](Backend::name), if this CPU can run it.
    pub fn from_name(name: &str) -> Option<Backend> {
        Backend::available().find(|backend| backend.name() == name)
    }

    /// Its name: `portable`, `avx2`, …
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Portable(_) => "portable",
        }
    }

    /// Runs `operation` on the token. The one place where backends are told apart.
    #[inline]
    pub fn run<O: Operation>(self, operation: O) -> O::Output {
        match self {
            Backend::Portable(isa) => isa.run(
                #[inline(always)]
                || operation.run(isa),
            ),
        }
    }
}
