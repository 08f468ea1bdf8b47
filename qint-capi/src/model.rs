//! Models: loaded once, shared by any number of sessions and threads.
use crate::{
    border::{Caller, Failure, Outcome, answer, answer_without_pointers, expect_apart, span},
    handles::{self, Object},
    sized::Versioned,
    status::{QINT_ERROR_ARGUMENT, QINT_ERROR_NULL, QINT_ERROR_STATE},
    write::Destination,
};
use core::{ffi::c_char, mem::offset_of};
use qint_std::{container::Container, mapping::Loading, model::Model, tokenizer::Tokenizer};
use std::{path::Path, sync::Arc};

/// The file is read into memory instead of being mapped. A mapped file must not shrink while it is in use.
pub const QINT_READ: u32 = 1;

/// Ids get what belongs around a text, for example the start token.
pub const QINT_SPECIAL: u32 = 1;

/// A model and its tokenizer, if it has one.
pub(crate) struct LoadedModel {
    pub(crate) model: Model,
    tokenizer: Option<Tokenizer>,
}

impl LoadedModel {
    fn new(model: Model) -> Outcome<LoadedModel> {
        let tokenizer = match model.asset("tokenizer.json") {
            Some(json) => Some(Tokenizer::from_files(&json, model.asset("tokenizer_config.json").as_deref())?),
            None => None,
        };
        Ok(LoadedModel { model, tokenizer })
    }

    pub(crate) fn tokenizer(&self) -> Outcome<&Tokenizer> {
        let missing = || Failure::new(QINT_ERROR_STATE, format_args!("the model has no tokenizer.json"));
        self.tokenizer.as_ref().ok_or_else(missing)
    }
}

/// What a model is like.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_model_info {
    /// sizeof(qint_model_info), set by the caller.
    pub struct_size: u32,
    /// Logits of a position.
    pub vocabulary: u32,
    /// Numbers of an embedding.
    pub hidden: u32,
    /// Transformer layers.
    pub layers: u32,
    /// Positions that the model was trained for.
    pub context: u32,
    /// Pieces of its tokenizer; 0 without one.
    pub tokenizer_vocabulary: u32,
    /// Bytes of its weights.
    pub bytes: u64,
}

// SAFETY: repr(C), numbers only, struct_size comes first.
unsafe impl Versioned for qint_model_info {
    const MIN_SIZE: usize = offset_of!(qint_model_info, bytes) + size_of::<u64>();
}

/// Opens a container, a GGUF file or a Hugging Face directory and gives out a handle. `path` has `path_length` bytes; `flags` is
/// 0 or QINT_READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_model_open(path: *const c_char, path_length: usize, flags: u32, model: *mut u64) -> i32 {
    let work = |caller: &Caller| {
        expect_apart(&[("model", span(model, 1)), ("path", span(path, path_length))], 1)?;
        caller.store(model, 0, "model")?;
        let path = caller.text(path, path_length, "path")?;
        if path.contains('\0') {
            return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("path has a zero in it, which no path has")));
        }
        let loading = match flags {
            0 => Loading::Map,
            QINT_READ => Loading::Read,
            other => {
                return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("flags are {other}, 0 or 1 is allowed")));
            }
        };
        let loaded = LoadedModel::new(Model::open(Path::new(path), loading)?)?;
        caller.store(model, handles::insert(Object::Model(Arc::new(loaded))), "model")
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// As qint_model_open, for the bytes of a container, which are copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_model_from_memory(bytes: *const u8, length: usize, model: *mut u64) -> i32 {
    let work = |caller: &Caller| {
        expect_apart(&[("model", span(model, 1)), ("bytes", span(bytes, length))], 1)?;
        caller.store(model, 0, "model")?;
        let bytes = caller.input(bytes, length, "bytes")?;
        let loaded = LoadedModel::new(Model::from_container(Container::from_bytes(bytes)?)?)?;
        caller.store(model, handles::insert(Object::Model(Arc::new(loaded))), "model")
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// Gives a model back. Its sessions go on; its memory is freed with the last of them.
#[unsafe(no_mangle)]
pub extern "C" fn qint_model_free(model: u64) -> i32 {
    answer_without_pointers(|| handles::remove_model(model))
}

/// What a model is like. `info->struct_size` is set by the caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_model_describe(model: u64, info: *mut qint_model_info) -> i32 {
    let work = |caller: &Caller| {
        let loaded = handles::model(model)?;
        let config = &loaded.model.config().architecture;
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let filled = qint_model_info {
            struct_size: 0, // stays the caller's
            vocabulary: number(config.vocabulary),
            hidden: number(config.hidden),
            layers: number(config.layers),
            context: number(config.context),
            tokenizer_vocabulary: loaded.tokenizer.as_ref().map_or(0, |tokenizer| number(tokenizer.vocabulary())),
            bytes: loaded.model.bytes(),
        };
        caller.write_sized(info, filled, "info")
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// The ids of a text. `flags` is 0 or QINT_SPECIAL. `count`, which may be null, receives how many there are, also when they do not
/// fit `capacity` (QINT_ERROR_LENGTH; nothing is written then).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_tokenize(
    model: u64,
    text: *const c_char,
    text_length: usize,
    flags: u32,
    ids: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    let work = |caller: &Caller| {
        let loaded = handles::model(model)?;
        if flags > QINT_SPECIAL {
            return Err(Failure::new(QINT_ERROR_ARGUMENT, format_args!("flags are {flags}, 0 or 1 is allowed")));
        }
        let encoded = loaded.tokenizer()?.encode(caller.text(text, text_length, "text")?, flags == QINT_SPECIAL)?;
        let destination = Destination { what: "ids", to: ids, capacity, count };
        destination.write(caller, &encoded, None, ("text", span(text, text_length)))
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// The text of ids, special tokens left out; ids that do not exist give nothing. `length`, which may be null, receives its bytes,
/// also when they do not fit `capacity` (QINT_ERROR_LENGTH; nothing is written then).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_detokenize(
    model: u64,
    ids: *const u32,
    count: usize,
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> i32 {
    let work = |caller: &Caller| {
        let loaded = handles::model(model)?;
        let decoded = loaded.tokenizer()?.decode(caller.input(ids, count, "ids")?, true)?;
        Destination::text(text, capacity, length).write_text(caller, &decoded, ("ids", span(ids, count)))
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// The embedding of a token, as the forward pass starts from it: `length` is the model's hidden size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_embedding(model: u64, token: u32, embedding: *mut f32, length: usize) -> i32 {
    let work = |caller: &Caller| {
        let loaded = handles::model(model)?;
        if embedding.is_null() {
            return Err(Failure::new(QINT_ERROR_NULL, format_args!("embedding is null")));
        }
        loaded.model.embedding(token, caller.output(embedding, length, "embedding")?)?;
        Ok(())
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}
