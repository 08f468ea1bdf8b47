//! Counts the instructions of qint's kernels on this core and compares every result with qint-core's portable kernel.
//!
//! Prints a table over semihosting, then the same rows and the checks as JSON lines, and ends the emulator with 0, or with
//! 1 if a bit differed.
#![no_std]
#![no_main]

mod checks;
mod clock;
mod measure;
mod memory;
mod report;
mod stack;

use clock::Clock;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use memory::Memory;
use report::Report;

#[entry]
fn main() -> ! {
    let Some(memory) = Memory::take() else { failed() };
    let clock = Clock::start();
    let mut report = Report::new(&clock);
    measure::all(memory, &clock, &mut report);
    checks::all(memory, &mut report);
    debug::exit(if report.exact() { EXIT_SUCCESS } else { EXIT_FAILURE });
    failed()
}

fn failed() -> ! {
    loop {
        debug::exit(EXIT_FAILURE);
    }
}

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    report::line(format_args!("{info}"));
    failed()
}

#[exception]
#[allow(unsafe_code)]
// SAFETY: the handler never returns.
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    report::line(format_args!("hard fault"));
    failed()
}
