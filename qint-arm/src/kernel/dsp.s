@ Cortex-M4, M7, M33 (DSP extension): exact integer sums of one activation block.
@
@ One token (`qint_dsp_Q`): sixteen rows, four at a time. Four tokens (`qint_dsp_batch_Q`, dsp_batch.s): four rows, one at a
@ time. Both write sixteen sums: [row], or [row][token].
@
@     for every group:           acc = header (the offset for the codec's bias), then
@         for every 32 columns:  acc += codes · coefficients            (SMLAD, two columns each)
@         sum += acc · sub-scale
@
@ 1. A field is not shifted out of its word. UXTB16 takes two whole bytes, each further AND cuts the topmost field off, and
@    the coefficients (nested.rs) are such that what is left over cancels: one extraction for every SMLAD, and no mask in a
@    register.
@ 2. Everything of an inner loop is in registers: r0-r3 sums, r4 steps to go, r5-r8 activations, r9-r11 weights,
@    r12 codes, lr the stream of activations.
@ 3. Sums of whole blocks wait on the stack. The last group is followed by a header of 0 steps.
@
@ void f(codes r0, sub-scales r1, stream r2, sums r3, table on the stack)

@ One row's word meets four words of activations.
    .macro qint_q4_row acc, w
    uxtb16  r11, \w
    smlad   \acc, r11, r5, \acc
    and     r11, r11, #0x000f000f
    smlad   \acc, r11, r6, \acc
    uxtb16  r11, \w, ror #8
    smlad   \acc, r11, r7, \acc
    and     r11, r11, #0x000f000f
    smlad   \acc, r11, r8, \acc
    .endm

@ Four fields of r11, each cut off from the one before.
    .macro qint_fields acc, a, b, c
    smlad   \acc, r11, r5, \acc
    and     r11, r11, #\a
    smlad   \acc, r11, r6, \acc
    and     r11, r11, #\b
    smlad   \acc, r11, r7, \acc
    and     r11, r11, #\c
    smlad   \acc, r11, r8, \acc
    .endm

    .macro qint_q2_low acc, w
    uxtb16  r11, \w
    qint_fields \acc, 0x003f003f, 0x000f000f, 0x00030003
    .endm

    .macro qint_q2_high acc, w
    uxtb16  r11, \w, ror #8
    qint_fields \acc, 0x003f003f, 0x000f000f, 0x00030003
    .endm

    .macro qint_q1_low_upper acc, w
    uxtb16  r11, \w
    qint_fields \acc, 0x007f007f, 0x003f003f, 0x001f001f
    .endm

    .macro qint_q1_low_lower acc, w
    and     r11, \w, #0x000f000f
    qint_fields \acc, 0x00070007, 0x00030003, 0x00010001
    .endm

    .macro qint_q1_high_upper acc, w
    uxtb16  r11, \w, ror #8
    qint_fields \acc, 0x007f007f, 0x003f003f, 0x001f001f
    .endm

    .macro qint_q1_high_lower acc, w
    uxtb16  r11, \w, ror #8
    and     r11, r11, #0x000f000f
    qint_fields \acc, 0x00070007, 0x00030003, 0x00010001
    .endm

    .macro qint_q8_row acc, w, low, high
    uxtb16  r11, \w
    smlad   \acc, r11, \low, \acc
    uxtb16  r11, \w, ror #8
    smlad   \acc, r11, \high, \acc
    .endm

@ Four rows meet four words of activations: of the next vector, or again of the same.
    .macro qint_four_rows row, next
    ldmia   lr!, {r5-r8}
    .if \next
    ldrd    r9, r10, [r12, #64]!
    .else
    ldrd    r9, r10, [r12]
    .endif
    \row    r0, r9
    \row    r1, r10
    ldrd    r9, r10, [r12, #8]
    \row    r2, r9
    \row    r3, r10
    .endm

    .macro qint_q8_four_rows low, high
    ldrd    r9, r10, [r12, #64]!
    qint_q8_row r0, r9, \low, \high
    qint_q8_row r1, r10, \low, \high
    ldrd    r9, r10, [r12, #8]
    qint_q8_row r2, r9, \low, \high
    qint_q8_row r3, r10, \low, \high
    .endm

@ 32 columns.
    .macro qint_q8_step
    .rept 4
    ldmia   lr!, {r5-r8}
    qint_q8_four_rows r5, r6
    qint_q8_four_rows r7, r8
    .endr
    .endm

    .macro qint_q4_step
    .rept 4
    qint_four_rows qint_q4_row, 1
    .endr
    .endm

    .macro qint_q2_step
    .rept 2
    qint_four_rows qint_q2_low, 1
    qint_four_rows qint_q2_high, 0
    .endr
    .endm

    .macro qint_q1_step
    qint_four_rows qint_q1_low_upper, 1
    qint_four_rows qint_q1_low_lower, 0
    qint_four_rows qint_q1_high_upper, 0
    qint_four_rows qint_q1_high_lower, 0
    .endm

@ Two codes, BITS each, from bit 2·BITS·N of the word on, are looked up as two levels.
    .macro qint_pair acc, n, bits, x
    ubfx    r10, r9, #(2 * \bits * (\n)), #(2 * \bits)
    ldr     r10, [r11, r10, lsl #2]
    smlad   \acc, r10, \x, \acc
    .endm

    .macro qint_table_row acc, row, bits, first
    .if \first == 0 && \row == 0
    ldr     r9, [r12, #64]!
    .else
    ldr     r9, [r12, #(4 * \row)]
    .endif
    qint_pair \acc, \first, \bits, r5
    qint_pair \acc, \first + 1, \bits, r6
    qint_pair \acc, \first + 2, \bits, r7
    qint_pair \acc, \first + 3, \bits, r8
    .endm

    .macro qint_table_four_rows bits, first
    ldmia   lr!, {r5-r8}
    qint_table_row r0, 0, \bits, \first
    qint_table_row r1, 1, \bits, \first
    qint_table_row r2, 2, \bits, \first
    qint_table_row r3, 3, \bits, \first
    .endm

    .macro qint_q4_table_step
    .rept 2
    qint_table_four_rows 4, 0
    .endr
    .endm

    .macro qint_q2_table_step
    qint_table_four_rows 2, 0
    qint_table_four_rows 2, 4
    .endm

@ sum += acc · sub-scale: sums in r6-r9 and in the frame, acc in r0-r3, next sub-scales at r4; of four rows, or of four tokens
@ of one row.
    .macro qint_scale_4
    ldr     r5, [r4], #16
    str     r4, [sp, #16]
    ldmia   sp, {r6-r9}
    sxtb    r10, r5
    mla     r6, r0, r10, r6
    sxtb    r10, r5, ror #8
    mla     r7, r1, r10, r7
    sxtb    r10, r5, ror #16
    mla     r8, r2, r10, r8
    asr     r10, r5, #24
    mla     r9, r3, r10, r9
    stmia   sp, {r6-r9}
    .endm

    .macro qint_scale_1
    ldrsb   r5, [r4], #16
    str     r4, [sp, #16]
    ldmia   sp, {r6-r9}
    mla     r6, r0, r5, r6
    mla     r7, r1, r5, r7
    mla     r8, r2, r5, r8
    mla     r9, r3, r5, r9
    stmia   sp, {r6-r9}
    .endm

@ Frame: 0 four sums, 16 sub-scales of the next group, 20 codes, 24 sub-scales, 28 stream, 32 output, 36 its end.
@ ROWS are done at once, four or one; 32 columns are STEPS repetitions of STEP.
    .macro qint_dsp name, rows, shift, steps, step:vararg
    qint_begin \name
    push    {r4-r11, lr}
    sub     sp, #40
    ldr     r11, [sp, #76]
    sub     r0, #64
    add     r4, r3, #64
    strd    r0, r1, [sp, #20]
    strd    r2, r3, [sp, #28]
    str     r4, [sp, #36]
2:                                      @ four rows, or a row
    ldrd    r12, r4, [sp, #20]
    add     r5, r12, #(4 * \rows)
    add     r6, r4, #\rows
    strd    r5, r6, [sp, #20]
    str     r4, [sp, #16]
    ldr     lr, [sp, #28]
    movs    r6, #0
    movs    r7, #0
    strd    r6, r7, [sp]
    strd    r6, r7, [sp, #8]
    ldmia   lr!, {r0-r4}
3:                                      @ 32 columns
    .rept \steps
    \step
    .endr
    subs    r4, #1
    bne     3b
    ldr     r4, [sp, #16]               @ the group is done
    qint_scale_\rows
    ldmia   lr!, {r0-r4}
    cmp     r4, #0
    bne     3b
    ldrd    r0, r1, [sp, #32]           @ the block is done
    .if \shift
    asr     r6, r6, #\shift
    asr     r7, r7, #\shift
    asr     r8, r8, #\shift
    asr     r9, r9, #\shift
    .endif
    stmia   r0!, {r6-r9}
    str     r0, [sp, #32]
    cmp     r0, r1
    bne     2b
    add     sp, #40
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

    qint_dsp qint_dsp_q8, 4, 0, 1, qint_q8_step
    qint_dsp qint_dsp_q4_linear, 4, 4, 1, qint_q4_step
    qint_dsp qint_dsp_q2_linear, 4, 4, 1, qint_q2_step
    qint_dsp qint_dsp_q1, 4, 6, 1, qint_q1_step
    qint_dsp qint_dsp_q4, 4, 0, 2, qint_q4_table_step
    qint_dsp qint_dsp_q2, 4, 0, 2, qint_q2_table_step

    .text
