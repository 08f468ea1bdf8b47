//! Handles: numbers that stand for models and sessions. Each is given out once and never again, so one that was freed is
//! found missing, however often and whenever it is used.
//!
//! A handle is `8 · n + kind`. The table is locked only to look something up; what is found is kept alive by its user.
use crate::{
    border::{Failure, Outcome},
    model::LoadedModel,
    session::SessionCell,
    status::QINT_ERROR_HANDLE,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Object {
    Model(Arc<LoadedModel>),
    Session(Arc<SessionCell>),
}

struct Table {
    given: u64,
    objects: BTreeMap<u64, Object>,
}

static TABLE: RwLock<Table> = RwLock::new(Table { given: 0, objects: BTreeMap::new() });

const MODEL: u64 = 1;
const SESSION: u64 = 2;

/// Gives out a handle.
pub(crate) fn insert(object: Object) -> u64 {
    let kind = match object {
        Object::Model(_) => MODEL,
        Object::Session(_) => SESSION,
    };
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    table.given += 1;
    let handle = 8 * table.given + kind;
    table.objects.insert(handle, object);
    handle
}

/// The model of a handle.
pub(crate) fn model(handle: u64) -> Outcome<Arc<LoadedModel>> {
    match look_up(handle) {
        Some(Object::Model(model)) => Ok(model),
        _ => Err(stale(handle, "model")),
    }
}

/// The session of a handle.
pub(crate) fn session(handle: u64) -> Outcome<Arc<SessionCell>> {
    match look_up(handle) {
        Some(Object::Session(session)) => Ok(session),
        _ => Err(stale(handle, "session")),
    }
}

/// Takes a model back.
pub(crate) fn remove_model(handle: u64) -> Outcome {
    remove(handle, MODEL, "model")
}

/// Takes a session back.
pub(crate) fn remove_session(handle: u64) -> Outcome {
    remove(handle, SESSION, "session")
}

fn look_up(handle: u64) -> Option<Object> {
    TABLE.read().unwrap_or_else(PoisonError::into_inner).objects.get(&handle).cloned()
}

fn remove(handle: u64, kind: u64, what: &str) -> Outcome {
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let found = if handle % 8 == kind { table.objects.remove(&handle) } else { None };
    if table.objects.is_empty() {
        table.objects = BTreeMap::new(); // without the memory it had: the library may be unloaded
    }
    drop(table);
    // Only now: what is dropped may wait for its threads.
    found.map(drop).ok_or_else(|| stale(handle, what))
}

fn stale(handle: u64, what: &str) -> Failure {
    let why = match (handle % 8, what) {
        (MODEL, "session") => "is a model's",
        (SESSION, "model") => "is a session's",
        _ => "was freed or never given out",
    };
    Failure::new(QINT_ERROR_HANDLE, format_args!("handle {handle} {why}: it is no {what}"))
}
