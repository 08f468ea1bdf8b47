//! How many threads are worth having: physical cores that this process may use. Two threads on one core share its
//! arithmetic units and its memory port, which the kernels fill alone.
use std::{collections::BTreeSet, fs, thread};

/// Physical cores within this process's CPU affinity and quota; all logical ones where the system doesn't tell.
pub fn physical_cores() -> usize {
    let logical = thread::available_parallelism().map_or(1, usize::from);
    let allowed = fs::read_to_string("/proc/self/status").ok().and_then(|status| allowed_cpus(&status));
    let cores = allowed.and_then(|cpus| distinct_cores(&cpus, siblings)).unwrap_or(logical);
    cores.clamp(1, logical)
}

fn siblings(cpu: usize) -> Option<String> {
    let topology = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
    let read = |name| fs::read_to_string(format!("{topology}/{name}")).ok();
    read("core_cpus_list").or_else(|| read("thread_siblings_list"))
}

/// CPUs with different siblings are different cores.
fn distinct_cores(cpus: &[usize], siblings: impl Fn(usize) -> Option<String>) -> Option<usize> {
    cpus.iter().map(|&cpu| siblings(cpu)).collect::<Option<BTreeSet<_>>>().map(|cores| cores.len())
}

/// `Cpus_allowed_list` of `/proc/self/status`, for example `0-3,8`.
fn allowed_cpus(status: &str) -> Option<Vec<usize>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut cpus = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend(first..=last.min(first.saturating_add(8192)));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(allowed_cpus("Name:\tx\nCpus_allowed_list:\t0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(allowed_cpus("Cpus_allowed_list:\t5\n"), Some(vec![5]));
        assert_eq!(allowed_cpus("Cpus_allowed_list:\tall\n"), None);
        assert_eq!(allowed_cpus("nothing"), None);
    }

    #[test]
    fn siblings_count_once() {
        let pairs = |cpu: usize| Some(format!("{},{}", cpu % 4, cpu % 4 + 4));
        assert_eq!(distinct_cores(&[0, 1, 2, 3, 4, 5, 6, 7], pairs), Some(4));
        assert_eq!(distinct_cores(&[0, 4], pairs), Some(1));
        assert_eq!(distinct_cores(&[0, 1], |_| None), None);
    }

    #[test]
    fn there_is_at_least_one_core() {
        assert!(physical_cores() >= 1);
    }
}
