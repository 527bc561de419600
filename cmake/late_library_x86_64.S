// An archive that stands in for the shared library LATE_LIBRARY, see EmulsionLate.cmake.  Each of
// its functions jumps to where its slot points: at first to the code that asks for the address.
// `late_function NAME` lines are in LATE_FUNCTIONS.

.macro late_function name
  .section .text.\name, "ax", @progbits
  .hidden \name
  .globl \name
  .type \name, @function
\name:
  jmp *.Lslot\@(%rip)
.Lfirst_call\@:
  lea .Lname\@(%rip), %r10
  lea .Lslot\@(%rip), %r11
  jmp find
  .size \name, . - \name

  .section .data.\name, "aw", @progbits
  .balign 8
.Lslot\@:
  .quad .Lfirst_call\@

  .section .rodata.\name, "a", @progbits
.Lname\@:
  .asciz "\name"
.endm

#include LATE_FUNCTIONS

// Fills the slot (%r11) of the function (name: %r10), and goes on there with the caller's arguments,
// which the System V ABI has in these registers.
  .text
  .type find, @function
find:
  .cfi_startproc
  push %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  mov %rsp, %rbp
  .cfi_def_cfa_register %rbp
  push %rdi
  push %rsi
  push %rdx
  push %rcx
  push %r8
  push %r9
  push %rax
  push %r11
  sub $128, %rsp
  movups %xmm0, (%rsp)
  movups %xmm1, 16(%rsp)
  movups %xmm2, 32(%rsp)
  movups %xmm3, 48(%rsp)
  movups %xmm4, 64(%rsp)
  movups %xmm5, 80(%rsp)
  movups %xmm6, 96(%rsp)
  movups %xmm7, 112(%rsp)
  lea .Llibrary(%rip), %rdi
  mov %r10, %rsi
  call emulsion_late_function@PLT
  mov %rax, %r10
  movups (%rsp), %xmm0
  movups 16(%rsp), %xmm1
  movups 32(%rsp), %xmm2
  movups 48(%rsp), %xmm3
  movups 64(%rsp), %xmm4
  movups 80(%rsp), %xmm5
  movups 96(%rsp), %xmm6
  movups 112(%rsp), %xmm7
  add $128, %rsp
  pop %r11
  pop %rax
  pop %r9
  pop %r8
  pop %rcx
  pop %rdx
  pop %rsi
  pop %rdi
  pop %rbp
  .cfi_def_cfa %rsp, 8
  mov %r10, (%r11)
  jmp *%r10
  .cfi_endproc
  .size find, . - find

  .section .rodata
.Llibrary:
  .asciz LATE_LIBRARY

  .section .note.GNU-stack, "", @progbits
