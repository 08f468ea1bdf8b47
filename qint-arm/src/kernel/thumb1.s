@ Cortex-M0, M0+, M23 (the small Thumb instruction set): exact integer sums of one activation block, sixteen rows, four
@ at a time.
@
@ The arithmetic is that of thumb2.s, as is the stream. Here only r0-r7 can do everything; r8-r15 can be added to, so they
@ hold the sums.
@
@ r0-r3 activations, r4 and r5 weights, r6 mask, r7 codes, r8-r11 sums, r12 the stream, lr a spare.
@
@ void f(codes r0, sub-scales r1, stream r2, sums r3)

    .macro qint_read first, last
    mov     r5, r12
    ldmia   r5!, {\first-\last}
    mov     r12, r5
    .endm

    .macro qint_field acc, x, k
    .if \k
    lsrs    r5, r4, #\k
    ands    r5, r6
    muls    r5, \x, r5
    add     \acc, r5
    .else                               @ the last use of the word
    ands    r4, r6
    muls    r4, \x, r4
    add     \acc, r4
    .endif
    .endm

    .macro qint_swar_row acc, row, k0, k1, k2, k3
    ldr     r4, [r7, #(4 * \row)]
    qint_field \acc, r1, \k1
    qint_field \acc, r2, \k2
    qint_field \acc, r3, \k3
    qint_field \acc, r0, \k0
    .endm

    .macro qint_q8_row acc, row, k0, k1, k2, k3
    ldr     r4, [r7, #(4 * \row)]
    lsrs    r5, r4, #8
    ands    r5, r6
    muls    r5, r2, r5
    adds    r5, r5, r3
    asrs    r5, r5, #16
    add     \acc, r5
    ands    r4, r6
    muls    r4, r0, r4
    adds    r4, r4, r1
    asrs    r4, r4, #16
    add     \acc, r4
    .endm

    .macro qint_four_rows row, k0=0, k1=0, k2=0, k3=0
    qint_read r0, r3
    \row    r8, 0, \k0, \k1, \k2, \k3
    \row    r9, 1, \k0, \k1, \k2, \k3
    \row    r10, 2, \k0, \k1, \k2, \k3
    \row    r11, 3, \k0, \k1, \k2, \k3
    .endm

    .macro qint_q8_vector
    qint_four_rows qint_q8_row
    adds    r7, #64
    .endm

    .macro qint_q4_vector
    qint_four_rows qint_swar_row, 0, 4, 8, 12
    adds    r7, #64
    .endm

    .macro qint_q2_vector
    qint_four_rows qint_swar_row, 0, 2, 4, 6
    qint_four_rows qint_swar_row, 8, 10, 12, 14
    adds    r7, #64
    .endm

    .macro qint_q1_vector
    qint_four_rows qint_swar_row, 0, 1, 2, 3
    qint_four_rows qint_swar_row, 4, 5, 6, 7
    qint_four_rows qint_swar_row, 8, 9, 10, 11
    qint_four_rows qint_swar_row, 12, 13, 14, 15
    adds    r7, #64
    .endm

    .macro qint_add_scaled acc, row, shift
    sxtb    r3, r2
    mov     r0, \acc
    .if \shift
    asrs    r0, r0, #\shift
    .endif
    muls    r0, r3, r0
    ldr     r4, [sp, #(4 * \row)]
    adds    r4, r4, r0
    str     r4, [sp, #(4 * \row)]
    .if \row < 3
    lsrs    r2, r2, #8
    .endif
    .endm

@ Frame: 0 four sums, 16 sub-scales, 20 codes, 24 stream, 28 output, 32 its end.
    .macro qint_thumb name, mask, shift, vectors, vector
    qint_begin \name
    push    {r4-r7, lr}
    mov     r4, r8
    mov     r5, r9
    mov     r6, r10
    mov     r7, r11
    push    {r4-r7}
    sub     sp, #36
    str     r1, [sp, #16]
    str     r0, [sp, #20]
    str     r2, [sp, #24]
    str     r3, [sp, #28]
    adds    r3, #64
    str     r3, [sp, #32]
    movs    r6, #\mask
    lsls    r5, r6, #16
    orrs    r6, r5
2:                                      @ four rows
    ldr     r7, [sp, #20]
    ldr     r0, [sp, #24]
    mov     r12, r0
    movs    r0, #0
    str     r0, [sp, #0]
    str     r0, [sp, #4]
    str     r0, [sp, #8]
    str     r0, [sp, #12]
3:                                      @ 32 columns
    qint_read r0, r3
    mov     r8, r0
    mov     r9, r1
    mov     r10, r2
    mov     r11, r3
    .rept \vectors
    \vector
    .endr
    qint_read r0, r1                    @ where the sub-scales are, and whether there are more columns
    mov     lr, r1
    ldr     r2, [sp, #16]
    ldr     r2, [r2, r0]
    qint_add_scaled r8, 0, \shift
    qint_add_scaled r9, 1, \shift
    qint_add_scaled r10, 2, \shift
    qint_add_scaled r11, 3, \shift
    mov     r0, lr
    cmp     r0, #0
    beq     4f
    b       3b
4:                                      @ the block is done
    ldr     r0, [sp, #28]
    ldr     r1, [sp, #0]
    ldr     r2, [sp, #4]
    ldr     r3, [sp, #8]
    stmia   r0!, {r1-r4}                @ r4 still holds the last sum
    str     r0, [sp, #28]
    ldr     r1, [sp, #16]
    adds    r1, #4
    str     r1, [sp, #16]
    ldr     r1, [sp, #20]
    adds    r1, #16
    str     r1, [sp, #20]
    ldr     r1, [sp, #32]
    cmp     r0, r1
    beq     5f
    b       2b
5:
    add     sp, #36
    pop     {r4-r7}
    mov     r8, r4
    mov     r9, r5
    mov     r10, r6
    mov     r11, r7
    pop     {r4-r7, pc}
    .size   \name, . - \name
    .endm

    qint_thumb qint_thumb_q8, 0xff, 0, 8, qint_q8_vector
    qint_thumb qint_thumb_q4_linear, 0x0f, 16, 4, qint_q4_vector
    qint_thumb qint_thumb_q2_linear, 0x03, 16, 2, qint_q2_vector
    qint_thumb qint_thumb_q1, 0x01, 16, 1, qint_q1_vector

    .text
