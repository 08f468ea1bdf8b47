//! Attention: one block of a model that has little else, on one thread.
use crate::{Bench, portable};
use qint_core::{
    backend::Backend,
    codec::Codec,
    llama::{KvKind, Logits},
    team::Serial,
};
use qint_std::{
    engine::{Engine, Feed, Session},
    model::Model,
    quantize::{Recipe, Scheme},
    synthetic,
};
use qint_tests::products::bits;

/// How a model attends.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Columns of each.
    pub head_dim: usize,
}

impl Heads {
    /// Those of tinyllama-1.1b.
    pub const TINYLLAMA: Heads = Heads { heads: 32, kv_heads: 4, head_dim: 64 };
}

/// Some tokens after others.
pub struct Attention {
    model: Model,
    session: Session,
    tokens: Vec<u32>,
    heads: Heads,
    depth: usize,
    kind: KvKind,
    engine: Option<Engine>,
}

impl Attention {
    /// `tokens` tokens at position `depth`.
    pub fn new(heads: Heads, kind: KvKind, depth: usize, tokens: usize) -> Attention {
        let Heads { heads: count, kv_heads, head_dim } = heads;
        let config = synthetic::attention_config(count, kv_heads, head_dim, depth + tokens).expect("legal sizes");
        let model = Model::random(config, &Recipe::new(Scheme::of(Codec::Q8))).expect("memory");
        let mut session = Session::new(model.weights().config(), kind, depth + tokens).expect("memory");
        session.pretend(depth);
        let tokens = (0..tokens as u32).map(|token| token * 7 % 32).collect();
        Attention { model, session, tokens, heads, depth, kind, engine: None }
    }

    /// Logits of a prompt of a chunk and a half and of one token after it.
    fn logits(&self, backend: Backend) -> Vec<u32> {
        const PROMPT: usize = 197;
        let weights = self.model.weights();
        let mut session = Session::new(weights.config(), self.kind, PROMPT + 1).expect("memory");
        let mut engine = Engine::new(backend, Box::new(Serial), PROMPT);
        let prompt: Vec<u32> = (0..PROMPT as u32).map(|token| token * 5 % 32).collect();
        let mut logits = engine.prompt(weights, &mut session, &prompt).expect("finite numbers");
        logits.extend(engine.prompt(weights, &mut session, &[1]).expect("finite numbers"));
        bits(&logits)
    }
}

impl Bench for Attention {
    fn run(&mut self, backend: Backend) {
        let Attention { model, session, tokens, depth, engine, .. } = self;
        if engine.as_ref().is_none_or(|engine| engine.backend() != backend) {
            *engine = Some(Engine::new(backend, Box::new(Serial), tokens.len()));
        }
        let engine = engine.as_mut().expect("made above");
        session.truncate(*depth);
        let feed = Feed { session, tokens, logits: Logits::None };
        engine.forward(model.weights(), &mut [feed], &mut Vec::new()).expect("finite numbers");
    }

    /// On a shorter text, whose logits everything has a part in.
    fn check(&mut self, backend: Backend) {
        assert_eq!(self.logits(backend), self.logits(portable()));
    }

    /// Those of attention: each query with the keys, and the weights with the values, of all positions it sees.
    fn multiply_adds(&self) -> u64 {
        let positions = (self.depth..self.depth + self.tokens.len()).map(|position| position + 1);
        (2 * self.heads.heads * self.heads.head_dim * positions.sum::<usize>()) as u64
    }
}
