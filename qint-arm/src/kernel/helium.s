@ Cortex-M55 (Helium): exact integer sums of one activation block of one token, sixteen rows, eight (q1: four) at a time.
@ Here are the codecs of four and eight bits; helium_narrow.s has the others, helium_f32.s what is not integer.
@
@ 1. Helium multiplies sixteen bytes by sixteen bytes and adds everything up (VMLADAV). A row's quads lie 64 bytes apart, so
@    four words of one row are gathered by a vector of addresses; activations come in the same order (helium.rs).
@ 2. Codes are unsigned and below 64, so they are multiplied as signed bytes; q8 is made signed first.
@ 3. Sums of a group are in the even registers r0 … r12, lr (VMLADAV takes no others); r1 is the stream, r3 the sub-scales, r5
@    and r7 the header of a group: how many steps, and the offset for the codec's bias. Then four sums at a time move to
@    a vector, get offset and sub-scale, and are added to the block's.
@ 4. Groups of 128 columns have a straight path.
@
@ void f(codes r0, sub-scales r1, stream r2, sums r3)

@ q0 = 0, 64, 128, 192 + the codes of these rows
    .macro qint_addresses back
    ldr     r9, [sp, #0]
    movs    r4, #0
    vidup.u32 q0, r4, #8
    vshl.i32 q0, q0, #3
    .if \back
    sub     r9, r9, #\back
    .endif
    vadd.i32 q0, q0, r9
    .endm

@ Eight rows of the next gather: sums and addresses, and what else the macro takes.
    .macro qint_eight_rows row, others:vararg
    \row    r0, "[q0, #256]!", \others
    \row    r2, "[q0, #4]", \others
    \row    r4, "[q0, #8]", \others
    \row    r6, "[q0, #12]", \others
    \row    r8, "[q0, #16]", \others
    \row    r10, "[q0, #20]", \others
    \row    r12, "[q0, #24]", \others
    \row    lr, "[q0, #28]", \others
    .endm

@ ---- q4-linear: 32 columns; q0 addresses, q1 mask, q2 q3 activations, q4 q5 codes, q6 q7 sums ----

    .macro qint_mve_q4_row acc, address, first
    vldrw.u32 q4, \address
    vand    q5, q4, q1
    .if \first
    vmladav.s8 \acc, q5, q2
    .else
    vmladava.s8 \acc, q5, q2
    .endif
    vshr.u8 q4, q4, #4
    vmladava.s8 \acc, q4, q3
    .endm

    .macro qint_mve_q4_step first
    vldrw.u32 q2, [r1], #16
    vldrw.u32 q3, [r1], #16
    qint_eight_rows qint_mve_q4_row, \first
    .endm

@ ---- q4: 32 columns; q0 addresses, q1 levels, q2 q3 activations, q4 q5 codes, q6 q7 sums, r9 the table ----
@ The table is read with whole bytes, of which only the lowest field counts.

    .macro qint_mve_q4_table_row acc, address, first
    vldrw.u32 q4, \address
    vldrb.u8 q1, [r9, q4]
    .if \first
    vmladav.s8 \acc, q1, q2
    .else
    vmladava.s8 \acc, q1, q2
    .endif
    vshr.u8 q5, q4, #4
    vldrb.u8 q1, [r9, q5]
    vmladava.s8 \acc, q1, q3
    .endm

    .macro qint_mve_q4_table_step first
    vldrw.u32 q2, [r1], #16
    vldrw.u32 q3, [r1], #16
    qint_eight_rows qint_mve_q4_table_row, \first
    .endm

@ ---- q8: 32 columns, sixteen by sixteen; q0 addresses, q1 sign bits, q2 activations, q4 codes, q6 q7 sums ----
@ Activations are unsigned. With corrections so are codes; without, both become signed, and nothing is left to correct.

    .macro qint_mve_q8_row acc, address, first, corrected
    vldrw.u32 q4, \address
    .if \corrected
    .if \first
    vmladav.u8 \acc, q4, q2
    .else
    vmladava.u8 \acc, q4, q2
    .endif
    .else
    veor    q4, q4, q1
    .if \first
    vmladav.s8 \acc, q4, q2
    .else
    vmladava.s8 \acc, q4, q2
    .endif
    .endif
    .endm

    .macro qint_mve_q8_half first, corrected
    vldrw.u32 q2, [r1], #16
    .if \corrected == 0
    veor    q2, q2, q1
    .endif
    qint_eight_rows qint_mve_q8_row, \first, \corrected
    .endm

    .macro qint_mve_q8_step first
    qint_mve_q8_half \first, 0
    qint_mve_q8_half 0, 0
    .endm

    .macro qint_mve_q8_corrected_step first
    qint_mve_q8_half \first, 1
    qint_mve_q8_half 0, 1
    .endm

@ ---- The way through the groups, for codecs whose gathers are always full ----
@ Frame: 0 codes, 4 sub-scales, 8 stream, 12 output, 16 its end.

    .macro qint_enter frame
    push    {r4-r11, lr}
    vpush   {d8-d15}
    sub     sp, #\frame
    add     r4, r3, #64
    strd    r0, r1, [sp, #0]
    strd    r2, r3, [sp, #8]
    str     r4, [sp, #16]
    .endm

@ The sums of eight rows as two vectors.
    .macro qint_vectors_of_sums low, high
    vmov    \low[2], \low[0], r0, r4
    vmov    \low[3], \low[1], r2, r6
    vmov    \high[2], \high[0], r8, r12
    vmov    \high[3], \high[1], r10, lr
    .endm

@ Some rows are done, their sums in these vectors; on to the next rows, or back.
    .macro qint_leave frame, rows, sums:vararg
    ldrd    r0, r1, [sp, #0]
    ldrd    r2, r3, [sp, #12]
    .irp    vector, \sums
    vstrw.32 \vector, [r2], #16
    .endr
    adds    r0, #(4 * \rows)
    adds    r1, #\rows
    strd    r0, r1, [sp, #0]
    str     r2, [sp, #12]
    cmp     r2, r3
    bne     2b
    add     sp, #\frame
    vpop    {d8-d15}
    pop     {r4-r11, pc}
    .endm

@ OFFSET: whether groups have one. CORRECTED: whether the last argument is what sums start from. Otherwise it may be a table.
    .macro qint_helium name, step, mask, offset=1, corrected=0
    qint_begin \name
    qint_enter 20
    vmov.i8 q1, #\mask
2:                                      @ eight rows
    qint_addresses 256
    ldr     r3, [sp, #4]
    ldr     r1, [sp, #8]
    .if \corrected
    ldr     r9, [sp, #(20 + 64 + 36)]
    vldrw.u32 q6, [r9], #16
    vldrw.u32 q7, [r9], #16
    str     r9, [sp, #(20 + 64 + 36)]
    .else
    ldr     r9, [sp, #(20 + 64 + 36)]
    vmov.i32 q6, #0
    vmov.i32 q7, #0
    .endif
    ldrd    r5, r7, [r1], #8
    cmp     r5, #4
    bne     5f
3:                                      @ 128 columns
    \step   1
    \step   0
    \step   0
    \step   0
4:                                      @ the group is done
    qint_vectors_of_sums q4, q5
    .if \offset
    vadd.i32 q4, q4, r7
    vadd.i32 q5, q5, r7
    .endif
    vldrb.s32 q2, [r3], #4
    vldrb.s32 q3, [r3], #12
    vmul.i32 q4, q4, q2
    vmul.i32 q5, q5, q3
    vadd.i32 q6, q6, q4
    vadd.i32 q7, q7, q5
    ldrd    r5, r7, [r1], #8
    cmp     r5, #4
    beq     3b
    cmp     r5, #0
    beq     7f
5:                                      @ 32 columns, or more
    \step   1
    subs    r5, #1
    beq     4b
6:
    \step   0
    subs    r5, #1
    bne     6b
    b       4b
7:                                      @ the block is done
    qint_leave 20, 8, q6, q7
    .size   \name, . - \name
    .endm

    qint_helium qint_helium_q4_linear, qint_mve_q4_step, 0x0f
    qint_helium qint_helium_q4, qint_mve_q4_table_step, 0, 0
    qint_helium qint_helium_q8, qint_mve_q8_step, 0x80, 0
    qint_helium qint_helium_q8_corrected, qint_mve_q8_corrected_step, 0x80, 1, 1

    .text
