//! Ctrl-C, and SIGBUS for a mapped file that shrank.
//!
//! Ctrl-C ends the process at once with code 130 unless a command asked to be told ([`Interrupt::watch`]): then the first
//! Ctrl-C raises a flag that the command looks at between tokens or tensors, and the second one ends the process.
use crate::errors::{Failure, INTERRUPTED_CODE, Result};
use signal_hook::{consts::SIGINT, flag};
use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

static STATE: OnceLock<State> = OnceLock::new();

struct State {
    /// The next Ctrl-C ends the process.
    deadly: Arc<AtomicBool>,
    /// Ctrl-C was pressed since somebody began to watch.
    pressed: Arc<AtomicBool>,
}

/// Installs the handlers; called once, before any command runs.
pub(crate) fn install() -> Result<()> {
    let state = State { deadly: Arc::new(AtomicBool::new(true)), pressed: Arc::new(AtomicBool::new(false)) };
    let register = || -> io::Result<()> {
        // In this order: the first handler ends the process if the flag is up, the others raise it for the next time.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED_CODE, Arc::clone(&state.deadly))?;
        flag::register(SIGINT, Arc::clone(&state.deadly))?;
        flag::register(SIGINT, Arc::clone(&state.pressed))?;
        shrunk::install()
    };
    register().map_err(Failure::Stdout)?;
    let _ = STATE.set(state);
    Ok(())
}

/// While it lives, Ctrl-C raises a flag instead of ending the process.
pub(crate) struct Interrupt {
    pressed: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to watch.
    pub(crate) fn watch() -> Interrupt {
        match STATE.get() {
            Some(state) => {
                state.pressed.store(false, Ordering::SeqCst);
                state.deadly.store(false, Ordering::SeqCst);
                Interrupt { pressed: Arc::clone(&state.pressed) }
            }
            None => Interrupt { pressed: Arc::new(AtomicBool::new(false)) },
        }
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// The flag, for a library that looks at it.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.pressed
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(state) = STATE.get() {
            state.deadly.store(true, Ordering::SeqCst);
        }
    }
}

/// A page of a mapped file that is no longer there arrives as SIGBUS, in the middle of a kernel.
#[cfg(unix)]
mod shrunk {
    use crate::errors::SHRUNK_CODE;
    use signal_hook::{consts::SIGBUS, low_level};
    use std::io;

    const MESSAGE: &[u8] = b"error: a model file became shorter while it was in use; \
        restore it, or use --no-mmap to read it into memory first\n";

    #[allow(unsafe_code)]
    pub(super) fn install() -> io::Result<()> {
        // SAFETY: `handle` only calls write and _exit, which are async-signal-safe.
        unsafe { low_level::register(SIGBUS, handle) }.map(|_| ())
    }

    #[allow(unsafe_code)]
    fn handle() {
        // SAFETY: the pointer and the length are those of one static byte string.
        let _ = unsafe { libc::write(libc::STDERR_FILENO, MESSAGE.as_ptr().cast(), MESSAGE.len()) };
        low_level::exit(SHRUNK_CODE);
    }
}

#[cfg(not(unix))]
mod shrunk {
    pub(super) fn install() -> std::io::Result<()> {
        Ok(())
    }
}
