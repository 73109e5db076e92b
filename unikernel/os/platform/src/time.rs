//! Time since the start, by the processor's cycles.
//!
//! How many cycles a second has is not told by every hypervisor; the local APIC's timer counts nanoseconds on QEMU with TCG and with
//! KVM. Both are read at the start and again when the time is asked for, so that nobody waits.

use core::sync::atomic::{AtomicU64, Ordering};

use uk_arch::{apic, cycles};

static STARTED: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds in 2^32 cycles, once enough time has gone by to know.
static RATE: AtomicU64 = AtomicU64::new(0);
/// Two milliseconds of the timer: the ratio is then right to a thousandth.
const ENOUGH: u32 = 2_000_000;

/// Starts the clock.
///
/// # Safety
/// Once, with the local APIC mapped.
pub unsafe fn start() {
    // SAFETY: the caller's.
    unsafe { apic::enable() };
    apic::count_down(u32::MAX);
    STARTED.store(cycles(), Ordering::Relaxed);
}

/// Nanoseconds since the start.
pub fn nanoseconds() -> u64 {
    let passed = cycles() - STARTED.load(Ordering::Relaxed);
    let rate = RATE.load(Ordering::Relaxed);
    if rate != 0 {
        return ((u128::from(passed) * u128::from(rate)) >> 32) as u64;
    }
    let counted = u32::MAX - apic::left();
    if counted >= ENOUGH {
        RATE.store((u64::from(counted) << 32) / passed, Ordering::Relaxed);
    }
    u64::from(counted)
}

/// Waits for an interrupt, `most` nanoseconds at most.
pub fn sleep(most: u64) {
    if RATE.load(Ordering::Relaxed) == 0 {
        // The timer is still the clock.
        nanoseconds();
        return;
    }
    apic::count_down(u32::try_from(most).unwrap_or(u32::MAX).max(1));
    uk_arch::enable_and_halt();
}
