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

    qint_dsp qint_dsp_batch_q8, 1, 0, 8, qint_word qint_q8_half
    qint_dsp qint_dsp_batch_q4_linear, 1, 4, 4, qint_word qint_q4_half
    qint_dsp qint_dsp_batch_q2_linear, 1, 4, 2, qint_word qint_q2_half
    qint_dsp qint_dsp_batch_q1, 1, 6, 1, qint_word qint_q1_half
    qint_dsp qint_dsp_batch_q4, 1, 0, 4, qint_q4_table_word
    qint_dsp qint_dsp_batch_q2, 1, 0, 2, qint_q2_table_word

    .text
