# The small guest: one boot sector that keeps a pattern in memory and reports on COM1 about every 10 ms.
#
# Memory from 64 KiB to 576 KiB (128 pages of 4 KiB) holds the output of a linear congruential generator. The seed of a page is
# its pass number and its segment, and the generator is a bijection: a page that is stale, lost or misplaced differs in every word.
# On each tick four pages are verified and rewritten for the next pass, so all of the region is checked every 32 ticks, and a
# migration always has dirty pages to send. A page found wrong once makes every later line say BAD.
#
# One line per tick: T<8 hex digits> P<4 hex digits> OK|BAD\n. T counts lines, so consecutive lines differ by exactly one: a guest
# that lost time, ran twice or went back shows it. P is the pass of the page that comes next: pass 1 from tick 32, pass 2 from tick 64.
#
# It switches the machine off at the press of its power button, or at a q on COM1; SeaBIOS puts the registers of ACPI at the same place on
# q35 and pc. A w on COM1 makes it write its own sector to the disk's second page, by the BIOS; it ticks on once that is written. A p
# makes it tell that it panics, to a pvpanic when the machine has one.
#
# Variables and stack live in pages of their own: a write into the page of running code makes TCG translate it again.

.intel_syntax noprefix
.code16
.globl _start

.equ STACK_TOP, 0x6000
.equ counter, 0x6000            # 32 bits: lines printed
.equ position, 0x6004           # 32 bits: pass in the upper half, segment of the next page in the lower
.equ verdict, 0x6008            # 8 bits: 0 while every page was right
.equ ticked, 0x6009             # 8 bits: set by the timer

.equ FIRST_SEGMENT, 0x1000
.equ END_SEGMENT, 0x9000
.equ PAGE_PARAGRAPHS, 0x100
.equ PAGE_WORDS, 1024
.equ PAGES, (END_SEGMENT - FIRST_SEGMENT) / PAGE_PARAGRAPHS
.equ PAGES_PER_TICK, 4
.equ MULTIPLIER, 1664525
.equ INCREMENT, 1013904223

.equ COM1, 0x3f8
.equ PM1A_STATUS, 0x600
.equ PM1A_ENABLE, 0x602
.equ PM1A_CONTROL, 0x604
.equ POWER_BUTTON, 0x100
.equ SLEEP_S5, 0x2000           # the bit that enters a sleep state, and the type of soft-off
.equ PVPANIC, 0x505
.equ PANICKED, 1
.equ WRITE_ONE_SECTOR, 0x0301
.equ FIRST_DISK, 0x80
.equ SECOND_PAGE, 9             # sector 9 of cylinder 0, counted from 1
.equ TIMER_DIVISOR, 11932       # 1,193,182 Hz / 11,932 = 100 Hz

_start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, STACK_TOP

    mov dword ptr [counter], 0
    mov dword ptr [position], 0xffff0000 + FIRST_SEGMENT
    mov word ptr [verdict], 0

    # COM1: 115,200 baud, 8N1, no interrupts, no FIFO.
    mov dx, COM1 + 3
    mov al, 0x80
    out dx, al
    mov dx, COM1
    mov ax, 1
    out dx, al
    inc dx
    mov al, ah
    out dx, al
    inc dx
    out dx, al
    inc dx
    mov al, 3
    out dx, al
    inc dx
    out dx, al

    # QEMU notes a press of the button only for a guest that has asked for it.
    mov dx, PM1A_ENABLE
    mov ax, POWER_BUTTON
    out dx, ax

    # The timer is the only interrupt: nothing else wakes the processor.
    mov word ptr [8 * 4], offset tick
    mov word ptr [8 * 4 + 2], 0
    mov al, 0xfe
    out 0x21, al
    mov al, 0xff
    out 0xa1, al
    mov al, 0x34
    out 0x43, al
    mov ax, TIMER_DIVISOR
    out 0x40, al
    mov al, ah
    out 0x40, al

    # The first fill is a walk whose verdict does not count.
    mov bp, PAGES
    call walk
    mov byte ptr [verdict], 0
    sti

forever:
    cli
    cmp byte ptr [ticked], 0
    jne work
    sti                         # takes effect after hlt has begun, so no tick is slept over
    hlt
    jmp forever
work:
    mov byte ptr [ticked], 0
    sti
    mov bp, PAGES_PER_TICK
    call walk
    inc dword ptr [counter]
    call report
    mov dx, PM1A_STATUS
    in ax, dx
    test ax, POWER_BUTTON
    jnz power_off
    mov dx, COM1 + 5
    in al, dx
    test al, 1
    jz forever
    mov dx, COM1
    in al, dx
    cmp al, 'q'
    je power_off
    cmp al, 'w'
    je write
    cmp al, 'p'
    jne forever
    mov dx, PVPANIC
    mov al, PANICKED
    out dx, al
    jmp forever
power_off:
    mov dx, PM1A_CONTROL
    mov ax, SLEEP_S5
    out dx, ax
    jmp forever
write:
    push ds
    pop es
    mov bx, offset _start
    mov ax, WRITE_ONE_SECTOR
    mov cx, SECOND_PAGE
    mov dx, FIRST_DISK
    int 0x13
    jmp forever

tick:
    mov byte ptr cs:[ticked], 1
    push ax
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

# Verifies and rewrites BP pages.
walk:
    mov eax, [position]
    mov es, ax
    lea ebx, [eax + 0x10000]
    xor di, di
    mov cx, PAGE_WORDS
each_word:
    imul eax, eax, MULTIPLIER
    add eax, INCREMENT
    imul ebx, ebx, MULTIPLIER
    add ebx, INCREMENT
    cmp es:[di], eax
    je right
    mov byte ptr [verdict], 1
right:
    mov es:[di], ebx
    add di, 4
    loop each_word

    add word ptr [position], PAGE_PARAGRAPHS
    cmp word ptr [position], END_SEGMENT
    jne same_pass
    mov word ptr [position], FIRST_SEGMENT
    inc word ptr [position + 2]
same_pass:
    dec bp
    jnz walk
    ret

report:
    mov al, 'T'
    call put
    mov ebp, [counter]
    mov cx, 8
    call put_hex
    mov al, ' '
    call put
    mov al, 'P'
    call put
    mov ebp, [position]
    mov cx, 4
    call put_hex
    mov si, offset ok
    cmp byte ptr [verdict], 0
    je put_text
    mov si, offset bad
put_text:
    lodsb
    call put
    cmp al, '\n'
    jne put_text
    ret

# Prints CX hex digits from the top of EBP.
put_hex:
    rol ebp, 4
    mov ax, bp
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe digit
    add al, 'a' - '9' - 1
digit:
    call put
    loop put_hex
    ret

# Prints AL and keeps it. While the host takes nothing, the processor sleeps instead of spinning.
put:
    mov ah, al
wait_for_line:
    mov dx, COM1 + 5
    in al, dx
    test al, 0x20
    jnz ready
    hlt
    jmp wait_for_line
ready:
    mov dx, COM1
    mov al, ah
    out dx, al
    ret

ok:
    .ascii " OK\n"
bad:
    .ascii " BAD\n"

.org 510
    .word 0xaa55
