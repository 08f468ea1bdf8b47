// The library is found and loaded while the program runs: cc loaded.c (with -ldl where that is a library of its own).
//
// usage: loaded LIBRARY MODEL.qint.safetensors [CYCLES]
// Loads, uses and unloads it CYCLES times (once, if not given) and prints how many pages the last tenth of the cycles needs more
// than the second tenth, each counted at its smallest, or "unknown" where the system does not tell.
#include <limits.h>
#include <qint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
typedef HMODULE library_t;
static library_t load(const char *path) { return LoadLibraryA(path); }
static void unload(library_t library) { FreeLibrary(library); }
static void find(library_t library, const char *name, void *function) {
    FARPROC found = GetProcAddress(library, name);
    memcpy(function, &found, sizeof found);
}
static long resident(void) { return 0; }
#else
#include <dlfcn.h>
typedef void *library_t;
static library_t load(const char *path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
static void unload(library_t library) { dlclose(library); }
static void find(library_t library, const char *name, void *function) {
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
}
// Pages of the process's own in memory, where the system tells: those of files come and go as the system likes.
static long resident(void) {
    long all = 0, pages = 0, files = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%ld %ld %ld", &all, &pages, &files) != 3) {
            pages = files = 0;
        }
        fclose(file);
    }
    return pages - files;
}
#endif

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void use(library_t library, const char *path) {
    uint32_t (*abi)(void) = NULL;
    int32_t (*model_open)(const char *, size_t, uint32_t, uint64_t *) = NULL;
    int32_t (*model_free)(uint64_t) = NULL;
    int32_t (*session_new)(uint64_t, const qint_session_options *, uint64_t *) = NULL;
    int32_t (*session_free)(uint64_t) = NULL;
    int32_t (*session_feed)(uint64_t, const uint32_t *, size_t) = NULL;
    find(library, "qint_abi", &abi);
    find(library, "qint_model_open", &model_open);
    find(library, "qint_model_free", &model_free);
    find(library, "qint_session_new", &session_new);
    find(library, "qint_session_free", &session_free);
    find(library, "qint_session_feed", &session_feed);
    if (!abi || !model_open || !model_free || !session_new || !session_free || !session_feed) {
        fail("a function is missing");
    }
    if (abi() < QINT_ABI) {
        fail("the library is older than its header");
    }
    uint64_t model = 0, session = 0;
    const uint32_t tokens[2] = {1, 2};
    const qint_session_options setup = {.struct_size = sizeof setup, .threads = 2, .capacity = 8};
    if (model_open(path, strlen(path), 0, &model) != QINT_OK || session_new(model, &setup, &session) != QINT_OK ||
        session_feed(session, tokens, 2) != QINT_OK || session_free(session) != QINT_OK ||
        model_free(model) != QINT_OK || model_free(model) != QINT_ERROR_HANDLE) {
        fail("a call did not do what it should");
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fail("usage: loaded LIBRARY MODEL.qint.safetensors [CYCLES]");
    }
    const long cycles = argc > 3 ? atol(argv[3]) : 1;
    long before = LONG_MAX, after = LONG_MAX;
    for (long cycle = 0; cycle < cycles; cycle++) {
        library_t library = load(argv[1]);
        if (library == NULL) {
            fail("the library cannot be loaded");
        }
        use(library, argv[2]);
        unload(library);
        const long pages = resident();
        if (cycle >= cycles / 10 && cycle <= cycles / 5 && pages < before) {
            before = pages;
        }
        if (cycle >= cycles - 1 - cycles / 10 && pages < after) {
            after = pages;
        }
    }
    if (after == 0) {
        printf("%ld cycles, unknown pages added\n", cycles);
    } else {
        printf("%ld cycles, %ld pages added\n", cycles, after - before);
    }
    return 0;
}
