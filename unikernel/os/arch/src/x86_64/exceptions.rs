//! Exceptions and interrupts: a table of 256 entries that all lead to one function.
//!
//! Every entry runs on a stack of its own (IST 1): the compiled core library keeps data below the stack pointer (the red zone), and a
//! fault on a full stack must still be told.

use core::arch::global_asm;
use core::mem::size_of;

/// What the processor and the entry leave on the stack.
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    /// r15, r14, …, rax as pushed.
    pub registers: [u64; 15],
    /// Which of the 256.
    pub vector: u64,
    /// What the processor says about the cause, 0 where it says nothing.
    pub error: u64,
    /// Where it happened.
    pub rip: u64,
    pub cs: u64,
    pub flags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// The flag that lets interrupts in.
pub const INTERRUPTS: u64 = 1 << 9;

/// Called with interrupts off, on the exception stack.
pub type Handler = fn(&mut Frame);

/// Exceptions with an error code (SDM, volume 3, table 6-1).
pub const NAMES: [&str; 32] = [
    "division by zero",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid instruction",
    "no floating point unit",
    "double fault",
    "coprocessor overrun",
    "invalid task state",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "floating point",
    "alignment",
    "machine check",
    "SIMD floating point",
    "virtualization",
    "control protection",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "hypervisor",
    "VMM communication",
    "security",
    "reserved",
];

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Gate {
    offset_low: u16,
    selector: u16,
    stack: u8,
    kind: u8,
    offset_middle: u16,
    offset_high: u32,
    reserved: u32,
}

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

const ABSENT: Gate = Gate {
    offset_low: 0,
    selector: 0,
    stack: 0,
    kind: 0,
    offset_middle: 0,
    offset_high: 0,
    reserved: 0,
};
const INTERRUPT_GATE: u8 = 0x8e;
/// The code segment of the table that the boot code loads.
const CODE: u16 = 8;

static mut TABLE: [Gate; 256] = [ABSENT; 256];
static mut HANDLER: Option<Handler> = None;

unsafe extern "C" {
    /// 256 entries of 16 bytes each.
    static exception_entries: u8;
}

/// Sends all exceptions and interrupts to `handler`.
///
/// # Safety
/// Once, before interrupts are let in; the boot code's segments are loaded.
pub unsafe fn install(handler: Handler) {
    let base = &raw const exception_entries as u64;
    for vector in 0..256_u64 {
        let entry = base + vector * 16;
        let gate = Gate {
            offset_low: entry as u16,
            selector: CODE,
            stack: 1,
            kind: INTERRUPT_GATE,
            offset_middle: (entry >> 16) as u16,
            offset_high: (entry >> 32) as u32,
            reserved: 0,
        };
        // SAFETY: one processor, and nobody else writes the table.
        unsafe { TABLE[vector as usize] = gate };
    }
    let pointer = Pointer {
        limit: (256 * size_of::<Gate>() - 1) as u16,
        base: &raw const TABLE as u64,
    };
    // SAFETY: the table is complete and lives forever.
    unsafe {
        HANDLER = Some(handler);
        core::arch::asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack));
    }
}

#[unsafe(no_mangle)]
extern "C" fn exception_handle(frame: &mut Frame) {
    // SAFETY: set before the table was loaded, and not after.
    if let Some(handler) = unsafe { HANDLER } {
        handler(frame);
    }
}

global_asm!(
    r#"
    .section .text.exceptions, "ax"
    .balign 16
    .global exception_entries
exception_entries:
    .set vector, 0
    .rept 256
        .balign 16
        .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
        .else
            push 0
        .endif
        push vector
        jmp exception_common
        .set vector, vector + 1
    .endr
exception_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rdi, rsp
    mov rbx, rsp
    sub rsp, 512
    and rsp, -16
    fxsave64 [rsp]
    cld
    call exception_handle
    fxrstor64 [rsp]
    mov rsp, rbx
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16
    iretq
"#
);
