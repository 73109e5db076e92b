//! x86-64 (Intel SDM, AMD APM).

pub mod apic;
pub mod exceptions;
mod memory;
pub mod port;

use core::arch::asm;

/// Cycles since the machine started.
#[inline]
pub fn cycles() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Waits for an interrupt. With interrupts off this waits forever.
#[inline]
pub fn halt() {
    // SAFETY: stops until an interrupt; memory is not touched.
    unsafe { asm!("hlt", options(nomem, nostack, preserves_flags)) }
}

/// Lets interrupts in and waits for one, with no gap between in which one could be missed.
#[inline]
pub fn enable_and_halt() {
    // SAFETY: `sti` takes effect after the next instruction, which is the `hlt`.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) }
}

/// Keeps interrupts out.
#[inline]
pub fn disable_interrupts() {
    // SAFETY: only delays interrupts.
    unsafe { asm!("cli", options(nostack)) }
}

/// The value of a model-specific register.
///
/// # Safety
/// The register must exist.
#[inline]
pub unsafe fn read_msr(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's.
    unsafe {
        asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Sets a model-specific register.
///
/// # Safety
/// The register must exist, and the value must not break what the program relies on.
#[inline]
pub unsafe fn write_msr(msr: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the caller's.
    unsafe { asm!("wrmsr", in("ecx") msr, in("eax") low, in("edx") high, options(nostack)) };
}

/// The address whose access failed last.
pub fn faulting_address() -> u64 {
    let address;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack)) };
    address
}

/// Resets the machine: a fault without anyone to handle it.
pub fn reset() {
    let nothing = [0_u8; 10];
    // SAFETY: nothing is left that could be harmed.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &raw const nothing, options(nostack)) };
}
