//! What a JSON document says about the machine, and what `doctor` prints.
use qint_core::backend::Backend;
use qint_std::team::physical_cores;
use serde_json::{Map, Value, json};
use std::{fs, path::Path, thread};

/// The `environment` of a document: version, machine, and the backend and threads of the command: `used` where it was asked
/// for others than the usual ones.
pub(crate) fn document(used: Value) -> Value {
    let mut fields = Map::new();
    let known = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cpu": cpu_name(),
        "cpus": cpus(),
        "backend": Backend::detect().name(),
        "threads": physical_cores(),
    });
    for object in [known, used] {
        if let Value::Object(object) = object {
            fields.extend(object);
        }
    }
    Value::Object(fields)
}

/// CPUs that this process may use (affinity and cgroup quota counted).
pub(crate) fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The CPU's name as the system gives it; `None` where it gives none.
pub(crate) fn cpu_name() -> Option<String> {
    field("/proc/cpuinfo", &["model name", "Hardware", "Model"])
}

/// Bytes of memory of the machine.
pub(crate) fn memory() -> Option<u64> {
    kib("MemTotal")
}

/// Bytes of memory that could be had now.
pub(crate) fn memory_available() -> Option<u64> {
    kib("MemAvailable")
}

/// Bytes that this process may still ask for, as far as the system says.
pub(crate) fn memory_left() -> Option<u64> {
    match (memory_available(), memory_limit()) {
        (Some(available), Some(limit)) => Some(available.min(limit)),
        (available, limit) => available.or(limit),
    }
}

/// The memory limit of this process's control group in bytes, if there is one. (Linux, version 2, then 1.)
pub(crate) fn memory_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let v2 = own.lines().find_map(|line| line.strip_prefix("0::"));
    let in_v2 = |group: &str| smallest_limit(Path::new("/sys/fs/cgroup"), group, "memory.max");
    let v1 = own.lines().find(|line| line.split(':').nth(1) == Some("memory")).and_then(|line| line.split(':').nth(2));
    let in_v1 = |group: &str| smallest_limit(Path::new("/sys/fs/cgroup/memory"), group, "memory.limit_in_bytes");
    v2.and_then(in_v2).or_else(|| v1.and_then(in_v1)).filter(|&limit| memory().is_none_or(|memory| limit < memory))
}

/// The smallest limit of a group and of those it is in; a container sees its own group as the root.
fn smallest_limit(root: &Path, group: &str, file: &str) -> Option<u64> {
    let inner = root.join(group.trim_start_matches('/'));
    let limit = |directory: &Path| fs::read_to_string(directory.join(file)).ok()?.trim().parse::<u64>().ok();
    inner.ancestors().take_while(|directory| directory.starts_with(root)).filter_map(limit).min()
}

fn kib(key: &str) -> Option<u64> {
    field("/proc/meminfo", &[key])?.trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
}

/// The first `key: value` of a file of such lines.
fn field(path: &str, keys: &[&str]) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = |key: &&str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == *key)
            .map(|(_, v)| v.trim())
    };
    keys.iter().find_map(value).map(ToString::to_string)
}
