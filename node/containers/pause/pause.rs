//! The program that keeps a pod's sandbox alive: it waits, reaps orphans, and exits on SIGTERM or SIGINT.
//!
//! Built by the crate's `build.rs` as a static program of its own with neither std nor libc. Know before changing: as a first process
//! it must not rely on default actions of signals, since the kernel discards those for process 1. It therefore blocks the
//! signals and fetches them one by one, and needs no handler.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

const SIGINT: usize = 2;
const SIGTERM: usize = 15;
const SIGCHLD: usize = 17;
const WNOHANG: usize = 1;
const SIG_BLOCK: usize = 0;

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const EXIT: usize = 60;
    pub const WAIT4: usize = 61;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const RT_SIGTIMEDWAIT: usize = 128;
}

#[cfg(target_arch = "aarch64")]
mod nr {
    pub const EXIT: usize = 93;
    pub const WAIT4: usize = 260;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
}

#[cfg(target_arch = "arm")]
mod nr {
    pub const EXIT: usize = 1;
    pub const WAIT4: usize = 114;
    pub const RT_SIGPROCMASK: usize = 175;
    pub const RT_SIGTIMEDWAIT: usize = 177;
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "and rsp, -16", "call {main}", main = sym main);
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
global_asm!(".globl _start", "_start:", "bl {main}", main = sym main);

/// SAFETY: the caller passes what the kernel expects of this call: pointers, if any, to memory it owns.
#[cfg(target_arch = "x86_64")]
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result;
    // SAFETY: `syscall` clobbers rcx and r11 only; memory is what the caller vouches for.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// SAFETY: as above.
#[cfg(target_arch = "aarch64")]
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result;
    // SAFETY: `svc 0` changes x0 only; memory is what the caller vouches for.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
             options(nostack));
    }
    result
}

/// SAFETY: as above.
#[cfg(target_arch = "arm")]
unsafe fn syscall(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result;
    // SAFETY: r7 may be the frame pointer, so it is saved by hand; `svc 0` changes r0 only.
    unsafe {
        asm!("mov {saved}, r7", "mov r7, {number}", "svc 0", "mov r7, {saved}", saved = out(reg) _, number = in(reg) number,
             inlateout("r0") a as isize => result, in("r1") b, in("r2") c, in("r3") d, options(nostack));
    }
    result
}

extern "C" fn main() -> ! {
    let set: u64 = 1 << (SIGINT - 1) | 1 << (SIGTERM - 1) | 1 << (SIGCHLD - 1);
    let set = core::ptr::from_ref(&set) as usize;
    // SAFETY: `set` outlives the loop; 8 is the size of the kernel's signal set on every architecture above.
    unsafe { syscall(nr::RT_SIGPROCMASK, SIG_BLOCK, set, 0, 8) };
    loop {
        // SAFETY: no information and no timeout are asked for.
        let signal = unsafe { syscall(nr::RT_SIGTIMEDWAIT, set, 0, 0, 8) };
        if signal == SIGINT as isize || signal == SIGTERM as isize {
            // SAFETY: does not return.
            unsafe { syscall(nr::EXIT, 0, 0, 0, 0) };
        }
        // One SIGCHLD may stand for many.
        // SAFETY: no status and no usage are asked for.
        while unsafe { syscall(nr::WAIT4, usize::MAX, 0, WNOHANG, 0) } > 0 {}
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
