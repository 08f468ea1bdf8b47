//! Which backends a test runs on. A skipped one prints its name; one that `QINT_EXPECT_BACKENDS` names must be there.
use qint_core::backend::Backend;
use std::{io::Write, sync::Once};

/// The backends of this CPU.
///
/// # Panics
/// If the environment variable `QINT_EXPECT_BACKENDS` (names, separated by commas) asks for one that is missing.
pub fn backends() -> Vec<Backend> {
    static CHECKED: Once = Once::new();
    CHECKED.call_once(check);
    Backend::available().collect()
}

fn check() {
    for known in Backend::known().filter(|known| known.backend.is_none()) {
        let missing: Vec<&str> = known.missing().collect();
        // Not eprintln: the test harness would swallow it.
        let _ = writeln!(std::io::stderr(), "backend {}: skipped, this CPU has no {}", known.name, missing.join(", "));
    }
    let expected = std::env::var("QINT_EXPECT_BACKENDS").unwrap_or_default();
    for name in expected.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        assert!(Backend::from_name(name).is_some(), "QINT_EXPECT_BACKENDS names {name}, which this CPU has not");
    }
}
