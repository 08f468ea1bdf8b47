//! Conversions that are killed, cancelled, refused, or run out of disk: the output is absent or complete, never a part.
use crate::support::{Seeded, bundled, convert_to, golden, long_tests, recipe, skip};
use qint_core::codec::Codec;
use qint_std::{
    Error,
    container::Container,
    convert::{Options, convert},
    error::Class,
    mapping::Loading,
    source,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

const CHILD_OUTPUT: &str = "QINT_TEST_CHILD_OUTPUT";

fn names(directory: &Path) -> Vec<String> {
    directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Not a test of its own: the process that [`killed_at_any_moment`] starts and kills.
#[test]
fn child() {
    if let Some(output) = std::env::var_os(CHILD_OUTPUT) {
        convert_to(Path::new(&output), &bundled(), &recipe(Codec::Q4), &Options { force: true, ..Options::default() });
    }
}

fn spawn_child(output: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "interrupted::child"])
        .env(CHILD_OUTPUT, output)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model.qint.safetensors");
    let start = std::time::Instant::now();
    assert!(spawn_child(&output).wait().unwrap().success());
    let duration = start.elapsed();
    fs::remove_file(&output).unwrap();
    let mut random = Seeded(7);
    let (rounds, mut strays) = (if long_tests() { 300 } else { 12 }, 0);
    for _ in 0..rounds {
        let mut child = spawn_child(&output);
        std::thread::sleep(duration.mul_f64(random.below(1000) as f64 / 900.0));
        child.kill().unwrap();
        child.wait().unwrap();
        if output.exists() {
            Container::open(&output, Loading::Map).unwrap().verify().unwrap();
            fs::remove_file(&output).unwrap();
        }
        strays = strays.max(names(dir.path()).len());
    }
    println!("{rounds} kills within {duration:?}; at most {strays} temporaries at once");
    convert_to(&output, &bundled(), &recipe(Codec::Q4), &Options::default());
    assert_eq!(names(dir.path()), ["model.qint.safetensors"], "the next run removes what the killed ones left");
}

#[test]
fn cancelled_between_row_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model");
    let source = source::open(&bundled()).unwrap();
    for after in 0..20 {
        let cancel = AtomicBool::new(after == 0);
        let calls = std::cell::Cell::new(0);
        let options = Options { cancel: Some(&cancel), ..Options::default() };
        let result = convert(&*source, &recipe(Codec::Q8), &output, &options, &|_| {
            calls.set(calls.get() + 1);
            cancel.store(calls.get() >= after, Ordering::Relaxed);
        });
        assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
        assert!(names(dir.path()).is_empty());
    }
}

#[test]
fn existing_outputs_stay() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model");
    fs::write(&output, "precious").unwrap();
    let source = source::open(&golden("llama2")).unwrap();
    let convert = |options: &Options<'_>| convert(&*source, &recipe(Codec::Q8), &output, options, &|_| {});
    assert_eq!(convert(&Options::default()).unwrap_err().class(), Class::Usage);
    let cancel = AtomicBool::new(true);
    assert!(convert(&Options { force: true, cancel: Some(&cancel), ..Options::default() }).is_err());
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    convert(&Options { force: true, ..Options::default() }).unwrap();
    Container::open(&output, Loading::Map).unwrap().verify().unwrap();
    assert_eq!(names(dir.path()), ["model"]);
}

/// A small file system in memory, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, bytes: usize) -> Option<SmallDisk> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = source::open(&bundled()).unwrap();
    for kilobytes in [4, 64, 300, 600] {
        let Some(disk) = SmallDisk::mount(dir.path(), kilobytes << 10) else {
            return skip("a_full_disk_leaves_nothing", "mounting a tmpfs is not allowed here");
        };
        let result = convert(&*source, &recipe(Codec::Q8), &disk.0.join("model"), &Options::default(), &|_| {});
        assert_eq!(result.unwrap_err().class(), Class::Resources);
        assert!(names(&disk.0).is_empty());
    }
}

#[test]
fn weights_that_are_no_numbers_name_their_tensor() {
    let dir = tempfile::tempdir().unwrap();
    for entry in golden("llama2").read_dir().unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let (range, name) = {
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let name = "model.layers.1.mlp.down_proj.weight";
        let data = file.tensor(name).unwrap().data().as_ptr_range();
        let base = bytes.as_ptr().addr();
        (data.start.addr() - base..data.end.addr() - base, name)
    };
    bytes[range.end - 4..range.end].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let source = source::open(dir.path()).unwrap();
    let output = dir.path().join("model.qint.safetensors");
    let error = convert(&*source, &recipe(Codec::Q4), &output, &Options::default(), &|_| {}).unwrap_err();
    assert_eq!(error.class(), Class::Malformed);
    assert!(error.to_string().contains(name), "{error}");
    assert!(!output.exists());
}
