//! A fault says where and why, and the machine ends with a code.

use uk_arch::exceptions::{Frame, NAMES};

use crate::{exit, println};

/// The machine's end after a panic, and after a fault of the processor.
pub const PANIC: u8 = 101;
pub const FAULT: u8 = 102;

/// Tells of faults.
///
/// # Safety
/// Once, at the start.
pub unsafe fn install() {
    // SAFETY: the caller's.
    unsafe { uk_arch::exceptions::install(told) };
}

fn told(frame: &mut Frame) {
    if frame.vector >= 32 {
        // Whoever halts looks at the devices when it goes on; an interrupt only wakes it, and keeps further ones out: the device's
        // line stays up until it has been answered.
        frame.flags &= !uk_arch::exceptions::INTERRUPTS;
        uk_arch::apic::done();
        return;
    }
    let name = NAMES
        .get(frame.vector as usize)
        .copied()
        .unwrap_or("interrupt");
    println!(
        "fault: {name} at {:#x}, error {:#x}, stack {:#x}",
        frame.rip, frame.error, frame.rsp
    );
    if frame.vector == 14 {
        let how = match (frame.error & 16 != 0, frame.error & 2 != 0) {
            (true, _) => "run",
            (_, true) => "written",
            _ => "read",
        };
        println!("fault: {:#x} may not be {how}", uk_arch::faulting_address());
    }
    exit(FAULT);
}
