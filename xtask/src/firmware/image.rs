//! The boards, their images, and the emulator.
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// An emulated board and how to build for it.
pub(crate) struct Board {
    /// What its rows are called.
    pub(crate) core: &'static str,
    /// QEMU's name.
    pub(crate) machine: &'static str,
    /// Rust's target.
    pub(crate) target: &'static str,
    /// File in `boards/`.
    memory: &'static str,
    /// What `-C target-feature` enables.
    features: &'static str,
}

pub(crate) const BOARDS: [Board; 8] = [
    board("m0", "microbit", "thumbv6m-none-eabi", "microbit", ""),
    // The small instruction set runs on an M3 too, where a matrix of 512 × 512 fits.
    board("m0", "mps2-an385", "thumbv6m-none-eabi", "mps2", ""),
    board("m3", "lm3s6965evb", "thumbv7m-none-eabi", "lm3s6965evb", ""),
    board("m3", "mps2-an385", "thumbv7m-none-eabi", "mps2", ""),
    board("m4", "mps2-an386", "thumbv7em-none-eabihf", "mps2", ""),
    board("m7", "mps2-an500", "thumbv7em-none-eabihf", "mps2", ""),
    board("m33", "mps2-an505", "thumbv8m.main-none-eabihf", "an505", "+dsp"),
    // By its features: naming the CPU crashes LLVM.
    board("m55", "mps3-an547", "thumbv8m.main-none-eabihf", "an547", "+v8.1m.main,+mve,+lob"),
];

const fn board(
    core: &'static str,
    machine: &'static str,
    target: &'static str,
    memory: &'static str,
    features: &'static str,
) -> Board {
    Board { core, machine, target, memory, features }
}

/// Code of one kernel, at most.
const KERNEL_BYTES: u64 = 1536;

/// What was built.
pub(crate) struct Images {
    pub(crate) bench: PathBuf,
    pub(crate) vectors: PathBuf,
}

impl Board {
    /// Builds both images with Debian's cargo, which has the sources of `core`.
    pub(crate) fn build(&self) -> Result<Images, String> {
        let target = Path::new("target/firmware").join(if self.features.is_empty() { "plain" } else { self.features });
        let target = std::env::current_dir().map_err(|error| error.to_string())?.join(target);
        let mut flags = "-C linker=arm-none-eabi-ld -C link-arg=-Tlink.x -C link-arg=--nmagic".to_owned();
        if !self.features.is_empty() {
            flags = format!("{flags} -C target-feature={}", self.features);
        }
        let status = Command::new("/usr/bin/cargo")
            .args(["build", "--quiet", "--release", "--package", "kernel-bench", "-Z", "build-std=core,alloc"])
            .args(["--target", self.target])
            .current_dir("firmware-examples")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("PATH", "/usr/bin:/bin")
            .env("RUSTC", "/usr/bin/rustc")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", flags)
            .env("BOARD", self.memory)
            .status()
            .map_err(|error| format!("/usr/bin/cargo: {error} (apt-get install cargo-web rustc-web rust-web-src)"))?;
        if !status.success() {
            return Err("the build failed".to_owned());
        }
        let release = target.join(self.target).join("release");
        Ok(Images { bench: release.join("kernel-bench"), vectors: release.join("vectors") })
    }

    /// What the image prints; an error if it does not end with 0.
    pub(crate) fn emulate(&self, image: &Path) -> Result<String, String> {
        let output = Command::new("timeout")
            .args(["300", "qemu-system-arm", "-machine", self.machine, "-nographic", "-icount", "shift=6"])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(image)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("qemu-system-arm: {error} (apt-get install qemu-system-arm)"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(text) } else { Err(format!("ended with {}:\n{text}", output.status)) }
    }
}

impl Images {
    /// What must not be in firmware, and how large a kernel may be.
    pub(crate) fn inspect(&self) -> Result<Vec<String>, String> {
        let output = Command::new("arm-none-eabi-nm")
            .args(["--demangle", "--print-size"])
            .arg(&self.vectors)
            .output()
            .map_err(|error| format!("arm-none-eabi-nm: {error} (apt-get install gcc-arm-none-eabi)"))?;
        let symbols = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut wrong: Vec<String> = symbols
            .lines()
            .filter(|line| {
                ["core::panicking", "__rust_alloc", "__rg_alloc", "alloc::"].iter().any(|bad| line.contains(bad))
            })
            .map(|line| format!("{}: {line}", self.vectors.display()))
            .collect();
        let mut kernels = 0;
        for line in symbols.lines() {
            let mut words = line.split_whitespace().skip(1);
            let (Some(size), Some(_), Some(name)) = (words.next(), words.next(), words.next()) else { continue };
            if !name.starts_with("qint_") || name.contains("::") {
                continue;
            }
            kernels += 1;
            if u64::from_str_radix(size, 16).is_ok_and(|size| size > KERNEL_BYTES) {
                wrong.push(format!("{name} is larger than {KERNEL_BYTES} bytes"));
            }
        }
        if kernels == 0 {
            wrong.push(format!("{}: no kernel is linked", self.vectors.display()));
        }
        Ok(wrong)
    }
}
