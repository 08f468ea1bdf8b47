//! A JSON object whose fields are read with their kind and range checked. `null` counts as missing.
use crate::{Error, Result, limits::shown};
use serde_json::{Map, Value};

/// A JSON object and the name under which errors speak of it.
#[derive(Clone, Copy)]
pub(super) struct Object<'a> {
    what: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub(super) fn new(what: &'a str, value: &'a Value) -> Result<Object<'a>> {
        match value {
            Value::Object(map) => Ok(Object { what, map }),
            _ => Err(Error::malformed(what, "it is not a JSON object")),
        }
    }

    /// The value under `key`, unless it is absent or `null`.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether `key` is there, be it as `null`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    pub(super) fn object(&self, key: &'a str) -> Result<Option<Object<'a>>> {
        self.value(key).map(|value| Object::new(key, value)).transpose()
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.read(key, "a string", Value::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", Value::as_bool)
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<usize>> {
        self.read(key, "a whole number", |value| usize::try_from(value.as_u64()?).ok())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a finite number", |value| value.as_f64().filter(|number| number.is_finite()))
    }

    pub(super) fn token(&self, key: &str) -> Result<Option<u32>> {
        self.read(key, "a token id", token)
    }

    /// One token id or a list of them.
    pub(super) fn tokens(&self, key: &str) -> Result<Vec<u32>> {
        let read = |value: &Value| match value {
            Value::Array(list) => list.iter().map(token).collect(),
            one => Some(vec![token(one)?]),
        };
        Ok(self.read(key, "a token id or a list of them", read)?.unwrap_or_default())
    }

    /// `found`, or the error that `key` is missing.
    pub(super) fn need<T>(&self, key: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| Error::malformed(self.what, format!("{key} is missing")))
    }

    fn read<T>(&self, key: &str, kind: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let wrong = || Error::malformed(self.what, format!("{key} is {}, not {kind}", shown(&value.to_string())));
        read(value).map(Some).ok_or_else(wrong)
    }
}

fn token(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}
