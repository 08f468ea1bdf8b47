@ Every kernel is a function in a section of its own, so that only those that are called are linked.

    .syntax unified
    .thumb

    .macro qint_begin name
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    .endm

