@ Cortex-M55 (Helium): rounding of activations and the f32 part of a product.
@
@ Vectors flush subnormal numbers. Products and totals are none (helium.rs says why, and when it calls these functions).
@ Activations may be subnormal: their magnitudes are compared as integers, the division is scalar and flushes nothing, and a
@ subnormal quotient added to 1.5 · 2^23 rounds to 0 whether it was flushed or not.

@ void qint_helium_scale(totals r0, sums r1, a r2 as bits): sixteen times 0 + f32(sum) · a
    qint_begin qint_helium_scale
    movs    r3, #0
    .rept 4
    vldrw.u32 q0, [r1], #16
    vcvt.f32.s32 q0, q0
    vmul.f32 q0, q0, r2
    vadd.f32 q0, q0, r3
    vstrw.32 q0, [r0], #16
    .endr
    bx      lr
    .size   qint_helium_scale, . - qint_helium_scale

@ void qint_helium_add_scaled(totals r0, sums r1, a r2 as bits): sixteen times total + f32(sum) · a
    qint_begin qint_helium_add_scaled
    .rept 4
    vldrw.u32 q0, [r1], #16
    vcvt.f32.s32 q0, q0
    vldrw.u32 q1, [r0]
    vmul.f32 q0, q0, r2
    vadd.f32 q1, q1, q0
    vstrw.32 q1, [r0], #16
    .endr
    bx      lr
    .size   qint_helium_add_scaled, . - qint_helium_add_scaled

@ void qint_helium_outputs(y r0, sums r1, a r2 as bits, row scales r3): sixteen times (f32(sum) · a) · row scale
    qint_begin qint_helium_outputs
    .rept 4
    vldrw.u32 q0, [r1], #16
    vcvt.f32.s32 q0, q0
    vmul.f32 q0, q0, r2
    vldrw.u32 q1, [r3], #16
    vmul.f32 q0, q0, q1
    vstrw.32 q0, [r0], #16
    .endr
    bx      lr
    .size   qint_helium_outputs, . - qint_helium_outputs

@ u32 qint_helium_absmax(x r0, steps r1): the largest of bits · 2 of 32 · steps numbers
    qint_begin qint_helium_absmax
    vmov.i32 q1, #0
2:
    .rept 8
    vldrw.u32 q0, [r0], #16
    vshl.i32 q0, q0, #1
    vmax.u32 q1, q1, q0
    .endr
    subs    r1, #1
    bne     2b
    movs    r0, #0
    vmaxv.u32 r0, q1
    bx      lr
    .size   qint_helium_absmax, . - qint_helium_absmax

@ void qint_helium_round(x r0, steps r1, divisor r2 as bits, codes r3, sums on the stack): one token's codes and their sums
    qint_begin qint_helium_round
    push    {r4, r5, r6, lr}
    ldr     r5, [sp, #16]
    vmov    s4, r2
    movw    r6, #0
    movt    r6, #0x4b40                 @ 1.5 · 2^23
2:
    movs    r4, #0
    .rept 8
    vldrw.u32 q0, [r0], #16
    vdiv.f32 s0, s0, s4
    vdiv.f32 s1, s1, s4
    vdiv.f32 s2, s2, s4
    vdiv.f32 s3, s3, s4
    vadd.f32 q0, q0, r6
    vstrb.32 q0, [r3], #4
    vaddva.u32 r4, q0
    .endr
    sub     r4, r4, #0x68000000         @ 32 times the bits of 1.5 · 2^23
    str     r4, [r5], #4
    subs    r1, #1
    bne     2b
    pop     {r4, r5, r6, pc}
    .size   qint_helium_round, . - qint_helium_round

    .text
