// A model in a few calls: cc linked.c -lqint_capi, or with libqint_capi.a. See docs/c-abi.md.
//
// usage: linked MODEL.qint.safetensors
#include <qint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int32_t code) {
    if (code != QINT_OK) {
        char text[1024] = "";
        qint_last_error(text, sizeof text, NULL);
        fprintf(stderr, "%s: %s\n", qint_status_text(code), text);
        exit(1);
    }
}

static int32_t print(void *user, size_t prompt, const char *text, size_t length) {
    (void)user;
    (void)prompt;
    fwrite(text, 1, length, stdout);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL.qint.safetensors\n", argv[0]);
        return 2;
    }
    if (qint_abi() < QINT_ABI) {
        fprintf(stderr, "the library is older than its header\n");
        return 1;
    }
    printf("qint %s\n", qint_version());

    uint64_t model = 0;
    check(qint_model_open(argv[1], strlen(argv[1]), 0, &model));
    qint_model_info info = {.struct_size = sizeof info};
    check(qint_model_describe(model, &info));
    printf("%u layers, %u tokens, %llu bytes\n", info.layers, info.vocabulary, (unsigned long long)info.bytes);

    // A text, piece by piece.
    const char *prompt = "Shall I compare thee";
    uint64_t sessions[2] = {0, 0};
    qint_session_options setup = {.struct_size = sizeof setup, .threads = 2, .capacity = 64};
    check(qint_session_new(model, &setup, &sessions[0]));
    check(qint_session_new(model, &setup, &sessions[1]));
    qint_generate_options options = {.struct_size = sizeof options};
    check(qint_generate_defaults(&options));
    options.max_tokens = 16;
    options.seed = 3;
    qint_generated generated[2] = {{.struct_size = sizeof generated[0]}, {.struct_size = sizeof generated[0]}};
    printf("%s", prompt);
    check(qint_generate(sessions[0], prompt, strlen(prompt), &options, print, NULL, generated));
    printf("\n%u tokens\n", generated[0].tokens);

    // Two texts at once, on empty sessions.
    check(qint_session_truncate(sessions[0], 0));
    qint_text prompts[2] = {{prompt, strlen(prompt)}, {"To be, or", 9}};
    check(qint_generate_batch(sessions, prompts, 2, &options, NULL, NULL, generated));
    for (int i = 0; i < 2; i++) {
        char text[1024];
        check(qint_session_text(sessions[i], text, sizeof text, NULL));
        printf("%s%s\n", prompts[i].data, text);
    }

    // Tokens in, logits out.
    uint32_t ids[64];
    size_t count = 0;
    check(qint_tokenize(model, prompt, strlen(prompt), QINT_SPECIAL, ids, 64, &count));
    check(qint_session_truncate(sessions[0], 0));
    check(qint_session_feed(sessions[0], ids, count));
    float *logits = malloc(info.vocabulary * sizeof *logits);
    if (logits == NULL) {
        return 1;
    }
    check(qint_session_logits(sessions[0], logits, info.vocabulary));
    uint32_t best = 0;
    for (uint32_t id = 1; id < info.vocabulary; id++) {
        best = logits[id] > logits[best] ? id : best;
    }
    free(logits);
    char piece[64];
    check(qint_detokenize(model, &best, 1, piece, sizeof piece, NULL));
    printf("after %zu tokens, \"%s\" is the likeliest\n", count, piece);

    // What is freed twice is an error, nothing worse.
    check(qint_session_free(sessions[0]));
    check(qint_session_free(sessions[1]));
    check(qint_model_free(model));
    if (qint_model_free(model) != QINT_ERROR_HANDLE) {
        return 1;
    }
    return 0;
}
