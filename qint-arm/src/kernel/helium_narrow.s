@ Cortex-M55 (Helium), codecs of two bits and one: helium.s, continued. Their gathers span more columns than the smallest
@ group has, so the last gather of a group may be of fewer than four vectors: lanes that are left out are zero.

@ ---- q2-linear and q2: 64 columns, or 32 at the end of a group; q0 addresses, q1 mask or levels, q2-q5 activations, q6 q7
@ codes, r11 the table ----
@ Frame: 0-16 as above, 20 and 36 sums.

    .macro qint_mve_q2_first acc, codes, first
    .if \first
    vmladav.s8 \acc, \codes, q2
    .else
    vmladava.s8 \acc, \codes, q2
    .endif
    .endm

    .macro qint_mve_q2_fields acc, first
    vand    q7, q6, q1
    qint_mve_q2_first \acc, q7, \first
    vshr.u8 q7, q6, #2
    vand    q7, q7, q1
    vmladava.s8 \acc, q7, q3
    vshr.u8 q7, q6, #4
    vand    q7, q7, q1
    vmladava.s8 \acc, q7, q4
    vshr.u8 q6, q6, #6
    vmladava.s8 \acc, q6, q5
    .endm

    .macro qint_mve_q2_levels acc, first
    vldrb.u8 q1, [r11, q6]
    qint_mve_q2_first \acc, q1, \first
    vshr.u8 q7, q6, #2
    vldrb.u8 q1, [r11, q7]
    vmladava.s8 \acc, q1, q3
    vshr.u8 q7, q6, #4
    vldrb.u8 q1, [r11, q7]
    vmladava.s8 \acc, q1, q4
    vshr.u8 q7, q6, #6
    vldrb.u8 q1, [r11, q7]
    vmladava.s8 \acc, q1, q5
    .endm

    .macro qint_mve_q2_row acc, address, fields, first
    vldrw.u32 q6, \address
    \fields \acc, \first
    .endm

    .macro qint_mve_q2_row_of_some fields, acc, address
    vpst
    vldrwt.u32 q6, \address
    \fields \acc, 0
    .endm

    .macro qint_mve_q2_activations
    vldrw.u32 q2, [r1], #16
    vldrw.u32 q3, [r1], #16
    vldrw.u32 q4, [r1], #16
    vldrw.u32 q5, [r1], #16
    .endm

    .macro qint_mve_q2_gather fields, first
    qint_mve_q2_activations
    qint_eight_rows qint_mve_q2_row, \fields, \first
    .endm

    .macro qint_helium_two name, fields, table
    qint_begin \name
    qint_enter 52
    .if \table
    ldr     r11, [sp, #(52 + 64 + 36)]
    .else
    vmov.i8 q1, #0x03
    .endif
2:                                      @ eight rows
    qint_addresses 256
    ldr     r3, [sp, #4]
    ldr     r1, [sp, #8]
    vmov.i32 q6, #0
    vstrw.32 q6, [sp, #20]
    vstrw.32 q6, [sp, #36]
    ldrd    r5, r7, [r1], #8
    cmp     r5, #4
    bne     5f
3:                                      @ 128 columns
    qint_mve_q2_gather \fields, 1
    qint_mve_q2_gather \fields, 0
4:                                      @ the group is done: sub-scale · (4 · sum + offset), or · sum
    qint_vectors_of_sums q4, q5
    .if \table == 0
    vmov.i32 q7, #4
    vmlas.s32 q4, q7, r7
    vmlas.s32 q5, q7, r7
    .endif
    vldrb.s32 q2, [r3], #4
    vldrb.s32 q3, [r3], #12
    vmul.i32 q4, q4, q2
    vmul.i32 q5, q5, q3
    vldrw.u32 q6, [sp, #20]
    vldrw.u32 q7, [sp, #36]
    vadd.i32 q6, q6, q4
    vadd.i32 q7, q7, q5
    vstrw.32 q6, [sp, #20]
    vstrw.32 q7, [sp, #36]
    ldrd    r5, r7, [r1], #8
    cmp     r5, #4
    beq     3b
    cmp     r5, #0
    beq     7f
5:                                      @ any number of steps of 32 columns, two at a time
    movs    r0, #0
    movs    r2, #0
    movs    r4, #0
    movs    r6, #0
    mov     r8, #0
    mov     r10, #0
    mov     r12, #0
    mov     lr, #0
6:
    lsl     r9, r5, #1                  @ vectors of codes to go: the last gather may be half of one
    vctp.32 r9
    qint_mve_q2_activations
    qint_mve_q2_row_of_some \fields, r0, "[q0, #256]"
    qint_mve_q2_row_of_some \fields, r2, "[q0, #260]"
    qint_mve_q2_row_of_some \fields, r4, "[q0, #264]"
    qint_mve_q2_row_of_some \fields, r6, "[q0, #268]"
    qint_mve_q2_row_of_some \fields, r8, "[q0, #272]"
    qint_mve_q2_row_of_some \fields, r10, "[q0, #276]"
    qint_mve_q2_row_of_some \fields, r12, "[q0, #280]"
    qint_mve_q2_row_of_some \fields, lr, "[q0, #284]"
    cmp     r9, #4
    it      hi
    movhi   r9, #4
    lsl     r9, r9, #6
    vadd.i32 q0, q0, r9
    subs    r5, #2
    bgt     6b
    b       4b
7:                                      @ the block is done
    qint_leave 52, 8, q6, q7
    .size   \name, . - \name
    .endm

    qint_helium_two qint_helium_q2_linear, qint_mve_q2_fields, 0
    qint_helium_two qint_helium_q2, qint_mve_q2_levels, 1

@ ---- q1: up to 128 columns, a whole group; q0-q3 codes of four rows, q4 bits, q5 activations, q6 q7 masks ----
@ Even fields are summed in r0, r2, r4, r6; odd ones, whose ones count 2, in r8, r10, r12, lr.
@ Frame: 0-16 as above, 20 sums, 36 addresses.

    .macro qint_mve_q1_even first
    vldrw.u32 q5, [r1], #16
    vand    q4, q0, q6
    qint_mve_q1_mac r0, \first
    vand    q4, q1, q6
    qint_mve_q1_mac r2, \first
    vand    q4, q2, q6
    qint_mve_q1_mac r4, \first
    vand    q4, q3, q6
    qint_mve_q1_mac r6, \first
    .endm

    .macro qint_mve_q1_odd first
    vldrw.u32 q5, [r1], #16
    vand    q4, q0, q7
    qint_mve_q1_mac r8, \first
    vand    q4, q1, q7
    qint_mve_q1_mac r10, \first
    vand    q4, q2, q7
    qint_mve_q1_mac r12, \first
    vand    q4, q3, q7
    qint_mve_q1_mac lr, \first
    .endm

    .macro qint_mve_q1_mac acc, first
    .if \first
    vmladav.s8 \acc, q4, q5
    .else
    vmladava.s8 \acc, q4, q5
    .endif
    .endm

    .macro qint_mve_q1_next
    vshr.u32 q0, q0, #2
    vshr.u32 q1, q1, #2
    vshr.u32 q2, q2, #2
    vshr.u32 q3, q3, #2
    .endm

    qint_begin qint_helium_q1
    qint_enter 52
    vmov.i8 q6, #0x01
    vmov.i8 q7, #0x02
    add     r11, sp, #20
2:                                      @ four rows
    qint_addresses 0
    vmov.i32 q4, #0
    vstrw.32 q4, [r11]
    vstrw.32 q0, [r11, #16]
    ldr     r3, [sp, #4]
    ldr     r1, [sp, #8]
    ldrd    r5, r7, [r1], #8
3:                                      @ a group of r5 vectors of codes
    vctp.32 r5
    vldrw.u32 q4, [r11, #16]
    vpstttt
    vldrwt.u32 q0, [q4]
    vldrwt.u32 q1, [q4, #4]
    vldrwt.u32 q2, [q4, #8]
    vldrwt.u32 q3, [q4, #12]
    lsl     r9, r5, #6
    vadd.i32 q4, q4, r9
    vstrw.32 q4, [r11, #16]
    qint_mve_q1_even 1
    qint_mve_q1_odd 1
    .rept 3
    qint_mve_q1_next
    qint_mve_q1_even 0
    qint_mve_q1_odd 0
    .endr
    qint_vectors_of_sums q0, q1
    vadd.i32 q0, q0, q0
    vadd.i32 q0, q0, q1
    vadd.i32 q0, q0, r7
    vldrb.s32 q2, [r3], #16
    vmul.i32 q0, q0, q2
    vldrw.u32 q3, [r11]
    vadd.i32 q3, q3, q0
    vstrw.32 q3, [r11]
    ldrd    r5, r7, [r1], #8
    cmp     r5, #0
    bne     3b
    qint_leave 52, 4, q3                @ the block is done
    .size   qint_helium_q1, . - qint_helium_q1

    .text
