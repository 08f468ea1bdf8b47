//! Rows of the table: as text while they are measured, and as JSON lines.
use crate::clock::Clock;
use core::fmt::Arguments;
use cortex_m_semihosting::hio;

/// What was measured.
pub(crate) struct Row {
    pub(crate) kernel: &'static str,
    pub(crate) codec: &'static str,
    pub(crate) group: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) batch: usize,
    pub(crate) instructions: u64,
    pub(crate) exact: bool,
}

pub(crate) struct Report {
    core: &'static str,
    clock: &'static str,
    exact: bool,
}

impl Report {
    pub(crate) fn new(clock: &Clock) -> Report {
        let report = Report { core: core_name(), clock: clock.source(), exact: true };
        line(format_args!("core {}, kernels {}, clock {}", report.core, qint_arm::KERNELS, report.clock));
        line(format_args!("kernel     codec      group  rows  cols batch instructions  per mac exact"));
        report
    }

    /// Whether every bit was right so far.
    pub(crate) const fn exact(&self) -> bool {
        self.exact
    }

    pub(crate) fn row(&mut self, row: &Row) {
        let Row { kernel, codec, group, rows, cols, batch, instructions, exact } = *row;
        self.exact &= exact;
        let per_mac = instructions * 10_000 / (rows * cols * batch) as u64;
        let (whole, part) = (per_mac / 10_000, per_mac % 10_000);
        line(format_args!(
            "{kernel:10} {codec:10} {group:5} {rows:5} {cols:5} {batch:5} {instructions:12} {whole:3}.{part:04} {exact}"
        ));
        line(format_args!(
            "{{\"core\":\"{}\",\"clock\":\"{}\",\"kernel\":\"{kernel}\",\"codec\":\"{codec}\",\"group\":{group},\"rows\":{rows},\"cols\":{cols},\
             \"batch\":{batch},\"instructions\":{instructions},\"per_mac\":{whole}.{part:04},\"exact\":{exact}}}",
            self.core, self.clock
        ));
    }

    /// Something that must hold, with a figure.
    pub(crate) fn check(&mut self, name: &str, value: usize, holds: bool) {
        self.exact &= holds;
        line(format_args!("{name}: {value}, {}", if holds { "as it must be" } else { "WRONG" }));
        line(format_args!("{{\"core\":\"{}\",\"check\":\"{name}\",\"value\":{value},\"exact\":{holds}}}", self.core));
    }
}

/// One line on the host's terminal.
pub(crate) fn line(text: Arguments<'_>) {
    if let Ok(mut out) = hio::hstdout() {
        let _ = core::fmt::Write::write_fmt(&mut out, format_args!("{text}\n"));
    }
}

/// By the part number of the CPUID register; the small instruction set makes any core an M0.
#[allow(unsafe_code)]
fn core_name() -> &'static str {
    const CPUID: *const u32 = 0xe000_ed00 as *const u32;
    if qint_arm::KERNELS == "thumb1" {
        return "m0";
    }
    // SAFETY: every Cortex-M has this register.
    match unsafe { CPUID.read_volatile() } >> 4 & 0xfff {
        0xc23 => "m3",
        0xc24 => "m4",
        0xc27 => "m7",
        0xd21 => "m33",
        0xd22 => "m55",
        _ => "unknown",
    }
}
