//! The pass itself.
use super::{Sequence, Weights, Workspace};
use crate::{Error, backend::Backend, team::Team};

/// Runs the new tokens of all `sequences` through the model and appends them to their caches.
///
/// `logits` receives `[rows][vocabulary]`: the wanted rows of the first sequence, then of the second, and so on
/// ([`Sequence::rows`]). The same bits for any split of a prompt into calls, any other sequences in the batch, any team and
/// any backend.
///
/// # Errors
/// Before any work: [`Error::Token`], [`Error::ContextFull`], [`Error::Mismatch`] (a cache of another model),
/// [`Error::Length`] (`workspace` too short for this many tokens, `logits` of another length). Later: [`Error::NotFinite`].
/// After an error no sequence has grown.
pub fn forward(
    backend: Backend,
    team: &dyn Team,
    weights: &Weights<'_>,
    sequences: &mut [Sequence<'_, '_>],
    workspace: &mut Workspace<'_>,
    logits: &mut [f32],
) -> Result<(), Error> {
    let _ = (backend, team, weights, sequences, workspace, logits);
    todo!()
}
