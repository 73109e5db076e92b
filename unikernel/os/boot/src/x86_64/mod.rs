//! The PVH entry (a "Xen" note of type 18), paging with W^X, segments.

use core::arch::global_asm;

use crate::start::{Region, Start};

/// The first 4 GiB are mapped.
const MAPPED: u64 = 4 << 30;

unsafe extern "C" {
    static image_start: u8;
    static image_end: u8;
}

unsafe extern "Rust" {
    /// The application.
    safe fn uk_start(start: Start) -> !;
}

#[unsafe(no_mangle)]
extern "C" fn boot_rust(info: u64, entered: u64) -> ! {
    let image = Region {
        start: &raw const image_start as u64,
        end: &raw const image_end as u64,
    };
    // SAFETY: this is the entry.
    match unsafe { Start::read(info, entered, image, MAPPED) } {
        Some(start) => uk_start(start),
        // Nobody can be told: the hypervisor is not one that we know.
        None => loop {
            uk_arch::halt();
        },
    }
}

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad boot_entry

    .section .bss.boot, "aw", @nobits
    .balign 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd: .skip 4096 * 4
boot_pt: .skip 4096 * 2            # the first 4 MiB in small pages: the image
    .balign 4096
boot_guard: .skip 4096              # not mapped: a stack that is full faults
boot_stack: .skip 65536
boot_stack_end:
boot_ist: .skip 16384
boot_ist_end:

    .section .data.boot, "aw"
    .balign 16
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff        # code, 64 bits
    .quad 0x00cf92000000ffff        # data
boot_gdt_task:
    .quad 0, 0                      # the task state's, filled in below
boot_gdt_end:
    .balign 16
boot_task:
    .skip 36
    .quad boot_ist_end              # IST 1
    .skip 60
boot_task_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

    .section .text.boot, "ax"
    .code32
    .global boot_entry
boot_entry:
    cld
    mov esp, offset boot_stack_end
    mov edi, ebx                    # the hypervisor's information
    rdtsc
    mov ebp, eax
    mov esi, edx

    # PML4 -> PDPT -> four PDs of large pages, writable and not executable.
    mov eax, offset boot_pdpt
    or eax, 3
    mov [boot_pml4], eax
    mov eax, offset boot_pd
    or eax, 3
    mov ecx, 0
2:  mov [boot_pdpt + ecx * 8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jne 2b
    mov ecx, 0
    mov eax, 0x83
3:  mov [boot_pd + ecx * 8], eax
    mov dword ptr [boot_pd + ecx * 8 + 4], 0x80000000
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jne 3b
    # The first 4 MiB in small pages.
    mov eax, offset boot_pt
    or eax, 3
    mov [boot_pd], eax
    mov dword ptr [boot_pd + 4], 0
    add eax, 4096
    mov [boot_pd + 8], eax
    mov dword ptr [boot_pd + 12], 0
    mov ecx, 0
    mov eax, 3
4:  mov ebx, eax
    mov edx, 0x80000000             # not executable
    cmp eax, offset image_start
    jb 5f
    cmp eax, offset image_rodata
    jae 6f
    and ebx, 0xfffffffd             # code is not writable
    xor edx, edx
    jmp 5f
6:  cmp eax, offset image_data
    jae 5f
    and ebx, 0xfffffffd             # constants neither
5:  mov [boot_pt + ecx * 8], ebx
    mov [boot_pt + ecx * 8 + 4], edx
    add eax, 4096
    inc ecx
    cmp ecx, 1024
    jne 4b
    # Nothing at address 0, and nothing below the stack.
    mov dword ptr [boot_pt], 0
    mov eax, offset boot_guard
    shr eax, 9
    mov dword ptr [boot_pt + eax], 0
    mov dword ptr [boot_pt + eax + 4], 0

    mov eax, cr4
    or eax, 0x620                   # PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov eax, offset boot_pml4
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x900                   # LME, NXE
    wrmsr
    mov eax, cr0
    and eax, 0xfffffffb             # EM
    or eax, 0x80010022              # PG, WP, NE, MP
    mov cr0, eax

    # The task state's descriptor: its base is in four pieces.
    mov eax, offset boot_task
    mov edx, eax
    shl edx, 16
    or edx, 103                     # its size less one
    mov [boot_gdt_task], edx
    mov edx, eax
    and edx, 0xff000000
    shr eax, 16
    and eax, 0xff
    or eax, edx
    or eax, 0x8900
    mov [boot_gdt_task + 4], eax
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset boot_long
    push eax
    retf

    .code64
boot_long:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    mov ax, 24
    ltr ax
    mov edi, edi
    shl rsi, 32
    mov ebp, ebp
    or rsi, rbp
    xor ebp, ebp
    mov rsp, offset boot_stack_end
    call boot_rust
    ud2
"#
);
