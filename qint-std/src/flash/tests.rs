use super::*;
use crate::{
    bundled,
    convert::{Options, convert},
    engine::{self, Engine, EngineOptions},
    mapping::{Loading, Mapping},
    model::Model,
    quantize::{Recipe, Scheme},
    source,
};
use qint_core::{
    codec::Codec,
    flash::FlashImage,
    llama::{Layer, Weights},
};

const SESSION: Session = Session { capacity: 128, kv: KvKind::I8 };

/// The bundled model in a container.
fn container() -> Container {
    let directory = tempfile::tempdir().unwrap();
    bundled::write_to(directory.path()).unwrap();
    let output = directory.path().join("model.qint.safetensors");
    let recipe = Recipe::new(Scheme::of(Codec::Q4Linear));
    convert(&*source::open(directory.path()).unwrap(), &recipe, &output, &Options::default(), &|_| {}).unwrap();
    Container::open(&output, Loading::Read).unwrap()
}

#[test]
fn an_image_holds_the_model() {
    let container = container();
    let bytes = Mapping::copy(&image(&container, SESSION).unwrap(), "image").unwrap();
    let image = FlashImage::from_bytes(&bytes).unwrap();
    image.verify().unwrap();
    let (config, header) = (&container.manifest().config, image.header());
    assert_eq!(
        (header.config, header.start, &header.ends[..header.end_count]),
        (config.architecture, config.bos, &config.eos[..])
    );
    assert_eq!((header.capacity, header.kv, header.strips_space), (128, KvKind::I8, false));

    // The same bytes of the same kind, matrix by matrix.
    let layers: Vec<Layer<'_>> = image.layers().collect();
    let weights = image.weights(&layers).unwrap();
    let tokenizer = Tokenizer::from_bytes(container.asset("tokenizer.json").unwrap()).unwrap();
    let ids = tokenizer.encode("Rough winds – do shake\n", true).unwrap();
    let text: Vec<u8> = ids.iter().flat_map(|id| image.piece(*id).unwrap()).copied().collect();
    assert_eq!(text, "Rough winds – do shake\n".as_bytes());
    let shapes: Vec<Shape> = container.manifest().matrices.iter().map(|m| (m.layout, m.activation)).collect();
    let needs = Needs::of(config, &shapes, &pieces(container.asset("tokenizer.json"), 768).unwrap(), SESSION).unwrap();
    assert_eq!(needs.flash, bytes.len() as u64);

    let model = Model::from_container(container).unwrap();
    let pairs = weights.layers().iter().zip(model.weights().layers());
    let pairs = pairs.flat_map(|(a, b)| {
        assert_eq!((a.attention_norm, a.mlp_norm), (b.attention_norm, b.mlp_norm));
        [(a.q, b.q), (a.k, b.k), (a.v, b.v), (a.o, b.o), (a.gate, b.gate), (a.up, b.up), (a.down, b.down)]
    });
    for (a, b) in
        pairs.chain([(*weights.head(), *model.weights().head()), (*weights.embedding(), *model.weights().embedding())])
    {
        let (Matrix::Quantized(a, x), Matrix::Quantized(b, y)) = (a, b) else { panic!("a dense matrix") };
        assert!(a.panels() == b.panels() && a.row_scales() == b.row_scales() && a.layout() == b.layout() && x == y);
    }
    assert_eq!(weights.final_norm(), model.weights().final_norm());

    let logits = |weights: &Weights<'_>| {
        let mut session = engine::Session::new(image.config(), KvKind::I8, 128).unwrap();
        Engine::with_options(EngineOptions::default()).unwrap().prompt(weights, &mut session, &ids).unwrap()
    };
    assert_eq!(logits(&weights), logits(model.weights()));
}

#[test]
fn sources_hold_the_image_and_the_sizes() {
    let bytes = image(&container(), Session { capacity: 50, kv: KvKind::F16 }).unwrap();
    let rust = emit::rust(&bytes).unwrap();
    assert!(rust.contains("pub const LAYERS: usize = 3;") && rust.contains("pub const CAPACITY: usize = 50;"));
    assert_eq!(rust.matches("\\x").count(), bytes.len());
    let c = emit::c(&bytes).unwrap();
    assert!(c.contains("#define QINT_MODEL_KV_BITS 16u"));
    let array = c.split_once("] = {\n").unwrap().1;
    let found: Vec<u8> = array.split([',', '\n', '}']).filter_map(|number| number.parse().ok()).collect();
    assert_eq!(found, bytes);
    assert!(emit::c(&bytes[..1000]).is_err());
    assert!(image(&container(), Session { capacity: 513, kv: KvKind::F16 }).is_err());
}

#[test]
fn the_best_that_fits_is_chosen() {
    let directory = tempfile::tempdir().unwrap();
    bundled::write_to(directory.path()).unwrap();
    let source = source::open(directory.path()).unwrap();
    let pieces = pieces(source.asset("tokenizer.json").as_deref(), 768).unwrap();
    let chosen = |flash, ram| choose(source.config(), &pieces, None, (None, None), 128, Budget { flash, ram });
    let codec = |choice: &Choice| choice.recipe.as_ref().map(|recipe| recipe.default.codec);

    let plain = chosen(None, None).unwrap();
    assert_eq!((codec(&plain), plain.session.kv), (Some(Codec::Q4Linear), KvKind::I8));
    let rich = chosen(Some(4 << 20), Some(1 << 20)).unwrap();
    assert_eq!((codec(&rich), rich.session.kv), (Some(Codec::Q8), KvKind::F16));
    let exact = chosen(Some(plain.needs.flash), Some(plain.needs.ram())).unwrap();
    assert_eq!(exact.needs, plain.needs);
    let poor = chosen(Some(plain.needs.flash / 2), None).unwrap();
    assert_eq!(codec(&poor), Some(Codec::Q2Linear));
    assert!(poor.needs.flash <= plain.needs.flash / 2);
    let none = chosen(Some(100_000), None).unwrap_err();
    assert!(matches!(none, Error::Resources { needed, available: 100_000, .. } if needed > 200_000), "{none}");
    let none = chosen(None, Some(10_000)).unwrap_err();
    assert!(matches!(none, Error::Resources { available: 10_000, .. }), "{none}");
}
