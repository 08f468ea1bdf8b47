//! A model ready to run: a container, an un-quantized source or random numbers, and the weights of the forward pass over it.
//!
//! The weights borrow from the file where they can, so a [`Model`] keeps both. It is `Send` and `Sync`: one model in an
//! `Arc` serves any number of sequences. A source is the dense reference: f32, f16 and bf16 matrices are borrowed as they
//! are, other forms are decoded into f32 once.
use crate::{
    Error, Result,
    config::{ModelConfig, Role},
    container::{Container, Manifest},
    mapping::Loading,
    quantize::Recipe,
    source::{self, Source},
    synthetic::{Shape, Synthetic},
};
use qint_core::{
    backend::Backend,
    layout::padded_cols,
    llama::{Layer, Weights},
    matrix::{DenseMatrix, DenseValues, Matrix},
};
use self_cell::self_cell;
use std::{borrow::Cow, collections::HashMap, fmt, fs::File, io::Read, path::Path};

/// Tensors read at once while a source is decoded.
const ROWS_AT_ONCE: usize = 64;

/// A model and everything it needs, checked to fit together.
pub struct Model(WithWeights);

self_cell!(
    struct WithWeights {
        owner: WithLayers,
        #[covariant]
        dependent: Weights,
    }
);

self_cell!(
    struct WithLayers {
        owner: Origin,
        #[covariant]
        dependent: Layers,
    }
);

type Layers<'a> = Vec<Layer<'a>>;

/// Where the numbers are.
enum Origin {
    Container(Box<Container>),
    Dense(Dense),
    Synthetic(Box<Synthetic>),
}

/// A source and those of its tensors that can't be borrowed.
struct Dense {
    source: Box<dyn Source>,
    /// Positions among the source's tensors, by Hugging Face name.
    index: HashMap<String, usize>,
    /// Decoded tensors by position; empty for those that are borrowed.
    decoded: Vec<Vec<f32>>,
}

impl Model {
    /// Opens a container, or a model directory or GGUF file as the dense reference.
    ///
    /// # Errors
    /// As [`Container::open`] and [`source::open`].
    ///
    /// # Examples
    /// ```
    /// # fn main() -> qint_std::Result<()> {
    /// use qint_std::{mapping::Loading, model::Model};
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/llama2");
    /// let model = Model::open(path.as_ref(), Loading::Map)?;
    /// assert_eq!(model.weights().layers().len(), model.config().architecture.layers);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(path: &Path, loading: Loading) -> Result<Model> {
        if is_source(path) {
            Model::from_source(source::open_with(path, loading)?)
        } else {
            Model::from_container(Container::open(path, loading)?)
        }
    }

    /// The model in an open container.
    ///
    /// # Errors
    /// [`Error::Core`] if its parts don't fit together.
    pub fn from_container(container: Container) -> Result<Model> {
        Model::new(Origin::Container(Box::new(container)))
    }

    /// The dense reference: `source` without quantization.
    ///
    /// # Errors
    /// [`Error::Malformed`] for NaN or infinity in decoded tensors and norms; [`Error::Resources`] if there is no memory to
    /// decode into; as [`Source::read_rows`].
    pub fn from_source(source: Box<dyn Source>) -> Result<Model> {
        Model::new(Origin::Dense(Dense::new(source)?))
    }

    /// Random weights of a published shape, quantized as `recipe` would; see [`crate::synthetic`].
    ///
    /// # Errors
    /// As [`Recipe::assign`]; [`Error::Resources`] if there is not enough memory.
    pub fn synthetic(shape: Shape, recipe: &Recipe) -> Result<Model> {
        Model::random(shape.config()?, recipe)
    }

    /// As [`synthetic`](Model::synthetic), of any shape.
    ///
    /// # Errors
    /// As [`synthetic`](Model::synthetic).
    pub fn random(config: ModelConfig, recipe: &Recipe) -> Result<Model> {
        Model::new(Origin::Synthetic(Box::new(Synthetic::new(config, recipe)?)))
    }

    fn new(origin: Origin) -> Result<Model> {
        let with_layers = WithLayers::try_new(origin, |origin| {
            (0..origin.config().architecture.layers).map(|layer| origin.layer(layer)).collect::<Result<_>>()
        })?;
        WithWeights::try_new(with_layers, |with_layers| {
            let origin = with_layers.borrow_owner();
            let config = origin.config();
            let embedding = origin.matrix(Role::Embedding)?;
            let head = if config.tied_head { embedding } else { origin.matrix(Role::Head)? };
            let layers = with_layers.borrow_dependent();
            Weights::new(config.architecture, embedding, layers, origin.norm(Role::FinalNorm)?, head)
                .map_err(Error::core("the model"))
        })
        .map(Model)
    }

    /// The weights of the forward pass.
    pub fn weights(&self) -> &Weights<'_> {
        self.0.borrow_dependent()
    }

    /// The embedding of a token, `[hidden]`, as the forward pass starts from it.
    ///
    /// # Errors
    /// [`Error::Core`] if there is no such token or `out` has another length.
    pub fn embedding(&self, token: u32, out: &mut [f32]) -> Result<()> {
        let mut scratch = vec![0.0; padded_cols(self.config().architecture.hidden)];
        self.weights().embed(Backend::detect(), token, &mut scratch, out).map_err(Error::core("embedding"))
    }

    /// Architecture and special tokens.
    pub fn config(&self) -> &ModelConfig {
        self.origin().config()
    }

    /// A file that came with the model, by its name, for example `tokenizer.json`.
    pub fn asset(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.origin() {
            Origin::Container(container) => container.asset(name).map(Cow::Borrowed),
            Origin::Dense(dense) => dense.source.asset(name),
            Origin::Synthetic(_) => None,
        }
    }

    /// The container that the model is in, if it is in one.
    pub fn container(&self) -> Option<&Container> {
        match self.origin() {
            Origin::Container(container) => Some(container),
            Origin::Dense(_) | Origin::Synthetic(_) => None,
        }
    }

    /// What the container says about itself, if there is one.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.container().map(Container::manifest)
    }

    /// Bytes of the container, of the source's tensors, or of the random matrices.
    pub fn bytes(&self) -> u64 {
        match self.origin() {
            Origin::Container(container) => container.bytes() as u64,
            Origin::Dense(dense) => dense.source.tensors().iter().map(|tensor| tensor.bytes).sum(),
            Origin::Synthetic(synthetic) => synthetic.bytes(),
        }
    }

    /// Bits per weight, everything counted.
    pub fn bits_per_weight(&self) -> f64 {
        let tensors = self.config().expected_tensors();
        self.bytes() as f64 * 8.0 / tensors.iter().map(|tensor| tensor.rows as f64 * tensor.cols as f64).sum::<f64>()
    }

    /// Bits per weight of the linear layers, without embedding and head.
    pub fn bits_per_weight_linear(&self) -> f64 {
        match self.origin() {
            Origin::Container(container) => container.manifest().bits_per_weight_linear(),
            Origin::Dense(dense) => dense.bits_per_weight_linear(),
            Origin::Synthetic(synthetic) => synthetic.bits_per_weight_linear(),
        }
    }

    fn origin(&self) -> &Origin {
        self.0.borrow_owner().borrow_owner()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("config", self.config()).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl Origin {
    fn config(&self) -> &ModelConfig {
        match self {
            Origin::Container(container) => &container.manifest().config,
            Origin::Dense(dense) => dense.source.config(),
            Origin::Synthetic(synthetic) => synthetic.config(),
        }
    }

    fn layer(&self, layer: usize) -> Result<Layer<'_>> {
        Ok(Layer {
            attention_norm: self.norm(Role::AttentionNorm(layer))?,
            q: self.matrix(Role::Q(layer))?,
            k: self.matrix(Role::K(layer))?,
            v: self.matrix(Role::V(layer))?,
            o: self.matrix(Role::O(layer))?,
            mlp_norm: self.norm(Role::MlpNorm(layer))?,
            gate: self.matrix(Role::Gate(layer))?,
            up: self.matrix(Role::Up(layer))?,
            down: self.matrix(Role::Down(layer))?,
        })
    }

    fn matrix(&self, role: Role) -> Result<Matrix<'_>> {
        let name = role.name();
        let matrix = match self {
            Origin::Container(container) => container.matrix(&name),
            Origin::Dense(dense) => dense.matrix(&name)?,
            Origin::Synthetic(synthetic) => synthetic.matrix(&name)?,
        };
        matrix.ok_or_else(|| Error::malformed(name, "the matrix is missing"))
    }

    fn norm(&self, role: Role) -> Result<&[f32]> {
        let name = role.name();
        let norm = match self {
            Origin::Container(container) => container.norm(&name),
            Origin::Dense(dense) => {
                dense.index.get(&name).and_then(|index| dense.decoded.get(*index)).map(Vec::as_slice)
            }
            Origin::Synthetic(synthetic) => Some(synthetic.norm()),
        };
        norm.ok_or_else(|| Error::malformed(name, "the norm is missing"))
    }
}

impl Dense {
    fn new(source: Box<dyn Source>) -> Result<Dense> {
        let mut index = HashMap::new();
        let mut decoded = Vec::new();
        for (i, tensor) in source.tensors().iter().enumerate() {
            let borrowed = !tensor.expected.role.is_norm() && source.dense(i).is_some();
            decoded.push(if borrowed { Vec::new() } else { decode(&*source, i)? });
            index.insert(tensor.expected.name.clone(), i);
        }
        Ok(Dense { source, index, decoded })
    }

    fn matrix(&self, name: &str) -> Result<Option<Matrix<'_>>> {
        let Some(&index) = self.index.get(name) else { return Ok(None) };
        let expected = &self.source.tensors()[index].expected;
        let values = self.source.dense(index).unwrap_or(DenseValues::F32(&self.decoded[index]));
        let matrix = DenseMatrix::new(expected.rows, expected.cols, values).map_err(Error::core(name))?;
        Ok(Some(Matrix::Dense(matrix)))
    }

    fn bits_per_weight_linear(&self) -> f64 {
        let linear = self.source.tensors().iter().filter(|tensor| {
            let role = tensor.expected.role;
            !role.is_norm() && !matches!(role, Role::Embedding | Role::Head)
        });
        let (bytes, weights) = linear.fold((0.0, 0.0), |(bytes, weights), tensor| {
            (bytes + tensor.bytes as f64, weights + tensor.expected.rows as f64 * tensor.expected.cols as f64)
        });
        bytes * 8.0 / weights
    }
}

/// A whole tensor in f32.
fn decode(source: &dyn Source, index: usize) -> Result<Vec<f32>> {
    let expected = &source.tensors()[index].expected;
    let (rows, cols) = (expected.rows, expected.cols);
    let mut values = Vec::new();
    values.try_reserve_exact(rows * cols).map_err(|_| Error::Resources {
        what: format!("{} in f32", expected.name),
        needed: 4 * rows as u64 * cols as u64,
        available: 0,
    })?;
    values.resize(rows * cols, 0.0);
    for (i, part) in values.chunks_mut(ROWS_AT_ONCE * cols).enumerate() {
        let first = i * ROWS_AT_ONCE;
        source.read_rows(index, first..first + part.len() / cols, part)?;
    }
    Ok(values)
}

/// Whether `path` is for [`source::open`] and not a container: a directory, a GGUF file, or a pickle, which is refused there
/// with what to do about it.
pub fn is_source(path: &Path) -> bool {
    path.is_dir() || is_gguf(path) || source::is_pickle(path)
}

/// Whether the regular file at `path` starts like a GGUF file.
fn is_gguf(path: &Path) -> bool {
    let mut magic = [0; 4];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"GGUF"
}
