//! How an engine is set up, and what it will need.
use super::{DEFAULT_CHUNK, Engine, Session};
use crate::{Error, Result, team::MAX_MEMBERS, team::ThreadTeam};
use qint_core::{
    backend::Backend,
    llama::{Config, KvKind},
};

/// What may be chosen about an [`Engine`]. The default is what suits this machine.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// How kernels run; `None` for the fastest that this CPU can do.
    pub backend: Option<Backend>,
    /// Threads; `None` for one on every physical core that the process may use.
    pub threads: Option<usize>,
    /// Tokens of a prompt that go through the model together.
    pub chunk: usize,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions { backend: None, threads: None, chunk: DEFAULT_CHUNK }
    }
}

impl Engine {
    /// An engine with a thread team of its own.
    ///
    /// # Errors
    /// [`Error::Argument`] for no threads or too many, or a chunk of 0.
    pub fn with_options(options: EngineOptions) -> Result<Engine> {
        let threads = options.threads.unwrap_or_else(crate::team::physical_cores);
        expect_between("the number of threads", threads, MAX_MEMBERS)?;
        expect_between("the prompt chunk", options.chunk, u32::MAX as usize)?;
        let backend = options.backend.unwrap_or_else(Backend::detect);
        Ok(Engine::new(backend, Box::new(ThreadTeam::new(threads)), options.chunk))
    }

    /// Bytes that a model of `config` takes beside its weights: workspace, logits, and one session of `capacity`
    /// positions.
    ///
    /// # Errors
    /// [`Error::Core`] if that can't be addressed.
    pub fn memory_needed(&self, config: &Config, kind: KvKind, capacity: usize) -> Result<u64> {
        let logits = size_of::<f32>() as u64 * config.vocabulary as u64;
        Ok(self.workspace_bytes(config)? + Session::bytes(config, kind, capacity)? + logits)
    }
}

fn expect_between(what: &'static str, given: usize, limit: usize) -> Result<()> {
    if (1..=limit).contains(&given) {
        return Ok(());
    }
    Err(Error::Argument { what, given: given.to_string(), allowed: format!("it may be 1 to {limit}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn options_out_of_range_are_refused() {
        for options in [
            EngineOptions { threads: Some(0), ..EngineOptions::default() },
            EngineOptions { threads: Some(MAX_MEMBERS + 1), ..EngineOptions::default() },
            EngineOptions { chunk: 0, ..EngineOptions::default() },
        ] {
            assert_eq!(Engine::with_options(options).map(|_| ()).unwrap_err().class(), Class::Usage);
        }
        let engine = Engine::with_options(EngineOptions { threads: Some(3), ..EngineOptions::default() }).unwrap();
        assert_eq!((engine.threads(), engine.chunk()), (3, DEFAULT_CHUNK));
    }
}
