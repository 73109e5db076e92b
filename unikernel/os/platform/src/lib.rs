//! QEMU's microvm and q35: console, faults, and the end with a code.
#![no_std]

pub mod console;
pub mod fault;
pub mod time;

use uk_arch::port;

/// QEMU's `isa-debug-exit`: the hypervisor ends with twice the code and one.
const EXIT: u16 = 0xf4;

/// Ends the machine.
pub fn exit(code: u8) -> ! {
    // SAFETY: the device ends the machine; where there is none, nothing happens.
    unsafe { port::write32(EXIT, u32::from(code)) };
    uk_arch::disable_interrupts();
    // Without the device: a fault that cannot be handled resets the machine, which QEMU's `-no-reboot` makes its end.
    loop {
        uk_arch::reset();
    }
}
