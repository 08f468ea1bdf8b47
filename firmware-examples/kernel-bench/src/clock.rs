//! What is counted, and how.
//!
//! On hardware: cycles, by the DWT counter of Armv7-M and Armv8-M. Under QEMU with `-icount shift=6` an instruction takes 64 ns
//! of virtual time, SysTick runs at the board's clock, and a loop of known length tells how many ticks an instruction is: exact
//! instruction counts, give or take a tick.
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;

/// Wraps of SysTick, which has 24 bits.
static WRAPS: AtomicU32 = AtomicU32::new(0);
const PERIOD: u64 = 1 << 24;

/// A running counter.
pub(crate) enum Clock {
    /// Cycles of the DWT unit.
    #[cfg_attr(not(cycles), allow(dead_code, reason = "the small cores have no such unit"))]
    Cycles,
    /// SysTick: 1/64 ns in a tick.
    Ticks(u64),
}

impl Clock {
    pub(crate) fn start() -> Clock {
        let Some(mut peripherals) = cortex_m::Peripherals::take() else { return Clock::Ticks(64 * 64) };
        #[cfg(cycles)]
        if counts_cycles(&mut peripherals) {
            return Clock::Cycles;
        }
        peripherals.SYST.set_clock_source(SystClkSource::Core);
        peripherals.SYST.set_reload(PERIOD as u32 - 1);
        peripherals.SYST.clear_current();
        peripherals.SYST.enable_interrupt();
        peripherals.SYST.enable_counter();
        const LOOPS: u32 = 1_000_000;
        let unit = Clock::Ticks(64 * 64);
        let ticks = unit.count(|| spin(LOOPS)) - unit.count(|| spin(1));
        let instructions = 2 * u64::from(LOOPS - 1);
        Clock::Ticks((instructions * 64 * 64 + ticks / 2) / ticks)
    }

    /// What is counted.
    pub(crate) const fn source(&self) -> &'static str {
        match self {
            Clock::Cycles => "dwt",
            Clock::Ticks(_) => "systick",
        }
    }

    /// Instructions that `work` takes (cycles, by DWT).
    pub(crate) fn count(&self, work: impl FnOnce()) -> u64 {
        match self {
            #[cfg(cycles)]
            Clock::Cycles => {
                let start = cortex_m::peripheral::DWT::cycle_count();
                work();
                u64::from(cortex_m::peripheral::DWT::cycle_count().wrapping_sub(start))
            }
            #[cfg(not(cycles))]
            Clock::Cycles => 0,
            Clock::Ticks(tick) => {
                let start = now();
                work();
                let ticks = now() - start;
                (ticks * tick + 32 * 64) / (64 * 64)
            }
        }
    }
}

/// Starts the cycle counter; whether it runs. QEMU has none.
#[cfg(cycles)]
fn counts_cycles(peripherals: &mut cortex_m::Peripherals) -> bool {
    use cortex_m::peripheral::DWT;
    peripherals.DCB.enable_trace();
    if !DWT::has_cycle_counter() {
        return false;
    }
    peripherals.DWT.enable_cycle_counter();
    let start = DWT::cycle_count();
    spin(100);
    DWT::cycle_count() != start
}

/// Ticks since the start.
fn now() -> u64 {
    loop {
        let wraps = WRAPS.load(Ordering::SeqCst);
        let left = SYST::get_current();
        if wraps == WRAPS.load(Ordering::SeqCst) {
            return u64::from(wraps) * PERIOD + (PERIOD - 1 - u64::from(left));
        }
    }
}

#[exception]
fn SysTick() {
    WRAPS.store(WRAPS.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
}

/// Two instructions a loop.
#[inline(never)]
#[allow(unsafe_code)]
fn spin(loops: u32) {
    // SAFETY: counts a register down.
    unsafe {
        core::arch::asm!("2: subs {0}, #1", "bne 2b", inout(reg) loops => _, options(nomem, nostack));
    }
}
