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
pub(crate) struct Clock {
    /// 1/64 ns in a tick.
    tick: u64,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        if let Some(mut peripherals) = cortex_m::Peripherals::take() {
            peripherals.SYST.set_clock_source(SystClkSource::Core);
            peripherals.SYST.set_reload(PERIOD as u32 - 1);
            peripherals.SYST.clear_current();
            peripherals.SYST.enable_interrupt();
            peripherals.SYST.enable_counter();
        }
        let mut clock = Clock { tick: 64 * 64 };
        const LOOPS: u32 = 1_000_000;
        let ticks = clock.count(|| spin(LOOPS)) - clock.count(|| spin(1));
        let instructions = 2 * u64::from(LOOPS - 1);
        clock.tick = (instructions * 64 * 64 + ticks / 2) / ticks;
        clock
    }

    /// What is counted.
    pub(crate) const fn source(&self) -> &'static str {
        "systick"
    }

    /// Instructions that `work` takes.
    pub(crate) fn count(&self, work: impl FnOnce()) -> u64 {
        let start = now();
        work();
        let ticks = now() - start;
        (ticks * self.tick + 32 * 64) / (64 * 64)
    }
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
