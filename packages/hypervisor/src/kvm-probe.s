# Firmware that tries whether an accelerator can run a modern kernel at its speed: real mode, protected mode, long mode with
# paging, an exception through an IDT, then 20,000,000 steps of a loop, and "done" to QEMU's isa-debug-exit. KVM inside some
# virtual machines exists, takes all of it, and emulates each instruction: Linux then needs hours to start, and the loop shows it.
# `as --64 kvm-probe.s -o kvm-probe.o && objcopy -O binary -j .text kvm-probe.o kvm-probe.bin` makes the 64 KiB image that
# kvm-probe-image.ts holds without its zeros; a spec compares the two.
.code16
.globl _start
_start:
  cli
  lgdtl %cs:gdt_pointer - _start
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  ljmpl $0x08, $(0xf0000 + protected - _start)
.code32
protected:
  movw $0x10, %ax
  movw %ax, %ds
  movw %ax, %es
  movw %ax, %ss
  movl $0x8000, %esp
  cld
  movl $0x1000, %edi
  xorl %eax, %eax
  movl $0xc00, %ecx
  rep stosl
  movl $0x2003, 0x1000
  movl $0x3003, 0x2000
  movl $0x0083, 0x3000
  movl $0x1000, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x20, %eax
  movl %eax, %cr4
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  ljmpl $0x18, $(0xf0000 + long - _start)
.code64
long:
  movq $0x4000, %rdi
  movl $(0xf0000 + handler - _start), %eax
  movw %ax, 96(%rdi)
  movw $0x18, 98(%rdi)
  movw $0x8e00, 100(%rdi)
  shrl $16, %eax
  movw %ax, 102(%rdi)
  movq $0, 104(%rdi)
  movw $0xff, -16(%rdi)
  movq %rdi, -14(%rdi)
  lidt -16(%rdi)
  ud2
handler:
  movl $20000000, %ecx
2: movl %ecx, (%rdi)
  loop 2b
  movl $0x10, %eax
  movw $0xf4, %dx
  outl %eax, %dx
1: hlt
  jmp 1b
.balign 8
gdt:
  .quad 0
  .quad 0x00cf9b000000ffff
  .quad 0x00cf93000000ffff
  .quad 0x00af9b000000ffff
gdt_pointer:
  .word gdt_pointer - gdt - 1
  .long 0xf0000 + gdt - _start
.org 0xfff0
  .code16
  .byte 0xe9
  .word _start - (. + 2)
.org 0x10000
