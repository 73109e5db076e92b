//! What the compiler calls for copies and comparisons.
//!
//! In assembly, for a compiler that sees a loop that copies makes it a call of `memcpy`. Sixteen bytes at a time: `rep movs` is fast on
//! a processor but slow where one is emulated.

use core::arch::global_asm;

global_asm!(
    r#"
    .macro function name
    .section .text.\name, "ax"
    .balign 16
    .global \name
\name:
    .endm

    function memcpy
    mov rax, rdi
    cmp rdx, 64
    jb 2f
1:  movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    sub rdx, 64
    cmp rdx, 64
    jae 1b
2:  cmp rdx, 8
    jb 4f
3:  mov rcx, [rsi]
    mov [rdi], rcx
    add rsi, 8
    add rdi, 8
    sub rdx, 8
    cmp rdx, 8
    jae 3b
4:  test rdx, rdx
    je 6f
5:  mov cl, [rsi]
    mov [rdi], cl
    inc rsi
    inc rdi
    dec rdx
    jne 5b
6:  ret

    function memmove
    mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jae memcpy                       # the destination begins before, or after the end
    mov rax, rdi
    add rsi, rdx
    add rdi, rdx
    cmp rdx, 16
    jb 2f
1:  movups xmm0, [rsi - 16]
    movups [rdi - 16], xmm0
    sub rsi, 16
    sub rdi, 16
    sub rdx, 16
    cmp rdx, 16
    jae 1b
2:  test rdx, rdx
    je 4f
3:  dec rsi
    dec rdi
    mov cl, [rsi]
    mov [rdi], cl
    dec rdx
    jne 3b
4:  ret

    function memset
    mov rax, rdi
    movzx ecx, sil
    mov r8, 0x0101010101010101
    imul rcx, r8
    cmp rdx, 32
    jb 2f
    movq xmm0, rcx
    punpcklqdq xmm0, xmm0
1:  movups [rdi], xmm0
    movups [rdi + 16], xmm0
    add rdi, 32
    sub rdx, 32
    cmp rdx, 32
    jae 1b
2:  cmp rdx, 8
    jb 4f
3:  mov [rdi], rcx
    add rdi, 8
    sub rdx, 8
    cmp rdx, 8
    jae 3b
4:  test rdx, rdx
    je 6f
5:  mov [rdi], cl
    inc rdi
    dec rdx
    jne 5b
6:  ret

    function bcmp
    jmp memcmp

    function memcmp
    cmp rdx, 8
    jb 2f
1:  mov rax, [rsi]
    cmp rax, [rdi]
    jne 2f                           # which byte differs is found below
    add rsi, 8
    add rdi, 8
    sub rdx, 8
    cmp rdx, 8
    jae 1b
2:  test rdx, rdx
    je 4f
3:  movzx eax, byte ptr [rdi]
    movzx ecx, byte ptr [rsi]
    sub eax, ecx
    jne 5f
    inc rsi
    inc rdi
    dec rdx
    jne 3b
4:  xor eax, eax
5:  ret

    function strlen
    xor eax, eax
1:  cmp byte ptr [rdi + rax], 0
    je 2f
    inc rax
    jmp 1b
2:  ret
"#
);
