@ Cortex-M3 (no DSP extension): exact integer sums of one activation block, sixteen rows, four at a time.
@
@     for every 32 columns:
@         acc  = header (the offset for the codec's bias, and the rounding of point 2)
@         acc += two codes · two activations                            (one 32-bit multiplication)
@         sum += (acc >> 16) · sub-scale
@
@ 1. (w0 + w2·2^16) · (a2 + a0·2^16) = w0·a2 + (w0·a0 + w2·a2)·2^16 modulo 2^32: two products in one. Their sum over 32
@    columns, the offset included, fits the upper sixteen bits (swar.rs), whatever wraps around on the way.
@ 2. The lower sixteen bits are left over and may be negative: 2^15 in the header rounds them away.
@ 3. q8 has room for two products only: each pair of columns is corrected, shifted and added alone.
@ 4. r0-r3 sums, r4 mask, r5-r8 activations, r9-r11 weights, r12 codes, lr the stream of activations.
@
@ void f(codes r0, sub-scales r1, stream r2, sums r3)

@ One row's word meets four words of activations, at four bit positions.
    .macro qint_swar_field acc, w, x, k
    .if \k
    and     r11, r4, \w, lsr #\k
    .else
    and     r11, r4, \w
    .endif
    mla     \acc, r11, \x, \acc
    .endm

    .macro qint_swar_row acc, w, k0, k1, k2, k3
    qint_swar_field \acc, \w, r5, \k0
    qint_swar_field \acc, \w, r6, \k1
    qint_swar_field \acc, \w, r7, \k2
    qint_swar_field \acc, \w, r8, \k3
    .endm

    .macro qint_q8_row acc, w, k0, k1, k2, k3
    and     r11, r4, \w, lsr #8
    mla     r11, r11, r7, r8
    add     \acc, \acc, r11, asr #16
    and     r11, r4, \w
    mla     r11, r11, r5, r6
    add     \acc, \acc, r11, asr #16
    .endm

@ Four rows meet four words of activations: of the next vector, or again of the same.
    .macro qint_four_rows row, next, k0=0, k1=0, k2=0, k3=0
    ldmia   lr!, {r5-r8}
    .if \next
    ldrd    r9, r10, [r12, #64]!
    .else
    ldrd    r9, r10, [r12]
    .endif
    \row    r0, r9, \k0, \k1, \k2, \k3
    \row    r1, r10, \k0, \k1, \k2, \k3
    ldrd    r9, r10, [r12, #8]
    \row    r2, r9, \k0, \k1, \k2, \k3
    \row    r3, r10, \k0, \k1, \k2, \k3
    .endm

    .macro qint_q8_vector
    qint_four_rows qint_q8_row, 1
    .endm

    .macro qint_q4_vector
    qint_four_rows qint_swar_row, 1, 0, 4, 8, 12
    .endm

    .macro qint_q2_vector
    qint_four_rows qint_swar_row, 1, 0, 2, 4, 6
    qint_four_rows qint_swar_row, 0, 8, 10, 12, 14
    .endm

    .macro qint_q1_vector
    qint_four_rows qint_swar_row, 1, 0, 1, 2, 3
    qint_four_rows qint_swar_row, 0, 4, 5, 6, 7
    qint_four_rows qint_swar_row, 0, 8, 9, 10, 11
    qint_four_rows qint_swar_row, 0, 12, 13, 14, 15
    .endm

    .macro qint_add_scaled acc, sum, byte, shift
    .if \shift
    asr     \acc, \acc, #\shift
    .endif
    .if \byte == 3
    asr     r5, r7, #24
    .elseif \byte
    sxtb    r5, r7, ror #(8 * \byte)
    .else
    sxtb    r5, r7
    .endif
    mla     \sum, \acc, r5, \sum
    .endm

@ Frame: 0 four sums, 16 sub-scales, 20 codes, 24 stream, 28 output, 32 its end.
    .macro qint_thumb name, mask, shift, vectors, vector
    qint_begin \name
    push    {r4-r11, lr}
    sub     sp, #36
    mov     r4, #\mask
    sub     r0, #64
    add     r5, r3, #64
    strd    r1, r0, [sp, #16]
    strd    r2, r3, [sp, #24]
    str     r5, [sp, #32]
2:                                      @ four rows
    ldr     r12, [sp, #20]
    ldr     lr, [sp, #24]
    movs    r6, #0
    movs    r7, #0
    strd    r6, r7, [sp]
    strd    r6, r7, [sp, #8]
3:                                      @ 32 columns
    ldmia   lr!, {r0-r3}
    .rept \vectors
    \vector
    .endr
    ldrd    r5, r6, [lr], #8            @ where the sub-scales are, and whether there are more columns
    ldr     r7, [sp, #16]
    ldr     r7, [r7, r5]
    ldmia   sp, {r8-r11}
    qint_add_scaled r0, r8, 0, \shift
    qint_add_scaled r1, r9, 1, \shift
    qint_add_scaled r2, r10, 2, \shift
    qint_add_scaled r3, r11, 3, \shift
    stmia   sp, {r8-r11}
    cmp     r6, #0
    bne     3b
    ldrd    r0, r1, [sp, #28]           @ the block is done
    stmia   r0!, {r8-r11}
    ldrd    r2, r3, [sp, #16]
    adds    r2, #4
    adds    r3, #16
    strd    r2, r3, [sp, #16]
    str     r0, [sp, #28]
    cmp     r0, r1
    bne     2b
    add     sp, #36
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

    qint_thumb qint_thumb_q8, 0x00ff00ff, 0, 8, qint_q8_vector
    qint_thumb qint_thumb_q4_linear, 0x000f000f, 16, 4, qint_q4_vector
    qint_thumb qint_thumb_q2_linear, 0x00030003, 16, 2, qint_q2_vector
    qint_thumb qint_thumb_q1, 0x00010001, 16, 1, qint_q1_vector

    .text
