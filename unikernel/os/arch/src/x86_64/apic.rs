//! The local and the I/O interrupt controller (SDM, volume 3, chapter 11; Intel 82093AA).

use core::ptr::{read_volatile, write_volatile};

const LOCAL: usize = 0xfee0_0000;
const IO: usize = 0xfec0_0000;

const END_OF_INTERRUPT: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const TIMER: usize = 0x320;
const INITIAL: usize = 0x380;
const CURRENT: usize = 0x390;
const DIVIDE: usize = 0x3e0;
const BY_ONE: u32 = 0b1011;
const ENABLED: u32 = 1 << 8;

/// The vector of the timer.
pub const TIMER_VECTOR: u8 = 0x20;
/// The vector of all devices.
pub const DEVICE_VECTOR: u8 = 0x21;
const SPURIOUS_VECTOR: u8 = 0xff;

fn write(register: usize, value: u32) {
    // SAFETY: a register of the local APIC, mapped one to one.
    unsafe { write_volatile((LOCAL + register) as *mut u32, value) }
}

/// Turns the local controller on, with a timer that counts down once.
///
/// # Safety
/// The exceptions' table is loaded.
pub unsafe fn enable() {
    write(SPURIOUS, ENABLED | u32::from(SPURIOUS_VECTOR));
    write(DIVIDE, BY_ONE);
    write(TIMER, u32::from(TIMER_VECTOR));
}

/// Starts the timer; it interrupts when it is at zero. Nanoseconds on QEMU.
pub fn count_down(from: u32) {
    write(INITIAL, from);
}

/// What the timer has left to count.
pub fn left() -> u32 {
    // SAFETY: as in `write`.
    unsafe { read_volatile((LOCAL + CURRENT) as *const u32) }
}

/// Says that an interrupt was handled.
pub fn done() {
    write(END_OF_INTERRUPT, 0);
}

/// Lets a line of the I/O controller interrupt this processor.
///
/// # Safety
/// There is an I/O controller at the usual place.
pub unsafe fn route(line: u8, level: bool) {
    let entry = 0x10 + 2 * u32::from(line);
    let kind = if level { 1 << 15 } else { 0 };
    for (register, value) in [(entry + 1, 0), (entry, u32::from(DEVICE_VECTOR) | kind)] {
        // SAFETY: the select register, then the window.
        unsafe {
            write_volatile(IO as *mut u32, register);
            write_volatile((IO + 0x10) as *mut u32, value);
        }
    }
}
