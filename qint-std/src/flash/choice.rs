//! The best codec and KV cache for a budget.
use super::{Needs, Session, Shape, shapes};
use crate::{
    Error, Result,
    config::ModelConfig,
    quantize::{Recipe, Scheme},
    tokenizer::Pieces,
};
use qint_core::{codec::Codec, llama::KvKind};

/// Bytes that there are; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// For the image.
    pub flash: Option<u64>,
    /// For keys and values, workspace, logits and views.
    pub ram: Option<u64>,
}

/// What fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// How to quantize; `None` for matrices that are quantized already.
    pub recipe: Option<Recipe>,
    /// Positions, and how keys and values are kept.
    pub session: Session,
    /// What that takes.
    pub needs: Needs,
}

/// The codecs that microcontrollers are fast at, best first, for linear layers and for embedding and head.
const CODECS: [(Codec, Codec); 6] = [
    (Codec::Q8, Codec::Q8),
    (Codec::Q4Linear, Codec::Q8),
    (Codec::Q4Linear, Codec::Q4Linear),
    (Codec::Q2Linear, Codec::Q8),
    (Codec::Q2Linear, Codec::Q4Linear),
    (Codec::Q2Linear, Codec::Q2Linear),
];

/// The first of the codecs q8, q4-linear, q2-linear (embedding and head at q8 where that fits) and of the KV caches f16, i8 that
/// fit `budget` with `capacity` positions. Without a limit of flash it is q4-linear, without one of RAM i8. `quantized` are
/// the matrices of a container, which stay as they are; `codec` and `kv` leave no choice.
///
/// # Errors
/// [`Error::Resources`] with the smallest need if nothing fits; as [`Needs::of`].
pub fn choose(
    config: &ModelConfig,
    pieces: &Pieces,
    quantized: Option<&[Shape]>,
    (codec, kv): (Option<Scheme>, Option<KvKind>),
    capacity: usize,
    budget: Budget,
) -> Result<Choice> {
    let kinds = match (kv, budget.ram) {
        (Some(kind), _) => vec![kind],
        (None, Some(_)) => vec![KvKind::F16, KvKind::I8],
        (None, None) => vec![KvKind::I8],
    };
    let recipes: Vec<Option<Recipe>> = match (quantized, codec, budget.flash) {
        (Some(_), _, _) => vec![None],
        (None, Some(scheme), _) => vec![Some(Recipe::new(scheme))],
        (None, None, None) => vec![Some(Recipe::new(Scheme::of(Codec::Q4Linear)))],
        (None, None, Some(_)) => CODECS.into_iter().map(recipe).map(Some).collect(),
    };
    let mut smallest = None;
    for recipe in recipes {
        let made;
        let matrices = match (&recipe, quantized) {
            (Some(recipe), _) => {
                made = shapes(&recipe.assign(config)?)?;
                &made
            }
            (None, given) => given.unwrap_or_default(),
        };
        for &kv in &kinds {
            let session = Session { capacity, kv };
            let needs = Needs::of(config, matrices, pieces, session)?;
            if fits(needs.flash, budget.flash) && fits(needs.ram(), budget.ram) {
                return Ok(Choice { recipe, session, needs });
            }
            smallest = Some(needs);
        }
    }
    let short = |what: &str, needed: u64, available: Option<u64>| {
        let available = available.filter(|available| needed > *available)?;
        Some(Error::Resources { what: what.to_owned(), needed, available })
    };
    let short = smallest.and_then(|needs| {
        short("the model in flash", needs.flash, budget.flash)
            .or_else(|| short("the model in RAM (fewer positions of --context help)", needs.ram(), budget.ram))
    });
    Err(short.unwrap_or_else(|| Error::unsupported("a budget of nothing", "")))
}

fn recipe((linear, embedding_and_head): (Codec, Codec)) -> Recipe {
    Recipe { embedding_and_head: Scheme::of(embedding_and_head), ..Recipe::new(Scheme::of(linear)) }
}

fn fits(needed: u64, limit: Option<u64>) -> bool {
    limit.is_none_or(|limit| needed <= limit)
}
