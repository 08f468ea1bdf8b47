@ Cortex-M4, M7, M33 (DSP extension), four tokens: dsp.s, continued. Each extracted pair of codes meets four tokens, so that
@ extraction is shared, and only one row is at work: r0-r3 sums of the tokens, r4 steps to go, r5-r8 activations, r9 and r10
@ weights, r11 the table, r12 codes, lr the stream.

@ One field of a row's word (two columns) meets four tokens.
    .macro qint_tokens
    ldmia   lr!, {r5-r8}
    smlad   r0, r10, r5, r0
    smlad   r1, r10, r6, r1
    smlad   r2, r10, r7, r2
    smlad   r3, r10, r8, r3
    .endm

    .macro qint_tokens_and mask
    and     r10, r10, #\mask
    qint_tokens
    .endm

    .macro qint_q8_half
    qint_tokens
    .endm

    .macro qint_q4_half
    qint_tokens
    qint_tokens_and 0x000f000f
    .endm

    .macro qint_q2_half
    qint_tokens
    qint_tokens_and 0x003f003f
    qint_tokens_and 0x000f000f
    qint_tokens_and 0x00030003
    .endm

    .macro qint_q1_half
    qint_tokens
    qint_tokens_and 0x007f007f
    qint_tokens_and 0x003f003f
    qint_tokens_and 0x001f001f
    qint_tokens_and 0x000f000f
    qint_tokens_and 0x00070007
    qint_tokens_and 0x00030003
    qint_tokens_and 0x00010001
    .endm

    .macro qint_word half
    ldr     r9, [r12, #64]!
    uxtb16  r10, r9
    \half
    uxtb16  r10, r9, ror #8
    \half
    .endm

    .macro qint_table_word bits, n
    .if \n == 0
    ldr     r9, [r12, #64]!
    .endif
    ubfx    r10, r9, #(2 * \bits * \n), #(2 * \bits)
    ldr     r10, [r11, r10, lsl #2]
    qint_tokens
    .endm

    .macro qint_q4_table_word
    .irp n, 0, 1, 2, 3
    qint_table_word 4, \n
    .endr
    .endm

    .macro qint_q2_table_word
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    qint_table_word 2, \n
    .endr
    .endm

@ Frame: 0 four sums, 16 sub-scales of the next group, 20 codes, 24 sub-scales, 28 stream, 32 output, 36 its end.
    .macro qint_dsp_batch name, shift, words, word:vararg
    qint_begin \name
    push    {r4-r11, lr}
    sub     sp, #40
    ldr     r11, [sp, #76]
    sub     r0, #64
    add     r4, r3, #64
    strd    r0, r1, [sp, #20]
    strd    r2, r3, [sp, #28]
    str     r4, [sp, #36]
2:                                      @ a row
    ldrd    r12, r4, [sp, #20]
    add     r5, r12, #4
    add     r6, r4, #1
    strd    r5, r6, [sp, #20]
    str     r4, [sp, #16]
    ldr     lr, [sp, #28]
    movs    r6, #0
    movs    r7, #0
    strd    r6, r7, [sp]
    strd    r6, r7, [sp, #8]
    ldmia   lr!, {r0-r4}
3:                                      @ 32 columns
    .rept \words
    \word
    .endr
    subs    r4, #1
    bne     3b
    ldr     r4, [sp, #16]               @ the group is done
    ldrsb   r5, [r4], #16
    str     r4, [sp, #16]
    ldmia   sp, {r6-r9}
    mla     r6, r0, r5, r6
    mla     r7, r1, r5, r7
    mla     r8, r2, r5, r8
    mla     r9, r3, r5, r9
    stmia   sp, {r6-r9}
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

    qint_dsp_batch qint_dsp_batch_q8, 0, 8, qint_word qint_q8_half
    qint_dsp_batch qint_dsp_batch_q4_linear, 4, 4, qint_word qint_q4_half
    qint_dsp_batch qint_dsp_batch_q2_linear, 4, 2, qint_word qint_q2_half
    qint_dsp_batch qint_dsp_batch_q1, 6, 1, qint_word qint_q1_half
    qint_dsp_batch qint_dsp_batch_q4, 0, 4, qint_q4_table_word
    qint_dsp_batch qint_dsp_batch_q2, 0, 2, qint_q2_table_word

    .text
